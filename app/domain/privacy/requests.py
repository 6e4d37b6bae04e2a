"""Asking for a copy of the data and for its deletion. Nothing is deleted by itself: that is for staff, in a ticket."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app import db
from app.db import utcnow
from app.domain import keeping, tickets
from app.errors import Conflict, Invalid, NotFound
from app.i18n import _, gettext
from app.integrations.storage import Storage
from app.models.customers import Customer
from app.models.messaging import Category
from app.models.privacy import DataKind, DataRequest, DataState
from app.models.tickets import TicketStatus
from app.queue import enqueue

KEPT_DAYS = 7
"""For how long an export can be downloaded."""
MOST_A_DAY = 5
MAX_REASON = 2000
AT_ONCE = 100


async def exports(session: AsyncSession, customer_id: int, *, limit: int = 5) -> Sequence[DataRequest]:
    """The last exports of a customer, newest first, with their jobs."""
    return (await session.scalars(_of(customer_id, DataKind.EXPORT).limit(limit))).all()


def _of(customer_id: int, kind: DataKind) -> Select[DataRequest]:
    return (
        select(DataRequest)
        .where(DataRequest.customer_id == customer_id, DataRequest.kind == kind)
        .options(joinedload(DataRequest.job), joinedload(DataRequest.ticket), joinedload(DataRequest.user))
        .order_by(DataRequest.id.desc())
    )


async def _lock(session: AsyncSession, customer_id: int) -> None:
    """One request of a customer at a time. Raises NotFound."""
    query = select(Customer.id).where(Customer.id == customer_id).with_for_update()
    if await session.scalar(query) is None:
        raise NotFound


async def ask_export(session: AsyncSession, *, customer_id: int, user_id: int | None) -> DataRequest:
    """Have a copy of all data of a customer made; while one is being made, that one. Raises NotFound, Conflict."""
    await _lock(session, customer_id)
    last = await exports(session, customer_id, limit=1)
    if last and last[0].state is DataState.WAITING:
        return last[0]
    today = select(func.count()).where(
        DataRequest.customer_id == customer_id, DataRequest.kind == DataKind.EXPORT,
        DataRequest.created_at > utcnow() - timedelta(days=1),
    )  # fmt: skip
    if (await session.scalar(today) or 0) >= MOST_A_DAY:
        raise Conflict(_("That was asked for often enough today. Please try again tomorrow."))
    made = DataRequest(customer_id=customer_id, user_id=user_id, kind=DataKind.EXPORT)
    session.add(made)
    await session.flush()
    job = await enqueue(session, "privacy.export", key=f"privacy.export:{made.id}", total=1, request_id=made.id)
    made.job_id = job.id
    await session.flush()
    return made


async def fail(session: AsyncSession, *, request_id: int) -> None:
    """The copy cannot be made; the reason stands at the job, for staff."""
    made = await session.get(DataRequest, request_id, with_for_update=True)
    if made is not None and made.state is DataState.WAITING:
        made.state, made.finished_at = DataState.FAILED, utcnow()
        await session.flush()


async def file_of(session: AsyncSession, *, customer_id: int, request_id: int) -> DataRequest:
    """An export that can be downloaded now. Raises NotFound."""
    found = await session.scalar(
        select(DataRequest).where(
            DataRequest.id == request_id, DataRequest.customer_id == customer_id, DataRequest.state == DataState.READY,
            DataRequest.expires_at > utcnow(),
        )
    )  # fmt: skip
    if found is None:
        raise NotFound
    return found


# ---- forgetting ------------------------------------------------------------------------------------------------------


async def forget(storage: Storage) -> bool:
    """Delete the files of exports that were kept long enough; True: there are more."""
    async with db.reads() as session:
        ids = await session.scalars(
            select(DataRequest.id)
            .where(DataRequest.expires_at <= utcnow(), DataRequest.state == DataState.READY)
            .order_by(DataRequest.id)
            .limit(AT_ONCE)
        )
        old = ids.all()
    for request_id in old:
        async with db.unit() as session:
            made = await session.get(DataRequest, request_id, with_for_update=True)
            if made is None or made.state is not DataState.READY:
                continue
            key, made.state, made.key = made.key, DataState.EXPIRED, ""
            await session.flush()
            await keeping.forget(storage, session, [key])  # before the commit: a crash in between finds the row again
    return len(old) == AT_ONCE


# ---- deletion --------------------------------------------------------------------------------------------------------


async def deletion(session: AsyncSession, customer_id: int) -> DataRequest | None:
    """The request for deletion that staff have not ended yet."""
    last = await session.scalar(_of(customer_id, DataKind.DELETION).limit(1))
    return last if last is not None and _pending(last) else None


def _pending(request: DataRequest) -> bool:
    open_ = request.ticket is not None and request.ticket.status is not TicketStatus.CLOSED
    return request.state is DataState.WAITING and open_


async def ask_deletion(
    session: AsyncSession, *, customer_id: int, user_id: int | None, reason: str = ""
) -> DataRequest:
    """Tell staff, by a ticket of a service category, that a customer wants the account deleted. While one waits, that
    one. Raises Invalid with the field reason, NotFound."""  # fmt: skip
    reason = reason.strip()
    if len(reason) > MAX_REASON:
        raise Invalid(reason=gettext("At most %(n)d characters, please.") % {"n": MAX_REASON})
    await _lock(session, customer_id)
    last = await session.scalar(_of(customer_id, DataKind.DELETION).limit(1))
    if last is not None and last.state is DataState.WAITING:
        if _pending(last):
            return last
        last.state, last.finished_at = DataState.DONE, utcnow()
        await session.flush()
    category = await session.scalar(
        select(Category.id)
        .where(Category.enabled, Category.subscribable.is_(False))
        .order_by(Category.priority.desc(), Category.id)
        .limit(1)
    )
    ticket = await tickets.open_ticket(
        session, customer_id=customer_id, user_id=user_id, from_customer=True, category_id=category,
        subject=gettext("Please delete our account and its data"),
        text=reason or gettext("No reason was given."),
    )  # fmt: skip
    made = DataRequest(
        customer_id=customer_id, user_id=user_id, kind=DataKind.DELETION, reason=reason, ticket_id=ticket.id
    )
    session.add(made)
    await session.flush()
    return made


async def withdraw(session: AsyncSession, *, customer_id: int, user_id: int | None) -> None:
    """Take the request for deletion back, and say so in its ticket. Raises Conflict when there is none."""
    await _lock(session, customer_id)
    waiting = await deletion(session, customer_id)
    if waiting is None or waiting.ticket_id is None:
        raise Conflict(_("There is no request for deletion any more."))
    await tickets.reply(
        session, ticket_id=waiting.ticket_id, customer_id=customer_id, user_id=user_id, from_customer=True,
        text=gettext("We take this request back. Please keep the account."),
    )  # fmt: skip
    waiting.state, waiting.finished_at = DataState.WITHDRAWN, utcnow()
    await session.flush()
