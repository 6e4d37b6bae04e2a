"""What is left of a cleared customer where no index leads: details of the audit, and the arguments of old jobs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.customers.merging import BULK
from app.models.audit import AuditDetail
from app.models.jobs import Job, JobState
from app.models.tickets import Ticket, TicketMessage

AT_ONCE = 20_000
OVER = (JobState.DONE, JobState.FAILED)


async def sweep(session: AsyncSession, *, customer_ids: Sequence[int], user_ids: Sequence[int], after: int) -> int:
    """Delete the next details that name them; `after` for the next time, 0 when all were looked at.

    They are those of rows that are deleted by now, of which only the detail still says whose they were.
    """
    last = await session.scalar(select(func.max(AuditDetail.audit_id))) or 0
    until = min(after + AT_ONCE, last)
    named = [f'"{column}":[{pair}]' for column, ids in (("customer_id", customer_ids), ("user_id", user_ids))
             for i in ids for pair in (f"{i},null", f"null,{i}")]  # fmt: skip
    those = or_(*(AuditDetail.payload.contains(text, autoescape=True) for text in named))
    await session.execute(
        delete(AuditDetail)
        .where(AuditDetail.audit_id > after, AuditDetail.audit_id <= until, those)
        .execution_options(**BULK)
    )
    return until if until < last else 0


async def empty_jobs(session: AsyncSession, *, customer_ids: Sequence[int]) -> None:
    """Mails lie in the jobs that have sent them."""
    written = select(TicketMessage.id).join(Ticket).where(Ticket.customer_id.in_(customer_ids))
    mails = Job.name == "messaging.mail", Job.args["customer_id"].as_integer().in_(customer_ids)
    answers = Job.name == "tickets.mail", Job.args["message_id"].as_integer().in_(written)
    for conditions in (mails, answers):
        await session.execute(
            update(Job).where(*conditions, Job.state.in_(OVER)).values(args={}).execution_options(**BULK)
        )
