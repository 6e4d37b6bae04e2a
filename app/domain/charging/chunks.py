"""One chunk: what of some customers is due, what of it is plain, and the charging of both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    String,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import unindexed, utcnow
from app.domain import catalog, discounts
from app.domain.billing.taxes import WHOLE
from app.domain.catalog.periods import later_sql, months_of
from app.domain.charging import booking, deciding
from app.domain.charging.booking import AUDITED, DUE, TERMS, OwnAccounts
from app.domain.charging.costs import Taxes
from app.domain.charging.ordering import start_waiting
from app.domain.discounts import Rules
from app.models import audit
from app.models.billing import Expense, Payer
from app.models.catalog import Period, Product, Service, ServiceStatus
from app.models.customers import Customer
from app.models.ledger import Account, AccountKind
from app.models.projects import Project
from app.models.touching import touch_accounts

_ACTIVE, _SUSPENDED = ServiceStatus.ACTIVE, ServiceStatus.SUSPENDED
LARGEST = 10**14
"""Minor units above which SQL might count past 2^63: such a price is counted in Python."""


@dataclass
class Charged:
    """What became of a chunk: how many charges, by SQL alone and in all; what could not be paid, and the states that
    followed."""

    plain: int = 0
    charges: int = 0
    unpaid: int = 0
    suspended: int = 0
    resumed: int = 0
    closed: int = 0
    free: int = 0
    started: int = 0

    def add(self, other: Charged) -> None:
        for name, n in vars(other).items():
            setattr(self, name, getattr(self, name) + n)


def waiting(day: date) -> ColumnElement[bool]:
    """Services of which a period has begun that is not charged; those that staff have suspended are none."""
    status = unindexed(Service.status)  # most are active: a chunk is found by its customers
    runs = or_(status == _ACTIVE, and_(status == _SUSPENDED, Service.unpaid_since.is_not(None)))
    return and_(runs, Service.next_charge_on <= day)


async def count_due(session: AsyncSession, day: date) -> int:
    return await session.scalar(select(func.count()).select_from(Service).where(waiting(day))) or 0


async def next_chunk(session: AsyncSession, *, day: date, after: int, size: int) -> int | None:
    """The last customer of a chunk of about so many due services after this customer; None: nothing is due."""
    due = select(Service.customer_id).where(waiting(day), Service.customer_id > after).order_by(Service.customer_id)
    found: int | None = await session.scalar(due.offset(size).limit(1))
    if found is not None:
        return found
    return await session.scalar(select(func.max(Service.customer_id)).where(waiting(day), Service.customer_id > after))


async def charge_account(session: AsyncSession, *, account_id: int, day: date | None = None) -> Charged:
    """Charge what is due of the customer whose account this is, then start the orders that waited for its money."""
    customer_id = await session.scalar(select(Account.customer_id).where(Account.id == account_id))
    if customer_id is None:
        return Charged()
    done = await charge_chunk(session, day=day or utcnow().date(), customers=(customer_id - 1, customer_id))
    account = (await session.scalars(select(Account).where(Account.id == account_id))).one()
    done.started = await start_waiting(session, account)
    return done


async def charge_chunk(
    session: AsyncSession, *, day: date, customers: tuple[int, int], set_based: bool = True
) -> Charged:
    """Charge everything due on `day` of the customers from the first id (not included) to the second (included).

    set_based: False decides everything in Python, for tests and measurements. Whatever is charged already stays so.
    """
    result = Charged()
    first, last = customers
    these = _within(first, last, Service.customer_id)
    # said of each table that is joined: else the database reads all of a table for each chunk
    joined = and_(these, _within(first, last, Customer.id, Account.customer_id))
    await booking.open_tables(session)
    await _open_accounts(session, and_(these, _within(first, last, Customer.id)), day)
    await _lock(session, first, last)
    result.closed = await _close_ended(session, these, day)
    rules = await discounts.rules(session, customers=and_(Customer.id > first, Customer.id <= last))
    taxes, own = Taxes(session), OwnAccounts(session)
    hard: list[int] | None = None
    if set_based and not rules.reach_all(day):
        await _terms(session, joined, day, taxes, own)
        hard = await _plain(session, joined, day, rules)
        result.plain = result.charges = await booking.book(session, day)
        await session.execute(delete(DUE), execution_options=AUDITED)
    if hard is None or hard:
        decided = await deciding.decide(
            session, day=day, due=and_(these, waiting(day)), joined=joined, rules=rules, taxes=taxes, own=own,
        )  # fmt: skip
        await booking.add_rows(session, DUE, decided.rows)
        if decided.rows:
            result.charges += await booking.book(session, day)
        await deciding.settle(session, decided, day)
        result.unpaid, result.free = len(decided.unpaid), decided.free
        result.suspended, result.resumed = len(decided.suspend), len(decided.resume)
        result.closed += len(decided.close)
    if result.charges:
        told = {"day": [None, day.isoformat()], "customers": [None, list(customers)], "charged": [None, result.charges]}
        await session.run_sync(lambda s: audit.write(s, "charge", "service", None, told))
    return result


def _within(first: int, last: int, *columns: Any) -> ColumnElement[bool]:
    return and_(*(and_(column > first, column <= last) for column in columns))


def _joined(statement: Any) -> Any:
    """A service with its customer, product, project and the account that pays for it."""
    return (
        statement.select_from(Service)
        .join(Customer, Customer.id == Service.customer_id)
        .join(Product, Product.id == Service.product_id)
        .join(Project, Project.id == Customer.project_id)
        .join(Account, and_(Account.customer_id == Customer.id, Account.project_id == Customer.project_id,
                            Account.currency == Service.currency))
    )  # fmt: skip


async def _open_accounts(session: AsyncSession, these: ColumnElement[bool], day: date) -> None:
    there = exists().where(
        Account.customer_id == Customer.id, Account.project_id == Customer.project_id,
        Account.currency == Service.currency,
    )  # fmt: skip
    limit = case((Project.currency == Service.currency, Project.credit_limit), else_=0)
    missing = (
        select(
            Customer.id, Customer.project_id, Service.currency, literal(AccountKind.CUSTOMER, Account.kind.type), limit
        )
        .distinct()
        .select_from(Service)
        .join(Customer, Customer.id == Service.customer_id)
        .join(Project, Project.id == Customer.project_id)
        .where(these, waiting(day), ~there)
    )
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    columns = ["customer_id", "project_id", "currency", "kind", "credit_limit"]
    statement = dialect.insert(Account).from_select(columns, missing).on_conflict_do_nothing()
    opened = (await session.scalars(statement.returning(Account.id), execution_options=AUDITED)).all()
    for start in range(0, len(opened), 10_000):
        await touch_accounts(session, opened[start : start + 10_000])


async def _lock(session: AsyncSession, first: int, last: int) -> None:
    """Whoever else moves these accounts' money waits; SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        rows = select(Account.id).where(Account.customer_id > first, Account.customer_id <= last).order_by(Account.id)
        await session.execute(select(func.count()).select_from(rows.with_for_update(key_share=True).subquery()))


