"""Booking: one transaction with its entries, once for each key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.ledger.credited import account_credited
from app.errors import Conflict, Invalid, NotFound
from app.i18n import exponent, gettext
from app.models.ledger import Account, Entry, Transaction, TransactionKind
from app.models.touching import touch_accounts
from app.observe import Kind, actor

LARGEST = 10**15
"""Minor units of one booking. Above it, somebody has typed a telephone number."""


class Move(NamedTuple):
    """What happens to one account; amount in minor units of its currency, positive is the customer's favour."""

    account_id: int
    amount: int


def check_amount(amount: int, currency: str, field: str = "amount") -> int:
    """An amount that can be booked: more than nothing, and not absurd. Raises Invalid at `field`."""
    exponent(currency)
    if amount <= 0:
        raise Invalid(**{field: gettext("Please enter an amount above zero.")})
    if amount > LARGEST:
        raise Invalid(**{field: gettext("This amount is too large.")})
    return amount


async def post(
    session: AsyncSession,
    *,
    key: str,
    kind: TransactionKind,
    moves: Sequence[Move],
    description: str = "",
    at: datetime | None = None,
    reverses_id: int | None = None,
) -> tuple[int, bool]:
    """Book `moves` once for `key`: (id of the transaction, whether it is new).

    The moves sum to zero in each currency, and ValueError says when they do not: that is a mistake of the caller.
    Moves of nothing are left out. A key that is there already books nothing, whatever the moves are.
    Limits of balances are the caller's to check, with the account locked.
    """
    moves = [Move(*m) for m in moves if m.amount]
    found = await session.execute(
        select(Account.id, Account.currency, Account.customer_id)
        .where(Account.id.in_({m.account_id for m in moves}))
        .execution_options(unscoped=True)
    )
    rows = found.all()
    currencies = {row[0]: row[1] for row in rows}
    sums: Counter[str] = Counter()
    for move in moves:
        if not isinstance(move.amount, int):
            raise TypeError(f"{key}: amounts are whole minor units, not {type(move.amount).__name__}")
        if abs(move.amount) > LARGEST:
            raise Invalid(amount=gettext("This amount is too large."))
        if move.account_id not in currencies:
            raise ValueError(f"{key}: there is no account {move.account_id}")
        sums[currencies[move.account_id]] += move.amount
    if not moves or any(sums.values()):
        raise ValueError(f"{key}: the moves sum to {dict(sums)}")
    who = actor.get()
    values = {
        "key": key, "kind": kind, "at": at or utcnow(), "description": description[:500],
        "staff_id": who.staff_id if who.kind is Kind.STAFF else None, "reverses_id": reverses_id,
    }  # fmt: skip
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(Transaction).values(**values).on_conflict_do_nothing(index_elements=["key"])
    new = await session.scalar(statement.returning(Transaction.id), execution_options={"audited": True})
    if new is None:
        there: int | None = await session.scalar(select(Transaction.id).where(Transaction.key == key))
        if there is None:
            raise Conflict(gettext("Somebody else is booking the same. Please try again."))
        return there, False
    entries = [
        {"transaction_id": new, "account_id": m.account_id, "amount": m.amount, "at": values["at"]} for m in moves
    ]
    # one statement: PostgreSQL sees there that they sum to zero
    await session.execute(insert(Entry).values(entries), execution_options={"audited": True})
    for account_id in currencies:  # their balances have moved in the database
        if (known := session.identity_map.get(session.sync_session.identity_key(Account, account_id))) is not None:
            await session.refresh(known, ["balance"])
    theirs = {row[0] for row in rows if row[2] is not None}
    await touch_accounts(session, sorted(theirs))
    for account_id in {m.account_id for m in moves if m.amount > 0} & theirs:
        await account_credited(session, account_id)
    return new, True


class Booking(NamedTuple):
    """One of many: what `post` takes."""

    key: str
    kind: TransactionKind
    at: datetime
    moves: tuple[Move, ...]
    description: str = ""


async def post_many(session: AsyncSession, bookings: Sequence[Booking]) -> dict[str, int]:
    """Book all of them whose key is not there yet, in few statements: key -> id of each new transaction.

    The accounts are those of one currency for each booking; ValueError for one that does not sum to zero. What the
    session knows of the accounts is out of date afterwards.
    """
    for booking in bookings:
        amounts = [m.amount for m in booking.moves]
        if not amounts or sum(amounts) != 0 or 0 in amounts:
            raise ValueError(f"{booking.key}: the moves do not sum to zero")
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    booked: dict[str, int] = {}
    for start in range(0, len(bookings), MANY):
        part = bookings[start : start + MANY]
        rows = [
            {"key": b.key, "kind": b.kind, "at": b.at, "description": b.description[:500], "staff_id": None}
            for b in part
        ]
        statement = dialect.insert(Transaction).values(rows).on_conflict_do_nothing(index_elements=["key"])
        returned = statement.returning(Transaction.key, Transaction.id)
        new = {r[0]: r[1] for r in await session.execute(returned, execution_options={"audited": True})}
        entries = [
            {"transaction_id": new[b.key], "account_id": m.account_id, "amount": m.amount, "at": b.at}
            for b in part if b.key in new for m in b.moves
        ]  # fmt: skip
        if entries:
            await session.execute(insert(Entry).values(entries), execution_options={"audited": True})
            await touch_accounts(session, sorted({entry["account_id"] for entry in entries}))
        booked |= new
    return booked


MANY = 250
"""Bookings in one statement."""


async def reverse(session: AsyncSession, *, transaction_id: int, description: str) -> int:
    """Book the opposite of a transaction, once. Returns the id of the reversal. Raises NotFound, Conflict the second
    time."""
    # all of them, also of accounts that this person does not see: a half would not sum to zero
    query = select(Entry).where(Entry.transaction_id == transaction_id).execution_options(unscoped=True)
    entries = (await session.scalars(query)).all()
    if not entries:
        raise NotFound()
    reversal, new = await post(
        session, key=f"reversal:{transaction_id}", kind=TransactionKind.REVERSAL, description=description,
        moves=[Move(e.account_id, -e.amount) for e in entries], reverses_id=transaction_id,
    )  # fmt: skip
    if not new:
        raise Conflict(gettext("This has been reversed already."))
    return reversal
