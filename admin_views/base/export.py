"""Export of a filtered list: the columns that a person chooses of those that they may see. A short list is streamed at
once, by keyset in short transactions; a long one is written in the background and offered when it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse
from wtforms import BooleanField, RadioField, validators

from admin_views.base.asked import Asked
from admin_views.base.buttons import Button, Done, Flow, Press
from admin_views.base.fields import AppForm, ListField
from admin_views.base.keyset import beyond, keys_of, order_by
from admin_views.base.listing import conditions, count, orderly
from admin_views.base.plan import Plan, plan_of
from app import db, filters
from app.domain.bulk.exporting import add_export
from app.domain.bulk.files import FILES
from app.domain.bulk.values import Values, known
from app.errors import NotFound
from app.i18n import _, gettext
from app.models import audit, scope

CHUNK = 2000
"""Rows per transaction: a slow reader holds no snapshot."""
AT_ONCE = 2000
"""Up to so many rows a click gives the file."""

Columns = Sequence[tuple[str, str]]
"""(key, label)."""


def offered(plan: Plan) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The columns of the list, and what else the person may see of its rows."""
    view = plan.view
    listed = [(c.key, str(c.label)) for c in plan.columns if known(view.model, c.key)]
    seen = {key for key, _label in listed}
    more: list[tuple[str, str]] = []
    if plan.linked:
        more += [(c.key, str(c.label)) for _group, columns in plan.details for c in columns]
    more += [(key, gettext(label)) for key, label, screen in view.export_more if plan.grants_list(screen)]
    others = {key: label for key, label in more if key not in seen and known(view.model, key)}
    return listed, list(others.items())


async def _raw(prepared: db.Prepared, values: dict[str, Any]) -> Sequence[Any]:
    async with db.reads() as session:
        return await prepared.run(session, values)


class Source:
    """The rows of a list as values, chunk by chunk: each is read in a transaction of its own, without objects."""

    def __init__(self, plan: Plan, asked: Asked, keys: Sequence[str], *, plain: bool = True) -> None:
        self.plan, self.asked = plan, asked
        self.order = keys_of(plan, asked)
        self.values = Values(plan.view.model, keys, [k.attr for k in self.order if not k.own], plain=plain)
        own = [k for k in self.order if k.own]
        self.own = [k.expression.label(k.attr) for k in own]
        self.at = {k.attr: len(self.values.columns) + i for i, k in enumerate(own)} | self.values.columns

    async def _prepared(self, session: AsyncSession, *, on: bool) -> db.Prepared:
        view = self.plan.view
        where = conditions(view, self.asked)
        await db.weigh(session, where)
        if on:
            where.append(beyond(self.order))
        statement = select(*self.values.selected(), *self.own).select_from(view.model).where(*where)
        statement = statement.order_by(*order_by(self.order, self.order[0].descending)).limit(CHUNK)
        return db.Prepared(scope.limited(statement), session.get_bind().dialect)

    async def chunks(self) -> AsyncIterator[list[list[Any]]]:
        """All rows that match: per chunk one list of values for each column."""
        async with db.reads() as session:
            first, following = await self._prepared(session, on=False), await self._prepared(session, on=True)
        reading = asyncio.create_task(_raw(first, {}))
        read = self.values
        try:
            while True:
                rows = await reading
                if len(rows) == CHUNK:  # the database looks for the next ones while these are written
                    processors = (*read.processors, *[None] * len(self.own))
                    last = [process(v) if process else v for v, process in zip(rows[-1], processors, strict=True)]
                    at = {f"key_{i}": k.value(last[self.at[k.attr]]) for i, k in enumerate(self.order)}
                    reading = asyncio.create_task(_raw(following, at))
                if rows:
                    yield await read.made(rows)
                if len(rows) < CHUNK:
                    return
        finally:
            reading.cancel()


async def stream(plan: Plan, asked: Asked, ending: str, columns: Columns) -> AsyncIterator[bytes]:
    """The file, as it grows."""
    _media, kind = FILES[ending]
    source = Source(plan, asked, [key for key, _label in columns], plain=kind.plain)
    file = kind(source.values, [label for _key, label in columns], str(plan.view.name_plural))
    yield file.begin()
    async for chunk in source.chunks():
        yield file.add(chunk)
    yield file.end()


