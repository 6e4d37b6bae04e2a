"""Orders of customers: what they would pay, ordering at that price, and starting as soon as the money is there.

An order that waits for money is ORDERED with `unpaid_since`; one that staff have entered has no such day and waits for
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain import catalog, custom, discounts, ledger
from app.domain.catalog import Price, next_period
from app.domain.charging import booking, deciding
from app.domain.charging.booking import OwnAccounts
from app.domain.charging.costs import Cost, Taxes, cost, is_first
from app.domain.discounts import Case, Rules
from app.errors import Conflict, Invalid, NotFound
from app.i18n import gettext
from app.models.billing import Payer
from app.models.catalog import Period, Product, Service, ServiceStatus
from app.models.customers import Customer, CustomerStatus
from app.models.ledger import Account, AccountKind
from app.models.projects import Project


class Quote(NamedTuple):
    """What a customer pays for a price. first: with the set-up fee; later: each period after it."""

    price: Price
    first: Cost
    later: Cost


class Quotes:
    """The prices of one customer, for any product and payer: rules and rates are loaded once."""

    def __init__(self, session: AsyncSession, customer: Customer, project: Project, rules: Rules, usual: Payer | None):
        self.customer, self.project, self.rules, self.usual = customer, project, rules, usual
        self._taxes = Taxes(session)

    async def of(self, product: Product, price: Price, payer: Payer | None = None, *, day: date | None = None) -> Quote:
        """payer: who stands on the invoice; else that of the account. day: on which it is charged, else today."""
        day = day or utcnow().date()
        rate = await self._taxes.rate(self.project, self.customer, payer or self.usual, day)
        case = Case(self.customer.id, self.project.id, product.id, product.group_id, price.period, price.price,
                    price.currency)  # fmt: skip
        with_tax = self.project.prices_with_tax
        later = cost(self.rules, case, 0, rate, with_tax, day)
        first = cost(self.rules, case, price.setup_fee, rate, with_tax, day) if price.setup_fee else later
        return Quote(price, first, later)


async def quotes(session: AsyncSession, customer: Customer) -> Quotes:
    project = (await session.scalars(select(Project).where(Project.id == customer.project_id))).one()
    rules = await discounts.rules(session, customers=Customer.id == customer.id)
    usual = select(Payer).join(Account, Account.payer_id == Payer.id).where(
        Account.customer_id == customer.id, Account.project_id == project.id, Account.currency == project.currency
    )  # fmt: skip
    return Quotes(session, customer, project, rules, await session.scalar(usual))


async def order(
    session: AsyncSession,
    *,
    customer_id: int,
    product_id: int,
    values: dict[str, object],
    seen: int | None = None,
    form_key: str | None = None,
) -> Service:
    """Order what is offered to this customer; it starts at once when balance or credit pay for its first period.

    values: name, period, payer_id, and custom: the custom fields that are theirs to fill in. seen: what the customer
    was told to pay for the first period, with tax; Invalid when it is another amount now, and nothing is ordered.
    form_key: asked again with the same, the order that there is comes back. Raises NotFound for what is not offered to
    them, Conflict for a closed customer.
    """
    if form_key is not None and (there := await ordered_with(session, form_key)) is not None:
        return there
    customer = await session.scalar(select(Customer).where(Customer.id == customer_id))
    if customer is None:
        raise NotFound
    await ledger.check_open(session, customer.id)
    offered = {product.id: (product, prices) for product, prices in await catalog.offers(session, customer)}
    if product_id not in offered:
        raise NotFound
    product, prices = offered[product_id]
    price = next((p for p in prices if p.period.value == values.get("period")), None)
    if price is None:
        raise Invalid(period=gettext("This product has no price for this period and currency."))
    service = await catalog.save_service(
        session,
        values={
            **values, "period": price.period, "currency": price.currency, "customer_id": customer.id,
            "product_id": product.id,
        },
        custom_of=custom.CUSTOMER,
    )  # fmt: skip
    payer = await session.scalar(select(Payer).where(Payer.id == service.payer_id)) if service.payer_id else None
    quote = await (await quotes(session, customer)).of(product, price, payer)
    if seen is not None and seen != quote.first.gross:
        raise Invalid(period=gettext("The price has changed meanwhile. Please look at it again before you order."))
    if quote.first.gross > ledger.LARGEST:
        raise Conflict(gettext("This amount is too large."))
    service.form_key = form_key
    account = await ledger.account_of(session, customer=customer, currency=service.currency)
    await _start(session, service, account, customer, quote.first.gross)
    return service


async def ordered_with(session: AsyncSession, form_key: str) -> Service | None:
    """The order that this form has made."""
    return await session.scalar(select(Service).where(Service.form_key == form_key))


async def _start(session: AsyncSession, service: Service, account: Account, customer: Customer, gross: int) -> bool:
    """Start it and charge its first period when that can be paid; else it waits for money."""
    for kind in (AccountKind.REVENUE, AccountKind.TAX):  # opened before the account is locked
        await ledger.own_account(session, project_id=customer.project_id, kind=kind, currency=account.currency)
    account = (await ledger.locked(session, [account.id]))[account.id]
    today = utcnow().date()
    if not account.post_paid and gross > account.balance + account.credit_limit:
        service.unpaid_since = service.unpaid_since or today
        await session.flush()
        return False
    await catalog.move_service(session, service=service, status=ServiceStatus.ACTIVE)
    await _charge(session, service)
    return True


async def _charge(session: AsyncSession, service: Service) -> bool:
    """Charge the next period of one service today. Whether it was booked."""
    await session.flush()
    today = utcnow().date()
    await booking.open_tables(session)
    decided = await deciding.decide(
        session, day=today, due=Service.id == service.id, taxes=Taxes(session), own=OwnAccounts(session),
        rules=await discounts.rules(session, customers=Customer.id == service.customer_id),
    )  # fmt: skip
    await booking.add_rows(session, booking.DUE, decided.rows)
    if decided.rows:
        await booking.book(session, today)
    await deciding.settle(session, decided, today)
    await session.refresh(service)
    return not decided.unpaid


def may_renew_now(service: Service) -> bool:
    """Whether its next period may be paid ahead: it runs, and no period is paid ahead already."""
    if service.status is not ServiceStatus.ACTIVE or service.period is Period.ONCE or service.next_charge_on is None:
        return False
    ahead = next_period(utcnow().date(), service.period, None)
    return service.unpaid_since is None and ahead is not None and service.next_charge_on <= ahead


async def renew_now(session: AsyncSession, *, service: Service, begins: date | None, seen: int | None = None) -> bool:
    """Pay the period that begins on `begins` ahead, from balance or credit. False: it is paid already, nothing happens.

    Raises Conflict when the money is not enough or it cannot be renewed now, Invalid when `seen` is not what it costs.
    """
    customer = (await session.scalars(select(Customer).where(Customer.id == service.customer_id))).one()
    await ledger.check_open(session, customer.id)
    account = await ledger.account_of(session, customer=customer, currency=service.currency)
    for kind in (AccountKind.REVENUE, AccountKind.TAX):
        await ledger.own_account(session, project_id=customer.project_id, kind=kind, currency=account.currency)
    await ledger.locked(session, [account.id])
    await session.refresh(service)
    if begins is not None and service.next_charge_on is not None and service.next_charge_on > begins:
        return False
    if not may_renew_now(service):
        raise Conflict(gettext("This service cannot be renewed now."))
    if seen is not None and seen != (await next_cost(session, service)).gross:
        raise Invalid(seen=gettext("The price has changed meanwhile. Please look at it again before you order."))
    by_itself, service.auto_renew = service.auto_renew, True  # else it would end here
    paid = await _charge(session, service)
    if not paid:
        raise Conflict(gettext("The balance is not enough."))
    service.auto_renew = by_itself
    await session.flush()
    return True


async def waiting_orders(session: AsyncSession, customer_id: int, *, limit: int = 50) -> Sequence[Service]:
    """Orders of a customer that start as soon as the money is there, the oldest first."""
    rows = await session.scalars(
        select(Service)
        .where(
            Service.customer_id == customer_id, Service.status == ServiceStatus.ORDERED,
            Service.unpaid_since.is_not(None),
        )
        .order_by(Service.id)
        .limit(limit)
    )  # fmt: skip
    return rows.all()


async def next_cost(session: AsyncSession, service: Service) -> Cost:
    """What the next period of a service will cost, as prices, discounts and tax are now."""
    begins = service.next_charge_on
    quote = await _quote(session, service, max(begins, utcnow().date()) if begins else None)
    return quote.first if begins is None or is_first(service.started_on, begins) else quote.later


async def first_cost(session: AsyncSession, service: Service) -> Cost:
    """What the first period of an order costs today."""
    return (await _quote(session, service, None)).first


async def _quote(session: AsyncSession, service: Service, day: date | None) -> Quote:
    customer = (await session.scalars(select(Customer).where(Customer.id == service.customer_id))).one()
    product = (await session.scalars(select(Product).where(Product.id == service.product_id))).one()
    payer = await session.scalar(select(Payer).where(Payer.id == service.payer_id)) if service.payer_id else None
    price = Price(service.period, service.currency, service.price, service.setup_fee)
    return await (await quotes(session, customer)).of(product, price, payer, day=day)


async def missing_for(session: AsyncSession, service: Service) -> int:
    """What has to come to the account until an order that waits for money can start."""
    customer = (await session.scalars(select(Customer).where(Customer.id == service.customer_id))).one()
    account = await ledger.find_account(
        session, customer_id=customer.id, project_id=customer.project_id, currency=service.currency
    )
    there = account.balance + account.credit_limit if account is not None else 0
    return max((await first_cost(session, service)).gross - there, 0)


async def start_waiting(session: AsyncSession, account: Account) -> int:
    """Start the orders that waited for money, the oldest first, as far as it goes. Returns how many."""
    if account.customer_id is None:
        return 0
    customer = await session.scalar(select(Customer).where(Customer.id == account.customer_id))
    if customer is None or customer.project_id != account.project_id or customer.status is CustomerStatus.CLOSED:
        return 0
    started = 0
    for service in await waiting_orders(session, customer.id):
        if service.currency == account.currency:
            gross = (await first_cost(session, service)).gross
            started += await _start(session, service, account, customer, gross)
    return started


def said_twice(error: IntegrityError) -> bool:
    """Whether a form was sent twice at the same moment: the first one has won."""
    return "form_key" in str(error.orig)
