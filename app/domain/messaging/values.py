"""Where the fields of a template come from: one query for a whole batch of deliveries."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import String, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

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

SENDER = frozenset({"project.sender_name", "project.sender_email"})
"""Frozen with each delivery, so that it can be read again with the sender that it had."""

FRAME = frozenset({"project.name", "project.site", "project.hue"})


@dataclass(frozen=True)
class Recipient:
    """What one message is made from. values: for the text, and frozen with it. frame: for what is around it."""

    values: dict[str, str]
    frame: dict[str, str]
    name: str


async def load(
    session: AsyncSession, *, macros: Mapping[str, Collection[str]], rows: Mapping[str, str], staff_name: str
) -> dict[str, Recipient]:
    """The values of these deliveries now. `macros`: language -> fields used; `rows`: message_id -> language."""
    wanted = sorted(SENDER | FRAME | {m for language in set(rows.values()) for m in macros[language]} & SOURCES.keys())
    columns = [SOURCES[m].label(f"v{n}") for n, m in enumerate(wanted)]
    statement = (
        select(Delivery.message_id, Customer.name, User.full_name, *columns)
        .join(Customer, Customer.id == Delivery.customer_id)
        .join(Project, Project.id == Customer.project_id)
        .outerjoin(User, User.id == Delivery.user_id)
        .where(Delivery.message_id.in_(list(rows)))
    )
    loaded: dict[str, Recipient] = {}
    for message_id, customer_name, user_name, *found in await session.execute(statement):
        everything = {m: str(value or "") for m, value in zip(wanted, found, strict=True)} | {"staff.name": staff_name}
        kept = SENDER.union(macros[rows[message_id]])
        loaded[message_id] = Recipient(
            values={m: everything[m] for m in sorted(kept) if m in everything},
            frame={m: everything[m] for m in FRAME},
            name=user_name or customer_name,
        )
    return loaded
