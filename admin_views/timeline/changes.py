"""Edits on the timeline: rows of the audit that concern a customer, field by field, before and after."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from markupsafe import Markup
from sqlalchemy import ColumnElement, Date, Enum, Select, select, type_coerce, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import String

from admin_views.access import may
from admin_views.audit import columns_of, done, word_of
from admin_views.base import custom
from admin_views.base.cells import esc, ready
from admin_views.base.reading import names_of
from admin_views.timeline.telling import Reader, Span, Told, say, strong
from app.db import UtcDateTime, model_of
from app.i18n import country_name, gettext, language_name, show_amount, show_date, show_moment, show_number
from app.models.audit import MASK, Audit, AuditDetail
from app.models.billing import Payer
from app.models.catalog import Service
from app.models.staff import Staff
from app.models.users import User, UserCustomer

TOLD_ELSEWHERE = ("ticket", "ticket_message", "ticket_attachment", "note", "login_session", "delivery")
"""Nouns that are sources of their own."""
NOT_CHANGES = ("read", "enter", "return", "sign_in", "sign_in_refused", "sign_out", "pick_customer")
SHOWN = 5
"""Fields of one change; the rest stands on the card of the audit row."""
LONGEST = 80


def rows(span: Span, staff: Any, person: Any) -> Select[Any]:
    """What was done to the customer, to what belongs to them, and by their users."""
    mine = {
        "service": select(Service.id).where(Service.customer_id == span.customer),
        "payer": select(Payer.id).where(Payer.customer_id == span.customer),
        "user": select(UserCustomer.user_id).where(UserCustomer.customer_id == span.customer),
    }
    told = (Audit.action.not_in(NOT_CHANGES),)
    ways: list[tuple[ColumnElement[bool], ...]] = [
        (Audit.noun == "customer", Audit.noun_id == span.customer, Audit.action != "create", *told)
    ]
    for noun, ids in mine.items():
        begun = (Audit.action != "create",) if noun == "service" else ()
        ways.append((Audit.noun == noun, Audit.noun_id.in_(ids), *begun, *told))
    # what their users did besides; for the four nouns above it is among their rows
    ways.append((Audit.customer_id == span.customer, Audit.noun.not_in((*TOLD_ELSEWHERE, "customer", *mine)), *told))
    found: list[Any] = [
        select(span.newest(select(Audit.id, Audit.at).where(*way), Audit.at, Audit.id).subquery()) for way in ways
    ]
    keys = union_all(*found).subquery()
    newest = select(keys.c.id).order_by(keys.c.at.desc(), keys.c.id.desc()).limit(span.limit).subquery()
    return (
        select(
            Audit.id, Audit.at, Audit.noun_id.label("ref"), Audit.noun.label("name"), AuditDetail.payload.label("text"),
            type_coerce(Audit.action, String()).label("state"), staff, person,
        )
        .join(newest, newest.c.id == Audit.id)
        .outerjoin(AuditDetail, AuditDetail.audit_id == Audit.id)
        .outerjoin(Staff, Staff.id == Audit.staff_id)
        .outerjoin(User, User.id == Audit.user_id)
    )  # fmt: skip


def tell(row: Any, reader: Reader) -> Told:
    who = strong(row.staff or row.person or "Bursar")
    what = _what(row, reader)
    sentence = {
        "create": gettext("%(who)s added %(what)s"),
        "update": gettext("%(who)s changed %(what)s"),
        "delete": gettext("%(who)s deleted %(what)s"),
        "merge": gettext("%(who)s merged %(other)s into this customer"),
        "unmerge": gettext("%(who)s undid the merge with %(other)s"),
        "clear": gettext("%(who)s cleared the personal data"),
    }.get(row.state, gettext("%(who)s: %(did)s, %(what)s"))
    words = say(sentence, who=who, did=done(row.state), what=what, other=_other(row))
    lines = list(_lines(row, reader)) if row.state == "update" else []
    more = lines[:SHOWN]
    if len(lines) > SHOWN:
        rest = gettext("and %(n)s more") % {"n": show_number(len(lines) - SHOWN)}
        more.append(reader.link("audit", row.id, rest))
    return Told(words, more=tuple(more), icon={"create": "circle-plus", "delete": "trash"}.get(row.state, ""))


def _other(row: Any) -> str:
    """Who was merged; it stands first, and last once it is undone."""
    pair = _payload(row).get("merged", [gettext("a customer")])
    return str(pair[-1 if row.state == "unmerge" else 0])


def _what(row: Any, reader: Reader) -> Markup | str:
    from admin_views.screens import SCREENS

    if row.name == "customer":
        return gettext("the customer")
    view = next((v for v in SCREENS if v.identity == row.name), None)
    name = word_of(row.name)
    if row.ref is None:
        return name
    name = f"{name} #{row.ref}"
    return name if view is None or row.state == "delete" else reader.link(row.name, row.ref, name)


# ---- fields -------------------------------------------------------------------------------------------------------


def _payload(row: Any) -> dict[str, list[Any]]:
    """Column -> [before, after]; empty for a detail that was cleared or cannot be read."""
    try:
        found = json.loads(row.text) if row.text else {}
    except ValueError:
        return {}
    return {k: v for k, v in found.items() if isinstance(v, list) and len(v) == 2} if isinstance(found, dict) else {}


@lru_cache
def _target(column: Any) -> Any:
    """The model that a foreign key leads to; None for other columns."""
    return next((model_of(key.column.table.name) for key in column.foreign_keys), None)


async def names(session: AsyncSession, rows: Iterable[Any]) -> dict[tuple[Any, int], str]:
    """What the foreign keys in these changes lead to, within the scope of the reader; and the currencies of amounts."""
    wanted: dict[Any, set[int]] = {}
    amounts: dict[str, list[Any]] = {}
    for row in rows:
        columns = columns_of(row.name)
        for name, pair in _payload(row).items():
            target = _target(columns[name]) if name in columns else None
            if target is not None:
                wanted.setdefault(target, set()).update(v for v in pair if isinstance(v, int))
            elif name in columns and columns[name].info["widget"] == "money":
                amounts.setdefault(row.name, []).append(row)
    found: dict[tuple[Any, int], str] = {}
    for target, ids in wanted.items():
        found |= {(target, i): name for i, name in (await names_of(session, target, ids)).items()}
    for noun, changed in amounts.items():
        found |= await _currencies(session, noun, changed)
    return found


async def _currencies(session: AsyncSession, noun: str, rows: list[Any]) -> dict[tuple[Any, int], str]:
    """("currency", id of the change) -> what the amounts were in after it: the currency of today, unless a later change
    was of the currency itself. Nothing for a row that is deleted, or that the reader may not see."""
    ids = {row.ref for row in rows}
    model: Any = model_of(noun)
    present = await session.execute(select(model.id, model.currency).where(model.id.in_(ids)))
    today = {row.id: row.currency for row in present}
    mine = Audit.noun == noun, Audit.noun_id.in_(ids), Audit.action == "update", Audit.id > min(r.id for r in rows)
    later = select(Audit.id, Audit.noun_id.label("ref"), AuditDetail.payload.label("text")).join(
        AuditDetail, AuditDetail.audit_id == Audit.id
    )
    moved = list(
        await session.execute(later.where(*mine, AuditDetail.payload.contains('"currency":')).order_by(Audit.id))
    )
    found: dict[tuple[Any, int], str] = {}
    for row in rows:
        of_it = (_payload(m).get("currency") for m in moved if m.ref == row.ref and m.id > row.id)
        before = next((pair[0] for pair in of_it if pair), None)
        if code := before or today.get(row.ref):
            found["currency", row.id] = code
    return found


def _lines(row: Any, reader: Reader) -> Iterable[Markup]:
    columns, changes = columns_of(row.name), _payload(row)
    now = reader.names.get(("currency", row.id), "") if may(reader.request, row.name, "details") else ""
    codes = changes.get("currency", [now, now]) if now else ["", ""]
    arrow = f'<span aria-hidden="true">→</span><span class="sr">{esc(gettext("is now"))}</span>'
    for name, (before, after) in changes.items():
        column = columns.get(name)
        if name == "custom":
            for label, was, became in custom.changes(model_of(row.name), before, after):
                yield ready(f"{esc(label)}: <bdi>{esc(_cut(was))}</bdi> {arrow} <b><bdi>{esc(_cut(became))}</bdi></b>")
        if column is None:
            continue
        pair = [_value(column, v, reader, code) for v, code in zip((before, after), codes, strict=True)]
        label = str(column.info["label"])
        if None in pair:
            yield say(gettext("%(field)s changed"), field=label)
        else:
            yield ready(f"{esc(label)}: <bdi>{esc(pair[0])}</bdi> {arrow} <b><bdi>{esc(pair[1])}</bdi></b>")


def _value(column: Any, value: Any, reader: Reader, currency: str) -> str | None:
    """A stored value in words; None for what is not to be shown, or says nothing."""
    info, kind = column.info, column.type
    if info["sensitive"] or value == MASK or isinstance(value, dict | list):
        return None
    if info["widget"] == "money":  # says nothing without its currency
        return f"{show_amount(value, currency)} {currency}" if currency and isinstance(value, int) else None
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return gettext("Yes") if value else gettext("No")
    if column.foreign_keys:
        return reader.names.get((_target(column), value), f"#{value}")
    if isinstance(kind, Enum) and kind.enum_class is not None:
        known: Any = {m.value: str(m.label) for m in kind.enum_class}  # type: ignore[attr-defined]
        return str(known.get(value, value))
    with suppress(ValueError, TypeError):  # the column may have been of another type then
        if isinstance(kind, UtcDateTime):
            return show_moment(datetime.fromisoformat(value))
        if isinstance(kind, Date):
            return show_date(date.fromisoformat(value))
    if info["widget"] == "country":
        return country_name(str(value))
    if info["widget"].startswith("language"):
        return language_name(str(value))
    return _cut(" ".join(str(value).split()))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
