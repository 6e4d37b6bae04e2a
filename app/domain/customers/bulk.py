"""Registering many customers at once: what `register_customer` does, for imports, in a statement per table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import FromClause
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from app.db import Base, folded_of, insert_all, insert_rows
from app.domain import checks, custom, users
from app.domain.customers.fields import cleaned
from app.domain.customers.grouping import follow_rules
from app.models import audit
from app.models.customers import Customer, ExternalRef, Membership
from app.models.users import User, UserCustomer, UserRole


@dataclass(frozen=True)
class Newcomer:
    """A customer to be, and their first user. customer, user: column -> value, checked by `newcomer`."""

    customer: Mapping[str, Any]
    user: Mapping[str, Any]
    source: str
    ref: str
    groups: tuple[int, ...] = ()
    """Ids, which the caller knows to exist."""

    def named(self, username: str) -> Newcomer:
        """The same with another user name."""
        if username == self.user["username"]:
            return self
        checked = checks.at("username", users.FIELDS["username"], username)
        return replace(self, user={**self.user, "username": checked})


def newcomer(
    values: Mapping[str, Any], *, username: str, source: str, ref: str, groups: tuple[int, ...] = ()
) -> Newcomer:
    """Check what is known of a customer (see FIELDS, with `project_id` and `name`) who has the id `ref` in `source`.

    The user name must be free: `register_many` does not look. Raises Invalid with every bad field.
    """
    customer = cleaned({"email": "", **values})
    user = {
        "username": checks.at("username", users.FIELDS["username"], username),
        "full_name": customer.get("contact_person") or customer["name"], "email": customer["email"],
        "language": customer.get("language", ""), "custom": custom.clean(User, {}),
    }  # fmt: skip
    return Newcomer(customer, {**user, "project_id": customer["project_id"]}, source, ref, groups)


async def register_many(session: AsyncSession, people: Sequence[Newcomer]) -> Sequence[int]:
    """Insert the customers with their users, owners without a password, and their references. Gives the ids.

    Each customer and each user has an audit row. Raises IntegrityError when a user name or a reference is taken.
    """
    made = await session.run_sync(_register, people)
    await follow_rules(session, made)
    return made


def _register(session: Session, people: Sequence[Newcomer]) -> Sequence[int]:
    customers = _insert(session, Customer, [person.customer for person in people])
    logins = _insert(session, User, [person.user for person in people])
    ties = [{"user_id": u, "customer_id": c, "role": UserRole.OWNER} for u, c in zip(logins, customers, strict=True)]
    insert_rows(session, UserCustomer.metadata.tables["user_customer"], ties)
    refs = [{"source": p.source, "ref": p.ref, "noun": "customer", "noun_id": i}
            for p, i in zip(people, customers, strict=True)]  # fmt: skip
    insert_rows(session, ExternalRef.metadata.tables["external_ref"], refs)
    if joined := [{"customer_id": i, "group_id": g} for p, i in zip(people, customers, strict=True) for g in p.groups]:
        insert_rows(session, Membership.metadata.tables["membership"], joined)
    lines = []
    for person, customer_id, user_id in zip(people, customers, logins, strict=True):
        groups = {"groups": list(person.groups)} if person.groups else {}
        known = audit.made({**person.customer, "user_id": user_id, person.source: person.ref, **groups})
        lines.append(audit.Line("create", "customer", customer_id, known))
        owner = audit.made({**person.user, "owner_of": customer_id})
        lines.append(audit.Line("create", "user", user_id, owner))
    audit.write_all(session, lines)
    return customers


def _insert(session: Session, entity: type[Base], rows: Sequence[Mapping[str, Any]]) -> Sequence[int]:
    """Insert rows of one table; gives their ids in order."""
    table = entity.__table__
    keys = set[str]().union(*rows)
    made = [_filled(table, keys, row) for row in rows]
    return insert_all(session, table, (row | folded_of(entity, row.get) for row in made))


def _filled(table: FromClause, keys: Set[str], row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the default of its column in every key that it lacks."""
    return {key: row[key] if key in row else _default(table.c[key]) for key in keys}


def _default(column: Any) -> Any:
    default = column.default
    if default is None:
        return None
    return default.arg(None) if default.is_callable else default.arg
