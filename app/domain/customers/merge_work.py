"""Merging and undoing it as people ask for it: at once, or in the background where there are many messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import reads, unit
from app.domain.customers.merging import LARGE, Trail, merge, messages_of, messages_to_move, move_messages
from app.domain.customers.unmerging import refusals_to_unmerge, trail_by, trail_of, unmerge
from app.errors import Conflict
from app.models.customers import Customer
from app.models.jobs import Job
from app.queue import enqueue

Told = Callable[[int, int], Awaitable[None]]
"""Hears (messages moved, messages)."""


async def begin_merge(session: AsyncSession, *, kept: Customer, gone: Customer, take: Collection[str]) -> Job | None:
    """Merge `gone` into `kept`; the job that does it, where that is not at once. Raises Conflict with the reasons."""
    n = await messages_to_move(session, gone.id)
    if n >= LARGE:
        return await enqueue(
            session, "customers.merge", key=f"merge:{gone.id}:{gone.version}", total=n, kept_id=kept.id,
            gone_id=gone.id, take=sorted(take),
        )  # fmt: skip
    audit_id = await merge(session, kept_id=kept.id, gone_id=gone.id, take=take)
    await _all_of(session, await trail_by(session, audit_id), back=False)
    return None


async def begin_unmerge(session: AsyncSession, *, gone: Customer) -> Job | None:
    """Undo the merge of `gone`, likewise. Raises NotFound, Conflict with the reasons."""
    if reasons := await refusals_to_unmerge(session, gone_id=gone.id):
        raise Conflict(" ".join(reasons))
    row, trail, _told = await trail_of(session, gone.id)
    if (n := messages_of(trail)) >= LARGE:
        key = f"unmerge:{gone.id}:{row.id}"
        return await enqueue(session, "customers.unmerge", key=key, total=n, gone_id=gone.id, audit_id=row.id)
    await _all_of(session, await trail_by(session, await unmerge(session, gone_id=gone.id)), back=True)
    return None


async def _all_of(session: AsyncSession, trail: Trail, *, back: bool) -> None:
    done = 0
    while done < messages_of(trail):
        done = await move_messages(session, trail=trail, back=back, done=done)


# ---- in the background ----------------------------------------------------------------------------------------------


async def work_off_merge(*, kept_id: int, gone_id: int, take: Collection[str], told: Told) -> None:
    """All of it, in parts; after a crash it goes on."""
    async with unit() as session:
        gone = await session.get(Customer, gone_id)
        if gone is not None and gone.merged_into_id == kept_id:
            trail = (await trail_of(session, gone_id))[1]
        else:
            trail = await trail_by(session, await merge(session, kept_id=kept_id, gone_id=gone_id, take=take))
    await _in_parts(trail, told, back=False)


async def work_off_unmerge(*, gone_id: int, audit_id: int, told: Told) -> None:
    async with unit() as session:
        gone = await session.get(Customer, gone_id)
        if gone is not None and gone.merged_into_id is not None:
            await unmerge(session, gone_id=gone_id)
    async with reads() as session:
        trail = await trail_by(session, audit_id)
    await _in_parts(trail, told, back=True)


async def _in_parts(trail: Trail, told: Told, *, back: bool) -> None:
    done, total = 0, messages_of(trail)
    while done < total:
        async with unit() as session:
            done = await move_messages(session, trail=trail, back=back, done=done)
        await told(done, total)
