"""The lines of a draft in its form: as many as were sent, some empty ones, and a button for more; without scripts."""

from __future__ import annotations

import re
from decimal import Decimal, Overflow
from typing import Any, cast

from wtforms import Field, HiddenField, StringField, validators
from wtforms.utils import unset_value
from wtforms.widgets import TextInput

from admin_views.base import AppForm
from admin_views.base.fields import SAFE_INTEGER, ChoiceField, MoneyField, plain
from app.domain.billing.lines import MOST, ONE, LineIn, problems
from app.i18n import _, gettext, read_amount
from app.models.billing import InvoiceLine, LineKind

EMPTY = 3
"""Empty lines below those that are filled in."""
LEAST = 5
_NAME = re.compile(r"lines-(\d{1,3})-\w+", re.ASCII)


class QuantityField(Field):
    """How many, with up to three decimals; data is in thousandths."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.text: str | None = None

    widget = TextInput()

    def process_formdata(self, valuelist: list[str]) -> None:
        self.text = valuelist[0].strip() if valuelist else ""

    def pre_validate(self, form: Any) -> None:
        if self.text is None:
            return
        try:
            thousandths = read_amount(self.text or "1") * ONE
        except (ValueError, Overflow):
            raise validators.StopValidation(gettext("A number, please.")) from None
        if not thousandths.is_finite() or abs(thousandths) > SAFE_INTEGER:
            raise validators.StopValidation(gettext("A number, please."))
        if thousandths != thousandths.to_integral_value():
            raise validators.StopValidation(gettext("At most three decimals, please."))
        self.data = int(thousandths)

    def _value(self) -> str:
        if self.text is not None:
            return self.text
        return "" if self.data is None else f"{Decimal(self.data) / ONE:f}".rstrip("0").rstrip(".") or "0"


KINDS = (LineKind.SALE, LineKind.ADVANCE)


class LineForm(AppForm):
    line = HiddenField()
    description = StringField(_("Description"), [validators.Length(max=500), plain])
    kind = ChoiceField(_("Kind"), kind=LineKind, default=LineKind.SALE.value)
    quantity = QuantityField(_("Quantity"), render_kw={"inputmode": "decimal"})
    price = MoneyField(_("Price"))
    discount = MoneyField(_("Discount"))

    def __init__(self, *args: Any, currency: str, at: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.at = at
        mine = cast(Any, self)
        mine.kind.choices = [(k.value, str(k.label)) for k in KINDS]
        mine.price.currency = mine.discount.currency = currency

    @property
    def blank(self) -> bool:
        mine = cast(Any, self)
        return not (mine.description.data or "").strip() and not mine.price._value() and not mine.discount._value()

    @property
    def entered(self) -> LineIn:
        mine = cast(Any, self)
        return LineIn(
            (mine.description.data or "").strip(), mine.price.data or 0, ONE if mine.quantity.data is None
            else mine.quantity.data, mine.discount.data or 0, LineKind(mine.kind.data or LineKind.SALE),
        )  # fmt: skip

    def check(self) -> bool:
        """Shape first, then what the domain says of the line; each mistake at its field."""
        sound = self.validate()
        if sound:
            for name, problem in problems(self.entered).items():
                field = cast(Any, self)[name]
                field.errors = [*field.errors, problem]
                sound = False
        return sound


class LinesField(Field):
    """data: the filled lines as `LineIn`, with the id of the line that each came from as [(id or None, line)]."""

    widget = TextInput()

    def __init__(self, *args: Any, currency: str, **kwargs: Any) -> None:
        self.entries: list[LineForm] = []
        self.currency = currency
        self.more = False
        super().__init__(*args, **kwargs)

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        self.process_errors, self.errors = [], []
        if formdata:
            places = sorted({int(m[1]) for name in formdata if (m := _NAME.fullmatch(name))})[: MOST + EMPTY]
            self.currency = _currency(formdata.get("currency", "")) or self.currency
            self.entries = [self._form(at, formdata) for at in places]
            self.more = "more_lines" in formdata
            wanted = EMPTY if self.more else 0
        else:
            rows: list[InvoiceLine] = [] if data is unset_value or data is None else data
            self.entries = [self._form(at, data=_of(row)) for at, row in enumerate(rows)]
            wanted = EMPTY
        first = max((e.at + 1 for e in self.entries), default=0)
        for at in range(first, first + max(wanted, LEAST - len(self.entries))):
            self.entries.append(self._form(at))

    def _form(self, at: int, formdata: Any = None, **kw: Any) -> LineForm:
        return LineForm(formdata, prefix=f"lines-{at}", currency=self.currency, at=at, **kw)

    def set_currency(self, currency: str) -> None:
        self.currency = currency
        for entry in self.entries:
            mine = cast(Any, entry)
            mine.price.currency = mine.discount.currency = currency

    @property
    def data(self) -> list[tuple[int | None, LineIn]]:
        return [(_number(cast(Any, e).line.data), e.entered) for e in self.entries if not e.blank]

    @data.setter
    def data(self, _value: Any) -> None:
        """What is entered stands in the entries."""

    def validate(self, form: Any, extra_validators: Any = ()) -> bool:
        self.errors = []
        filled = [entry for entry in self.entries if not entry.blank]
        for at, entry in enumerate(filled, 1):
            if not entry.check():
                said = next(str(e) for errors in entry.errors.values() for e in errors)
                self.errors = [*self.errors, gettext("Line %(n)d: %(text)s") % {"n": at, "text": said}]
        if self.more:
            self.errors = []
            return False  # nothing is saved: more lines were asked for
        if not filled:
            self.errors = [gettext("Please enter at least one line.")]
        return not self.errors


def _currency(text: str) -> str:
    return text if len(text) == 3 and text.isascii() and text.isalpha() else ""


def _number(text: Any) -> int | None:
    text = str(text or "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _of(row: InvoiceLine) -> dict[str, Any]:
    return {
        "line": str(row.id), "description": row.description, "kind": row.kind, "quantity": row.quantity,
        "price": row.unit_price, "discount": row.discount or None,
    }  # fmt: skip
