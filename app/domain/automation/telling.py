"""Telling colleagues what a rule has found: at their bell, and by e-mail. Nobody is told of a customer of a project
that they do not see."""

from __future__ import annotations

from markupsafe import Markup, escape
from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.messaging import system
from app.domain.messaging.render import RenderedMessage, one_line
from app.domain.messaging.suppression import is_suppressed
from app.domain.messaging.values import of_project
from app.i18n import gettext, speaking
from app.integrations.mail import valid_address
from app.links import url
from app.models.automation import RuleNotice, RuleRun
from app.models.customers import Customer
from app.models.projects import Project
from app.models.staff import Staff, StaffProject, StaffRole
from app.queue import enqueue


async def told_of(
    session: AsyncSession, customer: Customer, *, staff_id: int | None, role_id: int | None
) -> list[Staff]:
    """Who is told of this customer: the colleague, and who has the role, as far as they see the project."""
    limited = exists().where(StaffProject.staff_id == Staff.id)
    sees = exists().where(StaffProject.staff_id == Staff.id, StaffProject.project_id == customer.project_id)
    with_role = exists().where(StaffRole.staff_id == Staff.id, StaffRole.role_id == role_id)
    query = select(Staff).where(Staff.enabled, or_(Staff.id == staff_id, with_role), or_(~limited, sees))
    return list(await session.scalars(query.order_by(Staff.id)))


async def tell(
    session: AsyncSession, *, run: RuleRun, customer: Customer, key: str, text: str, mail: bool,
    staff_id: int | None, role_id: int | None,
) -> int:  # fmt: skip
    """Tell them, once each for this run and action. Returns how many."""
    people = await told_of(session, customer, staff_id=staff_id, role_id=role_id)
    query = select(RuleNotice.staff_id).where(RuleNotice.run_id == run.id, RuleNotice.action == key)
    there = set(await session.scalars(query))
    project = await session.get_one(Project, customer.project_id)
    for colleague in people:
        if colleague.id not in there:
            session.add(RuleNotice(run_id=run.id, action=key, staff_id=colleague.id, text=text))
        if mail and valid_address(colleague.email) and not await is_suppressed(session, colleague.email):
            await _mail(session, colleague, customer, project, text, f"rule.tell:{run.id}:{key}:{colleague.id}")
    await session.flush()
    return len(people)


async def _mail(
    session: AsyncSession, colleague: Staff, customer: Customer, project: Project, text: str, key: str
) -> None:
    card = url(f"/admin/customer/details/{customer.id}")
    with speaking(colleague.language):
        what = gettext("%(customer)s: the card in the panel") % {"customer": customer.name}
    lines = Markup("<br>").join(escape(line) for line in text.splitlines())
    html = Markup('<p>{}</p><p><a href="{}">{}</a></p>').format(lines, card, what)
    message = RenderedMessage(one_line(f"{customer.name}: {text}")[:200], f"{text}\n\n{what}\n{card}\n", str(html))
    arguments = system.mail_of(message, language=colleague.language, to=colleague.email, values=of_project(project))
    await enqueue(session, "messaging.mail", key=key, total=1, customer_id=customer.id, **arguments)
