"""The originals of mails that came in: the whole files in the store, kept for a while after they were sorted."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update

from app import db
from app.db import utcnow
from app.domain import keeping
from app.integrations.storage import Storage
from app.models import audit
from app.models.inbound import InboundMail, InboundState

AT_ONCE = 200
KEPT = (InboundState.NEW, InboundState.ASIDE)
"""States in which somebody still needs the original."""


async def forget(storage: Storage, *, days: int) -> bool:
    """Delete the originals of mails that came more than so many days ago; True: there are more. What is not sorted yet,
    or put aside, keeps its file until it is. The row stays: what was said is in the ticket."""
    old = select(InboundMail.id, InboundMail.key).where(
        InboundMail.key != "", InboundMail.received_at < utcnow() - timedelta(days=days),
        InboundMail.state.not_in(KEPT),
    )  # fmt: skip
    async with db.reads() as session:
        found = (await session.execute(old.order_by(InboundMail.id).limit(AT_ONCE))).all()
        # first the file: a crash in between finds the rows again
        await keeping.forget(storage, session, [r.key for r in found], aside={InboundMail: [r.id for r in found]})
    if found:
        async with db.unit() as session:
            await session.execute(
                update(InboundMail)
                .where(InboundMail.id.in_([row.id for row in found]))
                .values(key="")
                .execution_options(synchronize_session=False, audited=True)
            )
            await session.run_sync(audit.write, "delete", "inbound_mail", None, {"originals": [len(found), 0]})
    return len(found) == AT_ONCE
