"""Form fields made from columns: the column's type and what it says of itself (`app.db.about`) choose the widget."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Overflow
from typing import Any, cast

from sqladmin.forms import ModelConverterBase
from sqlalchemy import Boolean, Date, Enum, Integer, String, Text
from sqlalchemy.orm import ColumnProperty, RelationshipProperty
from wtforms import (
    BooleanField,
    DateField,
    Field,
    Form,
    IntegerField,
    PasswordField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
    validators,
)
from wtforms.fields.core import UnboundField
from wtforms.i18n import get_translations
from wtforms.widgets import TextInput

from admin_views.base import options
from app.db import Choice, UtcDateTime, utcnow
from app.i18n import _, exponent, gettext, language, read_amount, show_decimal, type_amount, type_decimal, zone

SAFE_INTEGER = 2**63 - 1


class AppForm(Form):
    """Messages of WTForms in the reader's language; texts stripped, control characters refused."""

    class Meta:
        def get_translations(self, form: Form) -> Any:
            return get_translations([language()])

        def bind_field(self, form: Form, unbound_field: UnboundField[Any], options: dict[str, Any]) -> Field:
            return cast(Field, unbound_field.bind(form=form, **options))


def plain(_form: Form, field: Field) -> None:
    """No control characters; line breaks and tabs only in text areas."""
    text = field.data if isinstance(field.data, str) else ""
    allowed = "\n\r\t" if isinstance(field, TextAreaField) else ""
    if any(unicodedata.category(c) == "Cc" and c not in allowed for c in text):
        raise validators.StopValidation(gettext("This contains a character that cannot be stored."))


