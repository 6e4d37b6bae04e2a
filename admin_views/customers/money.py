"""Money of a customer: the balance in the list, and what the tab of the accounts shows below them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from admin_views import incomes
from admin_views.base.cells import esc, ready
from admin_views.base.cells import money as show
from admin_views.base.plan import Column
from app.i18n import _, gettext, show_date
from app.models.customers import Customer
from app.models.ledger import Account, Entry

SHOWN = 2
"""Currencies in a cell; the card has them all."""
LATELY = 8


def balances() -> ColumnElement[Any]:
    """What a customer has, as "128450 EUR,500 USD"; the accounts of one currency stay apart."""
    text = cast(Account.balance, String) + " " + Account.currency
    mine = select(func.aggregate_strings(text, ",")).where(Account.customer_id == Customer.id)
    return mine.correlate(Customer).scalar_subquery()


def _cell(customer: Any) -> str:
    sums: dict[str, int] = {}
    for part in (customer.balances or "").split(","):
        amount, _space, currency = part.partition(" ")
        if currency:
            sums[currency] = sums.get(currency, 0) + int(amount)
    shown = [f'<span class="t-bad">{show(n, c)}</span>' if n < 0 else show(n, c) for c, n in sorted(sums.items())]
    return ", ".join(shown[:SHOWN]) + (" …" if len(shown) > SHOWN else "")


BALANCE = Column("balance", _("Balance"), "amount", None, _cell, stored=False)


async def account_tab(session: AsyncSession, customer: Any) -> list[dict[str, Any]]:
    """The newest entries of all accounts, and income and expenses by month."""
    rows = await session.scalars(
        select(Entry)
        .join(Account, Account.id == Entry.account_id)
        .where(Account.customer_id == customer.id)
        .options(joinedload(Entry.transaction), joinedload(Entry.account))
        .order_by(Entry.at.desc(), Entry.id.desc())
        .limit(LATELY)
    )
    words = [
        ready(
            f'<span class="nowrap soft">{esc(show_date(e.at))}</span><span class="grow cut">'
            f'<span class="faint">{esc(e.transaction.kind.label)}</span> '
            f"<bdi>{esc(e.transaction.description)}</bdi></span>"
            f'<a class="ink num" href="/admin/account/details/{e.account_id}">{show(e.amount, e.account.currency)}</a>'
        )
        for e in rows
    ]
    return [
        {"label": gettext("Lately"), "kind": "words", "words": words},
        *({"label": c["label"], "kind": "chart", "chart": c} for c in await incomes.charts(session, customer.id)),
    ]
