"""What can be changed on many rows at once, and by which verbs: the same that a form and a button call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Base
from app.domain import catalog, checks, customers, tickets, users
from app.domain.catalog import services
from app.errors import Invalid
from app.i18n import _, gettext
from app.models.catalog import Service
from app.models.customers import Customer, CustomerProject, Group, Membership
from app.models.messaging import Category
from app.models.projects import Project
from app.models.tickets import Ticket, TicketPriority
from app.models.users import User

Change = Callable[[AsyncSession, Any, dict[str, Any]], Awaitable[None]]
Verb = Callable[[AsyncSession, Any], Awaitable[None]]


@dataclass(frozen=True)
class Many:
    """A field that holds several rows of `target`, by a table of links: its columns `of` and `to`."""

    label: str
    link: type[Base]
    of: str
    to: str
    target: type[Base]

    async def present(self, session: AsyncSession, ids: Sequence[int]) -> dict[int, set[int]]:
        of, to = getattr(self.link, self.of), getattr(self.link, self.to)
        found: dict[int, set[int]] = {}
        for row_id, other in await session.execute(select(of, to).where(of.in_(ids))):
            found.setdefault(row_id, set()).add(other)
        return found


@dataclass(frozen=True)
class Act:
    """A step that needs no values. column: what it changes."""

    label: str
    verb: Verb
    column: str
    grant: str


@dataclass(frozen=True)
class Editable:
    """fields: column -> its check. change: sets columns, and of `many` all ids at once."""

    model: Any
    fields: Mapping[str, checks.Check]
    change: Change
    many: Mapping[str, Many] = field(default_factory=dict)
    acts: Mapping[str, Act] = field(default_factory=dict)

    def cleaned(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of `wanted` in the shape in which they are kept. Raises Invalid with every bad field, also for
        one that is not there (any more)."""
        given = wanted.get("set", {})
        gone = [name for name in given if name not in self.fields]
        gone += [name for how in ("add", "remove") for name in wanted.get(how, {}) if name not in self.many]
        if wanted.get("act") is not None and wanted["act"] not in self.acts:
            gone.append(wanted["act"])
        if gone:
            raise Invalid(**{name: gettext("There is no such field.") for name in gone})
        return checks.clean(given, self.fields)

    def label(self, name: str) -> str:
        if name in self.many:
            return str(self.many[name].label)
        return str(self.model.__table__.c[name].info.get("label", name))


async def _customer(session: AsyncSession, row: Customer, values: dict[str, Any]) -> None:
    groups, projects = values.pop("groups", None), values.pop("available_projects", None)
    await customers.change_customer(session, customer=row, values=values, groups=groups, available_projects=projects)


async def _close(session: AsyncSession, row: Customer) -> None:
    await customers.close_customer(session, customer=row)


async def _user(session: AsyncSession, row: User, values: dict[str, Any]) -> None:
    await users.change_user(session, user=row, values=values)


async def _service(session: AsyncSession, row: Service, values: dict[str, Any]) -> None:
    await catalog.save_service(session, service=row, values=values)


async def _ticket(session: AsyncSession, row: Ticket, values: dict[str, Any]) -> None:
    if "assigned_id" in values:
        await tickets.assign(session, ticket_id=row.id, staff_id=values["assigned_id"])
    if "priority" in values:
        await tickets.set_priority(session, ticket_id=row.id, priority=values["priority"])
    if "category_id" in values:
        await checks.known(session, "category_id", Category, values["category_id"])
        checks.change(row, {"category_id": values["category_id"]})
        await session.flush()


def _some(known: Mapping[str, checks.Check], *names: str) -> dict[str, checks.Check]:
    return {name: known[name] for name in names}


EDITABLE: dict[str, Editable] = {
    "customer": Editable(
        Customer,
        _some(customers.FIELDS, "kind", "country", "language", "timezone", "attitude_id", "responsible_id",
              "came_from", "custom"),
        _customer,
        {
            "groups": Many(_("Groups"), Membership, "customer_id", "group_id", Group),
            "available_projects": Many(
                _("Available projects"), CustomerProject, "customer_id", "project_id", Project
            ),
        },
        {"close": Act(_("Close the account"), _close, "status", "action:close")},
    ),
    "user": Editable(User, _some(users.FIELDS, "language", "enabled"), _user),
    "service": Editable(Service, _some(services.FIELDS, "next_charge_on", "auto_renew"), _service),
    "ticket": Editable(
        Ticket,
        {"category_id": checks.row_id, "assigned_id": checks.row_id, "priority": checks.one_of(TicketPriority)},
        _ticket,
    ),
}  # fmt: skip
"""Screen -> what can be done with many of its rows at once."""
