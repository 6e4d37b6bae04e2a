"""The form of a rule: when, if, then. Each action is a row of fields, of which those of its kind are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from wtforms import BooleanField, HiddenField, SelectField, StringField, TextAreaField, validators
from wtforms.fields.core import UnboundField

from admin_views.base.fields import AppForm, ChoiceField, LookupField, PickField, plain
from app.domain.automation import actions, fields
from app.errors import Invalid
from app.i18n import _, gettext
from app.models.customers import CustomerKind

BLANK = 2
"""Rows for more actions, folded up."""
TYPED = ("contact_person", "phone", "legal_name", "vat_number", "registration_number", "director")
"""Fields that a rule sets to a line of text."""
AREAS = ("address", "note")
UNSET = ("timezone",)
"""What is not worth a list of five hundred choices in every row."""
WHEN = ("trigger", "days", "hours", "amount", "currency", "field", "was", "becomes", "group", "clock")


def rows_for(rule: Any) -> int:
    """How many rows of actions the form has."""
    return min(max(len(rule.actions) if rule is not None else 0, 1) + BLANK, actions.MOST)


def kinds() -> list[tuple[str, str]]:
    """What an action may be; setting a field is offered as one thing for each field."""
    made = [
        ("", gettext("Choose what is to be done")),
        *((n, str(k.label)) for n, k in actions.KINDS.items() if n != "set"),
    ]
    offered = [(name, label) for name, label in fields.settable() if name not in UNSET]
    return made + [(f"set_{name}", gettext("Set: %(field)s") % {"field": label}) for name, label in offered]


def fields_of(rule: Any) -> dict[str, UnboundField[Any]]:
    """The fields of all rows."""
    made: dict[str, Any] = {}
    for n in range(1, rows_for(rule) + 1):
        made |= {f"a{n}_{name}": field for name, field in _row(f"a{n}_kind").items()}
    return cast("dict[str, UnboundField[Any]]", made)


def _row(kind: str) -> dict[str, Any]:
    def on(*names: str) -> dict[str, str]:
        return {"data-when": f"{kind}={'|'.join(names)}"}

    def line(label: str, most: int, *names: str, help: str = "") -> StringField:
        rules = [validators.Optional(), plain, validators.Length(max=most)]
        return StringField(label, rules, render_kw=on(*names), description=help)

    def area(label: str, *names: str) -> TextAreaField:
        rules = [validators.Optional(), plain, validators.Length(max=20_000)]
        return TextAreaField(label, rules, render_kw={**on(*names), "rows": 3})

    def look(label: str, target: str, *names: str, help: str = "") -> LookupField:
        return LookupField(label, [validators.Optional()], target=target, render_kw=on(*names), description=help)

    labels = dict(fields.settable())
    typed = (*TYPED, *(name for name in labels if name.startswith(fields.CUSTOM)))
    optional = [validators.Optional()]
    return {
        "key": HiddenField(),
        "kind": SelectField(_("What is done"), choices=kinds, default=""),
        "template": look(_("Message template"), "message_template", "template",
                         help=_("Who has refused such messages does not get it.")),
        "group": look(_("Group"), "customer_group", "join", "leave"),
        "subject": line(_("Subject"), 300, "ticket"),
        "text": area(_("Text"), "ticket", "notify"),
        "to_customer": BooleanField(_("The text goes to the customer"), render_kw=on("ticket"),
                                    description=_("Otherwise only colleagues see the ticket, and it waits for them.")),
        "category": look(_("Category"), "message_category", "ticket",
                         help=_("It says which department the ticket is for.")),
        "assigned": look(_("Assigned to"), "staff", "ticket"),
        "staff": look(_("Colleague"), "staff", "notify"),
        "role": look(_("Everybody with the role"), "role", "notify"),
        "mail": BooleanField(_("By e-mail too"), render_kw=on("notify"), description=_("The bell tells it anyway.")),
        "url": line(_("Address"), 2000, "webhook", help=_("It is called with POST, signed as a Standard Webhook.")),
        "value": line(_("Value"), 200, *(f"set_{n}" for n in typed), help=_("Empty: the field is emptied.")),
        "long_value": area(_("Value"), *(f"set_{n}" for n in AREAS)),
        "account_kind": ChoiceField(label=labels["kind"], kind=CustomerKind, blank=True, validators=optional,
                                    render_kw=on("set_kind")),
        "country": PickField(label=labels["country"], kind="country", validators=optional, render_kw=on("set_country")),
        "language": PickField(label=labels["language"], kind="language_or_none", validators=optional,
                              render_kw=on("set_language")),
        "attitude": look(labels["attitude_id"], "attitude", "set_attitude_id"),
        "responsible": look(labels["responsible_id"], "staff", "set_responsible_id"),
    }  # fmt: skip


NAMES = (
    "key", "kind", "template", "group", "subject", "text", "to_customer", "category", "assigned", "staff", "role",
    "mail", "url", "value", "long_value", "account_kind", "country", "language", "attitude", "responsible",
)  # fmt: skip
"""The fields of a row, in their order."""


def groups(form: AppForm, rule: Any) -> list[dict[str, Any]]:
    """The sections of the form."""
    used = len(rule.actions) if rule is not None else 0
    made: list[dict[str, Any]] = [
        {"label": None, "help": None, "fields": ["name", "project", "position"], "more": False},
        {"label": gettext("When"), "help": None, "fields": list(WHEN), "more": False},
        {"label": gettext("If"), "fields": ["segment", "condition"], "more": False,
         "help": gettext("Only customers who meet the condition.")},
    ]  # fmt: skip
    for n in range(1, rows_for(rule) + 1):
        label = gettext("Then") if n == 1 else gettext("Another action")
        names = [f"a{n}_{name}" for name in NAMES]
        chosen = f"a{n}_kind" in form and bool(cast(Any, form)[f"a{n}_kind"].data)
        made.append({"label": label, "help": None, "fields": names, "more": n > max(used, 1) and not chosen})
    return made


# ---- between the form and what is stored ----------------------------------------------------------------------------


def shown(rule: Any) -> dict[str, Any]:
    """The values of the fields for the actions of a rule."""
    values: dict[str, Any] = {}
    for n, action in enumerate(rule.actions if rule is not None else (), 1):
        values |= {f"a{n}_{name}": value for name, value in _shown(action).items()}
    return values


def _shown(action: Mapping[str, Any]) -> dict[str, Any]:
    kind = action["kind"]
    row: dict[str, Any] = {"key": action["key"], "kind": kind}
    if kind != "set":
        row |= {name.removesuffix("_id"): value for name, value in action.items() if name not in ("key", "kind")}
        return row
    field = action["field"]
    value = fields.typed(field, action["value"]) if field.startswith(fields.CUSTOM) else action["value"]
    return row | {"kind": f"set_{field}", _place(field): value}


def _place(field: str) -> str:
    """The field of a row where the value of a customer's field is typed."""
    if field in TYPED or field.startswith(fields.CUSTOM):
        return "value"
    if field in AREAS:
        return "long_value"
    return "account_kind" if field == "kind" else field.removesuffix("_id")


