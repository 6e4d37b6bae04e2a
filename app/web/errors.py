"""What a person sees when something is refused or breaks: a page with one sentence, or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.orm.exc import StaleDataError

from app.errors import AppError, Conflict, Invalid, NotFound, SignInNeeded, TooMany
from app.flash import flash
from app.i18n import LANGUAGES, _, gettext
from app.observe import log, request_id
from app.web import branding, render
from app.web.branding import AREA, at_brand

Scope = Mapping[str, Any]

SENTENCES = {
    400: _("This request cannot be understood."),
    403: _("This is not allowed."),
    404: _("This page does not exist, or not any more."),
    405: _("This address cannot be used in that way."),
    413: _("This is larger than what is accepted here."),
    421: _("This address is not served here."),
    503: _("The database does not answer. Please try again in a moment."),
}


def too_large(most: int) -> str:
    """Says how much is accepted, in MB."""
    return gettext("This is too large: at most %(n)s MB are accepted at once.") % {"n": most // (1024 * 1024)}


def path_of(scope: Scope) -> str:
    """The path that was asked for: Litestar changes the scope's where it mounts something."""
    return str(scope["state"].get("path", scope["path"]))


def in_client_area(path: str) -> bool:
    return path == AREA or path.startswith(AREA + "/")


def local_path(given: str, default: str) -> str:
    """`given` when it is a path on this host, else `default`: nobody is sent to another site after signing in."""
    if not given.startswith("/") or given[1:2] in ("/", "\\") or "\\" in given or len(given) > 2000:
        return default
    if any(ord(c) <= 32 or ord(c) == 127 for c in given) or urlsplit(given).netloc:
        return default
    if given.startswith("/client/p/") and urlsplit(given).path.endswith("/login"):
        return default
    path = urlsplit(given).path.rstrip("/")
    if path in ("/login", "/logout", "/client/login", "/client/logout") or path.endswith(("/login/second", "/passkey")):
        return default
    return given


def _header(scope: Scope, name: bytes) -> str:
    return next((v.decode("latin-1") for k, v in scope.get("headers", ()) if k == name), "")


def wants_json(scope: Scope) -> bool:
    accept = _header(scope, b"accept")
    return "application/json" in accept and "text/html" not in accept


def body(scope: Scope, status: int, message: str, fields: Mapping[str, str] | None = None) -> tuple[bytes, str]:
    """The body of an error and its content type."""
    if wants_json(scope):
        told: dict[str, Any] = {"error": message, "request": request_id.get()}
        if fields:
            told["fields"] = {name: str(text) for name, text in fields.items()}
        return json.dumps(told, ensure_ascii=False).encode(), "application/json"
    try:
        html = _page(scope, status, message)
    except Exception:  # a page about an error must not be the next error
        log("web").exception("the error page could not be rendered")
        return f"{status} {message}".encode(), "text/plain; charset=utf-8"
    return html.encode(), "text/html; charset=utf-8"


def _page(scope: Scope, status: int, message: str) -> str:
    told = {"status_code": status, "message": message}
    if not in_client_area(path_of(scope)):
        return render.page("sqladmin/error.html", told, home_url="/")
    from app.web.client.area import frame_of  # the area needs this module

    area = frame_of(scope)  # with the banner of a visit: nobody forgets on an error page where they are
    if area is not None:
        return render.page("client/error.html", told, area=area, home_url="/client/")
    own = {k: v for k, v in gate(scope, "/client/login").items() if k in ("brand", "home_url")}
    return render.page("sqladmin/error.html", told, **own)


def broken() -> str:
    """What is said when it is our fault."""
    words = gettext("Something went wrong here. Nothing was changed. When you ask us about it, name %(id)s.")
    return words % {"id": request_id.get()}


