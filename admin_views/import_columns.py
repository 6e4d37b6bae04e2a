"""What the columns of an uploaded file are, what its values mean, and the rows that were left out as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable
from itertools import groupby
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse
from wtforms import BooleanField, SelectField

from admin_views.base import AppForm, Done, Flow, Press, options
from app import db
from app.db import fold, model_of
from app.domain import custom
from app.domain.imports import runs
from app.domain.imports.choices import Choices
from app.domain.imports.mapping import IGNORE, Plan
from app.domain.imports.mapping import fields as importable
from app.domain.sheets import neutral
from app.errors import Invalid
from app.i18n import _, gettext
from app.models.customers import Customer, CustomerKind, Group
from app.models.imports import CUSTOMER, ImportRow, ImportRun

AT_ONCE = 500
NAMES = {
    "ref": _("ID"), "company": _("Company"), "first_name": _("First name"), "last_name": _("Last name"),
    "street": _("Street"), "city": _("City"), "state": _("State or province"), "postal_code": _("Postal code"),
    "username": _("User name"), "group": _("Group"),
}  # fmt: skip
"""What the fields of an import are called that a customer has not under the same name."""


def field_name(field: str, noun: str = CUSTOMER) -> str:
    if noun != CUSTOMER:
        column = model.__table__.c.get(field) if (model := model_of(noun)) is not None else None
        return str(column.info.get("label", field)) if column is not None else field
    if field in NAMES:
        return str(NAMES[field])
    if (spec := custom.named(Customer, field)) is not None:
        return str(spec.label)
    return str(Customer.__table__.c[field].info["label"])


async def _groups(session: AsyncSession) -> list[tuple[str, str]]:
    rows = await session.execute(select(Group.id, Group.name).order_by(Group.name).limit(1000))
    return [(str(group_id), name) for group_id, name in rows]


def _form(fields: dict[str, Any]) -> type[AppForm]:
    return type("ImportForm", (AppForm,), fields)


# ---- columns --------------------------------------------------------------------------------------------------------


class ColumnsFlow(Flow):
    """Each column with some of its values, and a choice of what it is."""

    template = "sqladmin/import_columns.html"

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        run: ImportRun = press.one
        plan, looked = Plan.of(run.plan), run.looked
        offered = [
            (IGNORE, gettext("Not taken")),
            *sorted(((f, field_name(f)) for f in importable()), key=lambda c: c[1]),
        ]
        fields: dict[str, Any] = {}
        if len(looked.get("sheets", ())) > 1:
            fields["sheet"] = SelectField(
                gettext("Sheet"), choices=[(str(n), name) for n, name in enumerate(looked["sheets"])],
                default=str(looked.get("sheet", 0)),
                description=gettext("Another sheet is read first, then its columns are shown here."),
            )  # fmt: skip
        for n, column in enumerate(looked.get("columns", ())):
            chosen = plan.columns.get(column["name"], IGNORE)
            fields[f"c{n}"] = SelectField(column["name"], choices=offered, default=chosen)
        fields |= {
            "language": SelectField(
                gettext("Language"), default=plan.defaults.get("language", ""),
                choices=[("", gettext("The main one of the country")), *options.choices("language")],
            ),
            "country": SelectField(
                gettext("Country"), choices=options.choices("country"), default=plan.defaults.get("country", "")
            ),
            "group": SelectField(
                gettext("Group"), choices=[("", ""), *await _groups(press.session)],
                default=plan.defaults.get("group", ""),
                description=gettext("New customers become members, unless the file names another group."),
            ),
            "invite": BooleanField(
                gettext("Send invitations"), default=bool(looked.get("invite")),
                description=gettext(
                    "Each new user with an e-mail address gets a link to choose a password, 300 a minute. Without it "
                    "they can be invited later."
                ),
            ),
        }  # fmt: skip
        return _form(fields)(posted)

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        run: ImportRun = press.one
        rows = [
            {"field": form[f"c{n}"], "samples": column["samples"]}
            for n, column in enumerate(run.looked.get("columns", ()))
        ]
        like = run.looked.get("like")
        said = gettext("These columns were imported before: they are taken as in import #%(n)s.") % {"n": like}
        return {"columns": rows, "warnings": [*run.looked.get("warnings", ())], "like": said if like else None}

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        run: ImportRun = press.one
        card, data = press.view.card_url(run.id), form.data
        if "sheet" in data and int(data["sheet"]) != run.looked.get("sheet", 0):
            await runs.read_again(session, import_id=run.id, sheet=int(data["sheet"]))
            return Done(gettext("The sheet is being read."), url=card)
        columns = {c["name"]: data[f"c{n}"] for n, c in enumerate(run.looked.get("columns", ()))}
        defaults = {name: data[name] or "" for name in ("language", "country", "group")}
        unknown = await runs.plan_import(
            session, import_id=run.id, columns=columns, defaults=defaults, invite=bool(data["invite"])
        )
        if unknown:
            said = gettext("Some values of the file are not known yet. Say what they mean.")
            return Done(said, url=f"/admin/import_run/action/values?pks={run.id}", kind="warn")
        await runs.check_import(session, import_id=run.id)
        return Done(gettext("The file is being checked. Nothing is changed until you start the import."), url=card)


# ---- values ---------------------------------------------------------------------------------------------------------


class ValuesFlow(Flow):
    """What the values of a file mean in fields with choices, as far as they are not known by themselves."""

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        plan, groups = Plan.of(press.one.plan), await _groups(press.session)
        offered = {
            "kind": [(kind.value, str(kind.label)) for kind in CustomerKind],
            "country": options.choices("country")[1:], "language": options.choices("language"), "group": groups,
        }  # fmt: skip
        blank = [(IGNORE, gettext("Leave it empty")), ("", gettext("Leave such rows out"))]
        fields = {}
        for n, (field, text) in enumerate(_unknown(press.one, groups)):
            chosen = plan.values.get(field, {}).get(fold(text), IGNORE)
            fields[f"v{n}"] = SelectField(text, choices=[*blank, *offered[field]], default=chosen)
        form = _form(fields)(posted)
        vars(form)["asked"] = _unknown(press.one, groups)
        return form

    def groups(self, press: Press, form: AppForm) -> list[dict[str, Any]]:
        shown = []
        asked: Iterable[tuple[int, tuple[str, str]]] = enumerate(vars(form)["asked"])
        for field, values in groupby(asked, key=lambda value: value[1][0]):
            names = [f"v{n}" for n, _value in values]
            shown.append({"label": field_name(field), "help": None, "fields": names, "more": False})
        return shown

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        nothing = gettext("All values of this file are known. Nothing is to be done here.")
        return {} if vars(form)["asked"] else {"warnings": [nothing]}

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        run: ImportRun = press.one
        values: dict[str, dict[str, str]] = {}
        for n, (field, text) in enumerate(_unknown(run, await _groups(session))):
            values.setdefault(field, {})[text] = form.data.get(f"v{n}", "")
        await runs.translate_values(session, import_id=run.id, values=values)
        await runs.check_import(session, import_id=run.id)
        said = gettext("The file is being checked. Nothing is changed until you start the import.")
        return Done(said, url=press.view.card_url(run.id))


def _unknown(run: ImportRun, groups: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """(field, value) of what is not known by itself, also where staff have said already what it means."""
    plan = Plan.of(run.plan).columns
    values = {column["name"]: column["values"] for column in run.looked.get("columns", ())}
    columns = {name: plan[name] for name in values if name in plan}  # as in the file: JSONB has an order of its own
    known = Choices(Plan(columns), {fold(name): int(group_id) for group_id, name in groups})
    return [(field, text) for field, texts in known.unknown(columns, values).items() for text in texts]


# ---- rows that were left out ----------------------------------------------------------------------------------------


class LeftOutFlow(Flow):
    """The rows as they stand in the file, each with its line and the reason; or what could not be undone."""

    def __init__(self, *, undo: bool) -> None:
        self.undo = undo

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        run: ImportRun = press.one
        names = [column["name"] for column in run.looked.get("columns", ())]
        if not names:
            raise Invalid(gettext("Nothing is known of this file any more."))
        head = ["id", gettext("Name"), gettext("Reason")]
        head = head if self.undo else [*names, gettext("Line"), gettext("Reason")]
        headers = {"Content-Disposition": f'attachment; filename="import-{run.id}.csv"'}
        content = _as_csv(run.id, self.undo, head)
        return Done("", response=StreamingResponse(content, media_type="text/csv; charset=utf-8", headers=headers))


async def _as_csv(import_id: int, undo: bool, head: list[str]) -> AsyncIterator[str]:
    out = io.StringIO()
    writer = csv.writer(out)
    out.write("\ufeff")
    writer.writerow(map(neutral, head))
    waiting: list[ImportRow] = []
    query = select(ImportRow).where(ImportRow.import_id == import_id, ImportRow.undo.is_(undo))
    query = query.order_by(ImportRow.line, ImportRow.id).limit(AT_ONCE)
    more = query
    while True:
        async with db.reads() as session:
            rows = (await session.scalars(more)).all()
        for row in rows:
            if waiting and (undo or row.line != waiting[0].line):
                writer.writerow(_line(waiting, undo, len(head)))
                waiting = []
            waiting.append(row)
        if len(rows) < AT_ONCE:
            break
        more = query.where(tuple_(ImportRow.line, ImportRow.id) > (rows[-1].line, rows[-1].id))
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    if waiting:
        writer.writerow(_line(waiting, undo, len(head)))
    yield out.getvalue()


def _line(rows: list[ImportRow], undo: bool, width: int) -> list[str]:
    first = rows[0]
    if undo:
        return [first.column, *map(neutral, first.cells), neutral(first.reason)]
    cells = [neutral(cell) for cell in first.cells][: width - 2]
    reasons = "; ".join(f"{row.column}: {row.reason}" if row.column else row.reason for row in rows)
    return [*cells, *[""] * (width - 2 - len(cells)), str(first.line), neutral(reasons)]
