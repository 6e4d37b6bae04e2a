"""From a screen and its rows to the context of list.html and of its parts that are replaced without a new page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape
from typing import Any, NamedTuple
from urllib.parse import urlencode

from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession

from admin_views.base import custom, inplace, table, views
from admin_views.base.asked import ALL, SIZES, Asked, column_text
from admin_views.base.buttons import Button
from admin_views.base.cells import Marker, money, ready
from admin_views.base.filterform import offers
from admin_views.base.listing import COUNTED, Page, count, total_text, totals
from admin_views.base.plan import Plan, for_others
from admin_views.base.reading import names_of
from admin_views.base.screen import AppView
from app import filters
from app.domain import custom as own_fields
from app.domain.sessions import granted
from app.i18n import gettext, language, show_number
from app.models import scope
from app.render import environment

PART = "x-fragment"
"""The header of a script that asks for a part of the page: "list" for what changes with the address, "count" for how
many rows match."""
VARY = {"Vary": PART}
LONGEST = 100
"""Letters of one part of a chip."""


class Offer(NamedTuple):
    """A button as the templates show it."""

    label: str
    url: str
    icon: str
    primary: bool = False
    danger: bool = False
    more: bool = False
    """It stands in the menu behind the others."""


def offer(b: Button, url: str) -> Offer:
    return Offer(str(b.label), url, b.icon, b.primary, b.danger, b.more)


def table_of(
    plan: Plan,
    rows: Sequence[Any],
    columns: list[dict[str, Any]],
    *,
    select: bool = False,
    sticky: bool = False,
    search: str = "",
) -> Markup:
    """The rows as a table. select: with boxes, for a list that has something to do with the chosen ones. search: what
    was searched for, to be marked."""
    made = plan.rows.made(rows, select=select, mark=Marker(search) if search else None)
    head = table.head(columns, select=select, actions=bool(plan.buttons["row"]))
    return table.table(head, made, sticky=sticky)


def columns_of(plan: Plan, asked: Asked) -> list[dict[str, Any]]:
    shown = []
    for c in plan.columns:
        current = asked.sort == c.key and not asked.unsorted
        flipped = asked.sorted_by(c.key, current and not asked.descending)
        shown.append(
            {
                "key": c.key,
                "label": c.label,
                "css": c.css,
                "sort_url": f"{plan.view.list_url}?{flipped}" if c.sort else None,
                "sorted": ("descending" if asked.descending else "ascending") if current else None,
            }
        )
    return shown


def pager(url: str, page: Page, fixed: str = "") -> dict[str, Any]:
    """Addresses of the neighbouring pages. `fixed`: query parameters that the page's own address needs besides."""
    asked, n = page.asked, len(page.rows)

    def to(**extra: Any) -> str:
        return f"{url}?{'&'.join(p for p in (fixed, asked.query(), urlencode(extra)) if p)}"

    begin = asked.start
    text = gettext("%(first)s–%(last)s of %(total)s") % {
        "first": show_number(begin),
        "last": show_number(begin + n - 1),
        "total": page.total_text,
    }
    if asked.last or not n:
        text = gettext("%(total)s in all") % {"total": page.total_text}
    several = page.has_previous or page.has_next
    return {
        "text": text,
        "first_url": to() if page.has_previous else None,
        "previous_url": to(before=page.first_key, **{"from": max(1, begin - asked.size)})
        if page.has_previous
        else None,
        "next_url": to(after=page.last_key, **{"from": begin + n}) if page.has_next else None,
        "last_url": to(last=1) if page.has_next else None,
        "sizes": [
            {
                "n": s,
                "url": f"{url}?{'&'.join(p for p in (fixed, asked.query(size=s)) if p)}",
                "current": s == asked.size,
            }
            for s in SIZES
        ]
        if several or asked.size != SIZES[0]
        else [],
    }


