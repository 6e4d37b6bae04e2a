"""`create_app()`: the only place where the web parts are put together."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

from litestar import Litestar, Request, asgi, get
from litestar.datastructures import State
from litestar.response import Redirect
from litestar.types import Receive, Scope, Send

from app import db, flash, links, queue
from app.domain.messaging import replies
from app.errors import NotFound, SignInNeeded
from app.integrations.storage import DirectoryStorage
from app.observe import set_up_logging
from app.settings import Settings, load
from app.web import auth, client, consent, passwords, recovery
from app.web.branding import brand_asked
from app.web.errors import HANDLERS
from app.web.files import staff_file
from app.web.guard import Guard, visitor
from app.web.health import health
from app.web.inbound import take_mail
from app.web.second import SET_UP, must_set_up
from app.web.static import static_file
from app.web.webhooks import take_stripe


@get("/", name="start", sync_to_thread=False)
def start(request: Request[Any, Any, Any]) -> Redirect:
    return Redirect("/client/" if brand_asked(request.scope) else "/admin/", status_code=303)


def _mount(host: Any) -> Any:
    @asgi("/admin", is_mount=True, copy_scope=True)  # without the copy Starlette overwrites scope["app"]
    async def admin(scope: Scope, receive: Receive, send: Send) -> None:
        path = unquote(scope["raw_path"].decode("latin-1").split("?")[0]).rstrip("/")
        if path != "/admin" and not path.startswith("/admin/"):  # Litestar matches mounts by prefix: /adminfoo
            raise NotFound
        if visitor(scope) is None:
            if scope.get("method") == "POST":
                scope["state"]["kept"] = await recovery.keep(scope, receive, path)
            raise SignInNeeded
        if not f"{path}/".startswith(f"{SET_UP}/") and await must_set_up(scope, scope["app"].state.settings):
            await Redirect(SET_UP, status_code=303).to_asgi_response(None, Request(scope))(scope, receive, send)
            return
        scope["path"] = "/admin/" if path == "/admin" else path
        await host(scope, receive, send)

    return admin


@asynccontextmanager
async def _closing(_app: Litestar) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await queue.close()
        await db.dispose()


def assemble(panel: Any) -> Litestar:
    """Put the parts together. panel: the ASGI application for paths under ``/admin``."""
    return Litestar(
        route_handlers=[
            start,
            health,
            static_file,
            staff_file,
            take_mail,
            take_stripe,
            *auth.STAFF_HANDLERS,
            *passwords.STAFF_HANDLERS,
            *consent.HANDLERS,
            client.router(),
            _mount(panel),
        ],
        exception_handlers=HANDLERS,
        lifespan=[_closing],
        state=State(),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,  # the guard counts
    )


def serve(app: Litestar, settings: Settings) -> Guard:
    """The assembled parts behind the guard, with these settings; `app.db` is configured."""
    queue.configure(settings.redis_url)
    flash.configure(settings.secret_key)
    links.configure(settings)
    replies.configure(settings.secret_key, settings.inbound_address, settings.old_secret_keys)
    app.state.update({"storage": DirectoryStorage(settings.data_dir / "attachments"), "settings": settings})
    return Guard(app, settings)  # type: ignore[arg-type]


def create_app(settings: Settings | None = None) -> Guard:
    """The web application: the guard, and behind it signing in, the client area, the panel, health and static files."""
    from admin_views.mount import panel  # SQLAdmin takes its time: whoever wants only `assemble` does not wait for it

    settings = settings or load()
    set_up_logging()
    db.configure(settings.database_url)  # the panel asks for its sessions when it is made
    made = serve(assemble(panel(settings)), settings)
    gc.collect()
    gc.freeze()  # what is loaded now stays: the collector need not look at it again and again
    return made