async def _close_ended(session: AsyncSession, these: ColumnElement[bool], day: date) -> int:
    over = and_(
        Service.auto_renew.is_(False), Service.period != Period.ONCE,
        or_(Service.started_on.is_(None), Service.started_on != Service.next_charge_on),
    )  # fmt: skip
    ended = (await session.scalars(select(Service).where(these, waiting(day), over))).all()
    for service in ended:
        service.next_charge_on = None
        await catalog.move_service(session, service=service, status=ServiceStatus.CLOSED)
    return len(ended)


async def _terms(session: AsyncSession, these: ColumnElement[bool], day: date, taxes: Taxes, own: OwnAccounts) -> None:
    """Fill TERMS: one row for each kind of customer, currency, payer and day that is due."""
    kinds = (
        Customer.project_id, Service.currency, Customer.country, Customer.kind,
        func.coalesce(Service.payer_id, Account.payer_id), Service.next_charge_on,
    )  # fmt: skip
    found = (await session.execute(_joined(select(*kinds)).where(these, waiting(day)).distinct())).all()
    projects = await by_id(session, Project, {f[0] for f in found})
    payers = await by_id(session, Payer, {f[4] for f in found if f[4]})
    rows = []
    for project_id, currency, country, kind, payer_id, from_day in found:
        alike = Customer(country=country, kind=kind)  # never added: only these two say what the tax is
        rate = await taxes.rate(projects[project_id], alike, payers.get(payer_id or 0), from_day)
        revenue, tax = await own.of(project_id, currency)
        rows.append({
            "project_id": project_id, "currency": currency, "country": country, "kind": kind.value,
            "payer_id": payer_id or 0, "day": from_day, "rate": rate, "revenue_id": revenue, "tax_id": tax,
        })  # fmt: skip
    await booking.add_rows(session, TERMS, rows)


