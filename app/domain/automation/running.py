"""Doing what runs say: a few of one rule in a unit, which also says of each that it is done. A worker that is killed
leaves either all of it behind, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from app import filters, i18n
from app.db import utcnow
from app.domain.automation import actions, calling, events, rules
from app.domain.automation.actions import KINDS, Action, Doing, Result
from app.domain.config import modules
from app.errors import AppError, Conflict, NotFound
from app.i18n import _
from app.models.automation import Rule, RuleRun, RunState
from app.models.customers import Customer
from app.models.noticing import chain
from app.observe import log, request_id

BATCH = 50
KEPT_DAYS = 90
"""So long the log is kept."""
OLD_AT_ONCE = 2000
REFUSALS = (AppError, IntegrityError, StaleDataError, LookupError, ValueError, TypeError)
"""What an action may end with: it has failed then, and the others go on."""
_OVER = ("ok", "left", "waiting")


async def work(session: AsyncSession) -> bool:
    """Do what is due for some runs of one rule, the oldest first. False: nothing is due, or others do it."""
    due = select(RuleRun).where(RuleRun.state == RunState.DUE).order_by(RuleRun.id)
    first = await session.scalar(due.limit(1).with_for_update(skip_locked=True))
    if first is None:
        return False
    alike = due.where(RuleRun.rule_id == first.rule_id, RuleRun.chain == first.chain, RuleRun.id >= first.id)
    runs = list(await session.scalars(alike.limit(BATCH).with_for_update(skip_locked=True)))
    rule = await session.get_one(Rule, first.rule_id)
    token = chain.set((*events.unchained(first.chain), rule.id))
    try:
        await _do(session, rule, runs)
    finally:
        chain.reset(token)
    return True


async def _do(session: AsyncSession, rule: Rule, runs: Sequence[RuleRun]) -> None:
    test, problem = rules.meets(rule)
    if problem is not None:
        await events.break_off(session, rule, str(problem))
    ids = {run.customer_id for run in runs}
    found = {c.id: c for c in await session.scalars(select(Customer).where(Customer.id.in_(ids)))}
    mine = set(await session.scalars(select(Customer.id).where(Customer.id.in_(ids), test)))
    able = []
    for run in runs:
        why = (
            "off"
            if not rule.enabled or not modules.on("automation")
            else "broken"
            if problem
            else ""
            if run.customer_id in mine
            else "condition"
        )
        run.held = await held(session, rule, run.customer_id) if run.customer_id in found and not problem else {}
        if why:
            run.state, run.reason, run.finished_at = RunState.SKIPPED, why, utcnow()
        else:
            able.append(run)
    for action in rule.actions:
        await _act(session, rule, able, found, action)
    kept = {action["key"] for action in rule.actions}
    for run in able:
        # what an action has failed at that the rule has no more is nobody's concern
        run.done = {key: told for key, told in run.done.items() if key in kept or told["state"] != "failed"}
        run.reason = ""
        calling.close(run)
    await session.flush()


async def _act(
    session: AsyncSession, rule: Rule, runs: Sequence[RuleRun], found: dict[int, Customer], action: Action
) -> None:
    key, kind = action["key"], action["kind"]
    open_ = [run for run in runs if run.done.get(key, {}).get("state") not in _OVER]
    if kind == "template" and len(open_) > 1:
        try:
            async with session.begin_nested():
                results = await actions.send(session, rule, open_, action)
        except REFUSALS as problem:
            results = dict.fromkeys((run.id for run in open_), _failed(problem))
        for run in open_:
            run.done = {**run.done, key: {"kind": kind, **results[run.id].stored()}}
        return
    for run in open_:
        customer = found[run.customer_id or 0]
        token = request_id.set(f"rule-{rule.id}-{run.id}"[:32])
        try:
            async with session.begin_nested():
                result = await KINDS[kind].do(Doing(session, rule, run, customer), action)
        except REFUSALS as problem:
            result = _failed(problem)
            await session.refresh(customer)
        finally:
            request_id.reset(token)
        run.done = {**run.done, key: {"kind": kind, **result.stored()}}


def _failed(problem: Exception) -> Result:
    if isinstance(problem, AppError):
        return Result("failed", "refused", str(problem))
    log("automation").warning("an action failed", exc_info=problem)
    return Result("failed", "refused", type(problem).__name__)


async def held(session: AsyncSession, rule: Rule, customer_id: int | None) -> dict[str, Any]:
    """Which parts of the condition hold for a customer now, for the log."""
    if rule.condition is None or customer_id is None:
        return {}
    with i18n.speaking(i18n.language(), rule.zone):
        parsed = filters.parse(rule.condition, Customer)
        told = await filters.explain(session, parsed, Customer, customer_id)
    return {"condition": rule.condition, "leaves": [[path, holds] for path, _text, holds in told]}


async def again(session: AsyncSession, *, run_id: int) -> RuleRun:
    """Do once more what has failed of a run, and nothing else. Raises NotFound, Conflict."""
    run = await session.scalar(select(RuleRun).where(RuleRun.id == run_id).with_for_update())
    if run is None:
        raise NotFound
    if run.state is not RunState.FAILED:
        raise Conflict(_("Only what has failed can be done again."))
    run.state, run.finished_at, run.tries = RunState.DUE, None, run.tries + 1
    await session.flush()
    await events.wake(session)
    return run


async def due_since(session: AsyncSession, before: datetime) -> bool:
    """Whether something is due for so long that nobody seems to do it."""
    rows = select(exists().where(RuleRun.state == RunState.DUE, RuleRun.at < before))
    return bool(await session.scalar(rows))


async def forget(session: AsyncSession) -> bool:
    """Delete a part of what is too old in the log. True: there is more."""
    old = (
        select(RuleRun.id)
        .where(RuleRun.at < utcnow() - timedelta(days=KEPT_DAYS), RuleRun.state != RunState.DUE)
        .order_by(RuleRun.at)
        .limit(OLD_AT_ONCE)
    )
    ids = (await session.scalars(old)).all()
    statement = delete(RuleRun).where(RuleRun.id.in_(ids))
    await session.execute(statement.execution_options(synchronize_session=False))
    return len(ids) == OLD_AT_ONCE
