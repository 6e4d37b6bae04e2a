"""The Django admin as shipped, signed in, on its ASGI handler. Read twice, like stock_sqladmin.py."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.bench.lists.places import ROOT
from tests.bench.lists.stock import Skip, StockSubject, Visit

USER, WORD = "olga", "correct horse battery"


def make_app() -> Any:
    """The application. The tables that Django needs for itself are made in the same database."""
    import django
    from django.conf import settings

    settings.configure(
        DEBUG=False,
        SECRET_KEY="k" * 50,
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="tests.bench.lists.django_app.urls",
        USE_TZ=True,
        STATIC_URL="static/",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={"default": _database(os.environ["BENCH_DATABASE_URL"])},
        INSTALLED_APPS=[
            "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
            "django.contrib.messages", "tests.bench.lists.django_app.apps.Bench",
        ],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        TEMPLATES=[{
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]},
        }],
    )  # fmt: skip
    django.setup()
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def prepare() -> None:
    """Django's own tables, and somebody who may sign in."""
    make_app()
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    if not User.objects.filter(username=USER).exists():
        User.objects.create_superuser(USER, "olga@example.org", WORD)


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme.startswith("sqlite"):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": parts.path[1:], "OPTIONS": {"timeout": 30}}
    given = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql", "NAME": parts.path[1:], "USER": parts.username or "postgres",
        "PASSWORD": parts.password or "", "HOST": parts.hostname or given.get("host", ""), "PORT": parts.port or "",
        "OPTIONS": {"pool": {"min_size": 2, "max_size": 8}},
    }  # fmt: skip


class StockDjango(StockSubject):
    name = "django"
    package = "django"
    app = "tests.bench.lists.stock_django:make_app"
    notes = (
        "signed in, psycopg 3 with a pool of 8, threads for each request as its ASGI handler does it",
        "the card is its change form, it has no other", "the side filter asks for the distinct languages on each view",
    )  # fmt: skip

    def command(self, port: int) -> tuple[list[str], dict[str, str]]:
        import subprocess

        command, env = super().command(port)
        code = "from tests.bench.lists.stock_django import prepare; prepare()"
        subprocess.run([command[0], "-c", code], check=True, env={**os.environ, **env, "PYTHONPATH": str(ROOT)})
        return command, env

    def sign_in(self, base_url: str) -> None:
        import httpx

        with httpx.Client(base_url=base_url) as browser:
            form = browser.get("/admin/login/").text
            found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
            assert found, form[:500]
            data = {"username": USER, "password": WORD, "csrfmiddlewaretoken": found[1], "next": "/admin/"}
            answer = browser.post("/admin/login/", data=data)
            assert answer.status_code == 302, answer.text[:500]
            self.headers = {"cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}

    def listed(self, i: int) -> str:
        return f"/admin/bench/customer/{i}/change/"

    def page(self, number: int) -> str:
        return f"/admin/bench/customer/?p={number}"

    def search(self, term: str) -> str:
        return f"/admin/bench/customer/?q={term}"

    def filtered(self, project: int, language: str) -> str:
        return f"/admin/bench/customer/?project__id__exact={project}&language={language}"

    def card(self, i: int) -> str:
        return f"/admin/bench/customer/{i}/change/"

    def edit(self, i: int) -> str:
        return f"/admin/bench/service/{i}/change/"

    def export(self, base_url: str) -> Visit | Skip:
        return Skip("the Django admin has no export")
