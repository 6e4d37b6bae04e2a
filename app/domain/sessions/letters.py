"""What is mailed to a person about their sign-in. Written by the worker when it is sent: links lie in no job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import brands
from app.domain.messaging import system
from app.domain.messaging.suppression import is_suppressed
from app.domain.messaging.values import SOURCES, of_customer, of_project
from app.domain.sessions import links
from app.domain.sessions.person import Person
from app.i18n import _, speaking
from app.integrations.mail import valid_address
from app.links import url
from app.models.messaging import MailKind
from app.models.projects import Project
from app.models.sessions import OneUseKind
from app.models.staff import Staff
from app.models.users import User, UserCustomer

PANEL = "Bursar"
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


async def with_link(session: AsyncSession, *, kind: OneUseKind, person: Person) -> dict[str, Any] | None:
    """Make a link to a new password and the mail that carries it, as `system.mail_of` gives it; None: nothing can be
    sent."""
    who = await person.row(session)
    if who is None:
        return None
    path = await links.make(session, kind=kind, **person.columns)
    minutes = int(links.LIFE[kind].total_seconds()) // 60
    whole = await brands.url_for(who.project_id, path) if isinstance(who, User) else url(path)
    fields = {"reset.link": whole, "reset.minutes": str(minutes)}
    return await _letter(session, MailKind.PASSWORD_RESET, person, fields)


async def of_change(session: AsyncSession, *, person: Person, what: str) -> dict[str, Any] | None:
    """The mail that tells of a change; None: nothing can be sent."""
    return await _letter(session, MailKind.SECURITY, person, {}, says=CHANGES[what])


async def _letter(
    session: AsyncSession, kind: MailKind, person: Person, macros: Mapping[str, str], *, says: str = ""
) -> dict[str, Any] | None:  # fmt: skip
    who = await person.row(session)
    if who is None:
        return None
    if isinstance(who, Staff):
        project_id, values = None, await _of_staff(session, who)
    else:
        project_id, values = who.project_id, await _of_user(session, who.id, who.project_id)
        values |= {"user.name": str(who), "user.email": who.email}
    language = who.language or values["customer.language"]
    if not valid_address(who.email) or await is_suppressed(session, who.email):
        return None
    values |= macros
    if says:
        with speaking(language):
            values["security.what"] = str(says)
    code, message = await system.written(session, kind=kind, project_id=project_id, language=language, values=values)
    return system.mail_of(message, language=code, to=who.email, values=values)


async def _of_user(session: AsyncSession, user_id: int, project_id: int) -> dict[str, str]:
    """In the name of the first customer whom the user serves."""
    served = select(UserCustomer.customer_id).where(UserCustomer.user_id == user_id).order_by(UserCustomer.customer_id)
    if (customer_id := await session.scalar(served.limit(1))) is not None:
        return (await of_customer(session, customer_id, user_id=user_id))[1]
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
