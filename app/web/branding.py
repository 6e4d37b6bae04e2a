"""Which brand a request is for: named by the host, by the path, or by the customer who is signed in.

The guard asks in this order: `by_host`, `by_path`, then, with the session, `choose`. Pages ask the first three.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

from app.domain import brands
from app.domain.brands import Brand
from app.domain.sessions import SessionView
from app.errors import Forbidden, NotFound
from app.i18n import LANGUAGES, SOURCE

Scope = MutableMapping[str, Any]

AREA = "/client"
OPEN = ("/static/", "/health", "/unsubscribe/", "/t/", "/inbound/", "/webhooks/")
"""Paths that concern nobody: no session is looked up."""
SERVED = (AREA + "/", *OPEN)
"""What a host of a brand serves: its customers' pages, not the panel."""


def brand_of(scope: Mapping[str, Any]) -> Brand | None:
    """The brand that a page of the client area shows: the customer's; else that of the host or the path, else the only
    one. None: several share this address, and nobody has signed in."""
    found: Brand | None = scope["state"].get("brand")
    return found


def brand_asked(scope: Mapping[str, Any]) -> Brand | None:
    """The brand that the host or the path names: nobody of another one may sign in or sign up there."""
    found: Brand | None = scope["state"].get("brand_asked")
    return found


def at_brand(scope: Mapping[str, Any], path: str) -> str:
    """The address of an open page of the client area within the brand whose path was asked for."""
    base: str = scope["state"].get("brand_path", "")
    return base + path.removeprefix(AREA) if base and path.startswith(AREA + "/") else path


def _inside(path: str) -> bool:
    return path == AREA or path.startswith(AREA + "/")


async def by_host(scope: Scope, place: str, public: str) -> bool:
    """Whether this is the host of a brand. place, public: host:port of the request and of the installation.

    Raises NotFound for what such a host does not serve.
    """
    name, _colon, port = place.rpartition(":")
    brand = (await brands.brands()).by_host.get(name)
    if brand is None or (public and port != public.rpartition(":")[2]):
        return False
    if scope["path"] != "/" and not any(scope["path"] == p.rstrip("/") or scope["path"].startswith(p) for p in SERVED):
        raise NotFound
    scope["state"].update(brand_asked=brand, brand_host=brand)
    return True


async def by_path(scope: Scope) -> None:
    """Read `/client/p/<slug>/login` as `/client/login` of that brand. Raises NotFound."""
    if not scope["path"].startswith(brands.PREFIX):
        return
    slug, _slash, rest = scope["path"].removeprefix(brands.PREFIX).partition("/")
    brand = (await brands.brands()).by_slug.get(slug)
    if brand is None or brand_asked(scope) not in (None, brand) or rest == "p" or rest.startswith("p/"):
        raise NotFound
    path = f"{AREA}/{rest or 'login'}"
    scope.update(path=path, raw_path=quote(path).encode())
    scope["state"].update(path=path, brand_asked=brand, brand_path=f"{brands.PREFIX}{slug}")


def serves(scope: Scope, view: SessionView | None) -> bool:
    """Whether a session counts here: on the host of a brand only one of its customers'."""
    host: Brand | None = scope["state"].get("brand_host")
    return view is None or host is None or view.project_id == host.id


async def choose(scope: Scope, view: SessionView | None) -> None:
    """Find the brand of a page of the client area. Raises Forbidden when its project is switched off."""
    if not _inside(scope["path"]):
        return
    state = scope["state"]
    if view is not None and view.project_id is not None:
        found = await brands.brand(view.project_id)
    elif state.get("shut") is not None:
        found = await brands.brand(state["shut"])
    else:
        found = brand_asked(scope) or (await brands.brands()).only
    state["brand"] = found
    if found is not None and not found.enabled and not state.get("visit_ended"):
        raise Forbidden(brands.CLOSED % {"name": found.name})


def languages(scope: Scope, view: SessionView | None) -> tuple[tuple[str, ...], str]:
    """The languages to choose from, and the usual one. Staff inside an account read it in their own."""
    brand = brand_of(scope)
    if brand is None or (view is not None and view.staff_id is not None):
        scope["state"]["languages"] = tuple(LANGUAGES)
        return tuple(LANGUAGES), SOURCE
    scope["state"]["languages"] = brand.languages
    return brand.languages, brand.language


def shown(scope: Mapping[str, Any]) -> dict[str, Any] | None:
    """The brand as templates have it: {name, hue, logo_url, terms_url}."""
    brand = brand_of(scope)
    if brand is None:
        return None
    logo = at_brand(scope, f"{AREA}/logo") + f"?v={brand.logo[:12]}" if brand.logo else None
    terms = at_brand(scope, f"{AREA}/terms") if brand.terms.strip() else None
    return {"name": brand.name, "hue": brand.hue, "logo_url": logo, "terms_url": terms}
