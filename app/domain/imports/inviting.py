"""Invitations to the users that an import made, a few at a time: mail servers mind a hundred thousand at once."""

from __future__ import annotations

from sqlalchemy import select

from app.db import unit
from app.domain.imports import runs
from app.domain.imports.done import created_by
from app.domain.sessions import links
from app.models.imports import ImportRun, ImportState
from app.models.sessions import OneUseKind
from app.models.users import User, UserCustomer

AT_ONCE, PAUSE = 50, 10.0
"""So many invitations every so many seconds."""


async def invite_some(*, import_id: int) -> runs.Left:
    """Have the next ones invited: who has an address, and no password yet. Ends when the import is undone."""
    async with unit() as session:
        run = await session.scalar(select(ImportRun).where(ImportRun.id == import_id).with_for_update())
        if run is None or run.state is not ImportState.DONE:
            return runs.Left(0, 0, over=True)
        at, chunk = await created_by(session, run, after=run.looked.get("invited_at", 0), most=AT_ONCE)
        people = await session.execute(
            select(User.id, UserCustomer.customer_id)
            .join(UserCustomer, UserCustomer.user_id == User.id)
            .where(UserCustomer.customer_id.in_(chunk), User.password_hash.is_(None), User.enabled, User.email != "")
            .order_by(User.id)
        )
        invited = run.looked.get("invited", 0)
        for user_id, _customer_id in people:
            await links.mail(session, kind=OneUseKind.RESET, user_id=user_id)
            invited += 1
        looked = {**run.looked, "invited_at": at, "invited": invited}
        await runs.write(session, run.id, ImportState.DONE, looked=looked)
        return runs.Left(invited, run.created, over=not chunk)
