"""Custom fields on screens: the fields of the form, the columns of the list, and the lines of the card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any, cast

from wtforms import BooleanField, DateField, SelectField, StringField, TextAreaField, validators
from wtforms.fields.core import UnboundField

from admin_views.base.cells import esc, money, ready, words
from admin_views.base.fields import TYPED, AppForm, DecimalField, ListField, plain
from admin_views.base.plan import Column
from app.db import Customised
from app.domain import custom
from app.domain.custom import Spec
from app.domain.custom.values import BIGGEST, LONGEST, LONGEST_LINES
from app.domain.sessions import Grants, granted
from app.i18n import _, gettext
from app.models.custom import CustomKind

SECTION = str.__str__(_("Additional fields"))
CSS = {CustomKind.NUMBER: "lesser num", CustomKind.MONEY: "lesser amount"}


class _Asked:
    """Marks the field as required; that it is filled in is for the verb to say, which knows the account type."""

    field_flags = {"required": True}

    def __call__(self, form: AppForm, field: Any) -> None:
        pass


# ---- forms ----------------------------------------------------------------------------------------------------------


def form_fields(model: Any, obj: Any, specs: tuple[Spec, ...] | None = None) -> dict[str, UnboundField[Any]]:
    """The fields of the form of a row; obj: None for a new one, which begins with the defaults."""
    held = getattr(obj, "custom", None) or {}
    found = custom.fields(model) if specs is None else specs
    return {spec.name: field_of(spec, held.get(spec.key), new=obj is None) for spec in found}


def field_of(spec: Spec, held: Any = None, *, new: bool = False) -> UnboundField[Any]:
    """The form field. held: what the row has, which stays on offer."""
    kw: dict[str, Any] = {"data-when": f"kind={'|'.join(sorted(spec.account_types))}"} if spec.account_types else {}
    rules: list[Any] = [*([_Asked()] if spec.required else []), validators.Optional()]
    common: dict[str, Any] = {
        "label": spec.label, "validators": rules, "description": spec.help if str(spec.help) else "", "render_kw": kw
    }  # fmt: skip
    if new and spec.default is not None:
        common["default"] = to_form(spec, spec.default)
    match spec.kind:
        case CustomKind.NUMBER | CustomKind.MONEY:
            kw |= {"inputmode": "decimal" if spec.digits else "numeric", "autocomplete": "off", "class": "num"}
            kw |= {"data-unit": spec.currency} if spec.currency else {}
            made: Any = DecimalField(digits=spec.digits, least=-BIGGEST, most=BIGGEST, **common)
        case CustomKind.DATE:
            kw["max"] = "9999-12-31"
            made = DateField(**common)
        case CustomKind.CHOICE:
            choices = [("", ""), *_offered(spec, {held})]
            made = SelectField(choices=choices, **common)
        case CustomKind.CHOICES:
            made = ListField(choices=_offered(spec, set(held or ())), **common)
        case CustomKind.YES_NO:
            made = BooleanField(**common)
        case CustomKind.LONG:
            common["validators"] = [*rules, plain, validators.Length(max=LONGEST_LINES)]
            made = TextAreaField(filters=[lines], **common)
        case kind:
            kw |= {"type": "url", "inputmode": "url", "placeholder": "https://"} if kind is CustomKind.LINK else {}
            if kind is CustomKind.PHONE:
                kw |= {n: v for n, v in TYPED["phone"].items() if not n.startswith("data-")}
            common["validators"] = [*rules, plain, validators.Length(max=LONGEST)]
            made = StringField(filters=[lambda value: value.strip() if isinstance(value, str) else value], **common)
    return cast("UnboundField[Any]", made)


def lines(value: Any) -> Any:
    """A posted text with the line breaks that are kept and counted."""
    return value.strip().replace("\r\n", "\n") if isinstance(value, str) else value


def _offered(spec: Spec, held: set[Any]) -> list[tuple[str, Any]]:
    return [(o.key, o.label) for o in spec.options if not o.off or o.key in held]


def to_form(spec: Spec, value: Any) -> Any:
    """A value as its form field takes it."""
    if spec.kind is CustomKind.DATE and isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    return value


def form_data(model: Any, obj: Any) -> dict[str, Any]:
    """What the row holds, by the names of the form's fields."""
    return {s.name: to_form(s, (obj.custom or {}).get(s.key)) for s in custom.fields(model)}