_REFS = ("template", "group", "category", "assigned", "staff", "role")
_OWN: dict[str, tuple[str, ...]] = {
    "template": ("template",), "join": ("group",), "leave": ("group",), "webhook": ("url",),
    "ticket": ("subject", "text", "to_customer", "category", "assigned"), "notify": ("staff", "role", "text", "mail"),
}  # fmt: skip


def taken(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The actions that were entered; takes their fields out of `values`."""
    found = []
    n = 1
    while f"a{n}_kind" in values:
        row = {name: values.pop(f"a{n}_{name}", None) for name in NAMES}
        kind = row["kind"] or ""
        action: dict[str, Any] = {"row": n, "key": row["key"] or "", "kind": kind}
        if kind.startswith("set_"):
            field = kind.removeprefix("set_")
            action |= {"kind": "set", "field": field, "value": row.get(_place(field))}
        for name in _OWN.get(kind, ()):
            action[f"{name}_id" if name in _REFS else name] = row[name]
        if kind:
            found.append(action)
        n += 1
    return found


def placed(problem: Invalid) -> Invalid:
    """The same mistakes, at the fields where the values are typed."""
    moved = {}
    for name, said in problem.fields.items():
        at, under, field = name.partition("_")
        settable = under and at[:1] == "a" and at[1:].isdecimal() and field != "kind" and field in fields.watched()
        moved[f"{at}_{_place(field)}" if settable else name] = said
    return Invalid(**moved)
