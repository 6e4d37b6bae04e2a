"""Invitations to the users that an import made, a few at a time: mail servers mind a hundred thousand at once."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import select

from app.db import unit
from app.domain.confirmations import begin
from app.domain.imports import runs
from app.domain.imports.done import created_by
from app.domain.longwork import Left
from app.errors import TooMany
from app.models.confirmations import ConfirmationKind
from app.models.imports import ImportRun, ImportState
from app.models.users import User, UserCustomer, UserRole

AT_ONCE, PAUSE = 50, 10.0
"""So many invitations every so many seconds."""
OWNER = {"role": UserRole.OWNER.value, "own_role_id": None, "receives": False, "by": None, "word": UserRole.OWNER.value}
"""What they are asked to be, and are already: whoever accepts brings a password."""


async def invite_some(*, import_id: int) -> Left:
    """Have the next ones invited: who has an address, and no password yet. Ends when the import is undone."""
    async with unit() as session:
        run = await session.scalar(select(ImportRun).where(ImportRun.id == import_id).with_for_update())
        if run is None or run.state is not ImportState.DONE:
            return Left(0, 0, over=True)
        at, chunk = await created_by(session, run, after=run.looked.get("invited_at", 0), most=AT_ONCE)
        people = await session.execute(
            select(User.id, User.email, UserCustomer.customer_id)
            .join(UserCustomer, UserCustomer.user_id == User.id)
            .where(UserCustomer.customer_id.in_(chunk), User.password_hash.is_(None), User.enabled, User.email != "")
            .order_by(User.id)
        )
        invited = run.looked.get("invited", 0)
        for user_id, email, customer_id in people:
            with suppress(TooMany):  # one address gets a few within an hour, in whosever name
                await begin(
                    session, kind=ConfirmationKind.JOIN, customer_id=customer_id, value=email.lower(), user_id=user_id,
                    args=OWNER,
                )  # fmt: skip
                invited += 1
        looked = {**run.looked, "invited_at": at, "invited": invited}
        await runs.write(session, run.id, ImportState.DONE, looked=looked)
        return Left(invited, run.created, over=not chunk)