async def by_id(session: AsyncSession, model: Any, ids: Iterable[int]) -> dict[int, Any]:
    wanted, found = sorted(ids), {}
    for start in range(0, len(wanted), 10_000):
        rows = await session.scalars(select(model).where(model.id.in_(wanted[start : start + 10_000])))
        found.update({row.id: row for row in rows})
    return found


async def _plain(session: AsyncSession, these: ColumnElement[bool], day: date, rules: Rules) -> list[int]:
    """Fill DUE with the charges of accounts that need no thought; the services of all others are given back."""
    setup = case((Service.started_on == Service.next_charge_on, Service.setup_fee), else_=0)
    months = months_of(Service.period)
    charge_day = func.coalesce(Service.charge_day, cast(func.extract("day", Service.next_charge_on), Integer))
    until = case((months.is_(None), None), else_=later_sql(Service.next_charge_on, months, charge_day))
    charged = exists().where(Expense.service_id == Service.id, Expense.period_from == Service.next_charge_on)
    price, rate = case((Service.price <= LARGEST, Service.price), else_=0), TERMS.c.rate
    with_net = (2 * WHOLE * price + WHOLE + rate) // (2 * (WHOLE + rate))  # as taxes.split counts
    on_top = (2 * price * rate + WHOLE) // (2 * WHOLE)
    raw = (
        _joined(
            select(
                Service.id.label("service_id"), Account.id.label("account_id"), Service.customer_id, Service.currency,
                (Product.name + ", " + Service.name).label("description"), Service.next_charge_on.label("period_from"),
                until.label("period_to"),
                case((Project.prices_with_tax, with_net), else_=price).label("net"),
                case((Project.prices_with_tax, price - with_net), else_=on_top).label("tax"), rate.label("rate"),
                TERMS.c.revenue_id, TERMS.c.tax_id, Account.balance, Account.credit_limit, Account.post_paid,
                case(
                    (
                        and_(
                            Service.status == _ACTIVE, Service.price > 0, Service.price <= LARGEST, setup == 0,
                            ~charged, ~discounts.reach(rules.discounts, Service, Customer, Product),
                        ),
                        1,
                    ),
                    else_=0,
                ).label("fits"),
            )
        )
        .join(TERMS, and_(
            TERMS.c.project_id == Customer.project_id, TERMS.c.currency == Service.currency,
            TERMS.c.country == Customer.country, TERMS.c.kind == cast(Customer.kind, String),
            TERMS.c.payer_id == func.coalesce(Service.payer_id, Account.payer_id, 0),
            TERMS.c.day == Service.next_charge_on,
        ))
        .where(these, waiting(day))
        .subquery("raw")
    )  # fmt: skip
    gross = raw.c.net + raw.c.tax
    of_account = {"partition_by": raw.c.account_id}
    running = func.sum(gross).over(**of_account, order_by=(raw.c.period_from, raw.c.service_id))
    one_period = or_(raw.c.period_to.is_(None), raw.c.period_to > literal(day, DUE.c.period_from.type))
    fits = case((one_period, raw.c.fits), else_=0)
    counted = select(
        raw, running.label("so_far"), func.sum(gross).over(**of_account).label("all_of_it"),
        func.min(fits).over(**of_account).label("all_fit"),
    ).subquery("counted")  # fmt: skip
    c = counted.c
    easy = and_(c.all_fit == 1, or_(c.post_paid, c.all_of_it <= c.balance + c.credit_limit))
    rows = select(
        c.service_id, c.account_id, c.customer_id, c.currency, func.substr(c.description, 1, 500), c.period_from,
        c.period_to, c.net, c.tax, c.rate, literal(0),
        case((c.so_far <= c.balance, booking.BALANCE), else_=booking.CREDIT), c.revenue_id,
        c.tax_id, booking.new_ids(session.get_bind().dialect.name), true(), easy,
    )  # fmt: skip
    columns = [
        "service_id", "account_id", "customer_id", "currency", "description", "period_from", "period_to", "net", "tax",
        "rate", "discount", "covered_by", "revenue_id", "tax_id", "transaction_id", "last", "easy",
    ]  # fmt: skip
    await session.execute(insert(DUE).from_select(columns, rows), execution_options=AUDITED)
    gone = delete(DUE).where(~DUE.c.easy).returning(DUE.c.service_id)
    return list((await session.execute(gone, execution_options=AUDITED)).scalars())
