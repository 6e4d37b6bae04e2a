"""Accounts: those of customers, and a project's own."""

from __future__ import annotations

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Conflict, NotFound
from app.i18n import gettext
from app.models.customers import Customer, CustomerProject
from app.models.ledger import Account, AccountKind
from app.models.projects import Project


async def usual_currency(session: AsyncSession, project_id: int) -> str:
    """That of the project. Raises NotFound."""
    found = await session.scalar(select(Project.currency).where(Project.id == project_id))
    if found is None:
        raise NotFound()
    return found


async def account_of(
    session: AsyncSession, *, customer: Customer, project_id: int | None = None, currency: str | None = None
) -> Account:
    """The customer's account in a project (their own unless given) and currency (the project's unless given).

    Opened when there is none yet, with the project's credit limit where the currency is the project's.
    Raises Conflict for a project that is neither theirs nor available to them.
    """
    project_id = project_id or customer.project_id
    if project_id != customer.project_id:
        available = select(CustomerProject.project_id).where(
            CustomerProject.customer_id == customer.id, CustomerProject.project_id == project_id
        )
        if await session.scalar(available) is None:
            raise Conflict(gettext("This project is not available to the customer."))
    usual = await usual_currency(session, project_id)
    currency = currency or usual
    query = select(Account).where(
        Account.customer_id == customer.id, Account.project_id == project_id, Account.currency == currency
    )
    if (found := await session.scalar(query)) is not None:
        return found
    limit = await session.scalar(select(Project.credit_limit).where(Project.id == project_id)) or 0
    try:
        async with session.begin_nested():
            account = Account(
                customer_id=customer.id, project_id=project_id, currency=currency, kind=AccountKind.CUSTOMER,
                credit_limit=limit if currency == usual else 0, balance=0,
            )  # fmt: skip
            session.add(account)
            await session.flush()
            return account
    except IntegrityError:  # somebody else opened it in this moment
        return (await session.scalars(query)).one()


async def own_account(session: AsyncSession, *, project_id: int, kind: AccountKind, currency: str) -> int:
    """The id of one of a project's own accounts; opened when there is none yet."""
    query = (
        select(Account.id)
        .where(
            Account.project_id == project_id, Account.kind == kind, Account.currency == currency,
            Account.customer_id.is_(None),
        )
        .order_by(Account.id)
        .limit(1)
        .execution_options(unscoped=True)
    )  # fmt: skip
    found: int | None = await session.scalar(query)
    if found is not None:
        return found
    # whoever opens an account of a project waits for whoever does the same
    await session.execute(
        select(Project.id).where(Project.id == project_id).with_for_update().execution_options(unscoped=True)
    )
    if (found := await session.scalar(query)) is None:
        values = {"project_id": project_id, "kind": kind, "currency": currency, "customer_id": None}
        statement = insert(Account).values(**values).returning(Account.id).execution_options(audited=True)
        found = (await session.execute(statement)).scalar_one()
    return found
