"""The tables as a Django application called "bench"."""

from django.apps import AppConfig


class Bench(AppConfig):
    name = "tests.bench.lists.django_app"
    label = "bench"
