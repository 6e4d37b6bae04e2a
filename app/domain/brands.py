"""Projects as brands: which one a host name or a path stands for, kept for seconds so that no request asks for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event, select

from app import db, links
from app.errors import Invalid
from app.i18n import LANGUAGES, SOURCE, _, gettext
from app.models.projects import Project
from app.observe import SYSTEM, acting

SECONDS = 5.0
KEY = "brands"
PREFIX = "/client/p/"
"""Behind it the slug of a project, and behind that the pages of the client area as that brand shows them."""

CLOSED = _("The client area of %(name)s is closed at present. Please write to us.")

_HOST = re.compile(r"(?=.{4,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class Brand:
    """What pages need of a project."""

    id: int
    name: str
    hue: int
    host: str
    slug: str
    languages: tuple[str, ...]
    """Those of the client area; at least one."""
    language: str
    """For who has chosen none."""
    timezone: str
    currency: str
    logo: str
    terms: str
    enabled: bool
    visits_shown: bool
    visits_by_code: bool
    signup: Mapping[str, Any]
    """How customers register: see `app.domain.signup`."""

    @property
    def url(self) -> str:
        """Where the client area of this brand begins, for mails: on its own host where it has one."""
        return links.url("", host=self.host)


@dataclass(frozen=True)
class Brands:
    by_id: Mapping[int, Brand]
    by_host: Mapping[str, Brand]
    by_slug: Mapping[str, Brand]

    @property
    def only(self) -> Brand | None:
        """The one brand in use, where there is just one: nobody has to say which."""
        used = [brand for brand in self.by_id.values() if brand.enabled]
        return used[0] if len(used) == 1 else None


def _brand(row: Any) -> Brand:
    offered = tuple(code for code in row.languages or () if code in LANGUAGES)
    first = row.default_language if row.default_language in LANGUAGES else (offered or (SOURCE,))[0]
    return Brand(
        id=row.id, name=row.name, hue=row.hue, host=row.host or "", slug=row.slug or "", languages=offered or (first,),
        language=first if first in offered or not offered else offered[0], timezone=row.timezone,
        currency=row.currency, logo=row.logo, terms=row.terms, enabled=row.enabled, visits_shown=row.visits_shown,
        visits_by_code=row.visits_by_code,
        signup=row.signup or {},
    )  # fmt: skip


async def _load() -> Brands:
    names = (
        "id", "name", "hue", "host", "slug", "languages", "default_language", "timezone", "currency", "logo", "terms",
        "enabled", "visits_shown", "visits_by_code", "signup",
    )  # fmt: skip
    with acting(SYSTEM):
        async with db.reads() as session:
            rows = await session.execute(select(*[getattr(Project, name) for name in names]).order_by(Project.id))
            found = [_brand(row) for row in rows]
    return Brands({b.id: b for b in found}, {b.host: b for b in found if b.host}, {b.slug: b for b in found if b.slug})


async def brands() -> Brands:
    """All of them, as they were some seconds ago at most; what this process changes counts at once."""
    return await db.kept().of(KEY, _load, SECONDS)


async def brand(project_id: int) -> Brand | None:
    """The brand of a project."""
    found = (await brands()).by_id.get(project_id)
    if found is None:  # made by another process a moment ago
        db.kept().put(KEY, made := await _load(), SECONDS)
        found = made.by_id.get(project_id)
    return found


async def url_for(project_id: int, path: str) -> str:
    """The whole address of a page for customers of this project, as it stands in a mail."""
    found = await brand(project_id)
    return links.url(path, host=found.host if found is not None else "")


async def sign_in_path(project_id: int) -> str:
    """Where somebody who comes by a link in a mail signs in to this brand."""
    found = await brand(project_id)
    return f"{PREFIX}{found.slug}/login" if found and found.slug and not found.host else "/client/login"


def _forget(*_what: Any) -> None:
    db.kept().put(KEY, None, 0)


for _change in ("after_insert", "after_update", "after_delete"):
    event.listen(Project, _change, _forget)


def check(values: dict[str, Any]) -> None:
    """Puts host and slug of a form right. Raises Invalid."""
    host = str(values.get("host") or "").strip().lower().rstrip(".")
    slug = str(values.get("slug") or "").strip().lower()
    wrong = {}
    if host and not _HOST.fullmatch(host):
        wrong["host"] = gettext("A host name such as desk.brand.example is expected, without https:// and port.")
    elif host and host == links.host():
        wrong["host"] = gettext("This is the address of the panel. A brand needs one of its own.")
    if slug and not _SLUG.fullmatch(slug):
        wrong["slug"] = gettext("Only small letters, digits and hyphens, please: they stand in the address.")
    if wrong:
        raise Invalid(**wrong)
    if "host" in values:
        values["host"] = host or None
    if "slug" in values:
        values["slug"] = slug or None
