"""Accounts: those of customers with their terms, and a project's own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from babel.numbers import list_currencies
from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.ledger.credited import account_credited
from app.domain.ledger.posting import LARGEST
from app.errors import Conflict, Invalid, NotFound
from app.i18n import gettext
from app.models.billing.methods import PaymentMethod
from app.models.billing.payers import Payer
from app.models.customers import Customer, CustomerProject, CustomerStatus
from app.models.ledger import Account, AccountKind
from app.models.projects import Project


async def usual_currency(session: AsyncSession, project_id: int) -> str:
    """That of the project. Raises NotFound."""
    found = await session.scalar(select(Project.currency).where(Project.id == project_id))
    if found is None:
        raise NotFound()
    return found


def check_currency(currency: str, field: str = "currency") -> str:
    """A code of ISO 4217. Raises Invalid at `field`."""
    if currency not in list_currencies():
        raise Invalid(**{field: gettext("This is not a currency code, such as EUR (ISO 4217).")})
    return currency


async def locked(session: AsyncSession, account_ids: Iterable[int]) -> dict[int, Account]:
    """Accounts of customers, by id, as they are now: nobody else moves their balances until this transaction ends.

    They are locked in the order of their ids, so that two who want the same cannot block each other. Raises NotFound.
    """
    wanted = set(account_ids)
    rows = await session.scalars(
        select(Account)
        .where(Account.id.in_(wanted), Account.customer_id.is_not(None))
        .order_by(Account.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    found = {account.id: account for account in rows}
    if found.keys() != wanted:
        raise NotFound()
    return found


async def check_open(session: AsyncSession, customer_id: int | None) -> None:
    """Raises Conflict for a closed customer: only refunds and corrections are booked there."""
    status = await session.scalar(
        select(Customer.status).where(Customer.id == customer_id).execution_options(unscoped=True)
    )
    if status is CustomerStatus.CLOSED:
        raise Conflict(gettext("The customer is closed. Only refunds and corrections can be booked."))


async def find_account(session: AsyncSession, *, customer_id: int, project_id: int, currency: str) -> Account | None:
    """That of a customer in a project and currency; None where it was never opened."""
    found: Account | None = await session.scalar(
        select(Account).where(
            Account.customer_id == customer_id, Account.project_id == project_id, Account.currency == currency
        )
    )
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
    currency = check_currency(currency or usual)
    there = partial(find_account, session, customer_id=customer.id, project_id=project_id, currency=currency)
    if (found := await there()) is not None:
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
        found = await there()
        assert found is not None
        return found


async def open_account(
    session: AsyncSession, *, customer_id: int, project_id: int | None = None, currency: str | None = None
) -> Account:
    """Open one more account. Raises Invalid at the field for what it cannot be, Conflict for a closed customer."""
    customer = await session.scalar(select(Customer).where(Customer.id == customer_id))
    if customer is None:
        raise Invalid(customer_id=gettext("Choose one from the list."))
    await check_open(session, customer.id)
    project_id = project_id or customer.project_id
    currency = check_currency(currency or await usual_currency(session, project_id))
    there = select(Account.id).where(
        Account.customer_id == customer_id, Account.project_id == project_id, Account.currency == currency
    )
    if await session.scalar(there) is not None:
        raise Invalid(currency=gettext("The customer has this account already."))
    try:
        return await account_of(session, customer=customer, project_id=project_id, currency=currency)
    except Conflict as problem:
        raise Invalid(project_id=str(problem)) from None


async def set_terms(
    session: AsyncSession,
    *,
    account: Account,
    credit_limit: int,
    post_paid: bool = False,
    auto_invoice: bool = False,
    payer_id: int | None = None,
    method_id: int | None = None,
) -> None:
    """What an account may do and how it is paid. Raises Invalid at the field."""
    if not 0 <= credit_limit <= LARGEST:
        below = gettext("A credit limit is not below zero.")
        raise Invalid(credit_limit=below if credit_limit < 0 else gettext("This amount is too large."))
    if payer_id is not None:
        owner = await session.scalar(select(Payer.customer_id).where(Payer.id == payer_id))
        if owner is None or owner != account.customer_id:
            raise Invalid(payer_id=gettext("This payer belongs to another customer."))
    if method_id is not None:
        enabled = await session.scalar(select(PaymentMethod.enabled).where(PaymentMethod.id == method_id))
        if enabled is None or (not enabled and method_id != account.method_id):
            raise Invalid(method_id=gettext("This payment method is not in use."))
    more = credit_limit > account.credit_limit or (post_paid and not account.post_paid)
    account.credit_limit, account.post_paid, account.auto_invoice = credit_limit, post_paid, auto_invoice
    account.payer_id, account.method_id = payer_id, method_id
    await session.flush()
    if more:
        await account_credited(session, account.id)


async def own_account(session: AsyncSession, *, project_id: int, kind: AccountKind, currency: str) -> int:
    """The id of one of a project's own accounts; opened when there is none yet.

    Asked for before an account of a customer is locked: two who open the same wait for each other.
    """
    query = (
        select(Account.id)
        .where(
            Account.project_id == project_id, Account.kind == kind, Account.currency == currency,
            Account.customer_id.is_(None),
        )
        .execution_options(unscoped=True)
    )  # fmt: skip
    found: int | None = await session.scalar(query)
    if found is not None:
        return found
    values = {"project_id": project_id, "kind": kind, "currency": currency, "customer_id": None}
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(Account).values(**values)
    statement = statement.on_conflict_do_nothing(
        index_elements=["project_id", "kind", "currency"], index_where=text("customer_id IS NULL")
    )
    found = await session.scalar(statement.returning(Account.id), execution_options={"audited": True})
    if found is None:  # somebody else opened it in this moment
        found = await session.scalar(query)
    assert found is not None
    return found
