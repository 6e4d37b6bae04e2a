"""The same tables as Django sees them; Bursar's migration owns them."""

from __future__ import annotations

from django.db import models


class Named(models.Model):
    name = models.CharField(max_length=200)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


class Project(Named):
    class Meta:
        managed, db_table = False, "project"


class Attitude(Named):
    class Meta:
        managed, db_table = False, "attitude"


class Product(Named):
    class Meta:
        managed, db_table = False, "product"


class Customer(Named):
    project = models.ForeignKey(Project, models.PROTECT)
    kind = models.CharField(max_length=24)
    status = models.CharField(max_length=24)
    contact_person = models.CharField(max_length=200, blank=True)
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=40, blank=True)
    address = models.CharField(max_length=500, blank=True)
    country = models.CharField(max_length=2, blank=True)
    language = models.CharField(max_length=12, blank=True)
    timezone = models.CharField(max_length=64, blank=True)
    legal_name = models.CharField(max_length=200, blank=True)
    vat_number = models.CharField(max_length=40, blank=True)
    registration_number = models.CharField(max_length=60, blank=True)
    director = models.CharField(max_length=200, blank=True)
    attitude = models.ForeignKey(Attitude, models.SET_NULL, null=True, blank=True)
    note = models.TextField(blank=True)
    registered_at = models.DateTimeField()
    registration_ip = models.CharField(max_length=45, null=True, blank=True)

    class Meta:
        managed, db_table = False, "customer"


class Service(Named):
    customer = models.ForeignKey(Customer, models.PROTECT)
    product = models.ForeignKey(Product, models.PROTECT)
    status = models.CharField(max_length=24)
    price = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    period = models.CharField(max_length=24)
    next_charge_on = models.DateField(null=True, blank=True)
    auto_renew = models.BooleanField()

    class Meta:
        managed, db_table = False, "service"
