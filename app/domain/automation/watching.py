"""What happens by the clock: services that expire, invoices that are overdue, tickets that wait, balances that have
fallen, and the rules of every day. Each look is a few statements over all customers.

A rule means what reaches its mark while it is in use. After an outage it looks LATE back, and no farther: a mark that
is older was told of, or is no news any more. The log is kept longer than that, so nothing is told twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, String, cast, delete, exists, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.automation import events, rules
from app.domain.automation.events import Event
from app.models.automation import BelowAmount, Rule, RuleRun, Touched, Trigger
from app.models.billing import Invoice, InvoiceKind, InvoiceStatus
from app.models.catalog import Service, ServiceStatus
from app.models.customers import Customer
from app.models.ledger import Account
from app.models.tickets import Ticket, TicketMessage, TicketStatus
from app.queue import enqueue

LATE = timedelta(days=3)
SLICE = 1000
DAY = "automation.day"
"""The task of a rule of every day."""


class Candidates(NamedTuple):
    """rows: customer, key of the event, number of what it is about, and its day or moment."""

    rows: Select[Any]
    what: Callable[[Any], dict[str, Any]]


def expiring(rule: Rule, first: date, last: date) -> Candidates:
    """Services that expire `rule.days` after a day of this span, and not before today."""
    ahead = timedelta(days=rule.days)
    key = literal("service:") + cast(Service.id, String) + ":" + cast(Service.next_charge_on, String)
    rows: Any = (
        select(Service.customer_id, key.label("key"), Service.id.label("ref"), Service.next_charge_on.label("when"),
               Service.name.label("name"))
        .where(Service.status == ServiceStatus.ACTIVE,
               Service.next_charge_on.between(max(first + ahead, utcnow().date()), last + ahead))
    )  # fmt: skip
    return Candidates(rows, lambda row: {
        "what": "expiring", "service": row.ref, "name": row.name, "on": row.when.isoformat()
    })  # fmt: skip


def overdue(rule: Rule, first: date, last: date) -> Candidates:
    """Invoices that were due `rule.days` before a day of this span."""
    ago = timedelta(days=rule.days)
    key = literal("invoice:") + cast(Invoice.id, String) + ":" + cast(Invoice.due_on, String)
    rows: Any = (
        select(Invoice.customer_id, key.label("key"), Invoice.id.label("ref"), Invoice.due_on.label("when"),
               Invoice.number.label("name"))
        .where(Invoice.status.in_((InvoiceStatus.ISSUED, InvoiceStatus.OVERDUE)),
               Invoice.kind == InvoiceKind.INVOICE, Invoice.due_on.between(first - ago, last - ago))
    )  # fmt: skip
    return Candidates(rows, lambda row: {
        "what": "overdue", "invoice": row.ref, "name": row.name or "", "on": row.when.isoformat()
    })  # fmt: skip


def waiting(rule: Rule, first: datetime, last: datetime) -> Candidates:
    """Tickets whose customer has waited for `rule.hours` at a moment of this span."""
    wrote = TicketMessage.ticket_id == Ticket.id, TicketMessage.from_customer
    since = select(func.max(TicketMessage.created_at)).where(*wrote).scalar_subquery()
    message = select(func.max(TicketMessage.id)).where(*wrote).scalar_subquery()
    key = literal("ticket:") + cast(Ticket.id, String) + ":" + cast(message, String)
    long = timedelta(hours=rule.hours)
    rows: Any = (
        select(Ticket.customer_id, key.label("key"), Ticket.id.label("ref"), since.label("when"),
               Ticket.subject.label("name"))
        .where(Ticket.status == TicketStatus.OPEN, since.between(first - long, last - long))
    )  # fmt: skip
    return Candidates(rows, lambda row: {
        "what": "waiting", "ticket": row.ref, "name": row.name, "since": _moment(row.when)
    })  # fmt: skip


def _moment(value: datetime | str) -> str:
    """SQLite forgets that what it computes is a moment."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


