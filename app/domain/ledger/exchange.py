"""From one currency to another, by the rates that staff keep. Whoever converts keeps the rate that was used."""

from __future__ import annotations

from datetime import date

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.ledger.posting import LARGEST
from app.errors import Conflict, Invalid
from app.i18n import exponent, gettext
from app.models.billing.rates import RATE_UNIT, ExchangeRate


def half_up(number: int, by: int) -> int:
    """The quotient as a whole number, halves away from zero. by: above zero."""
    whole = (2 * abs(number) + by) // (2 * by)
    return -whole if number < 0 else whole


async def rate_on(session: AsyncSession, base: str, quote: str, day: date) -> int:
    """So much of `quote` is one unit of `base` worth on the day, times RATE_UNIT.

    The latest rate that holds then, either way round; else by way of a third currency. Raises Conflict when there is
    none.
    """
    if base == quote:
        return RATE_UNIT
    rows = await session.scalars(
        select(ExchangeRate)
        .where(
            ExchangeRate.on_day <= day, or_(ExchangeRate.base.in_((base, quote)), ExchangeRate.quote.in_((base, quote)))
        )
        .order_by(ExchangeRate.on_day, ExchangeRate.id)
    )
    known: dict[tuple[str, str], tuple[date, int]] = {}
    for row in rows:  # a later one replaces the former, the way round that was written down the other on its day
        known[row.base, row.quote] = row.on_day, row.rate
        there = known.get((row.quote, row.base))
        if there is None or there[0] < row.on_day:
            known[row.quote, row.base] = row.on_day, max(1, half_up(RATE_UNIT * RATE_UNIT, row.rate))
    if (direct := known.get((base, quote))) is not None:
        return direct[1]
    ways = [
        (min(known[base, third][0], found[0]), third)
        for (third, target), found in known.items()
        if target == quote and (base, third) in known
    ]
    if not ways:
        raise Conflict(
            gettext("There is no exchange rate from %(base)s to %(quote)s on that day.")
            % {"base": base, "quote": quote}
        )
    third = max(ways)[1]
    return max(1, half_up(known[base, third][1] * known[third, quote][1], RATE_UNIT))


def convert(amount: int, rate: int, base: str, quote: str) -> int:
    """Minor units of `base` as minor units of `quote`, halves away from zero. Raises Invalid for what is too large."""
    found = half_up(amount * rate * 10 ** exponent(quote), RATE_UNIT * 10 ** exponent(base))
    if abs(found) > LARGEST:
        raise Invalid(amount=gettext("This amount is too large."))
    return found


async def save_rate(
    session: AsyncSession, *, base: str, quote: str, on_day: date, rate: int, row: ExchangeRate | None = None
) -> ExchangeRate:
    """Write a rate down, or change one. Raises Invalid at the field."""
    if base == quote:
        raise Invalid(quote=gettext("Choose another currency."))
    if not 0 < rate <= 10**18:
        raise Invalid(rate=gettext("Please enter a rate above zero."))
    same = select(ExchangeRate.id).where(
        ExchangeRate.base == base, ExchangeRate.quote == quote, ExchangeRate.on_day == on_day
    )
    there = await session.scalar(same)
    if there is not None and (row is None or there != row.id):
        raise Invalid(on_day=gettext("There is a rate of this day already."))
    if row is None:
        row = ExchangeRate()
        session.add(row)
    row.base, row.quote, row.on_day, row.rate = base, quote, on_day, rate
    await session.flush()
    return row
