"""Expenses: one charge, booked at once; and taking one back."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.ledger import Move, check_amount, check_open, check_reason, locked, own_account, post, reverse
from app.errors import Conflict
from app.i18n import gettext
from app.models.billing import Cover, Expense, Invoice, InvoiceLine, InvoiceStatus
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
    place = select(Account.project_id, Account.currency).where(Account.id == account_id)
    project_id, currency = (await session.execute(place)).one()
    gross = check_amount(net + tax, currency)
    # before the account is locked: whoever opens one of the project's own accounts may have to wait
    revenue = await own_account(session, project_id=project_id, kind=AccountKind.REVENUE, currency=currency)
    taxes = await own_account(session, project_id=project_id, kind=AccountKind.TAX, currency=currency) if tax else 0
    account = (await locked(session, [account_id]))[account_id]
    assert account.customer_id is not None
    there = await session.scalar(select(Expense).where(Expense.transaction.has(key=key)))
    if there is not None:
        return there
    await check_open(session, account.customer_id)
    before = account.balance
    if before + account.credit_limit < gross and not account.post_paid and not force:
        raise Conflict(gettext("The balance is not enough."))
    day = on_day or utcnow().date()
    transaction_id, new = await post(
        session, key=key, kind=TransactionKind.CHARGE, description=description,
        at=datetime.combine(day, time(12), UTC) if on_day else None,
        moves=[Move(account.id, -gross), Move(revenue, net), *([Move(taxes, tax)] if tax else [])],
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
    """Give back what was charged, for a reason. Raises Invalid without one, Conflict the second time."""
    reason = check_reason(reason)
    await locked(session, [expense.account_id])
    await session.refresh(expense, ["reversed_by_id", "credited"])
    if expense.reversed_by_id is not None or expense.credited:  # by credit notes, it may be
        raise Conflict(gettext("This has been reversed already."))
    if expense.transaction_id is None:
        raise Conflict(gettext("This cost nothing: there is nothing to give back."))
    expense.reversed_by_id = await reverse(session, transaction_id=expense.transaction_id, description=reason)
    expense.credited = expense.amount
    await session.flush()


async def take_back(session: AsyncSession, *, expense: Expense, reason: str) -> None:
    """Reverse an expense by hand. Raises Conflict for one that stands on an invoice: that is credited instead."""
    line = select(InvoiceLine.invoice_id).where(InvoiceLine.expense_id == expense.id)
    issued = select(Invoice.number).where(
        Invoice.status.not_in((InvoiceStatus.DRAFT, InvoiceStatus.CANCELLED)),
        or_(Invoice.id == expense.invoice_id, Invoice.id.in_(line)),
    )
    if (number := await session.scalar(issued.limit(1))) is not None:
        raise Conflict(
            gettext("This stands on the invoice %(number)s. Write a credit note instead.") % {"number": number}
        )
    await reverse_expense(session, expense=expense, reason=reason)
