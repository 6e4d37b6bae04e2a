"""Whether a customer's phone number is theirs: a code is sent, and typed in again."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import utcnow
from app.domain import checks
from app.domain.confirmations.rows import MOST_TRIES, begin, code_fits, end, open_ones
from app.errors import Conflict, Invalid
from app.i18n import gettext
from app.integrations.codes import Way
from app.models.confirmations import Confirmation, ConfirmationKind
from app.models.customers import Customer

PAUSE = timedelta(seconds=60)
"""Between two codes; a double click sends one."""


async def send_code(session: AsyncSession, *, customer: Customer, way: Way) -> Confirmation:
    """Send a code for the number that the customer has now. Raises Conflict (no number, verified already, just sent),
    TooMany."""
    if not customer.phone or not checks.readable_phone(customer.phone, customer.country):
        raise Conflict(gettext("Enter a phone number first, with + and the country code."))
    if customer.phone_verified_at and customer.verified_phone == customer.phone:
        raise Conflict(gettext("This number is verified already."))
    if way is Way.EMAIL and not customer.email:
        raise Conflict(gettext("There is no e-mail address to which the code could be sent."))
    # two at once: one after the other
    await session.execute(select(Customer.id).where(Customer.id == customer.id).with_for_update())
    last = await session.scalar(
        select(Confirmation.created_at)
        .where(Confirmation.customer_id == customer.id, Confirmation.kind == ConfirmationKind.PHONE)
        .order_by(Confirmation.id.desc()).limit(1)
    )  # fmt: skip
    if last is not None and last > utcnow() - PAUSE:
        raise Conflict(gettext("A code was just sent. Please wait a minute before you ask for another."))
    return await begin(
        session, kind=ConfirmationKind.PHONE, customer_id=customer.id, value=customer.phone, args={"way": way.value}
    )


async def check_code(*, customer_id: int, code: str) -> None:
    """The number is verified, if this is the code. Opens its own units, because a wrong try counts although it is
    refused. Raises Invalid (`code`)."""
    code = "".join(c for c in code if c.isdecimal())
    async with db.unit() as session:
        rows = await open_ones(session, customer_id=customer_id, kind=ConfirmationKind.PHONE)
        counted = rows and await session.scalar(
            update(Confirmation)
            .where(Confirmation.id == rows[0].id, Confirmation.tries < MOST_TRIES, Confirmation.ended_at.is_(None))
            .values(tries=Confirmation.tries + 1)
            .returning(Confirmation.tries)
            .execution_options(audited=True, synchronize_session=False)
        )
    if not counted:
        raise Invalid(code=gettext("This code is too old, or was tried too often. Please have a new one sent."))
    if not code_fits(rows[0], code):
        left = MOST_TRIES - counted
        raise Invalid(code=gettext("This is not the code. Tries left: %(n)d.") % {"n": left})
    async with db.unit() as session:
        row = await session.get_one(Confirmation, rows[0].id, with_for_update=True)
        customer = await session.get_one(Customer, customer_id)
        if row.ended_at is not None or customer.phone != row.value:
            raise Invalid(code=gettext("The number has changed meanwhile. Please have a new code sent."))
        customer.verified_phone, customer.phone_verified_at = customer.phone, utcnow()
        customer.phone_verified_by = str(Way(row.args.get("way", Way.EMAIL)).label)
        await end(session, row, done=True)