async def listing(session: AsyncSession, plan: Plan, page: Page, *, share: bool = False) -> dict[str, Any]:
    """The context of list.html. share: the reader may make views that others see."""
    view, asked = plan.view, page.asked
    query = asked.query()
    complete = asked.complete()
    head, alone = [], not plan.may_create  # one decisive button is enough
    for b in sorted(plan.buttons["head"], key=lambda b: b.primary):  # pressed here, it means all that this list shows
        url = f"{b.url(view.identity)}?all=1&{complete}".rstrip("&")
        head.append(offer(b, url)._replace(primary=b.primary and alone))
    if add_url := custom.add_url(view.model, plan.grants):
        head.append(Offer(gettext("Add a field"), add_url, "forms", more=True))
    if plan.may_create:
        head.append(_create(view))
    chosen = tuple(offer(b, b.url(view.identity)) for b in plan.buttons["selection"])
    filter_url = f"/admin/{view.identity}/filter{f'?{query}' if query else ''}" if offers(view) else None
    clear_url = _unnarrowed(view, asked)
    filters_on = len({name for name, _value in asked.filter_params})
    narrowed_url = clear_url if asked.search or filters_on else None
    columns = columns_of(plan, asked)
    around = pager(view.list_url, page)
    opens = asked.at_fault or bool(asked.problem and asked.saved.view and asked.saved.view.mine)
    shown = table_of(plan, page.rows, columns, select=bool(chosen), sticky=True, search=asked.search)
    above = await view.above(session, query.removeprefix(f"view={ALL}").removeprefix("&"))
    return {
        "title": view.name_plural,
        "help": str(scope.FOR_ALL) if for_others(view) else view.help,
        "identity": view.identity,
        "search": asked.search,
        "search_placeholder": view.search_hint or gettext("Find"),
        "list_url": view.list_url,
        "rows": page.rows,
        "table": shown if page.rows else "",
        "acts": made("acts", language(), tuple(head)),
        "selection": made("selection", language(), chosen, page.total_text) if chosen else "",
        "drawer": made("drawer", language(), view.list_url, filter_url, clear_url, page.total_text, opens),
        "chips": made("chips", language(), await chips(session, view, asked), filter_url, filters_on, narrowed_url),
        "density": made("density", language()),
        "chooser": made("chooser", language()),
        "filter_hidden": kept(asked, asked.filter_params),
        "page": around,
        "totals": [] if page.capped else await _totals(session, plan, asked),
        "add": {"label": gettext("Add here"), "url": inplace.add_url(view)}
        if view.in_place and plan.may_create
        else None,
        "said": asked.problem or said(page, columns, around["text"]),
        "problem": asked.problem,
        "clear_url": clear_url,
        "unsorted": _unsorted(plan, asked),
        "empty": empty(plan, asked),
        **above,
        "views": views.bar(plan, asked, above.get("views", ()), share),
        "tools": {name: f"/admin/{view.identity}/{name}{f'?{query}' if query else ''}" for name in ("columns", "view")},
    }


@lru_cache(maxsize=256)
def made(name: str, _language: str, *values: Any) -> Markup:
    """A part of the list (a macro of list_parts.html) that is the same for many requests: rendered once."""
    macros: Any = environment().get_template("sqladmin/list_parts.html").module
    return ready(str(getattr(macros, name)(*values)))


def _begins(plan: Plan) -> Offer | None:
    """Where rows are not made by a form: the button above the list with which they come."""
    first = next((b for b in plan.buttons["head"] if b.primary), None)
    return offer(first, f"{first.url(plan.view.identity)}?all=1") if first is not None else None


def _create(view: AppView) -> Offer:
    label = view.creating or gettext("New")
    return Offer(label, f"/admin/{view.identity}/create", view.create_icon, primary=True)


def _unsorted(plan: Plan, asked: Asked) -> dict[str, Any] | None:
    """Why the rows do not stand in the order that was asked for, and where that is changed."""
    spec = own_fields.named(plan.view.model, asked.sort) if asked.unsorted else None
    if spec is None:
        return None
    why = gettext("More than %(n)s rows match: too many to be sorted by “%(field)s”. Narrow the list, or have the "
                  "field marked as “Filtered or sorted often”.")  # fmt: skip
    may = granted(plan.grants, "custom_field", "edit")
    return {
        "text": why % {"n": show_number(COUNTED), "field": spec.label},
        "label": gettext("To the field"),
        "url": f"/admin/custom_field/edit/{spec.id}" if may else None,
    }


def _unnarrowed(view: AppView, asked: Asked) -> str:
    """The address of the list without search and filter, in the same order."""
    query = asked.query(search="", filter_params=(), condition=None)
    return f"{view.list_url}?{query}" if query else view.list_url


def said(page: Page, columns: list[dict[str, Any]], text: str) -> str:
    """What is read out when the list has changed."""
    if not page.rows:
        return gettext("Nothing matches")
    by = next((c for c in columns if c["sorted"]), None)
    if by is None:
        return text
    up = by["sorted"] == "ascending"
    order = gettext("Sorted by %(column)s, ascending") if up else gettext("Sorted by %(column)s, descending")
    return f"{text}. {order % {'column': by['label']}}"


