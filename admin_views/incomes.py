"""Charts of income and expenses by month, one for each currency: on the first page, and on the card of a customer."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from babel.dates import format_skeleton
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.ledger import by_month
from app.domain.ledger.statement import months
from app.i18n import exponent, gettext, locale, show_amount

MONTHS = 12
CURRENCIES = 3
"""So many charts at most: of the currencies in which most was moved."""


def _first() -> datetime:
    """The beginning of the month that was eleven months ago."""
    now = utcnow()
    year, month = divmod(now.year * 12 + now.month - MONTHS, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)


async def figures(session: AsyncSession, customer_id: int | None = None) -> dict[str, dict[str, tuple[int, int]]]:
    if customer_id is None:
        return await by_month.months(session, first=_first())
    return await months(session, first=_first(), customer_id=customer_id)


async def charts(session: AsyncSession, customer_id: int | None = None) -> list[dict[str, Any]]:
    return drawn(await figures(session, customer_id))


def drawn(found: dict[str, dict[str, tuple[int, int]]]) -> list[dict[str, Any]]:
    """A chart for each currency, the busiest first."""
    first = _first()
    starts = []
    for i in range(MONTHS):
        year, month = divmod(first.year * 12 + first.month - 1 + i, 12)
        starts.append(datetime(year, month + 1, 1, tzinfo=UTC))

    def weight(currency: str) -> float:
        return float(sum(abs(a) + abs(b) for a, b in found[currency].values())) / float(10 ** exponent(currency))

    made = []
    for currency in sorted(found, key=weight, reverse=True)[:CURRENCIES]:
        digits = exponent(currency)
        by_month = [found[currency].get(f"{s:%Y-%m}", (0, 0)) for s in starts]
        income, expenses = (sum(pair[i] for pair in by_month) for i in (0, 1))
        sentence = gettext(
            "In %(n)s months %(income)s %(currency)s came in and %(expenses)s %(currency)s were charged."
        )
        made.append(
            {
                "id": f"money-{currency}",
                "kind": "bars",
                "label": gettext("Income and expenses, %(currency)s") % {"currency": currency},
                "sentence": sentence % {
                    "n": MONTHS, "income": show_amount(income, currency), "currency": currency,
                    "expenses": show_amount(expenses, currency),
                },
                "head": gettext("Month"),
                "series": [gettext("Income"), gettext("Expenses")],
                "rows": [
                    (
                        format_skeleton("yMMMM", s, tzinfo=UTC, locale=locale()),
                        format_skeleton("MMM", s, tzinfo=UTC, locale=locale()),
                        [Decimal(n).scaleb(-digits) for n in pair],
                    )
                    for s, pair in zip(starts, by_month, strict=True)
                ],
            }
        )  # fmt: skip
    return made
