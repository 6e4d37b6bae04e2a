"""Customers of whom something has changed that rules look at: the conditions of groups, and rules about balances.

What is audited is noticed where the audit writes it down; statements over many rows say it themselves (`touch`,
`touch_accounts`). Each transaction leaves rows of `Touched`, and a burst of them one job, which looks a moment later.
Nothing is written as long as no rule looks at the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple, cast

from sqlalchemy import Select, Table, event, exists, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.sql.visitors import iterate

from app import filters
from app.db import AppSession, Base, utcnow
from app.models import audit
from app.models.automation import Rule, Touched, Trigger
from app.models.customers import Customer, Group
from app.models.jobs import Job, JobState
from app.models.ledger import Account
from app.models.noticing import chain
from app.models.users import UserCustomer

TASK = "automation.touched"
WAIT = 1.5
"""Seconds from a change until rules look: what changes meanwhile is looked at together."""
NEARLY = 0.5
"""Seconds before its time from which on a waiting job may have begun before this transaction is over."""
FEW = 500
_to = Touched.metadata.tables["touched"]


class Looked(NamedTuple):
    """What rules look at: tables, and whether each move of a balance counts."""

    tables: frozenset[str]
    balances: bool


def looks_at(condition: Any) -> frozenset[str]:
    """The tables that a condition for customers depends on; none for a broken one."""
    try:
        return _looks_at(json.dumps(condition, sort_keys=True))
    except filters.FilterProblem:
        return frozenset()


@lru_cache(maxsize=4096)
def _looks_at(condition: str) -> frozenset[str]:
    test = filters.compile(filters.parse(json.loads(condition), Customer), Customer)
    return frozenset(table for element in iterate(test) for table in _tables(element))


def _tables(element: Any) -> Iterator[str]:
    """The table that an element of SQL is, or is a column of, under whatever alias."""
    for part in (element, getattr(element, "table", None)):
        while part is not None:
            if isinstance(part, Table):
                yield part.name
            part = getattr(part, "element", None)


def _looked(session: Session) -> Looked:
    """What rules look at, asked once in a transaction."""
    whole = session.get_transaction()
    kept = session.info.get("rules look at")
    if kept is not None and kept[0] is whole:
        found: Looked = kept[1]
        return found
    connection = session.connection()
    groups, rules = Group.__table__.c, Rule.__table__.c
    conditions = connection.execute(select(groups.condition).where(groups.condition.is_not(None))).scalars()
    tables = frozenset[str]().union(*(looks_at(condition) for condition in conditions if condition))
    balances = exists().where(rules.enabled, rules.trigger == Trigger.BALANCE)
    looked = Looked(tables, bool(connection.execute(select(balances)).scalar()))
    session.info["rules look at"] = whole, looked
    return looked


# ---- what the audit writes down ---------------------------------------------------------------------------------


class _Noticed:
    """What this transaction has changed, until it ends: customers by table, and rows whose customer is asked for.
    told: statements have left rows of `Touched` already."""

    def __init__(self) -> None:
        self.customers: dict[str, set[int]] = {}
        self.rows: dict[str, set[int]] = {}
        self.chain = ",".join(map(str, chain.get()))[:80]
        self.told = False


def _of(session: Session) -> _Noticed:
    if (found := session.info.get("touched")) is None:
        found = session.info["touched"] = _Noticed()
    return cast("_Noticed", found)


def _notice(session: Session, lines: Sequence[audit.Line], ids: Sequence[int]) -> None:
    for line in lines:
        if line.noun not in _owned():
            continue
        pair = line.changes.get("customer_id")
        named = [n for n in pair if type(n) is int] if isinstance(pair, list | tuple) else []
        if line.noun == "customer" and line.noun_id is not None:
            named = [line.noun_id]
        if named:
            _of(session).customers.setdefault(line.noun, set()).update(named)
        elif line.noun_id is not None:
            _of(session).rows.setdefault(line.noun, set()).add(line.noun_id)


audit.LISTENERS.append(_notice)


@lru_cache(maxsize=1)
def _owned() -> frozenset[str]:
    """Tables whose rows belong to a customer; but what is sent to them is looked at by night."""
    own = {name for name, table in Base.metadata.tables.items() if "customer_id" in table.c}
    return frozenset(own | {"customer", "user"}) - {"audit", "delivery", Touched.__tablename__}


def looked_at(session: Session, customers: Sequence[int]) -> None:
    """Rules have just looked at these customers: what was noticed of them is settled."""
    if "touched" in session.info:
        for found in _of(session).customers.values():
            found.difference_update(customers)


# ---- what statements over many rows say -------------------------------------------------------------------------


async def touch(session: AsyncSession, what: str, customers: Select[Any]) -> None:
    """Rows of the table `what` have changed for these customers."""
    looked = await session.run_sync(_looked)
    if what in looked.tables:
        await session.run_sync(_leave, what, customers)


async def touch_accounts(session: AsyncSession, accounts: Any) -> None:
    """The balances of these accounts have moved (ids, or a SELECT of them), and are now what this transaction sees."""
    looked = await session.run_sync(_looked)
    if looked.balances or "account" in looked.tables:
        theirs = Account.id.in_(accounts), Account.customer_id.is_not(None)
        rows: Any = select(Account.customer_id, Account.id, Account.balance).where(*theirs)
        await session.run_sync(_leave, "account", rows, "account_id", "balance")


def _leave(session: Session, what: str, rows: Select[Any], *more: str) -> None:
    """Leave a row for each of these: the customer, and what `more` names."""
    noticed = _of(session)
    said = rows.add_columns(literal(what), literal(noticed.chain))
    session.connection().execute(insert(_to).from_select(["customer_id", *more, "what", "chain"], said))
    noticed.told = True


# ---- at the end of a transaction ----------------------------------------------------------------------------------


@event.listens_for(AppSession, "before_commit")
def _hand_over(session: Session) -> None:
    if session.in_nested_transaction():
        return
    session.flush()
    if "touched" not in session.info:
        return
    noticed, looked = _of(session), _looked(session)
    for what in sorted(looked.tables & noticed.customers.keys()):
        said = [{"customer_id": n, "what": what, "chain": noticed.chain} for n in sorted(noticed.customers[what])]
        if said:
            session.connection().execute(insert(_to), said)
            noticed.told = True
    for what in sorted(looked.tables & noticed.rows.keys()):
        # the customers of a user are those whose user it is
        owned = UserCustomer.metadata.tables["user_customer" if what == "user" else what]
        key = owned.c["user_id" if what == "user" else "id"]
        ids = sorted(noticed.rows[what])
        for at in range(0, len(ids), FEW):
            owners = select(owned.c.customer_id).where(key.in_(ids[at : at + FEW]), owned.c.customer_id.is_not(None))
            _leave(session, what, owners.distinct())
    if noticed.told:
        _wake(session)
    session.info.pop("touched")


def _wake(session: Session) -> None:
    """Have it looked at a moment later, together with what else has changed by then."""
    now, connection = utcnow(), session.connection()
    waits = exists().where(
        Job.name == TASK, Job.state == JobState.DUE, Job.due_at > now + timedelta(seconds=min(NEARLY, WAIT))
    )
    if not connection.execute(select(waits)).scalar():
        due = now + timedelta(seconds=WAIT)
        connection.execute(insert(Job).values(name=TASK, args={}, due_at=due, state=JobState.DUE))


@event.listens_for(AppSession, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop("touched", None)
