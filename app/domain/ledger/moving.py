"""What staff do to money by hand: corrections, transfers between a customer's own accounts, refunds.

`key` tells one deed from the next: asked again with the same one, nothing more is booked.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.ledger.accounts import check_open, locked, own_account
from app.domain.ledger.exchange import convert, rate_on
from app.domain.ledger.posting import LARGEST, Move, check_amount, post
from app.errors import Conflict, Invalid
from app.i18n import gettext
from app.models.customers import Customer
from app.models.ledger import Account, AccountKind, Transaction, TransactionKind


def check_reason(reason: str, field: str = "reason") -> str:
    """Raises Invalid at `field` where none is given."""
    if not (reason := reason.strip()):
        raise Invalid(**{field: gettext("Please give a reason.")})
    return reason[:500]


def check_funds(account: Account, amount: int) -> None:
    """Raises Invalid when the balance does not hold so much; credit does not count."""
    if account.balance < amount:
        raise Invalid(amount=gettext("The balance is not enough."))


async def booked_as(session: AsyncSession, key: str) -> int | None:
    """The id of the transaction of this key, if it is booked already."""
    found: int | None = await session.scalar(select(Transaction.id).where(Transaction.key == key))
    return found


async def correct(session: AsyncSession, *, account_id: int, amount: int, reason: str, key: str) -> int:
    """Put an account right, up or down, for a reason. Returns the id of the transaction."""
    reason = check_reason(reason)
    if not amount:
        raise Invalid(amount=gettext("Please enter an amount other than zero."))
    if abs(amount) > LARGEST:
        raise Invalid(amount=gettext("This amount is too large."))
    project_id, currency = await _place(session, account_id)
    own = await own_account(session, project_id=project_id, kind=AccountKind.ADJUSTMENT, currency=currency)
    account = (await locked(session, [account_id]))[account_id]
    transaction_id, _new = await post(
        session, key=key, kind=TransactionKind.CORRECTION, description=reason,
        moves=[Move(account.id, amount), Move(own, -amount)],
    )  # fmt: skip
    return transaction_id


async def refund(session: AsyncSession, *, account_id: int, amount: int, reason: str, key: str) -> int:
    """Money of the balance goes back to the customer: written down here, sent by hand. Returns the transaction's id."""
    reason = check_reason(reason)
    project_id, currency = await _place(session, account_id)
    check_amount(amount, currency)
    cash = await own_account(session, project_id=project_id, kind=AccountKind.CASH, currency=currency)
    account = (await locked(session, [account_id]))[account_id]
    if (there := await booked_as(session, key)) is not None:
        return there
    check_funds(account, amount)
    transaction_id, _new = await post(
        session, key=key, kind=TransactionKind.REFUND, description=reason,
        moves=[Move(account.id, -amount), Move(cash, amount)],
    )  # fmt: skip
    return transaction_id


async def transfer(
    session: AsyncSession, *, account_id: int, to_id: int, amount: int, key: str, description: str = ""
) -> int:
    """Move `amount` of one account to another of the same customer, by the day's rate where the currency is another.

    The other one may also belong to whom the customer was merged into. Returns the id of the transaction. Raises
    Invalid at the field, Conflict for a closed customer and without a rate.
    """
    if account_id == to_id:
        raise Invalid(to_id=gettext("Choose another account."))
    project_id, currency = await _place(session, account_id)
    to_project, to_currency = await _place(session, to_id)
    check_amount(amount, currency)
    rate = await rate_on(session, currency, to_currency, utcnow().date())
    arrives = convert(amount, rate, currency, to_currency)
    if arrives <= 0:
        raise Invalid(amount=gettext("Nothing would arrive."))
    moves = [Move(account_id, -amount), Move(to_id, arrives)]
    if (project_id, currency) != (to_project, to_currency):  # each project's books sum to zero in each currency
        kind = AccountKind.EXCHANGE
        out, into = (project_id, currency), (to_project, to_currency)
        own = {}  # in one order for all, or two who transfer to each other would open them crosswise
        for place in sorted((out, into)):
            own[place] = await own_account(session, project_id=place[0], kind=kind, currency=place[1])
        moves += [Move(own[out], amount), Move(own[into], -arrives)]
    accounts = await locked(session, [account_id, to_id])
    if accounts[account_id].customer_id != accounts[to_id].customer_id and not await _left_behind(
        session, accounts[account_id], accounts[to_id]
    ):
        raise Invalid(to_id=gettext("This account belongs to another customer."))
    if (there := await booked_as(session, key)) is not None:
        return there
    await check_open(session, accounts[to_id].customer_id)
    check_funds(accounts[account_id], amount)
    transaction_id, _new = await post(
        session, key=key, kind=TransactionKind.TRANSFER, moves=moves,
        description=description.strip() or gettext("Transfer between own accounts"),
    )  # fmt: skip
    return transaction_id


async def _left_behind(session: AsyncSession, account: Account, to: Account) -> bool:
    """Whether the account is of a customer who was merged into that of the other one."""
    into = select(Customer.merged_into_id).where(Customer.id == account.customer_id)
    return await session.scalar(into) == to.customer_id


async def _place(session: AsyncSession, account_id: int) -> tuple[int, str]:
    """Project and currency of a customer's account. Raises Conflict for one that is not to be seen."""
    found = (
        await session.execute(
            select(Account.project_id, Account.currency).where(
                Account.id == account_id, Account.customer_id.is_not(None)
            )
        )
    ).one_or_none()
    if found is None:
        raise Conflict(gettext("There is no such account of a customer."))
    return found[0], found[1]