def _strip(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


class LookupField(Field):
    """A key to other rows, chosen by typing. data: an id or None, or a list of ids when `multiple`.

    `chosen` holds (id, label) pairs for showing; `resolve_lookups` fills it and refuses ids that this staff
    member may not see.
    """

    widget = TextInput()

    def __init__(
        self,
        label: str = "",
        validators: Sequence[Any] | None = None,
        *,
        target: str,
        multiple: bool = False,
        lookup_url: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(label, list(validators or ()), **kwargs)
        self.target = target
        self.multiple = multiple
        self.lookup_url = lookup_url or f"/admin/{target}/lookup"
        self.chosen: list[tuple[int, str]] = []
        self.add_url = self.add_label = ""
        """Where a new row is made beside the field: see `inplace.offer_new`."""

    @property
    def ids(self) -> list[int]:
        if self.multiple:
            return list(self.data or [])
        return [] if self.data is None else [self.data]

    def process_formdata(self, valuelist: list[str]) -> None:
        ids = []
        for text in (part for value in valuelist for part in value.split(",") if part.strip()):
            if not (text.strip().isascii() and text.strip().isdecimal() and int(text) <= SAFE_INTEGER):
                self.data = [] if self.multiple else None
                raise ValueError(gettext("Choose one from the list."))
            ids.append(int(text))
        self.data = list(dict.fromkeys(ids)) if self.multiple else (ids[0] if ids else None)

    def _value(self) -> str:
        return ",".join(map(str, self.ids))


class HueField(IntegerField):
    """One of the eight colours of the palette."""


class MomentField(Field):
    """A moment, typed and shown in the reader's time zone; data is aware UTC. past: not later than now."""

    widget = TextInput()
    type = "DateTimeField"

    def __init__(self, *args: Any, past: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.type = "DateTimeField"
        self.past = past
        self.text: str | None = None

    @property
    def most(self) -> str:
        """The latest moment that the field takes, as the browser writes it."""
        return utcnow().astimezone(zone()).strftime("%Y-%m-%dT%H:%M") if self.past else "9999-12-31T23:59"

    def process_data(self, value: Any) -> None:
        self.data = value.astimezone(zone()) if isinstance(value, datetime) else None

    def process_formdata(self, valuelist: list[str]) -> None:
        self.data = None
        self.text = valuelist[0].strip() if valuelist else ""
        if not self.text:
            return
        try:
            self.data = datetime.fromisoformat(self.text).replace(tzinfo=zone()).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValueError(gettext("Not a date and time.")) from None

    def pre_validate(self, form: Any) -> None:
        if self.past and self.data is not None and self.data > utcnow():
            raise validators.StopValidation(gettext("This lies in the future."))

    def _value(self) -> str:
        if self.text is not None:
            return self.text
        return self.data.astimezone(zone()).strftime("%Y-%m-%dT%H:%M") if self.data else ""


class MoneyField(Field):
    """An amount, typed as a decimal figure; data is integer minor units of the currency in `currency_field`."""

    widget = TextInput()

    def __init__(self, *args: Any, currency_field: str = "currency", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.currency_field = currency_field
        self.currency = "EUR"
        self.text: str | None = None

    def process_formdata(self, valuelist: list[str]) -> None:
        self.text = valuelist[0].strip() if valuelist else ""

    def pre_validate(self, form: Any) -> None:
        if self.text is None:
            return
        if self.currency_field in form and form[self.currency_field].data:
            self.currency = form[self.currency_field].data
        digits = exponent(self.currency)
        try:
            amount = read_amount(self.text or "0")
            minor = amount.scaleb(digits)
        except (ValueError, Overflow):
            raise validators.StopValidation(gettext("Not an amount.")) from None
        if not amount.is_finite():
            raise validators.StopValidation(gettext("Not an amount."))
        if abs(minor) > SAFE_INTEGER:
            raise validators.StopValidation(gettext("This amount is too large."))
        if minor != minor.to_integral_value():
            raise validators.StopValidation(
                gettext("%(currency)s has %(n)s decimals.") % {"currency": self.currency, "n": digits}
            )
        self.data = int(minor)

    def _value(self) -> str:
        if self.text is not None:
            return self.text
        return "" if self.data is None else type_amount(self.data, self.currency)


class DecimalField(Field):
    """A figure with decimals, kept as a whole number: data is the figure times 10 to the power of `digits`.

    least, most: of the data. Empty is None.
    """

    widget = TextInput()

    def __init__(self, *args: Any, digits: int, least: int = 0, most: int = SAFE_INTEGER, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.digits, self.least, self.most = digits, least, most
        self.text: str | None = None

    def process_formdata(self, valuelist: list[str]) -> None:
        self.text, self.data = valuelist[0].strip() if valuelist else "", None
        if not self.text:
            return
        try:
            exact = read_amount(self.text).scaleb(self.digits)
        except (ValueError, Overflow):
            raise ValueError(gettext("Not a number.")) from None
        if abs(exact) > SAFE_INTEGER:
            raise ValueError(gettext("This number is too large."))
        if exact != exact.to_integral_value():
            raise ValueError(gettext("At most %(n)s decimals.") % {"n": self.digits})
        self.data = int(exact)

    def pre_validate(self, form: Any) -> None:
        if self.data is not None and not self.least <= self.data <= self.most:
            low, high = (show_decimal(n, self.digits) for n in (self.least, self.most))
            raise validators.StopValidation(
                gettext("A number from %(low)s to %(high)s is needed.") % {"low": low, "high": high}
            )

    def _value(self) -> str:
        if self.text is not None:
            return self.text
        return "" if self.data is None else type_decimal(self.data, self.digits)


class PercentField(DecimalField):
    """Hundredths of a per cent, typed as "19" or "7.5"."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"digits": 2, "most": 10_000, **kwargs})


class RateField(DecimalField):
    """How much of one currency another is worth, times RATE_UNIT."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"digits": 9, "least": 1, "most": 10**18, **kwargs})


class PickField(SelectField):
    """One of a long list, found by typing. What is not offered but exists (an import brought it) stays."""

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "choices": options.choices(kind)})
        self.kind = kind

    def iter_choices(self) -> Any:
        offered = list(super().iter_choices())
        if self.data and not any(c[2] for c in offered) and (label := options.named(self.kind, self.data)):
            offered.append((self.data, label, True, {}))
        return iter(offered)


class ListField(SelectMultipleField):
    """Several of a fixed set, as check boxes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.type = "SelectMultipleField"  # what the templates go by


class ChoiceField(SelectField):
    """One of a Choice; data is the member."""

    def __init__(self, *args: Any, kind: type[Choice], blank: bool = False, **kwargs: Any) -> None:
        self.kind = kind
        super().__init__(*args, **kwargs)
        self.choices = [*([("", "")] if blank else []), *((m.value, str(m.label)) for m in kind)]

    def process_data(self, value: Any) -> None:
        self.data = value.value if isinstance(value, Choice) else value

    def process_formdata(self, valuelist: list[str]) -> None:
        self.data = valuelist[0] if valuelist else None


def _unbound(field: Any) -> UnboundField[Any]:
    return cast("UnboundField[Any]", field)


DECIMALS: dict[str, type[DecimalField]] = {"percent": PercentField, "rate": RateField}

TYPED: dict[str, dict[str, Any]] = {
    "email": {"type": "email", "inputmode": "email", "autocapitalize": "none", "spellcheck": "false"},
    "clock": {"type": "time"},
    "phone": {
        "type": "tel", "inputmode": "tel", "placeholder": "+49 30 1234567",
        "data-doubt": "/admin/doubts", "data-doubt-with": "country",
    },
}  # fmt: skip
"""How a text is typed: the keyboard of a phone, and what the browser checks."""


def field_of(prop: ColumnProperty[Any]) -> UnboundField[Any]:
    """The form field of a plain column."""
    column = prop.columns[0]
    info, kind = column.info, column.type
    widget = info.get("widget", "")
    required = not column.nullable and column.default is None and column.server_default is None
    rules: list[Any] = [validators.InputRequired() if required else validators.Optional()]
    common: dict[str, Any] = {"label": info.get("label", prop.key), "description": info.get("help", "")}
    if (default := _default(column)) is not None:
        common["default"] = default
    if isinstance(kind, Boolean):
        return _unbound(BooleanField(**common))
    if isinstance(kind, Enum):
        return _unbound(
            ChoiceField(
                kind=cast("type[Choice]", kind.enum_class),
                blank=not required and column.nullable,
                validators=rules,
                **common,
            )
        )
    if widget == "languages":
        return _unbound(ListField(choices=options.choices(widget), validators=[validators.InputRequired()], **common))
    if widget in options.KINDS:
        return _unbound(PickField(kind=widget, validators=rules, **common))
    if widget == "hue":
        return _unbound(HueField(validators=[validators.InputRequired(), validators.NumberRange(1, 8)], **common))
    if widget == "money":
        return _unbound(MoneyField(currency_field=info["currency"], render_kw={"inputmode": "decimal"}, **common))
    if widget in DECIMALS:
        # a percentage that is left empty is none
        filters = [] if widget == "rate" or column.nullable else [lambda value: value or 0]
        kw = {"inputmode": "decimal", "autocomplete": "off", "class": "num"}
        if widget == "percent":
            kw["data-unit"] = "%"
        return _unbound(DECIMALS[widget](validators=rules, filters=filters, render_kw=kw, **common))
    if isinstance(kind, UtcDateTime):
        return _unbound(MomentField(past=info["past"], validators=rules, **common))
    if isinstance(kind, Date):
        return _unbound(DateField(validators=rules, render_kw={"max": "9999-12-31"}, **common))
    if isinstance(kind, Integer):
        return _unbound(IntegerField(validators=[*rules, validators.NumberRange(-(2**31), 2**31 - 1)], **common))
    if isinstance(kind, Text) or widget == "area":
        limit = getattr(kind, "length", None) or 100_000
        return _unbound(
            TextAreaField(validators=[*rules, plain, validators.Length(max=limit)], filters=[_blank], **common)
        )
    if isinstance(kind, String):
        kw = TYPED.get(widget, {})
        checks = [*rules, plain, validators.Length(max=kind.length or 200)]
        return _unbound(
            StringField(
                validators=checks, filters=[_strip, _none if column.nullable else _blank], render_kw=kw, **common
            )
        )
    raise LookupError(f"no form field for {column}")


def _default(column: Any) -> Any:
    default = getattr(column.default, "arg", None)
    return None if callable(default) else default


def _blank(value: Any) -> Any:
    return "" if value is None else value


def _none(value: Any) -> Any:
    return value or None


class Converter(ModelConverterBase):
    """SQLAdmin asks this for the field of each attribute. Relations become look-ups, never a select over a table."""

    async def convert(self, model: type, prop: Any, *_args: Any, **_kwargs: Any) -> UnboundField[Any]:
        if not isinstance(prop, RelationshipProperty):
            return _shown_when(field_of(prop), prop.columns[0])
        column = next(iter(prop.local_columns))
        rule = validators.Optional() if column.nullable else validators.InputRequired()
        field = LookupField(
            column.info.get("label", prop.key),
            [rule],
            target=prop.mapper.class_.__tablename__,
            description=column.info.get("help", ""),
        )
        return _shown_when(_unbound(field), column)


def _shown_when(field: UnboundField[Any], column: Any) -> UnboundField[Any]:
    if when := column.info.get("when"):
        kwargs: dict[str, Any] = cast(Any, field).kwargs
        kwargs["render_kw"] = {**(kwargs.get("render_kw") or {}), "data-when": when}
    return field


def password_fields(label: str = _("Password"), required: bool = False, least: int = 8) -> dict[str, UnboundField[Any]]:
    """A password and its confirmation; the button beside the first makes one and fills both."""
    rules = [validators.InputRequired() if required else validators.Optional(), validators.Length(min=least, max=200)]
    return {
        "password": _unbound(PasswordField(label, rules, render_kw={"data-generate": "password_again"})),
        "password_again": _unbound(
            PasswordField(
                _("Password again"),
                [validators.EqualTo("password", _("The two passwords differ."))],
                render_kw={"autocomplete": "new-password"},
            )
        ),
    }


def set_currencies(form: Form, currency: str | None) -> None:
    """Tell money fields the currency of the row that is edited."""
    for field in cast("Iterable[Field]", form):
        if isinstance(field, MoneyField):
            own = form[field.currency_field].data if field.currency_field in form else None
            field.currency = own or currency or field.currency


def ask_again(form: Form) -> None:
    """A refused form never shows a password; that it has to be typed again is said, not left to be noticed."""
    for field in cast("Iterable[Any]", form):
        if isinstance(field, PasswordField) and field.data and not field.errors:
            field.errors = [gettext("Please enter it again: a password is not kept.")]


def focus_of(form: Form, groups: Iterable[dict[str, Any]], *, new: bool) -> str | None:
    """Where the cursor stands first: at the first mistake, else in the first field of a new form."""
    fields: list[Any] = [form[n] for g in groups for n in g["fields"] if n in form and form[n].type != "HiddenField"]
    wrong = [f for f in fields if f.errors]
    chosen = wrong or (fields if new else [])
    return chosen[0].name if chosen else None
