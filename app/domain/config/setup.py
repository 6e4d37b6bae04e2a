"""Setting up step by step, while there is no project yet or later again. Every step is saved by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import unit
from app.domain import brands, checks, rights
from app.domain.config.settings import put, setting
from app.domain.sessions.person import Person
from app.domain.staff import add_staff
from app.errors import Invalid
from app.i18n import LANGUAGES, SOURCE, _, gettext, language
from app.models.billing import PaymentMethod, TaxRate
from app.models.catalog import Product
from app.models.config import Setting
from app.models.customers import Customer
from app.models.projects import Project
from app.models.staff import Staff
from app.queue import enqueue

NAME = "setup"
"""The setting: {done: steps that were saved or passed over, left: whether the first page stands by itself}. It tells of
this installation, so it is in no configuration file."""
STEPS: Mapping[str, str] = {
    "brand": _("Your brand"),
    "preset": _("Kind of business"),
    "modules": _("Modules"),
    "colleagues": _("Colleagues"),
    "demo": _("Demo data"),
}
_of = Project.__table__.c


def _languages(value: Any) -> list[str]:
    found = [code for code in LANGUAGES if code in (value or ())]
    if not found:
        raise checks.Bad(gettext("Please fill this in."))
    return found


FIELDS: dict[str, checks.Check] = {
    "name": checks.line(_of.name, required=True),
    "sender_email": checks.required_email,
    "currency": checks.currency,
    "country": checks.country,
    "languages": _languages,
    "default_language": checks.language,
    "timezone": lambda value: checks.timezone(value) or "UTC",
}


def state() -> dict[str, Any]:
    """As this process knows it; empty while nobody has begun."""
    kept: dict[str, Any] = setting(NAME) or {}
    return kept


def done() -> set[str]:
    return set(state().get("done", ()))


def next_step() -> str | None:
    """The first step that is neither saved nor passed over."""
    return next((step for step in STEPS if step not in done()), None)


async def needed() -> bool:
    """Whether the first page leads here: there is no project, and nobody has said "later"."""
    return not state().get("left") and not (await brands.brands()).by_id


async def mark(session: AsyncSession, *, step: str) -> None:
    """A step was saved, or passed over."""
    kept = await _kept(session)
    await put(session, name=NAME, value={**kept, "done": sorted({*kept.get("done", ()), step})})


async def leave(session: AsyncSession, *, hide: bool = False) -> None:
    """Go on without the rest. hide: the list of what is left goes too."""
    await put(session, name=NAME, value={**await _kept(session), "left": True, "hidden": hide})


async def greet(*, code: str) -> None:
    """Who is alone and sets nothing up yet reads on in the language of the page on which they have signed in."""
    if state() or code == SOURCE:
        return
    async with unit() as session:
        rows = await session.scalars(select(Staff).limit(2).execution_options(unscoped=True))
        if len(alone := list(rows)) == 1 and alone[0].language == SOURCE:
            alone[0].language = code


async def _kept(session: AsyncSession) -> dict[str, Any]:
    row = await session.get(Setting, NAME)
    return dict(row.value) if row is not None else {}


async def first_project(session: AsyncSession) -> Project | None:
    return await session.scalar(select(Project).order_by(Project.id).limit(1))


async def save_brand(session: AsyncSession, *, values: Mapping[str, Any]) -> Project:
    """Make the first project, or change it. Raises Invalid with every bad field."""
    wanted = checks.clean(values, FIELDS)
    if wanted["default_language"] not in wanted["languages"]:
        raise Invalid(default_language=gettext("Choose one of the languages above."))
    project = await first_project(session)
    same = select(Project.id).where(Project.name == wanted["name"]).execution_options(unscoped=True)
    if (other := await session.scalar(same)) is not None and (project is None or other != project.id):
        raise Invalid(name=gettext("This name is taken."))
    if project is None:
        project = Project(**wanted)
        session.add(project)
    else:
        checks.change(project, wanted)
    await session.flush()
    return project


@dataclass(frozen=True)
class Invited:
    """A colleague as somebody wrote them down. at: the number of the row, for what is wrong there."""

    at: int
    full_name: str
    email: str
    role: str


async def invite(session: AsyncSession, *, people: list[Invited]) -> int:
    """Add colleagues, and mail each a link to a password of their own. Raises Invalid at `<field>_<row>`,
    Forbidden."""
    if people:
        await rights.need(session, [("staff", "create")], gettext("Add a colleague"))
    made = []
    for who in people:
        try:
            username = checks.email(who.email).partition("@")[0] or "-"
            staff = await add_staff(
                session, username=username, full_name=who.full_name or username, email=who.email, role=who.role,
                language=language(),
            )  # fmt: skip
        except checks.Bad as bad:
            raise Invalid(**{f"email_{who.at}": str(bad)}) from None
        except Invalid as problem:
            at = {"username": "email"}
            raise Invalid(**{f"{at.get(n, n)}_{who.at}": said for n, said in problem.fields.items()}) from None
        made.append(Person(None, staff.id).columns)
    if made:
        await enqueue(session, "sessions.reset", people=made)
    return len(made)


@dataclass(frozen=True)
class Task:
    label: str
    url: str
    done: bool


async def checklist(session: AsyncSession) -> list[Task]:
    """What is left to do after setting up, while somebody wants to see it: [] when all of it is done."""
    if not state() or state().get("hidden"):
        return []

    async def some(entity: Any, more: int = 0) -> bool:
        rows = select(entity.id).limit(more + 1).subquery()
        return (await session.scalar(select(func.count()).select_from(rows)) or 0) > more

    project = await first_project(session)
    card = f"/admin/project/details/{project.id}" if project is not None else "/admin/setup?step=brand"
    tasks = [
        Task(gettext("Name your brand and its sender"), "/admin/setup?step=brand", project is not None),
        Task(gettext("Enter legal name, address and bank account for invoices"), card,
             bool(project and project.legal_name and project.legal_address)),
        Task(gettext("Enter what you sell"), "/admin/product/list", await some(Product)),
        Task(gettext("Say how customers pay"), "/admin/payment_method/list", await some(PaymentMethod)),
        Task(gettext("Enter the tax rates"), "/admin/tax_rate/list", await some(TaxRate)),
        Task(gettext("Let customers register by themselves"), card,
             bool(project and (project.signup or {}).get("open"))),
        Task(gettext("Add a colleague"), "/admin/staff/list", await some(Staff, 1)),
        Task(gettext("Register or import customers"), "/admin/customer/list", await some(Customer)),
    ]  # fmt: skip
    return [] if all(task.done for task in tasks) else tasks
