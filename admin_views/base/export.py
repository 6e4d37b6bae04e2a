"""Export of a filtered list: the columns that a person chooses of those that they may see. A short list is streamed at
once, by keyset in short transactions; a long one is written in the background and offered when it is ready."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse
from wtforms import BooleanField, RadioField, validators

from admin_views.base.asked import Asked
from admin_views.base.buttons import Button, Done, Flow, Press
from admin_views.base.fields import AppForm, ListField
from admin_views.base.listing import count, meant, orderly
from admin_views.base.plan import Plan, plan_of
from admin_views.base.views import open_list
from app import db, filters
from app.domain.bulk.exporting import add_export
from app.domain.bulk.files import FILES
from app.domain.bulk.reading import Source
from app.domain.bulk.values import known
from app.domain.lists import Meant
from app.errors import AppError, NotFound
from app.i18n import _, gettext
from app.models import audit

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


async def stream(plan: Plan, asked: Asked, ending: str, columns: Columns) -> AsyncIterator[bytes]:
    """The file, as it grows."""
    _media, kind = FILES[ending]
    source = Source(meant(plan, asked), [key for key, _label in columns], plain=kind.plain)
    file = kind(source.values, [label for _key, label in columns], str(plan.view.name_plural))
    yield file.begin()
    async for chunk in source.chunks():
        yield file.add(chunk)
    yield file.end()


def chosen_by(press: Press, asked: Asked | None = None) -> tuple[Meant, str]:
    """What a button was pressed for, as `app.domain.bulk` takes it: the rows, and the address of the list. asked: the
    same in an order in which it can be read. Raises NotFound when nothing is chosen."""
    asked = asked or asked_of(press)
    rows = meant(plan_of(press.request, press.view), asked)
    return rows, asked.complete() if press.asked else _query(press)


def _query(press: Press) -> str:
    """The address of the list of the chosen rows."""
    return urlencode(filters.to_query(filters.All((press.view.only(press.pks),)), press.view.model))


def asked_of(press: Press) -> Asked:
    """The list that is meant: all that match, or the chosen rows. Raises NotFound when nothing is chosen."""
    if press.asked is None and not press.pks:
        raise NotFound(_("Nothing is chosen, or it does not exist any more."))
    return press.asked or Asked(condition=press.view.only(press.pks))


async def listed(press: Press) -> Asked:
    """The rows that are meant, in the columns and the order of the list from which the button was pressed."""
    asked = asked_of(press)
    if press.asked is not None:
        return asked
    try:
        look = await open_list(press.session, plan_of(press.request, press.view), parse_qsl(press.query))
    except AppError:  # a view or a column is gone
        return asked
    return replace(asked, columns=look.columns, sort=look.sort, descending=look.descending)


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
        asked = await listed(press)
        usual, others = offered(plan_of(press.request, press.view).shown(asked.columns))
        columns = ListField(
            _("Columns"),
            choices=[*usual, *others],
            default=[key for key, _label in usual],
            description=_("None chosen: those of the list."),
        )
        kind: type[AppForm] = type("ExportForm", (ExportForm,), {"columns": columns})
        return kind(posted)

    def groups(self, press: Press, form: AppForm) -> list[dict[str, Any]]:
        return [{"label": None, "help": None, "fields": ["kind", "columns", "at_once"], "more": False}]

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        view, asked = press.view, await listed(press)
        plan = plan_of(press.request, view).shown(asked.columns)
        ending = form.data["kind"]
        usual, others = offered(plan)
        wanted = set(form.data["columns"] or ())
        columns = [c for c in (*usual, *others) if c[0] in wanted] or usual
        changes = {
            "filter": [None, asked.query()],
            "ids": [None, list(press.pks)],
            "kind": [None, ending],
            "columns": [None, [key for key, _label in columns]],
        }
        await session.run_sync(lambda s: audit.write(s, "export", view.identity, None, changes))
        n, more = await count(session, plan, asked)
        asked = orderly(plan, asked, n, more)
        if (n > AT_ONCE or more) and not form.data["at_once"]:
            rows, query = chosen_by(press, asked)
            name = gettext("Export: %(what)s") % {"what": view.name_plural}
            run = await add_export(
                session, noun=view.identity, rows=rows, query=query, name=name, ending=ending, columns=columns
            )
            said = gettext("The file is being written. It is offered here and under the bell when it is ready.")
            return Done(said, url=f"/admin/bulk_run/details/{run.id}")
        media, _kind = FILES[ending]
        headers = {"Content-Disposition": f'attachment; filename="{view.identity}-{db.utcnow():%Y-%m-%d}.{ending}"'}
        content = stream(plan, asked, ending, columns)
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
