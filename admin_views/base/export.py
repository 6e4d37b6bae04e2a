"""Export of a filtered list: the columns as seen, streamed by keyset in short transactions, formulas neutralised."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse
from wtforms import RadioField, validators

from admin_views.base.buttons import Button, Done, Flow, Press
from admin_views.base.cells import relation_of
from admin_views.base.fields import AppForm
from admin_views.base.listing import Asked, beyond, keys_of, narrowed, order_by
from app import db
from app.db import Choice
from app.errors import NotFound
from app.i18n import _, exponent
from app.models import audit

if TYPE_CHECKING:
    from admin_views.base.screen import AppView

CHUNK = 2000
"""Rows per transaction: a slow reader holds no snapshot."""
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r")
_HIDDEN = re.compile('([;\t\r\n]\\s*"*)([=+@\uff1d\uff0b\uff0d\uff20-])')


def neutral(text: str) -> str:
    """A text that no spreadsheet takes for a formula (OWASP, CSV injection), not even one that parts the columns at
    semicolons or tabs, as in much of Europe."""
    text = _HIDDEN.sub(r"\1'\2", text)
    return f"'{text}" if text.startswith(FORMULA) else text


def plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, Choice):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


def money(minor: int | None, currency: str) -> str | None:
    """Minor units as a decimal figure: 128450, EUR -> 1284.50."""
    if minor is None:
        return None
    digits = exponent(currency)
    return f"{Decimal(minor).scaleb(-digits):.{digits}f}"


class Source:
    """The columns of a screen as values, and the statement that reads them without making objects."""

    def __init__(self, view: AppView) -> None:
        self.view = view
        self.keys = [c.key for c in view.plan.columns]
        self.labels = [str(c.label) for c in view.plan.columns]
        self.targets: dict[str, Any] = {}
        self.currencies: dict[str, str] = {}
        wanted = [p.key for p in view.pk_props] + self.keys
        for key in self.keys:
            column = view.mapper.column_attrs[key].columns[0]
            relation = relation_of(view.mapper, column)
            if relation is not None:
                self.targets[key] = relation.mapper.class_
            elif column.info.get("widget") == "money":
                self.currencies[key] = column.info["currency"]
                wanted.append(column.info["currency"])
        self.columns = list(dict.fromkeys(wanted))

    def statement(self, asked: Asked) -> tuple[Select[Any], list[Any]]:
        keys = keys_of(self.view, asked)
        names = list(dict.fromkeys([*self.columns, *(k.attr for k in keys)]))
        chosen = narrowed(self.view, asked).with_only_columns(
            *(getattr(self.view.model, n).label(n) for n in names), maintain_column_froms=True
        )
        return chosen.order_by(*order_by(keys, asked.descending)), keys

    async def values(self, session: AsyncSession, rows: Sequence[Any]) -> list[list[Any]]:
        names: dict[str, dict[int, str]] = {}
        for key, model in self.targets.items():
            ids = {getattr(r, key) for r in rows} - {None}
            found = await session.scalars(select(model).where(model.id.in_(ids)))
            names[key] = {o.id: str(o) for o in found}
        return [[self._value(row, key, names) for key in self.keys] for row in rows]

    def _value(self, row: Any, key: str, names: dict[str, dict[int, str]]) -> Any:
        value = getattr(row, key)
        if key in names:
            return None if value is None else names[key].get(value, f"#{value}")
        if key in self.currencies:
            return money(value, getattr(row, self.currencies[key]))
        return plain(value)


async def chunks(view: AppView, asked: Asked) -> AsyncIterator[list[list[Any]]]:
    """All rows that match, a chunk after the other, each read in a transaction of its own."""
    source = Source(view)
    statement, keys = source.statement(asked)
    following = statement
    while True:
        async with db.reads() as session:
            rows = (await session.execute(following.limit(CHUNK))).all()
            made = await source.values(session, rows)
        if made:
            yield made
        if len(rows) < CHUNK:
            return
        marker = [k.of(rows[-1]) for k in keys]
        following = statement.where(beyond(keys, marker))


def _csv_line(values: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(["" if v is None else neutral(str(v)) for v in values])
    return out.getvalue()


async def as_csv(view: AppView, asked: Asked) -> AsyncIterator[str]:
    """UTF-8 with a byte order mark, which spreadsheets need; RFC 4180."""
    yield "\ufeff" + _csv_line(Source(view).labels)
    async for rows in chunks(view, asked):
        yield "".join(map(_csv_line, rows))


async def as_json(view: AppView, asked: Asked) -> AsyncIterator[str]:
    """One array of objects, by column name."""
    names, between = Source(view).keys, "["
    async for rows in chunks(view, asked):
        for row in rows:
            yield between + json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False)
            between = ",\n"
    yield "[]" if between == "[" else "]"


KINDS: dict[str, tuple[str, Callable[[AppView, Asked], AsyncIterator[str]]]] = {
    "csv": ("text/csv; charset=utf-8", as_csv),
    "json": ("application/json", as_json),
}


class ExportForm(AppForm):
    kind = RadioField(
        _("File"),
        [validators.InputRequired()],
        default="csv",
        choices=[("csv", _("CSV, for spreadsheets")), ("json", _("JSON, for programs"))],
    )


class ExportFlow(Flow):
    form = ExportForm
    needs_rows = False

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        kind, view = form.data["kind"], press.view
        if press.asked is None and not press.pks:
            raise NotFound(_("Nothing is chosen, or it does not exist any more."))
        asked = press.asked or Asked(condition=view.only(press.pks))
        changes = {"filter": [None, asked.query()], "ids": [None, list(press.pks)], "kind": [None, kind]}
        await session.run_sync(lambda s: audit.write(s, "export", view.identity, None, changes))
        media, stream = KINDS[kind]
        name = f"{view.identity}-{db.utcnow():%Y-%m-%d}.{kind}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Done("", response=StreamingResponse(stream(view, asked), media_type=media, headers=headers))


EXPORT = Button(
    "export",
    _("Export"),
    "download",
    on=frozenset({"head", "selection"}),
    flow=ExportFlow(),
    grant="export",
    lede=_("The rows of this list, as they are filtered and sorted, with the columns that you see."),
    submit=_("Export"),
)
