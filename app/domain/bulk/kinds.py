"""What can be changed on many rows at once, and by which verbs: the same that a form and a button call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import false, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Base
from app.domain import checks, custom, customers, tickets, users
from app.domain.catalog import services
from app.domain.customers.grouping import follow_rules
from app.errors import Invalid
from app.i18n import _, gettext
from app.models.bulk import BulkRun
from app.models.catalog import Service
from app.models.customers import Customer, CustomerProject, Group, Membership
from app.models.projects import Project
from app.models.tickets import Ticket, TicketPriority
from app.models.users import User

Outcomes = Sequence[object]
"""For each row an AppError when it is refused, and stays as it is; anything else: it is changed."""
Change = Callable[[AsyncSession, Sequence[tuple[Any, dict[str, Any]]]], Awaitable[Outcomes]]
Verb = Callable[[AsyncSession, Sequence[Any]], Awaitable[Outcomes]]
Follow = Callable[[AsyncSession, Sequence[int]], Awaitable[None]]


@dataclass(frozen=True)
class Many:
    """A field that holds several rows of `target`, by a table of links: its columns `of` and `to`."""

    label: str
    link: type[Base]
    of: str
    to: str
    target: type[Base]
    held: str = ""
    """A column of the links: those that have it set are not taken out by hand."""

    async def present(self, session: AsyncSession, ids: Sequence[int], *, held: bool = False) -> dict[int, set[int]]:
        """What each row has; held: only what stays whatever is wanted."""
        of, to = getattr(self.link, self.of), getattr(self.link, self.to)
        query = select(of, to).where(of.in_(ids))
        if held:
            query = query.where(getattr(self.link, self.held) if self.held else false())
        found: dict[int, set[int]] = {}
        for row_id, other in await session.execute(query):
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
    """fields: column -> its check. change: sets columns of many rows, and of `many` all ids at once. follow: what these
    rows cause elsewhere follows them, after they were put back."""

    model: Any
    fields: Mapping[str, checks.Check]
    change: Change
    many: Mapping[str, Many] = field(default_factory=dict)
    acts: Mapping[str, Act] = field(default_factory=dict)
    follow: Follow | None = None
    within: Mapping[str, str] = field(default_factory=dict)
    """Column -> the one that its value depends on, which is said with it: rows where that one differs are refused."""
    by_verb: frozenset[str] = frozenset()
    """Columns with which others move along: `change` puts them back as well."""

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
        values = checks.clean(given, self.fields)
        for name, beside in self.within.items():
            if (name in values) is not (beside in values):
                raise checks.unknown(beside)
        if own := values.get("custom"):
            kept = custom.clean(self.model, own, before={})
            values["custom"] = {key: kept.get(key) for key in own}
        return values

    def label(self, name: str) -> str:
        """Of a column, a field that holds several, or one that people have added."""
        if (spec := custom.named(self.model, name)) is not None:
            return str(spec.label)
        if name in self.many:
            return str(self.many[name].label)
        columns = self.model.__table__.c
        return str(columns[name].info.get("label", name)) if name in columns else name


async def _customers(session: AsyncSession, rows: Sequence[tuple[Customer, dict[str, Any]]]) -> Outcomes:
    several = ("groups", "available_projects")
    changes = [
        customers.Change(row, {k: v for k, v in values.items() if k not in several}, *map(values.get, several))
        for row, values in rows
    ]
    return await customers.change_customers(session, changes)


async def _follow(session: AsyncSession, ids: Sequence[int]) -> None:
    await follow_rules(session, ids)


async def _follow_services(session: AsyncSession, ids: Sequence[int]) -> None:
    of = await session.scalars(select(Service.customer_id).where(Service.id.in_(ids)).distinct())
    await follow_rules(session, of.all())


def _some(known: Mapping[str, checks.Check], *names: str) -> dict[str, checks.Check]:
    return {name: known[name] for name in names}


EDITABLE: dict[str, Editable] = {
    "customer": Editable(
        Customer,
        _some(customers.FIELDS, "kind", "country", "language", "timezone", "attitude_id", "responsible_id",
              "came_from", "project_id", "custom"),
        _customers,
        {
            "groups": Many(_("Groups"), Membership, "customer_id", "group_id", Group, "by_rule"),
            "available_projects": Many(
                _("Available projects"), CustomerProject, "customer_id", "project_id", Project
            ),
        },
        {"close": Act(_("Close the account"), customers.close_customers, "status", "action:close")},
        _follow,
        by_verb=frozenset({"project_id"}),
    ),
    "user": Editable(User, _some(users.FIELDS, "language", "enabled", "custom"), users.change_users),
    "service": Editable(
        Service, _some(services.FIELDS, "next_charge_on", "auto_renew", "price", "currency", "custom"),
        services.change_services, follow=_follow_services, within={"price": "currency"},
    ),
    "ticket": Editable(
        Ticket,
        {"category_id": checks.row_id, "assigned_id": checks.row_id, "priority": checks.one_of(TicketPriority)},
        tickets.change_tickets,
    ),
}  # fmt: skip
"""Screen -> what can be done with many of its rows at once."""


def grant_of(run: BulkRun) -> str:
    """What one must be allowed to do with the rows of a change."""
    act = EDITABLE[run.noun].acts.get(run.wanted.get("act", ""))
    return act.grant if act is not None else "edit"
