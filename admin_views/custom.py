"""Custom fields: making and changing them without writing a line of anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from wtforms import Field, HiddenField, StringField, validators
from wtforms.fields.core import UnboundField
from wtforms.utils import unset_value
from wtforms.widgets import TextInput

from admin_views.base import AppForm, AppView, Button, Done, Flow, Press
from admin_views.base.cells import esc, ready
from admin_views.base.fields import ListField, plain
from app.domain import custom
from app.domain.custom.defining import ACCOUNTS, HELP, LABEL, MOST_CHOICES
from app.domain.custom.spec import spec_of
from app.errors import Invalid
from app.i18n import LANGUAGES, _, gettext, language, language_name, ngettext, show_number
from app.models.custom import CustomField, CustomKind, CustomTarget
from app.models.customers import CustomerKind

EMPTY, LEAST = 3, 4
"""Empty rows below the choices that are there, and how many rows there are at least."""
_NAME = re.compile(r"choices-(\d{1,4})-\w+", re.ASCII)


class _Choice(AppForm):
    """One choice: a name in each language, the reader's own first."""

    key = HiddenField()

    @property
    def labels(self) -> dict[str, str]:
        return {c: (cast(Any, self)[c].data or "").strip() for c in LANGUAGES}


def _choice_form() -> type[_Choice]:
    rules = [validators.Length(max=LABEL), plain]
    return type("Choice", (_Choice,), {code: StringField(language_name(code), rules) for code in codes()})


def codes() -> list[str]:
    """The languages, the reader's own first."""
    return sorted(LANGUAGES, key=lambda code: code != language())


class ChoicesField(Field):
    """The choices in rows: as many as were sent, some empty ones, and a button for more; without scripts. data:
    [{key, labels}] of the rows that are filled in."""

    widget = TextInput()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.entries: list[Any] = []
        self.more = False
        super().__init__(*args, **kwargs)

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        self.process_errors, self.errors = [], []
        kind = _choice_form()
        if formdata:
            places = sorted({int(m[1]) for name in formdata if (m := _NAME.fullmatch(name))})
            self.entries = [kind(formdata, prefix=f"choices-{at}") for at in places[: MOST_CHOICES + 1]]
            self.more = "more_choices" in formdata
            wanted = EMPTY if self.more else 0
        else:
            rows: list[dict[str, Any]] = [] if data is unset_value or data is None else data
            made = ({"key": row["key"], **row["labels"]} for row in rows if not row.get("retired"))
            self.entries = [kind(prefix=f"choices-{at}", data=row) for at, row in enumerate(made)]
            wanted = EMPTY
        first = len(self.entries)
        for at in range(first, max(first + wanted, LEAST)):
            self.entries.append(kind(prefix=f"choices-{at}"))

    @property
    def data(self) -> list[dict[str, Any]]:
        return [{"key": e.key.data or "", "labels": e.labels} for e in self.entries if any(e.labels.values())]

    @data.setter
    def data(self, _value: Any) -> None:
        """What is entered stands in the entries."""

    def validate(self, form: Any, extra_validators: Any = ()) -> bool:
        self.errors = []
        if self.more:
            return False  # nothing is saved: more rows were asked for
        for entry in self.entries:
            if not entry.validate():
                self.errors = [str(next(e for errors in entry.errors.values() for e in errors))]
        return not self.errors


def _move(by: int) -> Any:
    async def verb(session: AsyncSession, chosen: list[CustomField]) -> str:
        for field in chosen:
            await custom.move(session, field=field, by=by)
        return gettext("Moved.")

    return verb


