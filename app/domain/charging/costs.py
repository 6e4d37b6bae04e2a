"""What a period of a service costs a customer: its price, the discount that wins, and the tax."""

from __future__ import annotations

from bisect import bisect_right
from datetime import date
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import discounts
from app.domain.billing import taxes
from app.domain.discounts import Case, Explained, Rules
from app.models.billing import Payer
from app.models.catalog import Period
from app.models.customers import Customer
from app.models.projects import Project


class Cost(NamedTuple):
    """In minor units; `net` and `tax` are what is booked, `discount` was taken off before."""

    net: int
    tax: int
    rate: int
    discount: int
    discount_id: int | None
    explained: Explained | None

    @property
    def gross(self) -> int:
        return self.net + self.tax


class Taxes:
    """Rates that were asked for once: there are few, and many who pay them."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self._known: dict[tuple[object, ...], int] = {}
        self._reverse: dict[tuple[int, int], bool] = {}
        self._changes: list[date] | None = None

    async def rate(self, project: Project, customer: Customer, payer: Payer | None, day: date) -> int:
        reverse = False
        if payer is not None:
            key = (project.id, payer.id)
            if key not in self._reverse:
                self._reverse[key] = taxes.reverse_charged(project, payer)
            reverse = self._reverse[key]
        if self._changes is None:
            self._changes = await taxes.changes(self.session)
        era = bisect_right(self._changes, day)  # between two changes all days are alike
        place = (project.id, *taxes.payer_place(customer, payer), reverse, era)
        if place not in self._known:
            tax = await taxes.tax_for(self.session, project=project, customer=customer, payer=payer, day=day)
            self._known[place] = tax.rate
        return self._known[place]


def cost(rules: Rules, case: Case, setup_fee: int, rate: int, with_tax: bool, day: date) -> Cost:
    """Of the period that begins on `day`. A discount is on the price, never on the set-up fee."""
    won = rules.find(case, day) if rules.discounts else discounts.NOTHING
    net, tax = taxes.split(case.price - won.amount_off + setup_fee, rate, with_tax)
    return Cost(net, tax, rate, won.amount_off, won.discount_id, won.explained)


def is_first(started_on: date | None, period_from: date) -> bool:
    """Whether a period is the one that the set-up fee is asked for with."""
    return started_on is not None and started_on == period_from


def ends(period: Period, auto_renew: bool, started_on: date | None, period_from: date) -> bool:
    """Whether a service that does not renew by itself is over when this period would begin."""
    return not auto_renew and period is not Period.ONCE and not is_first(started_on, period_from)