def candidates(rule: Rule, first: datetime, last: datetime) -> Candidates | None:
    """What reaches the mark of a rule in this span; None: its trigger has no mark."""
    match rule.trigger:
        case Trigger.EXPIRING:
            return expiring(rule, first.date(), last.date())
        case Trigger.OVERDUE:
            return overdue(rule, first.date(), last.date())
        case Trigger.WAITING:
            return waiting(rule, first, last)
    return None


async def look(session: AsyncSession, rule: Rule, now: datetime) -> bool:
    """Make runs of what has reached the mark of a rule, a slice of it. True: there may be more."""
    found = candidates(rule, max(rule.enabled_at or now, now - LATE), now)
    if found is None:
        return False
    test, problem = rules.meets(rule)
    if problem is not None:
        return False
    listed = found.rows.subquery()
    there = exists().where(RuleRun.rule_id == rule.id, RuleRun.event_key == listed.c.key)
    query = (
        select(listed).join(Customer, Customer.id == listed.c.customer_id).where(test, ~there)
        .order_by(listed.c.ref).limit(SLICE).execution_options(unscoped=True)
    )  # fmt: skip
    rows = (await session.execute(query)).all()
    await events.add(session, rule, [Event(row.customer_id, row.key, found.what(row)) for row in rows])
    return len(rows) == SLICE


# ---- balances -------------------------------------------------------------------------------------------------------


def below(rule: Rule) -> tuple[ColumnElement[bool], ...]:
    return Account.customer_id.is_not(None), Account.currency == rule.currency, Account.balance < rule.amount


async def look_at_balances(session: AsyncSession, rule: Rule, now: datetime) -> bool:
    """The first look of a rule only remembers which balances are below the amount; after it, each move is looked at
    where it was left (`fallen`). This makes runs of what nobody has left there, for the rule was not in use then. True:
    there may be more."""
    known = select(BelowAmount.account_id).where(BelowAmount.rule_id == rule.id)
    options: dict[str, Any] = {"synchronize_session": False, "unscoped": True}
    if not rule.armed:
        await rules.forget_balances(session, rule)
        now_below = select(literal(rule.id), Account.id).where(*below(rule)).execution_options(unscoped=True)
        statement = insert(BelowAmount).from_select(["rule_id", "account_id"], now_below)
        await session.execute(statement.execution_options(**options))
        newest = select(func.coalesce(func.max(Touched.id), 0)).scalar_subquery()
        armed = update(Rule).where(Rule.id == rule.id).values(armed=True, armed_upto=newest)
        await session.execute(armed.execution_options(audited=True, **options))
        return False
    left = Account.id.not_in(select(Touched.account_id).where(Touched.account_id.is_not(None)))
    risen = select(Account.id).where(Account.id.in_(known), ~(Account.balance < rule.amount), left)
    gone = delete(BelowAmount).where(BelowAmount.rule_id == rule.id, BelowAmount.account_id.in_(risen))
    await session.execute(gone.execution_options(**options))
    there = exists().where(BelowAmount.rule_id == rule.id, BelowAmount.account_id == Account.id)
    query = select(Account.id, Account.customer_id, Account.balance).where(*below(rule), ~there, left).limit(SLICE)
    rows = (await session.execute(query.execution_options(unscoped=True))).all()
    if not rows:
        return False
    await session.execute(insert(BelowAmount), [{"rule_id": rule.id, "account_id": row.id} for row in rows])
    stamp = now.strftime("%Y%m%d%H%M%S%f")
    found = [
        Event(row.customer_id, f"account:{row.id}:{stamp}",
              {"what": "balance", "account": row.id, "balance": row.balance, "currency": rule.currency})
        for row in rows
    ]  # fmt: skip
    await events.take(session, rule, found)
    return len(rows) == SLICE