class _AskFlow(Flow):
    """Says how many values there are, and asks."""

    words: ClassVar[Mapping[str, str]] = {
        "remove": _("It disappears from all screens. Its values are kept until they are deleted for good, and it can "
                    "be restored until then."),
        "purge": _("Its values are deleted from all rows, in the background. There is no way back."),
    }  # fmt: skip

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        said = []
        for field in press.objects:
            n = await custom.count(press.session, field)
            words = ngettext("“%(name)s” has a value in %(n)s row.", "“%(name)s” has a value in %(n)s rows.", n)
            said.append(words % {"name": field, "n": show_number(n)})
        return {"warnings": [" ".join([*said, gettext(self.words[press.button.slug])])]}

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> str | Done:
        for field in press.objects:
            if press.button.slug == "remove":
                await custom.archive(session, field=field)
            else:
                await custom.purge(session, field=field)
        removed = gettext("Removed. Its values are kept.")
        return removed if press.button.slug == "remove" else gettext("The values are being deleted.")


async def _restore(session: AsyncSession, chosen: list[CustomField]) -> str:
    for field in chosen:
        await custom.restore(session, field=field)
    return gettext("Restored.")


_CARD, _BOTH = frozenset({"card"}), frozenset({"row", "card"})


class CustomFields(AppView, model=CustomField):
    name, name_plural, icon, category = _("Custom field"), _("Custom fields"), "forms", "Configuration"
    purpose = _("What you keep of customers, payers, users and services besides what is there already.")
    help = _("A field is at once in forms, lists, filters, files and messages.")
    create_label = _("Add a field")
    form_template = "sqladmin/custom_field.html"
    columns = ("labels", "target", "key", "kind", "access", "required", "position", "archived_at")
    needs = ("labels", "archived_at", "purging")
    leave_out = ("archived_at", "account_types", "position")
    can_delete = False
    buttons = (
        Button("earlier", _("Earlier"), "arrow-up", on=_BOTH, verb=_move(-1), shown=lambda f: f.archived_at is None),
        Button("later", _("Later"), "arrow-down", on=_BOTH, verb=_move(1), shown=lambda f: f.archived_at is None),
        Button("restore", _("Restore"), "arrow-back-up", on=_CARD, verb=_restore, primary=True,
               shown=lambda f: f.archived_at is not None and not f.purging),
        Button("remove", _("Remove"), "trash", on=_CARD, flow=_AskFlow(), danger=True, more=True, submit=_("Remove"),
               shown=lambda f: f.archived_at is None),
        Button("purge", _("Delete the values for good"), "eraser", on=_CARD, flow=_AskFlow(), danger=True, more=True,
               submit=_("Delete for good"), shown=lambda f: f.archived_at is not None and not f.purging),
    )  # fmt: skip

    @staticmethod
    def cell_labels(field: Any) -> str:
        return f"<bdi>{esc(CustomField.__str__(field))}</bdi>"

    def row_label(self, obj: Any) -> str:
        return CustomField.__str__(obj)

    def badge(self, obj: Any) -> Markup | None:
        return ready(f'<span class="badge warn">{esc(gettext("Removed"))}</span>') if obj.archived_at else None

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        fields: dict[str, Any] = {}
        for code in codes():
            own = code == language()
            rules = [validators.Length(max=LABEL), plain]
            named = {"language": language_name(code)}
            fields[f"label_{code}"] = StringField(
                gettext("Name") if own else gettext("Name in %(language)s") % named,
                [validators.InputRequired() if own and obj is None else validators.Optional(), *rules],
            )
            fields[f"help_{code}"] = StringField(
                gettext("Help") if own else gettext("Help in %(language)s") % named,
                [validators.Optional(), validators.Length(max=HELP), plain], render_kw={"data-wide": "1"},
                description=gettext("One sentence below the field.") if own else "",
            )  # fmt: skip
        fields["choices"] = ChoicesField(_("Choices"))
        fields["default"] = StringField(
            _("Default"), [validators.Optional(), validators.Length(max=1000), plain],
            description=_("What new ones begin with; of choices, the name."),
        )  # fmt: skip
        if obj is None or obj.target.value in ACCOUNTS:
            fields["account_types"] = ListField(
                _("Only for these account types"), choices=[(k.value, k.label) for k in CustomerKind],
                description=_("None chosen: for all."),
                render_kw={"data-when": f"target={'|'.join(sorted(ACCOUNTS))}"},
            )  # fmt: skip
        if obj is not None:
            fields |= {"target": None, "key": None}
            if obj.target is not CustomTarget.CUSTOMER:
                fields["at_registration"] = None
        return fields

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        if obj is None:
            return {}
        start = {f"label_{code}": obj.labels.get(code, "") for code in LANGUAGES}
        start |= {f"help_{code}": obj.helps.get(code, "") for code in LANGUAGES}
        default = custom.plain(spec_of(obj), obj.default)
        return {**start, "choices": obj.choices, "default": default or "", "account_types": obj.account_types}

    async def form_context(self, session: AsyncSession, obj: Any, form: Any) -> dict[str, Any]:
        own, *others = codes()
        first = ("target", f"label_{own}", "kind", "digits", "currency", f"help_{own}")
        use = ("required", "access", "at_registration", "account_types", "default", "listed", "indexed")
        more = (*(f"{what}_{code}" for code in others for what in ("label", "help")), "key")
        return {
            "groups": [
                {"label": None, "help": None, "fields": first, "more": False},
                {"label": gettext("Choices"), "help": None, "fields": ("choices",), "more": False},
                {"label": gettext("Use"), "help": None, "fields": use, "more": False},
                {"label": gettext("Other languages and the key"), "help": None, "fields": more, "more": True},
            ],
            "several": f"kind={CustomKind.CHOICE}|{CustomKind.CHOICES}",
        }  # fmt: skip

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> CustomField:
        for name, start in (("labels", "label_"), ("helps", "help_")):
            values[name] = {code: values.pop(start + code) or "" for code in LANGUAGES}
        values["currency"] = values.get("currency") or "EUR"
        values["digits"] = values.get("digits") or 0
        kind = values["kind"]
        if kind not in (CustomKind.CHOICE, CustomKind.CHOICES):
            values["choices"] = []
        values["default"] = values.get("default") or None
        try:
            if obj is None:
                return await custom.create(session, **values)
            return await custom.change(session, field=obj, **values)
        except Invalid as problem:
            raise _placed(problem) from None

    async def sections(self, session: AsyncSession, obj: CustomField, request: Request) -> list[dict[str, Any]]:
        spec = spec_of(obj)
        n = await custom.count(session, obj)
        items: list[dict[str, Any]] = [
            {"label": gettext("Of what"), "value": str(obj.target.label)},
            {"label": gettext("Kind"), "value": str(obj.kind.label)},
            {"label": gettext("Key"), "value": ready(f'<span class="mono">{esc(obj.key)}</span>')},
            {"label": gettext("Who sees it"), "value": str(obj.access.label)},
            {"label": gettext("Required"), "value": gettext("Yes") if obj.required else gettext("No")},
            {"label": gettext("Rows with a value"), "value": show_number(n)},
        ]
        if obj.default is not None:
            items.append({"label": gettext("Default"), "value": custom.say(spec, obj.default)})
        if obj.target is CustomTarget.CUSTOMER:
            macro = f"{{{{ customer.custom.{obj.key} }}}}"
            items.append({"label": gettext("In messages"), "value": ready(f'<span class="mono">{esc(macro)}</span>')})
        names = [[language_name(code), obj.labels.get(code, ""), obj.helps.get(code, "")] for code in codes()]
        heads = [gettext("Language"), gettext("Name"), gettext("Help")]
        shown: list[dict[str, Any]] = [
            {"label": gettext("Details"), "kind": "kv", "items": items},
            {"label": gettext("Names"), "kind": "table", "columns": heads, "rows": names},
        ]
        if obj.choices:
            rows = [[o.key, *(o.label.texts.get(c, "") for c in codes()),
                     gettext("No longer offered") if o.off else ""] for o in spec.options]  # fmt: skip
            heads = [gettext("Key"), *(language_name(c) for c in codes()), ""]
            shown.append({"label": gettext("Choices"), "kind": "table", "columns": heads, "rows": rows})
        return shown


def _placed(problem: Invalid) -> Invalid:
    """Its fields as the form calls them."""
    names = {"labels": f"label_{language()}", "helps": f"help_{language()}"}
    return Invalid(**{names.get(name, name): text for name, text in problem.fields.items()})