def gathered(model: Any, values: dict[str, Any]) -> dict[str, Any]:
    """The values of a form with those of custom fields together under `custom`, by key."""
    own = {s.key: values.pop(s.name) for s in custom.fields(model) if s.name in values}
    return {**values, "custom": own} if own else values


def changed_meanwhile(model: Any, obj: Any, fields: Any) -> list[Any]:
    """One line per custom field in which the saved row differs from what was typed."""
    lines = []
    for name, now in form_data(model, obj).items():
        if name in fields and (now or None) != (fields[name].data or None):
            spec = custom.named(model, name)
            shown = ready(cell(spec, obj.custom.get(spec.key))) if spec else ""
            lines.append(ready("<b>{}</b>: {}").format(str(fields[name].label.text), shown or "–"))
    return lines


def add_url(model: Any, grants: Grants) -> str | None:
    """Where a field of these rows is made, for those who may."""
    if not issubclass(model, Customised) or not granted(grants, "custom_field", "create"):
        return None
    return f"/admin/custom_field/create?target={model.__tablename__}"


def offer(groups: list[dict[str, Any]], model: Any, grants: Grants) -> None:
    """Where custom fields stand in a form, the way to another one."""
    for group in groups if (url := add_url(model, grants)) else ():
        if group["label"] == gettext(SECTION):
            group["help"] = ready('<a href="{}">{}</a>').format(url, gettext("Add a field"))


# ---- lists and cards ------------------------------------------------------------------------------------------------


def columns(model: Any) -> list[tuple[Column, bool]]:
    """A column for each field, and whether the list shows it as long as nobody chose otherwise."""
    return [
        (
            Column(
                s.name,
                s.label,
                CSS.get(s.kind, "lesser"),
                s.name if s.kind in custom.SORTABLE else None,
                partial(_cell, s),
                stored=False,
            ),
            s.listed,
        )
        for s in custom.fields(model)
    ]


def details(model: Any) -> list[Column]:
    """A line of the card for each field."""
    return [
        replace(c, cell=partial(_whole, s)) if s.kind is CustomKind.LONG else c
        for s, (c, _listed) in zip(custom.fields(model), columns(model), strict=True)
    ]


def _whole(spec: Spec, obj: Any) -> str:
    text = custom.say(spec, (obj.custom or {}).get(spec.key))
    return f'<bdi class="prewrap">{esc(text)}</bdi>' if text else ""


def beside(present: tuple[Column, ...], own: list[Column]) -> tuple[Column, ...]:
    """The columns of a list with custom ones behind the state, where they are seen without moving the table."""
    at = next((i + 1 for i, c in enumerate(present) if "state" in c.css.split()), len(present))
    return (*present[:at], *own, *present[at:])


def _cell(spec: Spec, obj: Any) -> str:
    return cell(spec, (obj.custom or {}).get(spec.key))


def cell(spec: Spec, value: Any) -> str:
    """A value as HTML."""
    if spec.kind is CustomKind.MONEY and isinstance(value, int):
        return money(value, spec.currency)
    text = custom.say(spec, value)
    if spec.kind is CustomKind.LINK and text.startswith(("https://", "http://")):
        short = text.split("://", 1)[1].rstrip("/")
        short = short if len(short) <= 40 else short[:39] + "…"
        return (
            f'<a class="soft" href="{esc(text)}" rel="noopener noreferrer" target="_blank"><bdi>{esc(short)}</bdi></a>'
        )
    if spec.kind is CustomKind.PHONE and text:
        number = "".join(c for c in text if c in "+0123456789")
        return f'<a class="soft" href="tel:{number}"><bdi>{esc(text)}</bdi></a>'
    first, *more = text.split("\n", 1)
    return words(f"{first.rstrip()} …" if more else text)


def changes(model: Any, before: Any, after: Any) -> list[tuple[str, str, str]]:
    """What became of the column `custom`, field by field: (name, before, after)."""
    was, now = (value if isinstance(value, Mapping) else {} for value in (before, after))
    return [
        (_name(model, key), _said(model, key, was.get(key)), _said(model, key, now.get(key)))
        for key in dict.fromkeys([*was, *now])
        if was.get(key) != now.get(key)
    ]


def _name(model: Any, key: str) -> str:
    spec = custom.known(model, key)
    return key if spec is None else str(spec.label)


def _said(model: Any, key: str, value: Any) -> str:
    spec = custom.known(model, key)
    return (custom.say(spec, value) if spec is not None else "" if value is None else str(value)) or "–"
