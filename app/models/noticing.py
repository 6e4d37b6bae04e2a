"""Changes of customers that rules wait for, noticed where the audit writes them down: whatever way they come, form,
import, bulk change, client area or the rule of a group. Each transaction leaves at most one job, which looks at what
the audit holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any

from sqlalchemy import event, insert, select
from sqlalchemy.orm import Session

from app.db import AppSession, utcnow
from app.models import audit
from app.models.automation import Rule, Trigger
from app.models.jobs import Job, JobState

TASK = "automation.changes"
NEAR = 16
"""Audit rows so near to each other are looked at together: between two customers stand their users."""

TRIGGERS = (Trigger.REGISTERED, Trigger.CHANGED, Trigger.JOINED, Trigger.LEFT)
ACTIONS = {"customer": ("create", "update"), "membership": ("create", "delete")}
"""What of the audit may be meant."""

rings: list[Callable[[str, int], Awaitable[None]]] = []
"""How a job is handed over once it is committed; `app.queue` puts it here."""

chain: ContextVar[tuple[int, ...]] = ContextVar("chain", default=())
"""The rules whose doing leads to what is done now, the first one first."""


def waited_for(session: Session) -> frozenset[str]:
    """What enabled rules wait for: "" for new customers, columns, and "group 7" for who joins or leaves it. Asked once
    in a transaction."""
    whole = session.get_transaction()
    kept = session.info.get("rules wait for")
    if kept is not None and kept[0] is whole:
        found: frozenset[str] = kept[1]
        return found
    rule = Rule.__table__.c
    asked = select(rule.trigger, rule.field, rule.group_id).where(rule.enabled, rule.trigger.in_(TRIGGERS))
    rows = session.connection().execute(asked)
    wanted = frozenset(
        "" if t is Trigger.REGISTERED else field.partition(".")[0] if t is Trigger.CHANGED else _group(group_id)
        for t, field, group_id in rows
    )
    session.info["rules wait for"] = whole, wanted
    return wanted


def _group(group_id: Any) -> str:
    return f"group {group_id}"


def waits_for_group(session: Session, group_id: int) -> bool:
    """Whether a rule waits for who joins or leaves this group: then each of them is written down."""
    return _group(group_id) in waited_for(session)


def _meant(line: audit.Line, wanted: frozenset[str]) -> bool:
    """Whether somebody waits for what this line tells."""
    if line.noun == "membership":
        return any(_group(n) in wanted for n in line.changes.get("group_id", ()) if n is not None)
    if line.action == "create":
        _none, joined = line.changes.get("groups", (None, ()))
        return "" in wanted or any(_group(n) in wanted for n in joined)
    return not wanted.isdisjoint(line.changes)


def _notice(session: Session, lines: Sequence[audit.Line], ids: Sequence[int]) -> None:
    ours = [(n, line) for n, line in zip(ids, lines, strict=True)
            if line.action in ACTIONS.get(line.noun, ())]  # fmt: skip
    if not ours or not (wanted := waited_for(session)):
        return
    spans: list[list[int]] = session.info.setdefault("noticed", {"spans": [], "chain": list(chain.get())})["spans"]
    for n, line in ours:
        if not _meant(line, wanted):
            continue
        if spans and 0 <= n - spans[-1][1] <= NEAR:
            spans[-1][1] = n
        else:
            spans.append([n, n])


audit.LISTENERS.append(_notice)


@event.listens_for(AppSession, "before_commit")
def _hand_over(session: Session) -> None:
    if session.in_nested_transaction() or "noticed" not in session.info:
        return
    session.flush()
    args = session.info.pop("noticed")
    if not args["spans"]:
        return
    job = insert(Job).values(name=TASK, args=args, due_at=utcnow(), state=JobState.DUE).returning(Job.id)
    job_id = session.connection().execute(job).scalar_one()
    if rings:  # else the sweep finds the row
        session.info.setdefault("after_commit", []).append(partial(rings[0], TASK, job_id))


@event.listens_for(AppSession, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop("noticed", None)
