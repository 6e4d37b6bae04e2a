"""What belongs to the brand, for everybody: its logo and its terms."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from app.errors import NotFound
from app.integrations.storage import FileMissing, Storage
from app.web import render
from app.web.branding import brand_of
from app.web.client.area import HTML, Asked
from app.web.errors import gate

DAY = "private, max-age=86400"


@get("/client/logo", name="client.logo")
async def logo(request: Asked) -> Response[bytes]:
    """The picture of the brand that the page shows: no other can be asked for."""
    from app.integrations.pdf import NotAPicture, picture_kind  # takes its time

    brand = brand_of(request.scope)
    storage: Storage = request.app.state.storage
    if brand is None or not brand.logo:
        raise NotFound
    try:
        picture = await storage.read(brand.logo)
        kind = picture_kind(picture)
    except (FileMissing, NotAPicture):
        raise NotFound from None
    policy = "default-src 'none'; sandbox; frame-ancestors 'none'"
    return Response(picture, media_type=kind, headers={"Cache-Control": DAY, "Content-Security-Policy": policy})


@get("/client/terms", name="client.terms")
async def terms(request: Asked) -> Response[Any]:
    brand = brand_of(request.scope)
    if brand is None or not brand.terms.strip():
        raise NotFound
    page = render.page("client/terms.html", gate(request.scope, "/client/terms"), text=brand.terms.strip())
    return Response(page, media_type=HTML)


HANDLERS = [logo, terms]