async def fallen(session: AsyncSession, rule: Rule, moves: Sequence[Any], chain: Sequence[int]) -> None:
    """Make runs of the balances that fell below the amount with one of these moves (rows of `Touched`, in their order),
    also of those that have risen again since: each fall once."""
    fresh = [move for move in moves if move.id > rule.armed_upto]
    ids = sorted({move.account_id for move in fresh})
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        theirs = select(Account.id).where(Account.id.in_(some), Account.currency == rule.currency)
        mine = set(await session.scalars(theirs.execution_options(unscoped=True)))
        of = BelowAmount.rule_id == rule.id, BelowAmount.account_id.in_(some)
        known = set(await session.scalars(select(BelowAmount.account_id).where(*of)))
        was, found = set(known), []
        for move in fresh:
            if move.account_id not in mine:
                continue
            if move.balance >= rule.amount:
                known.discard(move.account_id)
            elif move.account_id not in known:
                known.add(move.account_id)
                what = {"what": "balance", "account": move.account_id, "balance": move.balance,
                        "currency": rule.currency}  # fmt: skip
                found.append(Event(move.customer_id, f"account:{move.account_id}:t{move.id}", what))
        gone = delete(BelowAmount).where(of[0], BelowAmount.account_id.in_(was - known))
        await session.execute(gone.execution_options(synchronize_session=False))
        if newly := known - was:
            await session.execute(insert(BelowAmount), [{"rule_id": rule.id, "account_id": n} for n in sorted(newly)])
        await events.take(session, rule, found, chain)


# ---- every day ------------------------------------------------------------------------------------------------------


def due_today(rule: Rule, now: datetime) -> date | None:
    """The day whose time has come for this rule, as the rule's people count days; None: not yet, or it was before the
    rule was in use."""
    zone = ZoneInfo(rule.zone)
    here = now.astimezone(zone)
    hour, minute = map(int, rule.clock.split(":"))
    mark = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if rule.enabled_at is None or not rule.enabled_at <= mark <= here:
        return None
    return here.date()


async def begin_day(session: AsyncSession, rule: Rule, now: datetime) -> bool:
    if (day := due_today(rule, now)) is not None:
        key = f"{DAY}:{rule.id}:{day.isoformat()}"
        await enqueue(session, DAY, key=key, rule_id=rule.id, day=day.isoformat())
    return False


async def take_day(session: AsyncSession, *, rule_id: int, day: str, after: int) -> int | None:
    """Make runs for the customers who meet the condition of a rule that day, a slice of them. Gives the id to go on
    behind; None: that were all."""
    rule = await session.get(Rule, rule_id)
    if rule is None or not rule.enabled or rule.trigger is not Trigger.DAILY or rule.condition is None:
        return None
    test, problem = rules.meets(rule)
    if problem is not None:
        return None
    query = select(Customer.id).where(Customer.id > after, test).order_by(Customer.id).limit(SLICE)
    ids = (await session.scalars(query.execution_options(unscoped=True))).all()
    found = [Event(n, f"day:{day}:{n}", {"what": "daily", "on": day}) for n in ids]
    await events.add(session, rule, found)
    return ids[-1] if len(ids) == SLICE else None


# ---- all ------------------------------------------------------------------------------------------------------------

LOOKS: dict[Trigger, Callable[[AsyncSession, Rule, datetime], Awaitable[bool]]] = {
    Trigger.EXPIRING: look, Trigger.OVERDUE: look, Trigger.WAITING: look, Trigger.BALANCE: look_at_balances,
    Trigger.DAILY: begin_day,
}  # fmt: skip


async def look_once(session: AsyncSession, *, rule_id: int, now: datetime) -> bool:
    """One look for one rule; True: there may be more to see. A broken one says so in the log, once a day."""
    rule = await session.get(Rule, rule_id)
    if rule is None or not rule.enabled:
        return False
    if (why := rules.problem_of(rule)) is not None:
        await events.break_off(session, rule, why)
        return False
    seen = LOOKS.get(rule.trigger)
    return await seen(session, rule, now) if seen is not None else False


async def in_use(session: AsyncSession) -> list[int]:
    """The rules that wait for the clock or for balances, and those that are broken."""
    found = await rules.enabled(session, *Trigger)
    return [rule.id for rule in found if rule.trigger in LOOKS or rules.problem_of(rule) is not None]
