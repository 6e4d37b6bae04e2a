"""Custom fields on the pages of customers: those that they may see, and in forms those that they may change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wtforms import BooleanField, Form, SelectField, SelectMultipleField, StringField, TextAreaField
from wtforms.validators import Length

from app.domain import custom
from app.domain.checks import Bad
from app.domain.custom import Spec
from app.domain.custom.values import LONGEST, LONGEST_LINES
from app.i18n import _, type_amount, type_decimal
from app.models.custom import CustomAccess, CustomKind
from app.web.forms import only_text, stripped


class _Asked:
    """Marks the field as required; the verb says whether it is."""

    field_flags = {"required": True}

    def __call__(self, form: Form, field: Any) -> None:
        pass


def specs(model: Any, *, asked: custom.Asked = custom.CUSTOMER, account: str | None = None) -> list[Spec]:
    """The fields that the customer may change."""
    return [spec for spec in custom.fields(model) if asked.of(spec) and spec.applies(account)]


def form_of(kind: type[Any], asked: Iterable[Spec], row: Any = None) -> type[Any]:
    """The form with these fields behind its own. row: whose values they show."""
    held = row.custom if row is not None else {}
    made = {s.name: field_of(s, held.get(s.key), new=row is None) for s in asked}
    return type(kind.__name__, (kind,), made) if made else kind


def data_of(asked: Iterable[Spec], row: Any) -> dict[str, Any]:
    """What the row holds, as the fields of the form take it."""
    return {s.name: _typed(s, row.custom.get(s.key)) for s in asked}


def given(form: Any, asked: Iterable[Spec]) -> dict[str, Any]:
    """The values of the form, by key. What cannot be read stays as it was typed, and is refused by the verb."""
    found: dict[str, Any] = {}
    for spec in asked:
        if spec.name not in form:
            continue
        value = form[spec.name].data
        if isinstance(value, str):
            try:
                value = custom.read(spec, value)
            except Bad:
                value = value.strip()
        found[spec.key] = value
    return found


def items(model: Any, row: Any, *, but: Iterable[Spec] = (), account: str | None = None) -> list[dict[str, Any]]:
    """What the customer may see of the row: [{label, value, lines}]."""
    others = {spec.key for spec in but}
    return [
        {
            "label": spec.label,
            "value": custom.say(spec, row.custom.get(spec.key)) or "–",
            "lines": spec.kind is CustomKind.LONG,
        }
        for spec in custom.fields(model)
        if spec.access is not CustomAccess.STAFF and spec.key not in others and spec.applies(account)
    ]


def _lines(text: Any) -> str:
    return stripped(text).replace("\r\n", "\n")


def _typed(spec: Spec, value: Any) -> Any:
    if spec.kind is CustomKind.NUMBER and isinstance(value, int):
        return type_decimal(value, spec.digits)
    return type_amount(value, spec.currency) if spec.kind is CustomKind.MONEY and isinstance(value, int) else value


def field_of(spec: Spec, held: Any = None, *, new: bool = True) -> Any:
    """The field of a form. held: what the row has, which stays on offer."""
    kw: dict[str, Any] = {"data-when": f"kind={'|'.join(sorted(spec.account_types))}"} if spec.account_types else {}
    needed: list[Any] = [_Asked()] if spec.required else []
    common: dict[str, Any] = {
        "label": spec.label, "description": spec.help if str(spec.help) else "", "render_kw": kw
    }  # fmt: skip
    if new and spec.default is not None:
        common["default"] = _typed(spec, spec.default)
    mine = set(held) if isinstance(held, list) else {held}
    offered = [(o.key, o.label) for o in spec.options if not o.off or o.key in mine]
    match spec.kind:
        case CustomKind.CHOICE:
            return SelectField(validators=[only_text, *needed], choices=[("", "–"), *offered], **common)
        case CustomKind.CHOICES:
            return SelectMultipleField(validators=needed, choices=offered, **common)
        case CustomKind.YES_NO:
            return BooleanField(validators=needed, **common)
        case CustomKind.DATE:
            kw |= {"type": "date", "max": "9999-12-31"}
        case CustomKind.NUMBER | CustomKind.MONEY:
            kw |= {"inputmode": "decimal" if spec.digits else "numeric", "autocomplete": "off"}
            kw |= {"data-unit": spec.currency} if spec.currency else {}
        case CustomKind.LINK:
            kw |= {"type": "url", "inputmode": "url", "placeholder": "https://"}
        case CustomKind.PHONE:
            kw |= {"type": "tel", "inputmode": "tel"}
        case CustomKind.LONG:
            rules = [only_text, *needed, Length(max=LONGEST_LINES, message=_("This is too long."))]
            return TextAreaField(validators=rules, filters=[_lines], **common)
    rules = [only_text, *needed, Length(max=LONGEST, message=_("This is too long."))]
    return StringField(validators=rules, filters=[stripped], **common)
