"""Changing many rows of a list at once: a form that leaves alone what nobody touches, and steps without a form.

Both are checked in the background first; what they would do is shown before anything is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import BooleanField, SelectField, validators
from wtforms.fields.core import UnboundField

from admin_views.base.buttons import Button, Done, Flow, Press
from admin_views.base.export import asked_of, chosen_by
from admin_views.base.fields import AppForm
from admin_views.base.listing import count, total_text
from admin_views.base.plan import plan_of
from app.domain import custom
from app.domain.bulk.editing import add_edit
from app.domain.bulk.kinds import EDITABLE
from app.errors import Invalid
from app.i18n import _, gettext
from app.models.bulk import BulkRun

if TYPE_CHECKING:
    from admin_views.base.screen import AppView

HOW = "how_"
"""Before the name of a field: the name of the choice that says what is done with it."""
KEEP, SET, ADD, REMOVE, YES, NO = "", "set", "add", "remove", "yes", "no"


def began(run: BulkRun) -> Done:
    said = gettext("It is being checked. Nothing is changed until you start it.")
    return Done(said, url=f"/admin/bulk_run/details/{run.id}")


async def concerned(press: Press) -> str:
    """How many rows are meant, in words."""
    number = total_text(*await count(press.session, plan_of(press.request, press.view), asked_of(press)))
    return gettext("%(number)s rows are meant.") % {"number": number}


class ManyFlow(Flow):
    """Something that is done with all that is chosen, or all that match, in the background."""

    template = "sqladmin/bulk.html"
    needs_rows = False

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        return {"meant": await concerned(press)}


def names_of(view: AppView) -> list[str]:
    """The fields that can be changed: those that the screen names, and what people have added."""
    return [*view.bulk, *(spec.name for spec in custom.fields(view.model))]


class BulkForm(AppForm):
    def validate(self, extra_validators: Any = None) -> bool:
        """What is left as it is may hold anything: nobody takes it."""
        super().validate(extra_validators)
        fields: dict[str, Any] = self._fields
        for name, field in fields.items():
            how = fields.get(f"{HOW}{name}")
            if how is not None and how.data not in (SET, ADD, REMOVE):
                field.errors = []
        return not any(field.errors for field in fields.values())


class EditFlow(ManyFlow):
    async def build(self, press: Press, posted: Any = None) -> AppForm:
        view, kind = press.view, EDITABLE[press.view.identity]
        made = await view.form_class(press.session, None)
        fields: dict[str, Any] = {}
        for name in names_of(view):
            field = cast("UnboundField[Any] | None", getattr(made, name, None))
            if field is None:
                continue  # of a module that is switched off
            fields |= _of(name, field, several=name in kind.many)
            if (beside := kind.within.get(name)) is not None:
                fields[beside] = _value(getattr(made, beside), None, f"{HOW}{name}={SET}")
        return cast(AppForm, type("EditForm", (BulkForm,), fields)(posted))

    def groups(self, press: Press, form: AppForm) -> list[dict[str, Any]]:
        within = EDITABLE[press.view.identity].within
        shown = [[f"{HOW}{name}", name, within.get(name, "")] for name in names_of(press.view)]
        return [{"label": None, "help": None, "fields": [n for n in names if n in form], "more": False}
                for names in shown if names[0] in form]  # fmt: skip

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        view, data = press.view, press.view.values(form)
        values: dict[str, Any] = {}
        add: dict[str, Sequence[int]] = {}
        remove: dict[str, Sequence[int]] = {}
        touched = []
        within = EDITABLE[view.identity].within
        for name in names_of(view):
            how = form.data.get(f"{HOW}{name}", KEEP)
            if how == KEEP:
                continue
            fields: Any = form
            touched.append(str(fields[f"{HOW}{name}"].label.text))
            if how in (ADD, REMOVE):
                if not form.data[name]:
                    raise Invalid(**{name: gettext("Choose at least one.")})
                (add if how == ADD else remove)[name] = form.data[name]
            elif (spec := custom.named(view.model, name)) is not None:
                values.setdefault("custom", {})[spec.key] = how == YES if how in (YES, NO) else data["custom"][spec.key]
            else:
                column = view.prop_of(name).key
                values[column] = how == YES if how in (YES, NO) else data[column]
                if (beside := within.get(column)) is not None:
                    values[beside] = data[beside]
        if not touched:
            raise Invalid(gettext("Choose at least one field that is to be changed."))
        rows, query = chosen_by(press)
        name = f"{view.name_plural}: {', '.join(touched)}"
        return began(
            await add_edit(
                session, noun=view.identity, rows=rows, query=query, name=name, values=values, add=add, remove=remove
            )
        )


def _of(name: str, field: UnboundField[Any], *, several: bool) -> dict[str, Any]:
    """The choice for one field, and the field itself, which then may be empty."""
    label = _label_of(name, field)
    keep = (KEEP, _("Leave as it is"))
    if issubclass(field.field_class, BooleanField):
        return {
            HOW + name: SelectField(label, choices=[keep, (YES, _("Set to yes")), (NO, _("Set to no"))], default=KEEP)
        }
    choices = [keep, (SET, _("Set to"))]
    if several:
        choices = [keep, (ADD, _("Add")), (REMOVE, _("Take out"))]
    when = f"{HOW}{name}={ADD}|{REMOVE}" if several else f"{HOW}{name}={SET}"
    value = _value(field, gettext("%(field)s: the value") % {"field": label}, when)
    return {HOW + name: SelectField(label, choices=choices, default=KEEP), name: value}


def _label_of(name: str, field: UnboundField[Any]) -> Any:
    return field.kwargs.get("label") or (field.args[0] if field.args else name)


def _value(field: UnboundField[Any], label: str | None, when: str) -> Any:
    """The field as it stands here. label: another one. when: it is shown, as `data-when` says it."""
    kwargs = {k: v for k, v in field.kwargs.items() if k not in ("label", "validators", "description")}
    given = field.args[1] if len(field.args) > 1 else field.kwargs.get("validators")
    rules = [v for v in given or () if not getattr(v, "field_flags", {}).keys() & {"required", "optional"}]
    kwargs["render_kw"] = {**(kwargs.get("render_kw") or {}), "data-when": when}
    return field.field_class(label or _label_of("", field), validators=[validators.Optional(), *rules], **kwargs)


EDIT_SEVERAL = Button(
    "edit_several",
    _("Edit several"),
    "pencil",
    on=frozenset({"head", "selection"}),
    flow=EditFlow(),
    grant="edit",
    more=True,
    lede=_("Choose what is to be changed. You then see what would happen, before anything is done."),
    submit=_("Look at the changes"),
)


class ActFlow(ManyFlow):
    """A step of `Editable.acts`, for all that is chosen."""

    def __init__(self, act: str) -> None:
        self.step = act

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        rows, query = chosen_by(press)
        name = f"{press.view.name_plural}: {EDITABLE[press.view.identity].acts[self.step].label}"
        run = await add_edit(session, noun=press.view.identity, rows=rows, query=query, name=name, act=self.step)
        return began(run)
