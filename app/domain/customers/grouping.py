"""Members by rule: a group's condition makes customers its members and takes them out again; members by hand stay.

A rule is followed at once where a customer is registered or changed by a verb; seconds later when anything else of
theirs has changed that it looks at (`app.models.touching`); for everybody when the rule itself has changed; and once a
day, for the days that pass and for messages. Its days are days of UTC, whoever has caused it to be asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence, Set
from functools import lru_cache
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, literal, select, true, union_all
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app import filters
from app.db import BigId, UtcDateTime, utcnow
from app.domain.config import live, modules
from app.errors import Invalid
from app.i18n import gettext, speaking
from app.models import audit, noticing, touching
from app.models.customers import Customer, Group, Membership
from app.models.jobs import Job, JobState
from app.queue import enqueue

TASK = "customers.group"
SLICE = 5_000
"""Customers whom one transaction looks at: short, so that nobody waits for a lock."""
FEW = 500
"""Ids in one statement."""
TOGETHER = 2500
"""Rules in one statement, times customers; but not more than a hundred rules."""

AT_ONCE = 200
"""Rules that are followed while somebody waits."""

_of = Membership.metadata.tables["membership"]
Among = Callable[[Any], ColumnElement[bool]]


async def set_rule(session: AsyncSession, *, group: Group, condition: dict[str, Any] | None) -> None:
    """Let the condition make members from now on; None: nobody any more. The members follow in the background.

    Raises Invalid at `condition` for what is no filter, is empty, or asks for groups: one that waits for another might
    never come to rest."""
    if condition == group.condition:
        return
    if condition is not None:
        try:
            parsed = filters.parse(condition, Customer)
        except filters.FilterProblem as problem:
            raise Invalid(condition=str(problem)) from None
        if filters.is_empty(parsed):
            raise Invalid(condition=gettext("Add at least one condition."))
        if asks_for_groups(parsed):
            raise Invalid(condition=gettext("A rule cannot ask for members of groups."))
    group.condition = condition
    await session.flush()
    await enqueue(session, TASK, group_id=group.id)


async def following(session: AsyncSession, group_id: int) -> bool:
    """Whether the rule is still on its way to all customers."""
    waiting = select(Job.args).where(Job.name == TASK, Job.state.in_((JobState.DUE, JobState.RUNNING))).limit(100)
    return any(args.get("group_id") == group_id for args in await session.scalars(waiting))


def asks_for_groups(condition: filters.Condition, model: Any = Customer) -> bool:
    """Whether it asks who is a member of a group, of the rows or of related ones."""
    for _path, leaf in filters.walk(condition):
        known = filters.field(model, leaf.field)
        if known.target is Group:
            return True
        if leaf.where is not None and known.target is not None and asks_for_groups(leaf.where, known.target):
            return True
    return False


async def follow_rules(session: AsyncSession, customers: Sequence[int], what: Set[str] | None = None) -> None:
    """Let these customers (ids), who have just changed, join and leave groups as the rules say now. Where there are
    very many rules, nobody waits for them: they follow as for any other change. what: only the rules that look at one
    of these tables."""
    asked = select(Group.id, Group.condition).where(Group.condition.is_not(None)).order_by(Group.id)
    rules = [(row.id, row.condition) for row in await session.execute(asked) if row.condition]
    if what is not None:
        rules = [(group_id, told) for group_id, told in rules if not touching.looks_at(told).isdisjoint(what)]
    if not rules or not customers or not modules.on("groups") or (what is None and len(rules) > AT_ONCE):
        return
    await session.flush()
    with speaking("en", "UTC"):
        tests = [(group_id, _test(condition)) for group_id, condition in rules]
    for at in range(0, len(customers), FEW):
        ids = customers[at : at + FEW]
        together = min(max(TOGETHER // len(ids), 1), 100)
        for start in range(0, len(tests), together):
            await _follow_few(session, tests[start : start + together], ids)
    if what is None:
        await session.run_sync(touching.looked_at, customers)


def _test(condition: Any) -> ColumnElement[bool]:
    """A condition as SQL; what is about days is made anew."""
    test, moves = _kept(json.dumps(condition, sort_keys=True), live.stamp())
    return filters.compile_stored(condition, Customer)[0] if moves else test


@lru_cache(maxsize=2048)
def _kept(text: str, _stamp: int) -> tuple[ColumnElement[bool], bool]:
    condition = json.loads(text)
    test, problem = filters.compile_stored(condition, Customer)
    return test, problem is None and filters.moves(filters.parse(condition, Customer), Customer)


async def _follow_few(
    session: AsyncSession, tests: Sequence[tuple[int, ColumnElement[bool]]], ids: Sequence[int]
) -> None:
    """Several rules for a few customers, in as many statements as one rule takes."""
    connection = await session.connection()  # not the session: rules know no limits to projects
    fit = [select(literal(group_id, BigId), Customer.id).where(Customer.id.in_(ids), test) for group_id, test in tests]
    groups = [group_id for group_id, _test in tests]
    fits = {(row[0], row[1]) for row in await connection.execute(union_all(*fit))}
    there = select(_of.c.group_id, _of.c.customer_id, _of.c.by_rule)
    found = await connection.execute(there.where(_of.c.customer_id.in_(ids), _of.c.group_id.in_(groups)))
    present = {(row.group_id, row.customer_id): row.by_rule for row in found}
    fresh = [
        {"group_id": g, "customer_id": c, "since": utcnow(), "by_rule": True} for g, c in sorted(fits - present.keys())
    ]
    joined: list[tuple[int, int]] = []
    if fresh:
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        join = dialect.insert(_of).values(fresh).on_conflict_do_nothing().returning(_of.c.group_id, _of.c.customer_id)
        joined = [(row[0], row[1]) for row in await connection.execute(join)]
    gone = sorted(key for key, by_rule in present.items() if by_rule and key not in fits)
    for group_id, pairs in groupby(gone, key=lambda key: key[0]):
        theirs = _of.c.customer_id.in_([customer_id for _group, customer_id in pairs])
        await connection.execute(delete(_of).where(_of.c.group_id == group_id, _of.c.by_rule, theirs))
    for group_id in groups:
        people = ([c for g, c in some if g == group_id] for some in (joined, gone))
        await _write_down(session, group_id, *people)


async def _write_down(session: AsyncSession, group_id: int, joined: Sequence[int], left: Sequence[int]) -> None:
    """Each of them, in the audit."""
    lines = []
    for action, found in (("create", joined), ("delete", left)):
        for customer_id in found:
            values = {"customer_id": customer_id, "group_id": group_id, "by_rule": True}
            changes = {k: [None, v] if action == "create" else [v, None] for k, v in values.items()}
            lines.append(audit.Line(action, "membership", None, changes))
    await session.run_sync(audit.write_all, lines)


async def follow_slice(session: AsyncSession, *, group_id: int, after: int) -> tuple[int | None, int, int]:
    """The next customers behind the id `after`: (the last of them, or None at the end; how many joined; left)."""
    condition = await session.scalar(select(Group.condition).where(Group.id == group_id))
    unscoped: Select[Any] = select(Customer.id).where(Customer.id > after).order_by(Customer.id).limit(SLICE)
    upto = await session.scalar(
        select(func.max(unscoped.subquery().c.id)).execution_options(unscoped=True)
    )  # fmt: skip
    if upto is None:
        return None, 0, 0
    joined, left = await _follow(session, group_id, condition, lambda column: column.between(after + 1, upto))
    if await session.run_sync(noticing.waits_for_group, group_id):
        await _write_down(session, group_id, joined, left)
    return upto, len(joined), len(left)


async def followed(session: AsyncSession, *, group_id: int, joined: int, left: int) -> None:
    """Write down what following the rule for everybody has changed."""
    if joined or left:
        changes = {"members_joined": [None, joined], "members_left": [None, left]}
        await session.run_sync(audit.write, "update", "customer_group", group_id, changes)


async def _follow(
    session: AsyncSession, group_id: int, condition: Any, among: Among
) -> tuple[Sequence[int], Sequence[int]]:
    """Who of them joined and who left. A broken condition fits nobody."""
    with speaking("en", "UTC"):
        test, _problem = filters.compile_stored(condition, Customer)
        fit = select(Customer.id).where(among(Customer.id), test)
        present = select(_of.c.customer_id).where(_of.c.customer_id == Customer.id, _of.c.group_id == group_id)
        fresh = fit.where(~present.correlate(Customer).exists()).with_only_columns(
            Customer.id, literal(group_id, BigId), literal(utcnow(), UtcDateTime()), true()
        )  # fmt: skip
        connection = await session.connection()  # not the session: rules know no limits to projects
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        columns = ["customer_id", "group_id", "since", "by_rule"]
        join = dialect.insert(_of).from_select(columns, fresh).on_conflict_do_nothing().returning(_of.c.customer_id)
        joined = (await connection.execute(join)).scalars().all()
        mine = (_of.c.group_id == group_id, _of.c.by_rule, among(_of.c.customer_id))
        leave = delete(_of).where(*mine, _of.c.customer_id.not_in(fit)).returning(_of.c.customer_id)
        return joined, (await connection.execute(leave)).scalars().all()
