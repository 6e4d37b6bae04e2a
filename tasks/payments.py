"""Payments in the background: refunds that a gateway sends, and asking about payments of which nothing was heard."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import moment, utcnow
from app.domain.billing import gateways, payments, refunds
from app.errors import AppError, Conflict
from app.i18n import gettext
from app.integrations.payments import gateway_of
from app.models.billing import Gateway, Payment, PaymentMethod, PaymentStatus
from app.models.jobs import Job, JobState
from app.observe import SYSTEM, acting, log
from app.queue import enqueue
from app.settings import Settings
from tasks.base import Again, JobRun, task

LOOK = "payments.look"
EVERY = 60.0
"""Seconds between two rounds."""
QUIET = timedelta(minutes=10)
"""After so long without a word the gateway is asked; and again after this, later after each hour."""
HOURLY = timedelta(hours=1)
LEFT = timedelta(days=2)
"""A payment by card that nobody has begun after so long is cancelled."""
AT_ONCE = 50


async def _not_sent(session: AsyncSession, *, job_id: int, reason: str, event_id: int) -> None:
    await refunds.refund_failed(session, event_id=event_id, reason=reason)


@task("payments.refund", timeout=60, on_failed=_not_sent)
async def refund(job: JobRun, *, event_id: int) -> None:
    """Have the gateway send a refund. After the last try it is on the account again."""
    await gateways.send_refund(job.resources.settings, event_id)


async def begin(settings: Settings) -> None:
    """Have payments looked after from now on, by one worker at a time. Called when a worker starts."""
    if not settings.stripe_secret_key:
        return
    with acting(SYSTEM), suppress(IntegrityError):  # another worker has just begun it
        async with db.unit() as session:
            job = await enqueue(session, LOOK, key=LOOK)
            await session.execute(
                update(Job)
                .where(Job.id == job.id, Job.state.in_((JobState.DONE, JobState.FAILED)))
                .values(state=JobState.DUE, due_at=moment(), attempt=0, error="", finished_at=None)
                .execution_options(synchronize_session=False)
            )


@task(LOOK, timeout=280, tries=1000)
async def look(job: JobRun) -> Again | None:
    """One round, and come again."""
    settings = job.resources.settings
    if not settings.stripe_secret_key:
        return None
    await look_round(settings, job)
    await drop_left()
    return Again(EVERY)


async def look_round(settings: Settings, job: JobRun | None = None) -> int:
    """Ask the gateway about payments of which nothing was heard: a webhook may have been lost. Says how many."""
    gateway, now = gateway_of(Gateway.STRIPE, settings), utcnow()
    if gateway is None:
        return 0
    due = or_(
        Payment.looked_at.is_(None),
        Payment.looked_at < now - HOURLY,
        (Payment.looked_at < now - QUIET) & (Payment.created_at > now - HOURLY),
    )
    async with db.reads() as session:
        rows = (
            await session.execute(
                select(Payment.id, Payment.external_id)
                .join(PaymentMethod)
                .where(
                    Payment.status == PaymentStatus.PENDING, Payment.external_id.is_not(None),
                    PaymentMethod.gateway == Gateway.STRIPE, Payment.created_at < now - QUIET, due,
                )
                .order_by(Payment.looked_at.is_not(None), Payment.looked_at, Payment.id)
                .limit(AT_ONCE)
            )
        ).all()  # fmt: skip
    asked = 0
    for payment_id, external_id in rows:
        if job is not None and job.slice_over:
            break
        try:
            happened = await gateway.look(external_id or "")
            if happened is not None:
                await gateways.take(happened, Gateway.STRIPE)
        except AppError as problem:  # the next round asks again
            log("payments").warning("payment %s cannot be looked at: %s", payment_id, problem)
        asked += 1
        async with db.unit() as session:  # a mark of ours, no change of the payment
            await session.execute(
                update(Payment)
                .where(Payment.id == payment_id)
                .values(looked_at=utcnow())
                .execution_options(audited=True, synchronize_session=False)
            )
    return asked


async def drop_left() -> int:
    """Cancel payments by a gateway that nobody has begun for days. Says how many."""
    async with db.reads() as session:
        found = await session.scalars(
            select(Payment.id)
            .join(PaymentMethod)
            .where(
                Payment.status == PaymentStatus.NEW, Payment.external_id.is_(None),
                PaymentMethod.gateway.in_(gateways.BY_GATEWAY), Payment.created_at < utcnow() - LEFT,
            )
            .limit(AT_ONCE)
        )  # fmt: skip
        ids = found.all()
    for payment_id in ids:
        with suppress(Conflict):
            async with db.unit() as session:
                await payments.cancel(session, payment_id=payment_id, reason=gettext("Nobody has begun it."))
    return len(ids)
