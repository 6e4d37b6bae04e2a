"""Addresses to which nothing is sent: because they do not exist, or because staff say so."""

from __future__ import annotations

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import fold, utcnow
from app.domain.messaging.consent import SUPPRESSED, UNSCOPED, left_out, unsent
from app.errors import Conflict, Invalid, NotFound
from app.i18n import _
from app.integrations.mail import valid_address
from app.models.consent import Suppression, Why
from app.models.customers import Customer
from app.models.messaging import Channel, Delivery
from app.models.users import User, UserCustomer
from app.observe import Kind, actor


def normal(address: str) -> str:
    """An address as it is kept and compared."""
    return address.strip().lower()


async def is_suppressed(session: AsyncSession, address: str) -> bool:
    """Whether nothing may be sent to this address now."""
    return await _now(session, normal(address)) is not None


async def _now(session: AsyncSession, address: str) -> Suppression | None:
    found: Suppression | None = await session.scalar(
        select(Suppression).where(Suppression.address == address, Suppression.lifted_at.is_(None)),
        execution_options=UNSCOPED,
    )
    return found


async def suppress(session: AsyncSession, *, address: str, why: Why, detail: str = "") -> Suppression:
    """Send nothing more to an address, also not what a running campaign still holds for it. Already so: the row that
    there is. Raises Invalid at `address`: none, or (for staff limited to projects) of no customer that they see."""
    address = normal(address)
    if not valid_address(address):
        raise Invalid(address=_("This is not an e-mail address."))
    who = actor.get()
    if who.kind is Kind.STAFF and who.projects is not None and not await _customers(session, address):
        raise Invalid(address=_("No customer whom you see has this address."))
    if (present := await _now(session, address)) is not None:
        return present
    row = Suppression(address=address, why=why, detail=detail.strip()[:500], staff_id=who.staff_id)
    try:
        async with session.begin_nested():
            session.add(row)
    except IntegrityError:  # somebody else has done so in this moment
        if (present := await _now(session, address)) is None:
            raise
        return present
    ids = await _customers(session, address, unscoped=True)
    for start in range(0, len(ids), 500):
        await session.execute(
            update(Delivery)
            .where(
                Delivery.customer_id.in_(ids[start : start + 500]), Delivery.channel == Channel.EMAIL, unsent(),
                func.lower(Delivery.address) == address,
            )
            .values(left_out(SUPPRESSED))
            .execution_options(synchronize_session=False, **UNSCOPED)
        )  # fmt: skip
    return row


async def _customers(session: AsyncSession, address: str, *, unscoped: bool = False) -> list[int]:
    """The customers to whom a mail to this address may go. The folded twins have the indexes."""
    folded = fold(address)
    own = select(Customer.id).where(Customer.email_folded == folded)
    users = (
        select(UserCustomer.customer_id).join(User, User.id == UserCustomer.user_id).where(User.email_folded == folded)
    )
    found: set[int] = set()
    for statement in (own, users):
        found.update(await session.scalars(statement, execution_options={"unscoped": unscoped}))
    return sorted(found)


async def lift(session: AsyncSession, *, suppression_id: int, reason: str) -> Suppression:
    """Let mails go to this address again. Raises NotFound, Invalid without a reason, Conflict when it was lifted."""
    row = await session.scalar(select(Suppression).where(Suppression.id == suppression_id).with_for_update())
    if row is None:
        raise NotFound
    if not reason.strip():
        raise Invalid(reason=_("Say why mails go there again."))
    if row.lifted_at is not None:
        raise Conflict(_("Mails go to this address again already."))
    row.lifted_at, row.lifted_by_id, row.lift_reason = utcnow(), actor.get().staff_id, reason.strip()[:500]
    await session.flush()
    return row
