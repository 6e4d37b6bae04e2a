"""Another e-mail address, of an account or of a user: asked for, and taken once its owner has pressed the link."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks, customers, users
from app.domain.confirmations.rows import GONE, begin, end
from app.errors import Invalid, NotFound
from app.i18n import gettext
from app.models.confirmations import Confirmation, ConfirmationKind
from app.models.customers import Customer
from app.models.users import User


async def ask_address(
    session: AsyncSession, *, customer: Customer, email: str, user: User | None = None
) -> Confirmation:
    """Send a link to the new address; nothing changes until it is pressed. user: it is the login's address, else the
    account's. Raises Invalid (`email`), TooMany."""
    wanted = checks.at("email", checks.required_email, email)
    now = user.email if user is not None else customer.email
    if wanted == now:
        raise Invalid(email=gettext("This is the address already."))
    kind = ConfirmationKind.ACCOUNT_EMAIL if user is None else ConfirmationKind.LOGIN_EMAIL
    return await begin(
        session, kind=kind, customer_id=customer.id, value=wanted, user_id=user.id if user is not None else None,
        args={"old": now},
    )  # fmt: skip


async def confirm_address(session: AsyncSession, row: Confirmation) -> None:
    """Take the new address; the old one is told. Raises NotFound when it was changed in another way meanwhile."""
    if row.kind is ConfirmationKind.LOGIN_EMAIL and row.user is not None:
        user, old = row.user, row.user.email
        if old != row.args.get("old"):
            raise NotFound(GONE)
        values = {"email": row.value}
        name = row.value.lower()
        if user.username == old.lower() and not await users.taken(session, project_id=user.project_id, username=name):
            values["username"] = name
        await users.change_user(session, user=user, values=values)
    elif row.kind is ConfirmationKind.ACCOUNT_EMAIL and row.customer.email == row.args.get("old"):
        await customers.change_customer(session, customer=row.customer, values={"email": row.value})
    else:
        raise NotFound(GONE)
    await end(session, row, done=True)
