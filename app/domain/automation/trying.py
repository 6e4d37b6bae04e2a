"""What a rule would do, over what is there: before it is switched on, and for one customer. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import filters, i18n
from app.db import utcnow
from app.domain.automation import fields, rules, watching, words
from app.domain.automation.events import event_of
from app.errors import NotFound
from app.i18n import gettext, ngettext, show_number
from app.models.audit import Audit, AuditDetail
from app.models.automation import Rule, Trigger
from app.models.customers import Customer, Membership
from app.models.ledger import Account

DAYS = 30
SAMPLE = 5
MOST = 10_000
"""No more are counted: "more than 10,000" says enough."""
LOOKED_AT, FAR = 5000, 200_000
"""So many changes, the newest, are looked through, among so many rows of the audit."""


@dataclass(frozen=True)
class Met:
    """A customer whom the rule meets: what happened, and what would be done."""

    customer_id: int
    name: str
    event: str
    would: list[str]


@dataclass(frozen=True)
class Preview:
    """said: whom it would meet, in words. n: how many. problem: why nobody."""

    said: str
    n: int = 0
    sample: list[Met] = field(default_factory=list)
    problem: str | None = None


@dataclass(frozen=True)
class Why:
    """Whether one customer meets the condition, and which parts of it hold."""

    name: str
    met: bool
    leaves: list[tuple[str, bool]]
    other_project: bool


async def preview(session: AsyncSession, rule: Rule) -> Preview:
    """Whom a rule would have met lately, or meets now, as far as the acting person sees them."""
    if (problem := rules.problem_of(rule)) is not None:
        return Preview(gettext("It meets nobody."), problem=problem)
    n, met = await _found(session, rule)
    names = words.names_for_reader(rule.names)
    sample = []
    for customer_id, what in met[:SAMPLE]:
        customer = await session.scalar(select(Customer).where(Customer.id == customer_id))
        if customer is not None:
            would = await _would(session, rule, customer, names)
            sample.append(Met(customer.id, customer.name, words.event(what, names), would))
    return Preview(_said(rule, n), n, sample)


def _said(rule: Rule, n: int) -> str:
    many = gettext("more than %(n)s") % {"n": show_number(MOST)} if n > MOST else show_number(n)
    match rule.trigger:
        case Trigger.JOINED | Trigger.LEFT | Trigger.REGISTERED | Trigger.CHANGED | Trigger.WAITING | Trigger.OVERDUE:
            said = ngettext(
                "In the last %(days)s days it would have met %(n)s customer.",
                "In the last %(days)s days it would have met %(n)s customers.", n,
            )  # fmt: skip
        case Trigger.EXPIRING:
            said = ngettext(
                "In the next %(days)s days it meets %(n)s service, as things are now.",
                "In the next %(days)s days it meets %(n)s services, as things are now.", n,
            )  # fmt: skip
        case Trigger.BALANCE:
            said = ngettext(
                "%(n)s balance is below the amount now. Only those that fall from now on are meant.",
                "%(n)s balances are below the amount now. Only those that fall from now on are meant.", n,
            )  # fmt: skip
        case _:
            said = ngettext("It meets %(n)s customer now.", "It meets %(n)s customers now.", n)
    return said % {"n": many, "days": show_number(DAYS)}


Found = tuple[int, list[tuple[int, dict[str, Any]]]]
"""How many, and a few of them: customer and event."""


async def _found(session: AsyncSession, rule: Rule) -> Found:
    test, _problem = rules.meets(rule)
    now = utcnow()
    ago = now - timedelta(days=DAYS)
    match rule.trigger:
        case Trigger.CHANGED | Trigger.LEFT:
            return await _changes(session, rule, test)
        case Trigger.REGISTERED:
            rows = select(Customer.id).where(Customer.registered_at >= ago, test)
            newest = rows.order_by(Customer.registered_at.desc(), Customer.id.desc())
            return await _count(session, rows), [
                (n, {"what": "registered"}) for n in await session.scalars(newest.limit(SAMPLE))
            ]
        case Trigger.JOINED:
            inside = select(Membership.customer_id).where(Membership.group_id == rule.group_id, Membership.since >= ago)
            inside = inside.join(Customer, Customer.id == Membership.customer_id).where(test)
            newest = inside.order_by(Membership.since.desc(), Membership.customer_id).limit(SAMPLE)
            name = rule.group_name
            return await _count(session, inside), [
                (n, {"what": "joined", "name": name}) for n in await session.scalars(newest)
            ]
        case Trigger.BALANCE:
            there: Any = select(Account.customer_id, Account.id, Account.balance).where(*watching.below(rule))
            there = there.join(Customer, Customer.id == Account.customer_id).where(test)
            few = (await session.execute(there.limit(SAMPLE))).all()
            return await _count(session, there), [
                (row.customer_id or 0, {"what": "balance", "balance": row.balance, "currency": rule.currency})
                for row in few
            ]
    span = (now, now + timedelta(days=DAYS)) if rule.trigger is Trigger.EXPIRING else (ago, now)
    if (marked := watching.candidates(rule, *span)) is not None:
        listed = marked.rows.subquery()
        met = select(listed).join(Customer, Customer.id == listed.c.customer_id).where(test)
        few = (await session.execute(met.order_by(listed.c.when).limit(SAMPLE))).all()
        return await _count(session, met), [(row.customer_id, marked.what(row)) for row in few]
    everybody = select(Customer.id).where(test)
    today = {"what": "daily", "on": now.date().isoformat()}
    ids = await session.scalars(everybody.order_by(Customer.id).limit(SAMPLE))
    return await _count(session, everybody), [(n, today) for n in ids]


async def _count(session: AsyncSession, rows: Select[Any]) -> int:
    return await session.scalar(select(func.count()).select_from(rows.limit(MOST + 1).subquery())) or 0


async def _changes(session: AsyncSession, rule: Rule, test: Any) -> Found:
    """By the newest changes that the audit holds."""
    noun, action = ("membership", "delete") if rule.trigger is Trigger.LEFT else ("customer", "update")
    query = (
        select(Audit.id, Audit.action, Audit.noun, Audit.noun_id, AuditDetail.payload)
        .join(AuditDetail, AuditDetail.audit_id == Audit.id)
        .where(
            Audit.noun == noun,
            Audit.action == action,
            Audit.at >= utcnow() - timedelta(days=DAYS),
            Audit.id > select(func.max(Audit.id) - FAR).scalar_subquery(),
        )
        .order_by(Audit.at.desc())
        .limit(LOOKED_AT)
        .execution_options(unscoped=True)  # only customers whom the reader sees are told of, below
    )
    met: dict[int, dict[str, Any]] = {}
    for row in await session.execute(query):
        if (found := event_of(rule, row)) is not None:
            met.setdefault(found.customer_id, found.what)
    ids = list(met)
    mine = set[int]()
    for start in range(0, len(ids), 1000):
        mine.update(await session.scalars(select(Customer.id).where(Customer.id.in_(ids[start : start + 1000]), test)))
    few = [(n, what) for n, what in met.items() if n in mine]
    return len(few), few[:SAMPLE]


async def _would(session: AsyncSession, rule: Rule, customer: Customer, names: words.Names) -> list[str]:
    """What would be done to this customer, and what is left out because it is so already."""
    said = []
    groups = set(await session.scalars(select(Membership.group_id).where(Membership.customer_id == customer.id)))
    for action in rule.actions:
        text = words.do(action, names)
        kind = action["kind"]
        member = action.get("group_id") in groups
        if kind == "set":
            same = fields.plain(fields.value_of(customer, action["field"])) == fields.plain(action["value"])
        else:
            same = (kind == "join" and member) or (kind == "leave" and not member)
        said.append(gettext("%(what)s (it is so already)") % {"what": text} if same else text)
    return said


async def why(session: AsyncSession, rule: Rule, customer_id: int) -> Why:
    """Raises NotFound for a customer whom the acting person does not see."""
    customer = await session.scalar(select(Customer).where(Customer.id == customer_id))
    if customer is None:
        raise NotFound
    other = rule.project_id is not None and rule.project_id != customer.project_id
    test, problem = rules.meets(rule)
    if problem is not None:
        return Why(customer.name, False, [], other)
    met = await session.scalar(select(Customer.id).where(Customer.id == customer_id, test)) is not None
    told: list[tuple[str, bool]] = []
    if rule.condition is not None:
        with i18n.speaking(i18n.language(), rule.zone):
            parsed = filters.parse(rule.condition, Customer)
            known = words.by_model(words.names_for_reader(rule.names))
            found = await filters.explain(session, parsed, Customer, customer_id, names=known)
        told = [(text, holds) for _path, text, holds in found]
    return Why(customer.name, met, told, other)
