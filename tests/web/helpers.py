"""The web application as a browser meets it, without the panel's screens: a stand-in answers under ``/admin``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from app import flash
from app.asgi import assemble, serve
from app.models.customers import Customer
from app.models.projects import Project
from app.models.staff import Staff
from app.models.users import User
from app.settings import Settings
from app.web.guard import Guard

PASSWORD = "correct horse battery"
SAME_SITE = {"sec-fetch-site": "same-origin"}


async def stand_in(scope: Any, receive: Any, send: Any) -> None:
    """Tells what the panel would see of the request."""
    if scope["path"] == "/admin/flashes":
        told: Any = flash.take_flashes(scope)
    elif scope["path"] == "/admin/flash":
        flash.flash(scope, "ok", "Saved.")
        told = "flashed"
    elif scope["path"] == "/admin/break":
        raise RuntimeError("SELECT secret FROM nowhere")
    elif scope["path"] == "/admin/body":
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        told = size
    else:
        session = scope["session"]
        told = {"path": scope["path"], "session": {**session, "grants": sorted(session["grants"])}}
    body = json.dumps(told).encode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Site:
    settings: Settings
    app: Guard

    @asynccontextmanager
    async def browser(
        self, *, base: str = "http://desk.test", ip: str = "192.0.2.7", **more: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app=self.app, client=(ip, 5000))
        headers = {**SAME_SITE, "accept": "text/html", **more.pop("headers", {})}
        async with httpx.AsyncClient(transport=transport, base_url=base, headers=headers, **more) as client:
            yield client

    def again(self, **changes: Any) -> Site:
        """The same with other settings."""
        settings = replace(self.settings, **changes)
        return Site(settings, serve(assemble(stand_in), settings))


@dataclass
class People:
    project: Project
    customer: Customer
    user: User
    staff: Staff
    other: Customer
    """Another customer, of whom nobody here may see anything."""
    stranger: User


async def sign_in(
    client: httpx.AsyncClient, username: str, password: str = PASSWORD, *, area: str = ""
) -> httpx.Response:
    return await client.post(f"{area}/login", data={"username": username, "password": password})
