"""Expenses: one charge, booked at once; and taking one back."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.ledger import Move, check_amount, own_account, post, reverse
from app.errors import Conflict
from app.i18n import gettext
from app.models.billing import Cover, Expense
from app.models.ledger import Account, AccountKind, TransactionKind


async def charge(
    session: AsyncSession,
    *,
    account_id: int,
    key: str,
    description: str,
    net: int,
    tax: int = 0,
    tax_rate: int = 0,
    on_day: date | None = None,
    force: bool = False,
    **more: Any,
) -> Expense:
    """Take `net` + `tax` minor units from a customer's account, once for `key`, and write the expense.

    more: other columns of Expense (service_id, period_from, discount, explained, invoice_id ...). force: also what
    neither balance nor credit cover. Raises Conflict when they do not and the account does not pay afterwards; Invalid
    for an amount that cannot be booked. Asked again with the same key, the expense that there is comes back.
    """
    account = (
        await session.scalars(
            select(Account).where(Account.id == account_id).with_for_update().execution_options(populate_existing=True)
        )
    ).one()
    assert account.customer_id is not None
    gross = check_amount(net + tax, account.currency)

    async def own(kind: AccountKind) -> int:
        return await own_account(session, project_id=account.project_id, kind=kind, currency=account.currency)

    before = account.balance
    if before + account.credit_limit < gross and not account.post_paid and not force:
        there = await session.scalar(select(Expense).join(Expense.transaction).where(Expense.transaction.has(key=key)))
        if there is not None:
            return there
        raise Conflict(gettext("The balance is not enough."))
    day = on_day or utcnow().date()
    transaction_id, new = await post(
        session, key=key, kind=TransactionKind.CHARGE, description=description,
        at=datetime.combine(day, time(12), UTC) if on_day else None,
        moves=[
            Move(account.id, -gross),
            Move(await own(AccountKind.REVENUE), net),
            Move(await own(AccountKind.TAX), tax),
        ],
    )  # fmt: skip
    if not new:
        return (await session.scalars(select(Expense).where(Expense.transaction_id == transaction_id))).one()
    expense = Expense(
        on_day=day, customer_id=account.customer_id, account_id=account.id, description=description[:500],
        amount=gross, currency=account.currency, net=net, tax=tax, tax_rate=tax_rate,
        covered_by=Cover.BALANCE if before >= gross else Cover.CREDIT, transaction_id=transaction_id, **more,
    )  # fmt: skip
    session.add(expense)
    await session.flush()
    return expense


async def reverse_expense(session: AsyncSession, *, expense: Expense, reason: str) -> None:
    """Give back what was charged. Raises Conflict the second time."""
    expense.reversed_by_id = await reverse(session, transaction_id=expense.transaction_id, description=reason)
    await session.flush()
