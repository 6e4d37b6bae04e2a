"""The command palette: one box that finds screens, actions, settings and rows. Nouns join by `AppView.in_palette`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from sqladmin.authentication import login_required
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from admin_views.access import grants_of
from admin_views.base import AppView
from admin_views.base.frame import HOME
from admin_views.base.panel import PanelBase
from admin_views.base.plan import for_others, looking, plan_of
from admin_views.base.reading import Reading
from app import db
from app.db import fold
from app.domain.config import live
from app.domain.sessions import Grants
from app.i18n import _, gettext, language
from app.models import scope
from app.render import page

ROWS = 5
"""Of each noun."""
ENTRIES = 6
"""Screens, actions and settings, of each."""
LONGEST = 100
SETTINGS = "Configuration"


@dataclass(frozen=True)
class Entry:
    """One thing to choose. keys: how to get there without the palette."""

    label: str
    icon: str
    url: str
    hint: str = ""
    keys: tuple[str, ...] = ()
    words: str = ""
    """What it is found by, folded."""

    def fits(self, wanted: Iterable[str]) -> bool:
        """Every word is there; one of one or two characters begins a word, as in the quick search."""
        return all((f"  {w}" if len(w) < 3 else w) in self.words for w in wanted)


Group = tuple[str, Sequence[Entry]]

PERSONAL = (
    Entry(_("My profile"), "user-circle", "/admin/profile"),
    Entry(_("Change password"), "key", "/admin/profile#password-form"),
    Entry(_("Notifications"), "bell", "/admin/notices"),
)


class Finding(PanelBase):
    @login_required
    async def find_anything(self, request: Request) -> Response:
        """What the palette shows for a term, as a fragment; without a term the main screens."""
        term = " ".join(request.query_params.get("term", "").replace("\0", "").split())[:LONGEST]
        known = entries(tuple(self.screens), grants_of(request), language(), (scope.is_limited(), live.stamp()))
        wanted = fold(term).split()
        groups: list[Group]
        if wanted:
            groups = [(label, [e for e in some if e.fits(wanted)][:ENTRIES]) for label, some in known]
            async with db.reads() as session:
                groups += [(str(v.name_plural), await rows(request, session, v, term)) for v in self.screens]
        else:
            groups = [(label, some) for label, some in known[:1] if not term]
        shown = [(label, some) for label, some in groups if some]
        return HTMLResponse(page("panel_found.html", groups=shown))


@lru_cache(maxsize=256)
def entries(views: tuple[AppView, ...], grants: Grants, _language: str, _as: object) -> tuple[Group, ...]:
    """Screens, actions and settings for whoever has these grants, in the reader's language."""
    home, url, icon, letter = HOME
    screens, actions, settings = (
        [_entry(home, icon, url, keys=("g", letter))],
        [],
        [_entry(**vars(p)) for p in PERSONAL],
    )
    for view in views:
        plan = view.plan(looking(grants) if for_others(view) else grants)
        if view.category and plan.may("list"):
            keys = ("g", view.letter) if view.letter else ()
            kind = settings if str.__str__(view.category) == SETTINGS else screens
            kind.append(_entry(view.name_plural, view.icon, view.list_url, keys=keys, also=(view.name,)))
        if plan.may_create:
            label = view.creating or gettext("New: %(noun)s") % {"noun": view.name}
            also = (view.name, view.name_plural, _("New"))
            actions.append(_entry(label, view.create_icon, f"/admin/{view.identity}/create", also=also))
        for b in (b for b in plan.buttons["head"] if not b.more):
            address = f"{b.url(view.identity)}?all=1"
            actions.append(_entry(b.label, b.icon, address, hint=view.name_plural, also=(view.name_plural,)))
    return (gettext("Screens"), screens), (gettext("Actions"), actions), (gettext("Settings"), settings)


def _entry(
    label: str,
    icon: str,
    url: str,
    *,
    hint: str = "",
    also: tuple[str, ...] = (),
    keys: tuple[str, ...] = (),
    words: str = "",
) -> Entry:
    # found by the words that are read and by the English ones, which many know from manuals and colleagues
    names = [n for word in (label, *also) for n in (str(word), gettext(str.__str__(word)), str.__str__(word))]
    return Entry(str(label), icon, url, str(hint), keys, words or fold(" ".join(names)))


@lru_cache(maxsize=64)
def _reading(view: AppView) -> Reading:
    return Reading(view, view.palette_hints, computed=False)


async def rows(request: Request, session: AsyncSession, view: AppView, term: str) -> list[Entry]:
    """Rows that the screen's quick search finds, that with this id first; and the way to all of them."""
    plan = plan_of(request, view)
    if not (view.in_palette and plan.may("list") and plan.linked):
        return []
    reading, number = _reading(view), term.removeprefix("#")
    found: dict[str, Entry] = {}
    if number.isascii() and number.isdecimal() and len(number) < 19:
        same = reading.select(*view.always(), view.pk_column == int(number))
        found |= {(e := _row(view, reading, r)).url: e for r in reading.records(await session.execute(same))}
    conditions = view.always()
    if (searched := view.search(term)) is not None:
        conditions.append(searched)
    await db.weigh(session, conditions)
    matching = reading.select(*conditions).order_by(view.pk_column.desc()).limit(ROWS + 1)
    for record in reading.records(await session.execute(matching)):
        entry = _row(view, reading, record)
        found.setdefault(entry.url, entry)
    shown = list(found.values())[:ROWS]
    if len(found) > ROWS:
        label = gettext("%(screen)s: all that match") % {"screen": view.name_plural}
        shown.append(Entry(label, "list", f"{view.list_url}?{urlencode({'search': term})}"))
    return shown


def _row(view: AppView, reading: Reading, record: Any) -> Entry:
    pk = view.pk_of(record)
    hints = [f"#{pk}", *filter(None, (reading.text(record, name) for name in view.palette_hints))]
    return Entry(view.row_label(record), view.icon, view.card_url(pk), " · ".join(hints))
