"""Its admin, declared as the tutorial does it."""

from __future__ import annotations

from django.contrib import admin

from tests.bench.lists.django_app import models


@admin.register(models.Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ("id", "name", "project", "kind", "status", "country", "language", "attitude", "registered_at")
    list_filter = ("project", "language")
    search_fields = ("id", "name", "contact_person", "email", "phone", "legal_name", "vat_number")
    list_per_page = 25
    ordering = ("-id",)


@admin.register(models.Service)
class ServiceAdmin(admin.ModelAdmin):
    list_display = ("id", "name", "customer", "product", "status")


admin.site.register(models.Project)