def _response(
    request: Request[Any, Any, Any], status: int, message: str, *, fields: Mapping[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[Any]:  # fmt: skip
    content, kind = body(request.scope, status, message, fields)
    kind = kind.partition(";")[0]  # Litestar adds the charset
    return Response(content, status_code=status, headers=headers or {}, media_type=kind)


def sign_in_page(scope: Scope, **context: Any) -> str:
    """The sign-in form of the area that the path belongs to. context: error, notice, username, next."""
    if not in_client_area(path_of(scope)):
        own = {"action_url": "/login", "language_url": "/language", "here_url": "/login", "home_url": "/",
               "forgot_url": "/forgot"}  # fmt: skip
        return render.page("auth/login.html", {**own, "languages": render.languages()}, **context)
    return render.page("client/login.html", gate(scope, "/client/login"), action_url=at_brand(scope, "/client/login"),
                       forgot_url=at_brand(scope, "/client/forgot"), **context)  # fmt: skip


def gate(scope: Scope, here: str) -> dict[str, Any]:
    """What an open page of the client area needs (auth/frame.html): the brand, its languages, and their addresses
    within it. here: the address of the page, without the part of the brand."""
    return {
        "brand": branding.shown(scope), "languages": render.languages(scope["state"].get("languages", LANGUAGES)),
        "language_url": at_brand(scope, "/client/language"), "here_url": at_brand(scope, here),
        "home_url": at_brand(scope, "/client/login"),
    }  # fmt: skip


def sign_in_needed(request: Request[Any, Any, Any], error: SignInNeeded) -> Response[Any]:
    """To the form, and after it back to where the person wanted to go; what was posted is not sent on."""
    scope = request.scope
    path = path_of(scope)
    client = in_client_area(path)
    if scope["state"].get("visit_ended"):
        flash(scope, "warn", gettext("Your visit to the customer's account has ended."))
        return Redirect("/admin/", status_code=303)
    if wants_json(scope):
        return _response(request, 401, str(error))
    if request.method in ("GET", "HEAD"):
        query = scope.get("query_string", b"").decode("latin-1")
        where = local_path(path + (f"?{query}" if query else ""), "")
        target = at_brand(scope, "/client/login") if client else "/login"
        return Redirect(target + (f"?{urlencode({'next': where})}" if where else ""), status_code=303)
    came_from = urlsplit(_header(scope, b"referer"))
    back = local_path(came_from.path + (f"?{came_from.query}" if came_from.query else ""), "")
    notice = gettext("Your session has ended. Please sign in again.")
    kept = scope["state"].get("kept", "")
    if kept:
        notice += " " + gettext("What you have typed is not lost.")
    html = sign_in_page(scope, notice=notice, next=back, kept=kept)
    return Response(html, status_code=401, media_type="text/html")


def app_error(request: Request[Any, Any, Any], error: AppError) -> Response[Any]:
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooMany) else {}
    fields = error.fields if isinstance(error, Invalid) else None
    return _response(request, error.status, str(error), fields=fields, headers=headers)


def http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Litestar's own refusals, in our words: its details are for programmers."""
    status = error.status_code
    if status >= 500:
        return any_error(request, error)
    allow = {"Allow": error.headers["Allow"]} if error.headers and "Allow" in error.headers else {}
    return _response(request, status, str(SENTENCES.get(status, SENTENCES[400])), headers=allow)


def database_error(request: Request[Any, Any, Any], error: DBAPIError) -> Response[Any]:
    if isinstance(error, IntegrityError):
        log("web").warning("refused by the database: %s", type(error.orig).__name__)
        return app_error(request, Conflict(_("This clashes with something that exists already. Please look again.")))
    if isinstance(error, OperationalError | InterfaceError):
        log("web").error("the database does not answer: %s", type(error.orig).__name__)
        return _response(request, 503, str(SENTENCES[503]), headers={"Retry-After": "5"})
    return any_error(request, error)


def stale(request: Request[Any, Any, Any], _error: StaleDataError) -> Response[Any]:
    return app_error(request, Conflict(_("Somebody else has changed this meanwhile. Open it again.")))


def overflow(request: Request[Any, Any, Any], _error: OverflowError) -> Response[Any]:
    return app_error(request, NotFound())


def any_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    log("web").error("failed: %s %s", request.method, path_of(request.scope), exc_info=error)
    return _response(request, 500, broken())


HANDLERS: dict[int | type[Exception], Any] = {
    SignInNeeded: sign_in_needed,
    AppError: app_error,
    HTTPException: http_error,
    DBAPIError: database_error,
    StaleDataError: stale,
    OverflowError: overflow,
    Exception: any_error,
}
