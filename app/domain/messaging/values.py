"""Where the fields of a template come from: one query for a whole batch of deliveries."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import String, cast, false, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound
from app.models.customers import Customer
from app.models.messaging import Delivery
from app.models.projects import Project
from app.models.users import User


def _first(*columns: Any) -> Any:
    """The first of them that is not empty."""
    return func.coalesce(*[func.nullif(column, "") for column in columns], "")


SOURCES: dict[str, Any] = {
    "customer.id": cast(Customer.id, String),
    "customer.name": Customer.name,
    "customer.contact_person": Customer.contact_person,
    "customer.email": Customer.email,
    "customer.phone": Customer.phone,
    "customer.country": Customer.country,
    "customer.language": _first(Customer.language, Project.default_language),
    # the customer's own address belongs to no user: then it is the customer who is greeted
    "user.name": _first(User.full_name, User.username, Customer.contact_person, Customer.name),
    "user.email": _first(User.email, Customer.email),
    "project.name": Project.name,
    "project.site": Project.site,
    "project.sender_name": _first(Project.sender_name, Project.name),
    "project.sender_email": Project.sender_email,
    "project.hue": cast(Project.hue, String),
}
"""Field -> where it stands. `staff.name` is the same for a whole campaign and comes from there."""

SAID: dict[str, Callable[[str, Any], str]] = {}
"""Custom fields: what is said in a language for what stands there."""

SENDER = frozenset({"project.sender_name", "project.sender_email"})
"""Frozen with each delivery, so that it can be read again with the sender that it had."""

FRAME = frozenset({"project.name", "project.site", "project.hue"})
OF_PROJECT = tuple(field for field in SOURCES if field.startswith("project."))

Macros = Mapping[str, Collection[str]]
"""Language -> the fields that its text uses."""


@dataclass(slots=True)
class Recipient:
    """What one message is made from. values: for the text, and frozen with it. frame: for what is around it."""

    values: dict[str, str]
    frame: dict[str, str]
    name: str


class Reader:
    """Turns rows of `columns()` into recipients. What belongs to the project is read once for many rows."""

    def __init__(self, macros: Macros, staff_name: str) -> None:
        self._macros = macros
        self._staff = {"staff.name": staff_name}
        used = {field for fields in macros.values() for field in fields}
        self._own = sorted(field for field in used if field in SOURCES and field not in OF_PROJECT)
        self._projects: dict[int, dict[str, str]] = {}
        self._bases: dict[tuple[int, str], dict[str, str]] = {}
        self._places: dict[str, list[tuple[str, int, Callable[[str, Any], str] | None]]] = {}
        for language, fields in macros.items():
            own = enumerate(self._own)
            self._places[language] = [(field, n, SAID.get(field)) for n, field in own if field in fields]

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(self._own)

    def columns(self) -> list[Any]:
        """Project, name of the customer, name of the user, and the fields; of Customer, Project and User (outer)."""
        return [
            Customer.project_id.label("project_id"), Customer.name.label("customer_name"),
            User.full_name.label("user_name"), *[SOURCES[field].label(f"v{n}") for n, field in enumerate(self._own)],
        ]  # fmt: skip

    async def know(self, session: AsyncSession, projects: Collection[int]) -> None:
        """Read what is not known yet of these projects."""
        missing = set(projects) - self._projects.keys()
        if missing:
            columns = [SOURCES[field].label(f"v{n}") for n, field in enumerate(OF_PROJECT)]
            rows = await session.execute(select(Project.id, *columns).where(Project.id.in_(missing)))
            for project_id, *found in rows:
                self._projects[project_id] = {f: str(v or "") for f, v in zip(OF_PROJECT, found, strict=True)}

    def recipient(self, language: str, row: Sequence[Any]) -> Recipient:
        """row: as `columns()` says, of a project that is known."""
        project_id = row[0]
        base = self._bases.get((project_id, language))
        if base is None:
            everything = self._projects[project_id] | self._staff
            kept = SENDER.union(self._macros[language])
            base = {field: value for field, value in sorted(everything.items()) if field in kept}
            self._bases[project_id, language] = base
        values = base.copy()
        for field, n, said in self._places[language]:
            values[field] = said(language, row[n + 3]) if said else row[n + 3] or ""
        return Recipient(values, self._projects[project_id], row[2] or row[1])


async def load(
    session: AsyncSession, *, macros: Macros, rows: Mapping[str, str], staff_name: str
) -> dict[str, Recipient]:
    """The values of these deliveries now. `rows`: message_id -> language."""
    reader = Reader(macros, staff_name)
    statement = (
        select(Delivery.message_id, *reader.columns())
        .join(Customer, Customer.id == Delivery.customer_id)
        .join(Project, Project.id == Customer.project_id)
        .outerjoin(User, User.id == Delivery.user_id)
        .where(Delivery.message_id.in_(list(rows)))
    )
    found = (await session.execute(statement)).all()
    await reader.know(session, {row.project_id for row in found})
    return {row[0]: reader.recipient(rows[row[0]], row[1:]) for row in found}


async def of_customer(
    session: AsyncSession, customer_id: int, *more: Any, user_id: int | None = None
) -> tuple[list[Any], dict[str, str]]:
    """`more` columns of Customer, Project and User (outer), and the value of each field for this customer now. Raises
    NotFound, also for a customer whom the acting person may not see."""
    columns = [source.label(f"v{n}") for n, source in enumerate(SOURCES.values())]
    row = (
        await session.execute(
            select(*more, *columns)
            .select_from(Customer)
            .join(Project, Project.id == Customer.project_id)
            .outerjoin(User, false() if user_id is None else User.id == user_id)
            .where(Customer.id == customer_id)
        )
    ).one_or_none()
    if row is None:
        raise NotFound
    found = list(row)
    own = dict(zip(SOURCES, found[len(more) :], strict=True))
    language = str(own["customer.language"] or "")
    own |= {name: said(language, own[name]) for name, said in SAID.items()}
    return found[: len(more)], {name: str(value or "") for name, value in own.items()}


def of_project(project: Project) -> dict[str, str]:
    """The fields of a project that is at hand."""
    return {
        "project.name": project.name, "project.site": project.site, "project.hue": str(project.hue),
        "project.sender_name": project.sender_name or project.name, "project.sender_email": project.sender_email,
    }  # fmt: skip
