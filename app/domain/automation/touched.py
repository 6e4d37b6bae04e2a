"""Customers of whom something has changed that rules look at (`app.models.touching`): their groups follow, and balances
that have fallen are noticed. Once for each customer, however often they were touched since the last look."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.automation import events, rules, watching
from app.domain.customers import grouping
from app.models.automation import Touched, Trigger
from app.models.customers import Group
from app.models.jobs import Job, JobState
from app.models.noticing import chain
from app.models.touching import TASK
from app.queue import enqueue

BATCH = 2000
RULES = 50
"""So many groups by rule such a batch may have; of more, it is smaller, for others wait while it is written."""


async def work(session: AsyncSession) -> bool:
    """Look at a part of them, the oldest first. False: there are none.

    Rows are locked from the oldest on, so of two workers the second waits, and sees what the first has left."""
    columns = (
        Touched.id, Touched.customer_id, Touched.what, Touched.account_id, Touched.balance, Touched.chain
    )  # fmt: skip
    n = await session.scalar(select(func.count()).where(Group.condition.is_not(None))) or 0
    most = max(1, BATCH * RULES // max(n, RULES))
    rows = (await session.execute(select(*columns).order_by(Touched.id).limit(most).with_for_update())).all()
    if not rows:
        return False
    longest: dict[int, str] = {}
    for row in rows:  # whatever rule had a part in it counts, so that no circle goes unseen
        longest[row.customer_id] = max(longest.get(row.customer_id, ""), row.chain, key=lambda c: (c.count(","), c))
    first = longest[rows[0].customer_id]
    mine = [row for row in rows if longest[row.customer_id] == first]
    token = chain.set(tuple(events.unchained(first)))
    try:
        await grouping.follow_rules(session, sorted({r.customer_id for r in mine}), {r.what for r in mine})
        await _balances(session, [row for row in mine if row.account_id is not None])
        await session.flush()
    finally:
        chain.reset(token)
    await _gone(session, [row.id for row in mine])
    return True


async def _balances(session: AsyncSession, moves: list[Any]) -> None:
    for rule in await rules.enabled(session, Trigger.BALANCE) if moves else ():
        if rule.armed and rules.problem_of(rule) is None:
            await watching.fallen(session, rule, moves, chain.get())


async def _gone(session: AsyncSession, ids: list[int]) -> None:
    statement = delete(Touched).where(Touched.id.in_(ids))
    await session.execute(statement.execution_options(synchronize_session=False))


async def wake(session: AsyncSession) -> None:
    """Have somebody look if there is something to see and nobody about to."""
    waits = select(exists().where(Job.name == TASK, Job.state.in_((JobState.DUE, JobState.RUNNING))))
    if await session.scalar(select(exists(select(Touched.id)))) and not await session.scalar(waits):
        await enqueue(session, TASK)
