"""Deciding in Python, account by account: discounts explained, several periods in order, as far as the money goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from heapq import heappop, heappush
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain import catalog
from app.domain.catalog.periods import next_period
from app.domain.charging import booking
from app.domain.charging.booking import AUDITED, OwnAccounts
from app.domain.charging.costs import Cost, Taxes, cost, ends, is_first
from app.domain.discounts import Case, Rules
from app.domain.ledger import LARGEST
from app.i18n import gettext, speaking
from app.models.billing import Expense, Payer
from app.models.catalog import Product, Service, ServiceStatus
from app.models.customers import Customer
from app.models.ledger import Account
from app.models.projects import Project
from app.models.touching import touch


@dataclass
class Decided:
    rows: list[dict[str, Any]] = field(default_factory=list)
    """For booking.DUE."""
    moved: dict[int, date | None] = field(default_factory=dict)
    """Services that go on without a charge: it was made before."""
    unpaid: list[int] = field(default_factory=list)
    suspend: list[int] = field(default_factory=list)
    resume: list[int] = field(default_factory=list)
    close: list[int] = field(default_factory=list)
    free: int = 0


@dataclass
class _Purse:
    """An account while its services are charged."""

    balance: int
    credit: int
    post_paid: bool
    queue: list[tuple[date, int, Any]] = field(default_factory=list)

    def pays(self, gross: int) -> bool:
        return self.post_paid or not gross or gross <= self.balance + self.credit


async def decide(
    session: AsyncSession, *, day: date, due: ColumnElement[bool], rules: Rules, taxes: Taxes, own: OwnAccounts,
    joined: ColumnElement[bool] | None = None,
) -> Decided:  # fmt: skip
    """What is charged of the due services, and what becomes of those that nobody pays. joined: says of their customers
    and accounts where they are."""
    rows = await _rows(session, due if joined is None else and_(due, joined))
    projects = {p.id: p for p in await session.scalars(select(Project))}
    payers = await _payers(session, {r.payer_id for r in rows if r.payer_id})
    charged = await _charged(session, due)
    purses: dict[int, _Purse] = {}
    for r in rows:
        purse = purses.get(r.account_id)
        if purse is None:
            purse = purses[r.account_id] = _Purse(r.balance, r.credit_limit, r.post_paid)
        heappush(purse.queue, (r.next_charge_on, r.id, r))
    result, last_row, rates = Decided(), dict[int, dict[str, Any]](), dict[tuple[Any, ...], int]()
    for account_id in sorted(purses):
        purse = purses[account_id]
        while purse.queue:
            begins, service_id, r = heappop(purse.queue)
            project = projects[r.project_id]
            if ends(r.period, r.auto_renew, r.started_on, begins):
                result.close.append(service_id)
                continue
            until = next_period(begins, r.period, r.charge_day or r.next_charge_on.day)
            if (service_id, begins) in charged:
                result.moved[service_id] = until
            else:
                of = (r.project_id, r.country, r.kind, r.payer_id, begins)
                if (rate := rates.get(of)) is None:
                    alike = Customer(country=r.country, kind=r.kind)  # never added: only these two matter
                    rate = rates[of] = await taxes.rate(project, alike, payers.get(r.payer_id or 0), begins)
                setup = r.setup_fee if is_first(r.started_on, begins) else 0
                case = Case(r.customer_id, r.project_id, r.product_id, r.group_id, r.period, r.price, r.currency)
                price = cost(rules, case, setup, rate, project.prices_with_tax, begins)
                if price.gross > LARGEST or not purse.pays(price.gross):
                    result.unpaid.append(service_id)
                    paid_some = service_id in last_row or service_id in result.moved
                    since = day if paid_some else r.unpaid_since or day
                    if r.status is ServiceStatus.ACTIVE and day >= since + timedelta(days=project.grace_days):
                        result.suspend.append(service_id)
                    continue
                row = _row(r, begins, until, price, purse, setup, project)
                row["revenue_id"], row["tax_id"] = await own.of(r.project_id, r.currency)
                if (before := last_row.get(service_id)) is not None:
                    before["last"] = False
                last_row[service_id] = row
                result.rows.append(row)
                result.moved.pop(service_id, None)
                result.free += not price.gross
                purse.balance -= price.gross
            if until is not None and until <= day:
                heappush(purse.queue, (until, service_id, r))
            elif r.status is ServiceStatus.SUSPENDED:
                result.resume.append(service_id)
    charges = [row for row in result.rows if row["net"] + row["tax"]]
    for row, transaction_id in zip(charges, await booking.take_ids(session, len(charges)), strict=True):
        row["transaction_id"] = transaction_id
    return result


def _row(
    r: Any, begins: date, until: date | None, price: Cost, purse: _Purse, setup: int, project: Project
) -> dict[str, Any]:
    said = f"{r.product}, {r.name}"
    if setup:
        with speaking(r.language or project.default_language):
            said = gettext("%(what)s, with the set-up fee") % {"what": said}
    return {
        "service_id": r.id, "account_id": r.account_id, "customer_id": r.customer_id, "currency": r.currency,
        "description": said[:500], "period_from": begins, "period_to": until, "net": price.net, "tax": price.tax,
        "rate": price.rate, "discount": price.discount, "discount_id": price.discount_id,
        "explained": price.explained, "last": True, "transaction_id": None, "easy": False,
        "covered_by": booking.BALANCE if price.gross <= max(purse.balance, 0) else booking.CREDIT,
    }  # fmt: skip


async def _rows(session: AsyncSession, due: ColumnElement[bool]) -> list[Any]:
    """The due services, with what is to be known of customer, product and account."""
    columns = (
        Service.id, Service.customer_id, Service.name, Service.product_id, Service.price, Service.currency,
        Service.period, Service.next_charge_on, Service.charge_day, Service.setup_fee, Service.started_on,
        Service.unpaid_since, Service.status, Service.auto_renew, Product.name.label("product"), Product.group_id,
        Customer.project_id, Customer.country, Customer.kind, Customer.language, Account.id.label("account_id"),
        Account.balance, Account.credit_limit, Account.post_paid,
        func.coalesce(Service.payer_id, Account.payer_id).label("payer_id"),
    )  # fmt: skip
    statement = (
        select(*columns)
        .join(Customer, Customer.id == Service.customer_id)
        .join(Product, Product.id == Service.product_id)
        .join(Account, and_(Account.customer_id == Customer.id, Account.project_id == Customer.project_id,
                            Account.currency == Service.currency))
        .where(due)
        .order_by(Service.customer_id)
    )  # fmt: skip
    return list((await session.execute(statement)).all())


async def _payers(session: AsyncSession, ids: set[int]) -> dict[int, Payer]:
    wanted, found = sorted(ids), {}
    for start in range(0, len(wanted), 10_000):
        rows = await session.scalars(select(Payer).where(Payer.id.in_(wanted[start : start + 10_000])))
        found.update({row.id: row for row in rows})
    return found


async def _charged(session: AsyncSession, due: ColumnElement[bool]) -> set[tuple[int, date]]:
    """Periods that are charged although the service says that they are due: somebody has put back its date."""
    rows = await session.execute(
        select(Expense.service_id, Expense.period_from)
        .join(Service, Service.id == Expense.service_id)
        .where(due, Expense.period_from >= Service.next_charge_on)
    )
    return {(service_id, begins) for service_id, begins in rows if service_id is not None and begins is not None}


async def settle(session: AsyncSession, decided: Decided, day: date) -> None:
    """Write what became of the services beside their charges."""
    options = {**AUDITED, "synchronize_session": False}
    quiet = [*decided.moved, *decided.unpaid]
    for start in range(0, len(quiet), 10_000):
        owners = select(Service.customer_id).where(Service.id.in_(quiet[start : start + 10_000]))
        await touch(session, "service", owners.distinct())
    for service_id, until in decided.moved.items():
        await session.execute(
            update(Service)
            .where(Service.id == service_id)
            .values(next_charge_on=until, unpaid_since=None, version=Service.version + 1),
            execution_options=options,
        )
    for start in range(0, len(decided.unpaid), 10_000):
        some = decided.unpaid[start : start + 10_000]
        await session.execute(
            update(Service)
            .where(Service.id.in_(some), Service.unpaid_since.is_(None))
            .values(unpaid_since=day, version=Service.version + 1),
            execution_options=options,
        )
    moves = (
        (decided.suspend, ServiceStatus.SUSPENDED), (decided.resume, ServiceStatus.ACTIVE),
        (decided.close, ServiceStatus.CLOSED),
    )  # fmt: skip
    for ids, status in moves:
        for service_id in ids:
            query = select(Service).where(Service.id == service_id).execution_options(populate_existing=True)
            service = (await session.scalars(query)).one()
            due = None if status is ServiceStatus.CLOSED else service.next_charge_on
            service.next_charge_on = due
            await catalog.move_service(session, service=service, status=status, on=min(day, utcnow().date()))
            service.next_charge_on = due  # what was sold once and is paid does not begin anew
