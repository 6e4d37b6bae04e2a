"""What is mailed to a person about their sign-in. Written by the worker when it is sent: links lie in no job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.messaging import system
from app.domain.messaging.suppression import is_suppressed
from app.domain.messaging.values import SOURCES, of_customer, of_project
from app.domain.sessions import links
from app.domain.sessions.person import Person
from app.i18n import _, speaking
from app.integrations.mail import valid_address
from app.links import url
from app.models.customers import Customer
from app.models.messaging import MailKind
from app.models.projects import Project
from app.models.sessions import OneUseKind
from app.models.staff import Staff
from app.models.users import UserCustomer

PANEL = "Bursar"
LETTERS: dict[OneUseKind, tuple[MailKind, str, str, int]] = {
    OneUseKind.RESET: (MailKind.PASSWORD_RESET, "reset.link", "reset.minutes", 60),
    OneUseKind.INVITE: (MailKind.INVITATION, "invite.link", "invite.days", 86_400),
    OneUseKind.EMAIL: (MailKind.EMAIL_CONFIRM, "confirm.link", "confirm.hours", 3600),
    OneUseKind.CONFIRM: (MailKind.REGISTRATION, "confirm.link", "confirm.hours", 3600),
}
"""Kind -> its mail, the fields for the link and for how long it works, and the seconds of that unit."""
CHANGES: dict[str, str] = {
    "password": _("Your password was changed. Other devices are signed out."),
    "two_factor_on": _("Two-factor sign-in was switched on."),
    "two_factor_off": _("Two-factor sign-in was switched off: the password alone is enough now."),
    "codes": _("New recovery codes were made. The old ones do not work any more."),
    "recovery_code": _("A recovery code was used to sign in or to prove that it is you."),
    "passkey_added": _("A passkey was added."),
    "passkey_removed": _("A passkey was removed."),
}
"""What can be told of a sign-in."""


async def with_link(
    session: AsyncSession, *, kind: OneUseKind, person: Person, customer_id: int | None = None,
    data: Mapping[str, Any], macros: Mapping[str, str],
) -> dict[str, Any] | None:  # fmt: skip
    """Make a link and the mail that carries it, as `system.mail_of` gives it; None: nothing can be sent."""
    mail_kind, where, how_long, unit = LETTERS[kind]
    if await person.row(session) is None:
        return None
    path = await links.make(session, kind=kind, data=data, **person.columns)
    life = str(int(links.LIFE[kind].total_seconds()) // unit)
    fields = {"inviter.name": ""} | dict(macros) | {where: url(path), how_long: life}
    to = str(data.get("email", "")) if kind is OneUseKind.EMAIL else ""
    return await _letter(session, mail_kind, person, fields, customer_id=customer_id, to=to)


async def of_change(session: AsyncSession, *, person: Person, what: str) -> dict[str, Any] | None:
    """The mail that tells of a change; None: nothing can be sent."""
    return await _letter(session, MailKind.SECURITY, person, {}, says=CHANGES[what])


async def _letter(
    session: AsyncSession, kind: MailKind, person: Person, macros: Mapping[str, str], *,
    customer_id: int | None = None, to: str = "", says: str = "",
) -> dict[str, Any] | None:  # fmt: skip
    who = await person.row(session)
    if who is None:
        return None
    if isinstance(who, Staff):
        project_id, values = None, await _of_staff(session, who)
    else:
        project_id, values = who.project_id, await _of_user(session, who.id, who.project_id, customer_id)
        values |= {"user.name": str(who), "user.email": who.email}
    language = who.language or values["customer.language"]
    to = to or who.email
    if not valid_address(to) or await is_suppressed(session, to):
        return None
    values |= macros
    if says:
        with speaking(language):
            values["security.what"] = str(says)
    code, message = await system.written(session, kind=kind, project_id=project_id, language=language, values=values)
    return system.mail_of(message, language=code, to=to, values=values)


async def _of_user(session: AsyncSession, user_id: int, project_id: int, customer_id: int | None) -> dict[str, str]:
    if customer_id is None:
        served = select(UserCustomer.customer_id).where(UserCustomer.user_id == user_id)
        customer_id = await session.scalar(served.order_by(UserCustomer.customer_id).limit(1))
    if customer_id is not None:
        of = await session.scalar(select(Customer.project_id).where(Customer.id == customer_id))
        if of == project_id:
            _more, values = await of_customer(session, customer_id, user_id=user_id)
            return values
    project = await session.get_one(Project, project_id)
    return dict.fromkeys(SOURCES, "") | of_project(project) | {"customer.language": project.default_language}


async def _of_staff(session: AsyncSession, staff: Staff) -> dict[str, str]:
    """Staff work for no project: the mail comes from the first one's address, in the panel's name."""
    project = await session.scalar(select(Project).where(Project.enabled).order_by(Project.id).limit(1))
    values = dict.fromkeys(SOURCES, "") | (of_project(project) if project else {})
    return values | {
        "project.name": PANEL, "project.site": "", "project.hue": "", "project.sender_name": PANEL,
        "user.name": str(staff), "user.email": staff.email,
    }  # fmt: skip


async def of_registration(
    session: AsyncSession, *, kind: MailKind, project: Project, name: str, to: str, language: str,
    macros: Mapping[str, str],
) -> dict[str, Any] | None:  # fmt: skip
    """A mail to somebody who is nobody here yet."""
    if not valid_address(to) or await is_suppressed(session, to):
        return None
    values = dict.fromkeys(SOURCES, "") | of_project(project)
    values |= {"user.name": name, "user.email": to, "customer.name": name, "customer.email": to, **macros}
    wanted = language or project.default_language
    code, message = await system.written(session, kind=kind, project_id=project.id, language=wanted, values=values)
    return system.mail_of(message, language=code, to=to, values=values)
