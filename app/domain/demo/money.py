"""Money of the demo: an account for everybody who has something, what was carried over, and a few corrections.

Payments and charges are made by the nouns that they belong to.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import ledger
from app.domain.ledger import Booking, Move
from app.models.billing import ExchangeRate
from app.models.customers import Customer, ExternalRef
from app.models.ledger import Account, AccountKind, Transaction, TransactionKind

if TYPE_CHECKING:
    from app.domain.demo.making import Maker

RATES = (("EUR", "RUB", 100_000_000_000), ("EUR", "USD", 1_090_000_000))
REASONS = (
    "Goodwill for the outage in March", "Typed twice by mistake", "Discount promised on the telephone",
    "Voucher of the summer campaign", "Fees of the bank",
)  # fmt: skip
SCALE = {"RUB": 100}
"""How much larger figures are in a currency than in euros."""
SOURCE = "demo"
LAST = "ledger-last"
"""The mark of the last transaction that the demo made: what is younger is somebody else's."""


async def open_accounts(maker: Maker, customers: list[Customer]) -> dict[int, Account]:
    """Customer -> their account, with what they had before; some have a limit, some pay afterwards."""
    r, session = maker.random, maker.session
    for base, quote, rate in RATES:
        known = select(ExchangeRate.id).where(ExchangeRate.base == base, ExchangeRate.quote == quote)
        if await session.scalar(known.limit(1)) is None:
            day = (maker.now - timedelta(days=730)).date()
            maker.mark(*await maker.keep([ExchangeRate(base=base, quote=quote, rate=rate, on_day=day)]))
    currencies = {p.id: p.currency for p in maker.words.projects.values()}
    accounts = await maker.keep([
        Account(
            customer_id=c.id, project_id=c.project_id, currency=currencies[c.project_id], kind=AccountKind.CUSTOMER,
            balance=0, credit_limit=r.choices((0, 5000, 20_000), (70, 20, 10))[0] * _scale(currencies[c.project_id]),
            post_paid=bool(c.legal_name) and r.random() < 0.12, created_at=c.registered_at,
        )
        for c in customers
    ])  # fmt: skip
    maker.mark(*accounts)
    own = {
        (project_id, currency): await ledger.own_account(
            session, project_id=project_id, kind=AccountKind.ADJUSTMENT, currency=currency
        )
        for project_id, currency in currencies.items()
    }
    bookings = []
    for customer, account in zip(customers, accounts, strict=True):
        to, scale = own[account.project_id, account.currency], _scale(account.currency)
        wanted = []
        if r.random() < 0.35:
            wanted.append(("carried", customer.registered_at, r.randrange(500, 9000), "Balance carried over"))
        if r.random() < 0.12:
            amount = r.choice((-1, 1)) * r.randrange(100, 2500)
            wanted.append(("corrected", maker.between(customer.registered_at), amount, r.choice(REASONS)))
        for what, at, amount, text in wanted:
            amount *= scale
            moves = (Move(account.id, amount), Move(to, -amount))
            bookings.append(Booking(f"demo:{what}:{account.id}", TransactionKind.CORRECTION, at, moves, text))
    await ledger.post_many(session, bookings)
    for account in accounts:
        session.expire(account, ["balance"])
    return {a.customer_id: a for a in accounts if a.customer_id is not None}


def _scale(currency: str) -> int:
    return SCALE.get(currency, 1)


async def note_the_last(maker: Maker) -> None:
    """Remember up to where the ledger is the demo's. Called when everything is booked."""
    last = await maker.session.scalar(select(func.max(Transaction.id)))
    if last is not None:
        maker.marks.append({"source": SOURCE, "ref": LAST, "noun": Transaction.__tablename__, "noun_id": last})


async def last_of_demo(session: AsyncSession) -> int:
    """The id up to which transactions are the demo's; 0 without any."""
    query = select(ExternalRef.noun_id).where(ExternalRef.source == SOURCE, ExternalRef.ref == LAST)
    return int(await session.scalar(query) or 0)
