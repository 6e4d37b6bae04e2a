"""Lines of invoices: what is entered, and the amounts that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.domain.billing.taxes import NONE, Tax, split
from app.domain.checks import Bad, line
from app.domain.ledger import LARGEST
from app.errors import Invalid
from app.i18n import gettext
from app.models.billing import InvoiceLine, LineKind

ONE = 1000
"""A quantity of one, in thousandths."""
MOST = 500
"""Lines of one invoice."""
_description = line(InvoiceLine.__table__.c.description, required=True)


@dataclass(frozen=True)
class LineIn:
    """A line as somebody enters it. price and discount in minor units, with or without tax as the project says.

    tax: None is by the rules. parts: (net, tax) where they are known already, as of what was charged before.
    """

    description: str
    price: int
    quantity: int = ONE
    discount: int = 0
    kind: LineKind = LineKind.SALE
    tax: Tax | None = None
    parts: tuple[int, int] | None = None
    service_id: int | None = None
    expense_id: int | None = None
    explained: dict[str, Any] | None = None


class OfRate(NamedTuple):
    """What an invoice holds of one tax rate."""

    rate: int
    name: str
    net: int
    tax: int


def times(price: int, quantity: int) -> int:
    """Price times quantity (in thousandths), half a unit away from zero."""
    return (2 * price * quantity + ONE) // (2 * ONE)


def make_lines(wanted: Sequence[LineIn], *, tax: Tax, with_tax: bool) -> list[InvoiceLine]:
    """Lines with their amounts. Tax is rounded on each line. Raises Invalid with `lines-<place>-<field>`."""
    errors: dict[str, str] = {}
    made = []
    for at, given in enumerate(wanted):
        wrong = problems(given)
        errors |= {f"lines-{at}-{field}": problem for field, problem in wrong.items()}
        if wrong:
            continue
        amount = times(given.price, given.quantity) - given.discount
        own = NONE if given.kind is LineKind.ADVANCE else given.tax or tax
        net, its_tax = given.parts or split(amount, own.rate, with_tax)
        made.append(
            InvoiceLine(
                position=at + 1, kind=given.kind, description=_description(given.description),
                quantity=given.quantity, unit_price=given.price, discount=given.discount, tax_rate=own.rate,
                tax_name=own.name, net=net, tax=its_tax, total=net + its_tax, service_id=given.service_id,
                expense_id=given.expense_id, explained=given.explained,
            )
        )  # fmt: skip
    if len(wanted) > MOST:
        errors["lines"] = gettext("At most %(n)d lines, please.") % {"n": MOST}
    if sum(made_line.total for made_line in made) > LARGEST:
        errors["lines"] = gettext("This amount is too large.")
    if errors:
        raise Invalid(**errors)
    return made


def problems(given: LineIn) -> dict[str, str]:
    """What is wrong with a line: field -> sentence."""
    found = {}
    try:
        _description(given.description)
    except Bad as bad:
        found["description"] = str(bad)
    if not 0 < given.quantity <= LARGEST:
        found["quantity"] = gettext("Please enter a quantity above zero.")
    if not 0 <= given.price <= LARGEST or times(given.price, max(given.quantity, 0)) > LARGEST:
        below = gettext("Please enter an amount of zero or more.")
        found["price"] = below if given.price < 0 else gettext("This amount is too large.")
    elif not 0 <= given.discount <= times(given.price, max(given.quantity, 0)):
        found["discount"] = gettext("A discount is at most the price.")
    return found


def of_rates(lines: Iterable[InvoiceLine]) -> list[OfRate]:
    """The sums by tax rate, the highest first."""
    sums: dict[tuple[int, str], list[int]] = {}
    for row in lines:
        found = sums.setdefault((row.tax_rate, row.tax_name), [0, 0])
        found[0] += row.net
        found[1] += row.tax
    return [OfRate(rate, name, net, tax) for (rate, name), (net, tax) in sorted(sums.items(), reverse=True)]


def as_entered(row: InvoiceLine) -> LineIn:
    """A line of a draft as it was entered, to be counted anew."""
    before = row.kind is LineKind.EXPENSE
    return LineIn(
        row.description, row.unit_price, row.quantity, row.discount, row.kind,
        Tax(row.tax_rate, row.tax_name) if before else None, (row.net, row.tax) if before else None, row.service_id,
        row.expense_id, row.explained,
    )  # fmt: skip