def chosen(plan: Plan, asked: Asked, where: list[Any]) -> Select[Any]:
    """The ids of the rows that match, each with its place in the list, for work in the background."""
    view = plan.view
    keys = keys_of(plan, asked)
    order = order_by(keys, keys[0].descending)
    place = func.row_number().over(order_by=order).label("position")
    return select(view.pk_column.label("id"), place).select_from(view.model).where(*where)


async def chosen_by(session: AsyncSession, press: Press) -> tuple[Select[Any], str]:
    """What a button was pressed for, as `app.domain.bulk` takes it: the rows, and the address of the list. Raises
    NotFound when nothing is chosen."""
    plan, asked = plan_of(press.request, press.view), asked_of(press)
    where = conditions(press.view, asked)
    await db.weigh(session, where)
    asked = await _orderly(session, plan, asked)
    return chosen(plan, asked, where), asked.complete() if press.asked else _query(press)


async def _orderly(session: AsyncSession, plan: Plan, asked: Asked) -> Asked:
    own = asked.sort and asked.sort not in plan.view.mapper.column_attrs
    return orderly(plan, asked, *await count(session, plan, asked)) if own else asked


def _query(press: Press) -> str:
    """The address of the list of the chosen rows."""
    return urlencode(filters.to_query(filters.All((press.view.only(press.pks),)), press.view.model))


def asked_of(press: Press) -> Asked:
    """The list that is meant: all that match, or the chosen rows. Raises NotFound when nothing is chosen."""
    if press.asked is None and not press.pks:
        raise NotFound(_("Nothing is chosen, or it does not exist any more."))
    return press.asked or Asked(condition=press.view.only(press.pks))


class ExportForm(AppForm):
    kind = RadioField(
        _("File"),
        [validators.InputRequired()],
        default="csv",
        choices=[
            ("csv", _("CSV, for spreadsheets")),
            ("xlsx", _("XLSX, a workbook")),
            ("json", _("JSON, for programs")),
        ],
    )
    at_once = BooleanField(
        _("Download at once"), description=_("A long list is written in the background otherwise, and offered here.")
    )


class ExportFlow(Flow):
    form = ExportForm
    needs_rows = False

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        shown = press.asked.columns if press.asked is not None else ()
        listed, others = offered(plan_of(press.request, press.view).shown(shown))
        columns = ListField(
            _("Columns"),
            choices=[*listed, *others],
            default=[key for key, _label in listed],
            description=_("None chosen: those of the list."),
        )
        kind: type[AppForm] = type("ExportForm", (ExportForm,), {"columns": columns})
        return kind(posted)

    def groups(self, press: Press, form: AppForm) -> list[dict[str, Any]]:
        return [{"label": None, "help": None, "fields": ["kind", "columns", "at_once"], "more": False}]

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        view, asked = press.view, asked_of(press)
        plan = plan_of(press.request, view).shown(asked.columns)
        ending = form.data["kind"]
        listed, others = offered(plan)
        wanted = set(form.data["columns"] or ())
        columns = [c for c in (*listed, *others) if c[0] in wanted] or listed
        changes = {
            "filter": [None, asked.query()],
            "ids": [None, list(press.pks)],
            "kind": [None, ending],
            "columns": [None, [key for key, _label in columns]],
        }
        await session.run_sync(lambda s: audit.write(s, "export", view.identity, None, changes))
        n, more = await count(session, plan, asked)
        if (n > AT_ONCE or more) and not form.data["at_once"] and len(view.pk_props) == 1:
            rows, query = await chosen_by(session, press)
            name = gettext("Export: %(what)s") % {"what": view.name_plural}
            run = await add_export(
                session, noun=view.identity, rows=rows, query=query, name=name, ending=ending, columns=columns
            )
            said = gettext("The file is being written. It is offered here and under the bell when it is ready.")
            return Done(said, url=f"/admin/bulk_run/details/{run.id}")
        media, _kind = FILES[ending]
        headers = {"Content-Disposition": f'attachment; filename="{view.identity}-{db.utcnow():%Y-%m-%d}.{ending}"'}
        content = stream(plan, orderly(plan, asked, n, more), ending, columns)
        return Done("", response=StreamingResponse(content, media_type=media, headers=headers))


EXPORT = Button(
    "export",
    _("Export"),
    "download",
    on=frozenset({"head", "selection"}),
    flow=ExportFlow(),
    grant="export",
    lede=_("The rows of this list, as they are filtered and sorted."),
    submit=_("Export"),
)
