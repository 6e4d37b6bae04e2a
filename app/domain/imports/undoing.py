"""Taking back a whole import: what it made and nobody has touched since is deleted, what it changed is put back where
it still holds what the import wrote. What stays is listed with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sqlalchemy import Table, delete, func, insert, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import model_of, reads, unit, utcnow
from app.domain.imports import runs, unmaking
from app.domain.imports.done import last_deeds
from app.domain.longwork import Left
from app.domain.undoing import CHANGED, Deed, Kept, put_back
from app.errors import Conflict, NotFound
from app.i18n import SOURCE, gettext, speaking
from app.models import audit
from app.models.audit import Audit
from app.models.customers import Customer, ExternalRef, Membership
from app.models.imports import CUSTOMER, ImportRun, ImportState
from app.models.sessions import OneUse
from app.models.staff import Staff
from app.models.users import User, UserCustomer
from app.observe import request_id
from app.queue import enqueue

AT_ONCE = 500
UNDOABLE = (ImportState.DONE, ImportState.STOPPED)
MINE = {"user_customer", "membership", "one_use", "confirmation"}
"""Tables that point at customers or users, and whose rows the import made itself, or its invitations."""


def undoable(run: ImportRun) -> bool:
    """Whether it did something that can be taken back."""
    return run.state in UNDOABLE and bool(run.looked.get("audit")) and bool(run.created + run.updated)


async def undo_import(session: AsyncSession, *, import_id: int) -> None:
    """Take back what an import did, in the background. Raises NotFound, Conflict."""
    run = await runs.locked(session, import_id)
    if not undoable(run):
        raise Conflict(gettext("There is nothing to undo: only what an import of this panel has done."))
    await runs.need(session, run, ("edit", "delete"))
    run.state, run.started_at, run.finished_at = ImportState.UNDOING, utcnow(), None
    await session.flush()
    await runs.write(
        session, run.id, ImportState.UNDOING, done=0, total=run.created + run.updated, undone=0, kept=0,
        looked={**run.looked, "undone_at": 0},
    )  # fmt: skip
    await enqueue(session, "imports.undo", import_id=run.id)


async def undo_some(*, import_id: int, more: Callable[[], bool]) -> Left:
    """Go on with it as long as `more` says so, a part in each transaction. Raises NotFound."""
    async with reads() as session:
        run = await session.scalar(select(ImportRun).where(ImportRun.id == import_id))
        if run is None:
            raise NotFound
        code = await session.scalar(select(Staff.language).where(Staff.id == run.staff_id)) or SOURCE
    left = Left(run.done, run.total, over=run.state is not ImportState.UNDOING)
    as_undoing = request_id.set(tags(run)[1])
    try:
        with speaking(code):
            while not left.over:
                async with unit() as session:
                    left = await _part(session, import_id)
                if not more():
                    break
    finally:
        request_id.reset(as_undoing)
    return left


def tags(run: ImportRun) -> tuple[str, str]:
    """By these names the audit knows what the import did, and what undoing it did."""
    return runs.tag(run.id), f"{runs.tag(run.id)}-undo"


async def _part(session: AsyncSession, import_id: int) -> Left:
    run = await runs.locked(session, import_id)
    if run.state is not ImportState.UNDOING:
        return Left(run.done, run.total, over=True)
    part = await last_deeds(session, run, before=run.looked.get("undone_at", 0), most=AT_ONCE)
    if not part:
        run.state, run.finished_at = ImportState.UNDONE, utcnow()
        return Left(run.done, run.total, over=True)
    model, made = model_of(run.noun), [deed for deed in part if deed.action == "create"]
    kept = await put_back(session, model, [deed for deed in part if deed.action == "update"])
    if run.noun == CUSTOMER:
        kept |= await _delete_made(session, run, made)
    else:
        kept |= await unmaking.delete_made(session, model, made, tags(run))
    rows = [
        {"import_id": run.id, "undo": True, "line": 0, "column": str(customer_id), "reason": why, "cells": [name]}
        for customer_id, (name, why) in kept.items()
    ]
    if rows:
        await (await session.connection()).execute(insert(runs.ROWS_OF), rows)
    done = run.done + len(part)
    await runs.write(
        session, run.id, ImportState.UNDOING, done=done, undone=run.undone + len(part) - len(kept),
        kept=run.kept + len(kept), looked={**run.looked, "undone_at": part[-1].audit_id},
    )  # fmt: skip
    return Left(done, run.total, over=False)


# ---- what was made --------------------------------------------------------------------------------------------------


async def _delete_made(session: AsyncSession, run: ImportRun, made: Sequence[Deed]) -> Kept:
    """Delete customers whom nobody has touched, with their users. Who is gone already is no matter."""
    ids = [deed.row_id for deed in made]
    found = await session.scalars(select(Customer).where(Customer.id.in_(ids)).with_for_update())
    people = {customer.id: customer for customer in found}
    links = list(await session.scalars(select(UserCustomer).where(UserCustomer.customer_id.in_(people))))
    logins = {u.id: u for u in await session.scalars(
        select(User).where(User.id.in_([link.user_id for link in links])).with_for_update()
    )}  # fmt: skip
    reasons = await _touched(session, run, made, people, links, logins)
    gone = [c for c in people.values() if c.id not in reasons]
    users = [logins[link.user_id] for link in links if link.customer_id not in reasons]
    try:
        async with session.begin_nested():
            await _delete(session, gone, users)
    except IntegrityError:  # somebody was quicker
        reasons |= {customer.id: str(CHANGED) for customer in gone}
    for row in (*people.values(), *logins.values(), *links):
        session.expunge(row)
    return {customer_id: (people[customer_id].name, reason) for customer_id, reason in reasons.items()}


async def _touched(
    session: AsyncSession, run: ImportRun, made: Sequence[Deed], people: Mapping[int, Customer],
    links: Sequence[UserCustomer], logins: Mapping[int, User],
) -> dict[int, str]:  # fmt: skip
    """Customer -> what has happened to them since."""
    reasons: dict[int, str] = {}
    owners: dict[int, list[int]] = {}
    for link in links:
        owners.setdefault(link.user_id, []).append(link.customer_id)

    def because(customers: Iterable[int], reason: str) -> None:
        for customer_id in customers:
            if customer_id in people:
                reasons.setdefault(customer_id, reason)

    async def others(noun: str, ids: Iterable[int]) -> set[int]:
        query = select(Audit.noun_id).where(
            Audit.noun == noun, Audit.noun_id.in_(list(ids)), Audit.request.not_in(tags(run))
        )
        return {noun_id for noun_id in await session.scalars(query.distinct()) if noun_id is not None}

    because(await others("customer", people), str(CHANGED))
    changed = await others("user", logins)
    changed |= {login.id for login in logins.values() if login.password_hash is not None}
    because((c for u in changed for c in owners[u]), gettext("Somebody has signed in for it, or changed its user."))
    serving = await session.execute(
        select(UserCustomer.user_id).where(UserCustomer.user_id.in_(logins))
        .group_by(UserCustomer.user_id).having(func.count() > 1)
    )  # fmt: skip
    several = {
        link.customer_id for n, link in enumerate(links) if link.customer_id in {x.customer_id for x in links[:n]}
    }
    because({c for (u,) in serving for c in owners[u]} | several, gettext("It has other users by now."))
    groups: dict[int, set[int]] = {}
    for customer_id, group_id in await session.execute(
        select(Membership.customer_id, Membership.group_id).where(
            Membership.customer_id.in_(people), Membership.by_rule.is_(False)
        )
    ):
        groups.setdefault(customer_id, set()).add(group_id)
    for deed in made:
        if "user_id" in deed.changes and groups.get(deed.row_id, set()) != set(
            deed.changes.get("groups", (None, []))[1]
        ):
            because([deed.row_id], str(CHANGED))
    connection = await session.connection()
    for table, column, target in unmaking.pointing("customer", "user"):
        if table in MINE:
            continue
        of_user = target == "user"
        ids = list(logins if of_user else people)
        hit = {row[0] for row in await connection.execute(select(column).where(column.in_(ids)).distinct())}
        because((c for i in hit for c in (owners[i] if of_user else [i])), unmaking.by_now(table))
    return reasons


async def _delete(session: AsyncSession, people: Sequence[Customer], users: Sequence[User]) -> None:
    """In a statement per table; the audit has each row."""
    if not people:
        return
    customer_ids, user_ids = [c.id for c in people], [u.id for u in users]
    connection = await session.connection()
    refs = ExternalRef.metadata.tables["external_ref"].c
    of_them = or_(
        (refs.noun == "customer") & refs.noun_id.in_(customer_ids), (refs.noun == "user") & refs.noun_id.in_(user_ids)
    )
    await connection.execute(delete(refs.id.table).where(of_them))
    for entity, key, ids in (
        (OneUse, "user_id", user_ids), (Membership, "customer_id", customer_ids),
        (UserCustomer, "customer_id", customer_ids), (User, "id", user_ids), (Customer, "id", customer_ids),
    ):  # fmt: skip
        table = entity.__table__
        assert isinstance(table, Table)
        await connection.execute(delete(table).where(table.c[key].in_(ids)))
    lines = [audit.Line("delete", "user", user.id, audit.gone(user)) for user in users]
    lines += [audit.Line("delete", "customer", customer.id, audit.gone(customer)) for customer in people]
    await session.run_sync(audit.write_all, lines)
