"""What the mail of a confirmation says, and in which language."""

from __future__ import annotations

from typing import cast

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import brands
from app.domain.confirmations.rows import LIFE, code_of, link_of
from app.domain.messaging.system import values_of
from app.i18n import best, show_span, speaking
from app.models.confirmations import Confirmation, ConfirmationKind
from app.models.messaging import MailKind
from app.models.users import CustomerRole, User, UserRole

Letter = tuple[str, MailKind, str, dict[str, str]]
"""(to, kind, language, values)"""


async def letter(session: AsyncSession, row: Confirmation) -> Letter:
    """The row has its customer and user loaded."""
    values = await values_of(session, row.customer_id)
    language = (row.user.language if row.user is not None else "") or values["customer.language"] or values["default"]
    with speaking(best(language, ("en", "de", "ru", "es")) or "en"):
        values["confirm.span"] = show_span(LIFE[row.kind].total_seconds())
        if row.kind is ConfirmationKind.PHONE:
            values |= {"code.digits": code_of(row), "code.phone": row.value}
            return values["customer.email"], MailKind.PHONE_CODE, language, values
        values["confirm.link"] = await brands.url_for(row.customer.project_id, link_of(row))
        if row.user is not None:
            values |= {"user.name": str(row.user), "user.email": row.user.email}
        if row.kind is not ConfirmationKind.JOIN:
            values["email.new"] = row.value
            return row.value, MailKind.ADDRESS_CONFIRM, language, values
        if row.user is None:
            values |= {"user.name": row.value, "user.email": row.value}
        values |= {"invite.role": await role_label(session, row), "invite.by": await _inviter(session, row)}
    to = row.user.email if row.user is not None and row.user.email else row.value
    return to, MailKind.INVITATION, language, values


async def role_label(session: AsyncSession, row: Confirmation) -> str:
    """What an invitation makes somebody."""
    if (own := row.args.get("own_role_id")) is not None:
        return await session.scalar(select(CustomerRole.name).where(CustomerRole.id == own)) or ""
    return str(UserRole(cast("str", row.args["role"])).label)


async def _inviter(session: AsyncSession, row: Confirmation) -> str:
    by = await session.get(User, row.args["by"]) if row.args.get("by") else None
    return str(by) if by is not None else row.customer.project.name
