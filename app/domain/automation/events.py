"""Events become runs: one for each rule and event, whatever is said twice. They wait there until it is their turn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import and_, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.automation import fields, rules
from app.models.audit import Audit, AuditDetail
from app.models.automation import Rule, RuleRun, RunState, Trigger
from app.models.customers import Customer
from app.models.noticing import ACTIONS, TRIGGERS
from app.queue import enqueue

WORK = "automation.work"
DEEPEST = 5
"""Rules in a row that may set each other off."""
SLICE = 1000
"""Changes that are looked at in one transaction."""


class Event(NamedTuple):
    """Something that happened to a customer. key: its own among those of a rule. what: for the log."""

    customer_id: int
    key: str
    what: dict[str, Any]


def chained(chain: Sequence[int]) -> str:
    return ",".join(map(str, chain))


def unchained(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in text.split(",") if n)


async def add(
    session: AsyncSession, rule: Rule, found: Sequence[Event], chain: Sequence[int] = (), *, rings: bool = True
) -> int:
    """Keep what a rule has to do about these events; events that are there already stay as they are. Returns how many
    are new. What would go round in circles is written down, and stops there. rings: False, and the caller wakes."""
    if not found:
        return 0
    stopped = "circle" if rule.id in chain else "deep" if len(chain) >= DEEPEST else ""
    now = utcnow()
    rows = [
        {
            "rule_id": rule.id, "customer_id": event.customer_id, "event_key": event.key, "event": event.what,
            "at": now, "state": RunState.STOPPED if stopped else RunState.DUE, "reason": stopped,
            "chain": chained(chain), "depth": len(chain), "finished_at": now if stopped else None, "done": {},
            "held": {},
        }
        for event in found
    ]  # fmt: skip
    n = 0
    for start in range(0, len(rows), 500):
        n += await _insert(session, rows[start : start + 500])
    if n and not stopped and rings:
        await wake(session)
    return n


async def _insert(session: AsyncSession, rows: list[dict[str, Any]]) -> int:
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(RuleRun).values(rows).on_conflict_do_nothing(index_elements=["rule_id", "event_key"])
    return len((await session.scalars(statement.returning(RuleRun.id))).all())


async def wake(session: AsyncSession) -> None:
    """Have the workers do what is due. One that runs already may just have looked for the last time."""
    await enqueue(session, WORK)


async def break_off(session: AsyncSession, rule: Rule, why: str) -> None:
    """Say in the log that a rule is broken, once a day."""
    today, now = utcnow().date().isoformat(), utcnow()
    row: dict[str, Any] = {
        "rule_id": rule.id, "customer_id": None, "event_key": f"broken:{today}", "event": {}, "at": now, "done": {},
        "state": RunState.BROKEN, "reason": why[:300], "held": {}, "chain": "", "depth": 0, "finished_at": now,
    }  # fmt: skip
    await _insert(session, [row])


# ---- changes --------------------------------------------------------------------------------------------------------


async def take_changes(
    session: AsyncSession, *, spans: Sequence[Sequence[int]], chain: Sequence[int]
) -> list[list[int]]:
    """Make runs of what the audit holds in these spans of its ids, a slice of it; gives the spans that are left."""
    few = [list(span) for span in spans[:50]]
    inside = or_(*(Audit.id.between(a, b) for a, b in few))
    query = (
        select(Audit.id, Audit.action, Audit.noun, Audit.noun_id, AuditDetail.payload)
        .join(AuditDetail, AuditDetail.audit_id == Audit.id)
        .where(inside, or_(*(and_(Audit.noun == noun, Audit.action.in_(done)) for noun, done in ACTIONS.items())))
        .order_by(Audit.id)
        .limit(SLICE)
        .execution_options(unscoped=True)
    )
    rows = (await session.execute(query)).all()
    n = 0
    for rule in await rules.enabled(session, *TRIGGERS):
        met = [event for row in rows if (event := event_of(rule, row)) is not None]
        n += await take(session, rule, met, chain, rings=False)
    if n:
        await wake(session)
    left = [list(span) for span in spans[50:]]
    if len(rows) == SLICE:
        after = rows[-1][0]
        left = [[max(a, after + 1), b] for a, b in few if b > after] + left
    return left


def event_of(rule: Rule, row: Any) -> Event | None:
    """What a row of the audit (id, action, noun, noun_id, payload) means to this rule; None: nothing."""
    audit_id, action, noun, customer_id, payload = row
    if rule.trigger in (Trigger.JOINED, Trigger.LEFT):
        return _moved(rule, row)
    if noun != "customer":
        return None
    if rule.trigger is Trigger.REGISTERED:
        return Event(customer_id, f"audit:{audit_id}", {"what": "registered"}) if action == "create" else None
    if action != "update":
        return None
    pair = fields.before_and_after(json.loads(payload), rule.field)
    if pair is None or (rule.was and pair[0] != rule.was) or (rule.becomes and pair[1] != rule.becomes):
        return None
    what = {"what": "changed", "field": rule.field, "was": pair[0][:200], "now": pair[1][:200]}
    return Event(customer_id, f"audit:{audit_id}", what)


def _moved(rule: Rule, row: Any) -> Event | None:
    """Somebody joins the group of the rule, or leaves it. A customer who is imported comes with their groups."""
    audit_id, action, noun, customer_id, payload = row
    if action != ("create" if rule.trigger is Trigger.JOINED else "delete"):
        return None
    changes = json.loads(payload)
    side = 1 if action == "create" else 0
    if noun == "customer":
        groups = changes.get("groups", (None, ()))[1]
    else:
        groups, customer_id = [changes["group_id"][side]], changes["customer_id"][side]
    if rule.group_id not in groups:
        return None
    what = {"what": rule.trigger.value, "group": rule.group_id, "name": rule.group_name}
    return Event(customer_id, f"audit:{audit_id}", what)


async def take(
    session: AsyncSession, rule: Rule, found: Sequence[Event], chain: Sequence[int] = (), *, rings: bool = True
) -> int:
    """Add those whose customers meet the condition of the rule."""
    if not found:
        return 0
    test, problem = rules.meets(rule)
    if problem is not None:
        await break_off(session, rule, str(problem))
        return 0
    ids = {event.customer_id for event in found}
    there = select(Customer.id).where(Customer.id.in_(ids), test).execution_options(unscoped=True)
    mine = set(await session.scalars(there))
    return await add(session, rule, [event for event in found if event.customer_id in mine], chain, rings=rings)
