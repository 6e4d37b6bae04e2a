"""Export of a filtered list: the columns as seen, streamed by keyset in short transactions, formulas neutralised."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, cast

from sqlalchemy import Boolean, Date, Dialect, Enum, Integer, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse
from wtforms import RadioField, validators

from admin_views.base.buttons import Button, Done, Flow, Press
from admin_views.base.cells import relation_of
from admin_views.base.fields import AppForm
from admin_views.base.listing import Asked, beyond, conditions, keys_of, order_by
from admin_views.base.plan import Plan, plan_of
from app import db
from app.db import UtcDateTime
from app.domain.sheets import FORMULA, money, neutral
from app.errors import NotFound
from app.i18n import _
from app.models import audit, scope

CHUNK = 2000
"""Rows per transaction: a slow reader holds no snapshot."""
MANY_NAMES = 50_000
"""Names of related rows that an export remembers."""
DIGITS = {"percent": 2, "rate": 9}
"""Widgets of figures that are kept as whole numbers, and how many of their digits are decimals."""


def _decimal(value: int | None, digits: int) -> str | None:
    return None if value is None else f"{Decimal(value).scaleb(-digits).normalize():f}"


def _stored(kind: Any, dialect: Dialect) -> Callable[[Any], Any] | None:
    """What makes of a stored value one that JSON knows; None where it is one already, as the texts of a Choice."""
    if isinstance(kind, Enum):
        return None
    process = kind.dialect_impl(dialect).result_processor(dialect, None)
    if isinstance(kind, UtcDateTime | Date):
        return lambda value: None if value is None else (process(value) if process else value).isoformat()
    return cast("Callable[[Any], Any] | None", process)


class Source:
    """The columns of a list as values, chunk by chunk: each is read in a transaction of its own, without objects."""

    def __init__(self, plan: Plan, asked: Asked) -> None:
        self.plan, self.asked, self.keys = plan, asked, [c.key for c in plan.columns if c.stored]
        self.order = keys_of(plan, asked)
        self.targets: dict[str, Any] = {}
        self.names: dict[str, dict[Any, Any]] = {}
        """Of each column that points at another table: id -> how that row is called."""
        self.currencies: dict[str, str] = {}
        self.texts: list[int] = []
        """Which columns hold what people have typed."""
        for i, key in enumerate(self.keys):
            column = plan.view.mapper.column_attrs[key].columns[0]
            if (relation := relation_of(plan.view.mapper, column)) is not None:
                self.targets[key], self.names[key] = relation.mapper.class_, {None: None}
            elif column.info.get("widget") == "money":
                self.currencies[key] = column.info["currency"]
            if key in self.targets or not isinstance(column.type, Integer | Boolean | Date | UtcDateTime | Enum):
                self.texts.append(i)
        wanted = (*self.keys, *self.currencies.values(), *(k.attr for k in self.order))
        self.columns = {name: i for i, name in enumerate(dict.fromkeys(wanted))}
        dialect = db.engine().dialect
        kinds = {name: plan.view.mapper.column_attrs[name].columns[0].type for name in self.columns}
        self.convert = {name: _stored(kind, dialect) for name, kind in kinds.items()}
        for key in self.keys:
            if digits := DIGITS.get(plan.view.mapper.column_attrs[key].columns[0].info.get("widget", "")):
                self.convert[key] = partial(_decimal, digits=digits)
        self.processors = [kind.dialect_impl(dialect).result_processor(dialect, None) for kind in kinds.values()]

    async def _prepared(self, session: AsyncSession, *, on: bool) -> db.Prepared:
        view = self.plan.view
        where = conditions(view, self.asked)
        await db.weigh(session, where)
        if on:
            where.append(beyond(self.order))
        statement = select(*(getattr(view.model, n).label(n) for n in self.columns)).select_from(view.model)
        statement = statement.where(*where).order_by(*order_by(self.order, self.asked.descending)).limit(CHUNK)
        return db.Prepared(scope.limited(statement), session.get_bind().dialect)

    async def chunks(self) -> AsyncIterator[list[list[Any]]]:
        """All rows that match: per chunk one list of values for each column."""
        async with db.reads() as session:
            first, following = await self._prepared(session, on=False), await self._prepared(session, on=True)
        reading = asyncio.create_task(_raw(first, {}))
        try:
            while True:
                rows = await reading
                if len(rows) == CHUNK:  # the database looks for the next ones while these are written
                    last = [process(v) if process else v for v, process in zip(rows[-1], self.processors, strict=True)]
                    values = {f"key_{i}": k.value(last[self.columns[k.attr]]) for i, k in enumerate(self.order)}
                    reading = asyncio.create_task(_raw(following, values))
                if rows:
                    yield await self._values(rows)
                if len(rows) < CHUNK:
                    return
        finally:
            reading.cancel()

    async def _values(self, rows: Sequence[Any]) -> list[list[Any]]:
        stored = [list(column) for column in zip(*rows, strict=True)]
        shown = []
        for key in self.keys:
            values = stored[self.columns[key]]
            if key in self.targets:
                names = await self._names(key, set(values))
                values = [names[v] for v in values]
            elif key in self.currencies:
                codes = stored[self.columns[self.currencies[key]]]
                values = [None if v is None else money(v, c) for v, c in zip(values, codes, strict=True)]
            elif (convert := self.convert[key]) is not None:
                values = [convert(v) for v in values]
            shown.append(values)
        return shown

    async def _names(self, key: str, ids: set[Any]) -> dict[Any, Any]:
        names, model = self.names[key], self.targets[key]
        if missing := ids - names.keys():
            if len(names) > MANY_NAMES:
                names.clear()
                names[None], missing = None, ids - {None}
            async with db.reads() as session:
                found = {o.id: str(o) for o in await session.scalars(select(model).where(model.id.in_(missing)))}
            names.update({i: found.get(i, f"#{i}") for i in missing})
        return names


async def _raw(prepared: db.Prepared, values: dict[str, Any]) -> Sequence[Any]:
    async with db.reads() as session:
        return await prepared.run(session, values)


def _neutralised(values: list[Any]) -> list[Any]:
    """The texts of a column, each `neutral`; most columns hold nothing that needs it, and are only looked through."""
    texts = ["" if v is None else str(v) for v in values]
    joined = "\0".join(texts)
    if any(t[:1] in FORMULA for t in texts if t) or any(mark in joined for mark in ";\t\r\n"):
        return [neutral(t) for t in texts]
    return texts


async def as_csv(plan: Plan, asked: Asked) -> AsyncIterator[str]:
    """UTF-8 with a byte order mark, which spreadsheets need; RFC 4180."""
    source = Source(plan, asked)
    out = io.StringIO()
    writer = csv.writer(out)
    out.write("\ufeff")
    writer.writerow([neutral(str(c.label)) for c in plan.columns if c.stored])
    yield out.getvalue()
    async for columns in source.chunks():
        for i in source.texts:
            columns[i] = _neutralised(columns[i])
        out.seek(0)
        out.truncate()
        writer.writerows(zip(*columns, strict=True))
        yield out.getvalue()


async def as_json(plan: Plan, asked: Asked) -> AsyncIterator[str]:
    """One array of objects, by column name."""
    source, between = Source(plan, asked), "["
    async for columns in source.chunks():
        lines = (
            json.dumps(dict(zip(source.keys, row, strict=True)), ensure_ascii=False)
            for row in zip(*columns, strict=True)
        )
        yield between + ",\n".join(lines)
        between = ",\n"
    yield "[]" if between == "[" else "]"


KINDS: dict[str, tuple[str, Callable[[Plan, Asked], AsyncIterator[str]]]] = {
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
        content = stream(plan_of(press.request, view).shown(asked.columns), asked)
        return Done("", response=StreamingResponse(content, media_type=media, headers=headers))


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