def empty(plan: Plan, asked: Asked) -> dict[str, Any]:
    """What stands in place of the rows: how to widen a list that is narrowed, else what the screen is for."""
    view = plan.view
    if asked.search or asked.filter_params:
        hints = [gettext("Try fewer letters or another spelling.")] if asked.search else []
        if len(asked.filter_params) > 1:
            hints.append(gettext("Take away one condition after the other, or all at once."))
        hints = [gettext("Mend the filter, or remove it.")] if asked.problem else hints
        label = gettext("Remove search and filter") if asked.search else gettext("Remove filter")
        return {
            "icon": "search",
            "line": gettext("Nothing matches"),
            "text": " ".join(hints),
            "action_label": label if asked.filter_params else gettext("Remove the search"),
            "action_url": _unnarrowed(view, asked),
        }
    if asked.pin:
        text = gettext("The panel shows only the pinned customers. Unpin them at the top to see the others.")
        return {"icon": "pin", "line": gettext("Nothing of these customers"), "text": text}
    create = _create(view) if plan.may_create else _begins(plan)
    return {
        "icon": view.icon,
        "line": gettext("Nothing here yet"),
        "text": str(view.purpose),
        "action_label": create.label if create else None,
        "action_url": create.url if create else None,
        "primary": True,
    }


async def matching(session: AsyncSession, plan: Plan, asked: Asked) -> dict[str, str]:
    """How many rows the list would show, in words. Raises AppError for a filter that cannot be used."""
    number = total_text(*await count(session, plan, asked.sound()))
    return {"match": gettext("%(number)s match") % {"number": number}, "number": number}


async def _totals(session: AsyncSession, plan: Plan, asked: Asked) -> list[Markup]:
    """Sums over the whole filtered list, per currency; a list too long to count is not summed either."""
    return [ready(f"{escape(str(label))} {money(n, code)}") for label, code, n in await totals(session, plan, asked)]


def kept(asked: Asked, params: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """What a form that narrows the list carries along: `params` of the filter, the order, the pinned customers."""
    carried: dict[str, Any] = {}
    for name, value in params:
        carried.setdefault(name, []).append(value)
    usual, view = asked.usual, asked.saved.view
    if asked.sort and (asked.sort, asked.descending) != (usual.sort, usual.descending):
        carried["sort"] = ("-" if asked.descending else "") + asked.sort
    if asked.size != (usual.size or SIZES[0]):
        carried["size"] = str(asked.size)
    if asked.columns != usual.columns:
        carried["columns"] = column_text(asked.columns)
    if view is not None:
        carried |= {"view": str(view.id), "changed": "1"}
    elif asked.saved.named:
        carried["view"] = ALL
    if asked.pin:
        carried["pin"] = ",".join(map(str, asked.pin))
    return carried


class Chip(NamedTuple):
    field: str
    op: str
    value: str
    remove_url: str


async def chips(session: AsyncSession, view: AppView, asked: Asked) -> tuple[Chip, ...]:
    """One chip per condition of the filter, with the address of the list without it."""
    if asked.condition is None or asked.problem:
        return ()
    named = {
        m: await names_of(session, m, list(ids)[:200]) for m, ids in filters.refs(asked.condition, view.model).items()
    }
    shown = []
    for params in _conditions(asked.filter_params):
        condition = filters.from_query(params, view.model)
        if condition is None:
            continue
        rest = tuple(p for p in asked.filter_params if p not in params)
        for one, others in _apart(condition):
            back = () if others is None else tuple(filters.to_query(others, view.model))
            url = f"{view.list_url}?{asked.query(filter_params=(*rest, *back))}"
            shown.append(_chip(one, view, named, url))
    return tuple(shown)


def _apart(condition: filters.Condition) -> list[tuple[filters.Condition, filters.Condition | None]]:
    """The conditions that hold together, each with what is left without it."""
    if not isinstance(condition, filters.All) or len(condition.of) < 2:
        return [(condition, None)]
    of = condition.of
    return [(one, filters.All((*of[:i], *of[i + 1 :]))) for i, one in enumerate(of)]


def _chip(condition: filters.Condition, view: AppView, named: Any, url: str) -> Chip:
    if isinstance(condition, filters.All | filters.Any) and len(condition.of) == 1:
        condition = condition.of[0]
    if isinstance(condition, filters.Leaf):
        label, op, value = filters.field(view.model, condition.field).describe(condition, named)
        return Chip(label, op, _short(value), url)
    return Chip(_short(filters.say(condition, view.model, named)), "", "", url)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _conditions(params: Iterable[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """The parameters of each condition: those of one name that mean "any of" belong together."""
    found: list[list[tuple[str, str]]] = []
    at: dict[str, list[tuple[str, str]]] = {}
    for pair in params:
        if pair[0].rpartition(".")[2] in filters.LISTS and pair[0] in at:
            at[pair[0]].append(pair)
        else:
            at[pair[0]] = [pair]
            found.append(at[pair[0]])
    return found
