"""The web application for tests in this process: put together once, which takes longer than most tests, and served to
each with its own settings and database."""

from __future__ import annotations

from functools import cache
from typing import Any

from litestar import Litestar
from starlette.applications import Starlette

from admin_views.mount import panel
from app.asgi import assemble, serve
from app.settings import Settings
from app.web.guard import Guard


@cache
def _assembled(host: Any) -> Litestar:
    return assemble(host)


@cache
def _hosts() -> list[Starlette]:
    return []


def panel_of(settings: Settings) -> Starlette:
    """The panel, with these settings and the database that is configured now."""
    if not _hosts():
        _hosts().append(panel(settings))
    host = _hosts()[0]
    host.state.panel.under(settings)
    return host


def application(settings: Settings, host: Any = None) -> Guard:
    """The whole application; host: what answers under ``/admin``, else the panel. One at a time: the next one takes
    the settings of the former away."""
    return serve(_assembled(host or panel_of(settings)), settings)
