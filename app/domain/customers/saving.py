"""Registering and changing customers, their groups, projects, attitude and notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Unpack

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks, custom, users
from app.domain.customers.fields import CustomerFields, cleaned
from app.domain.customers.grouping import follow_rules
from app.domain.messaging.system import tell_old_address
from app.errors import AppError, Conflict, Invalid, only
from app.i18n import gettext
from app.models.customers import Attitude, Customer, CustomerProject, Group, Membership, Note
from app.models.projects import Project
from app.models.staff import Staff
from app.models.users import User, UserCustomer, UserRole
from app.observe import actor
from app.queue import enqueue

FOREIGN = {"project_id": Project, "attitude_id": Attitude, "responsible_id": Staff}
Outcome = list[str] | AppError
"""What became of one of many: the names of the changed columns, or why the row stays as it is."""


async def register_customer(
    session: AsyncSession,
    *,
    project_id: int,
    email: str,
    username: str = "",
    password: str | None = None,
    groups: Iterable[int] = (),
    available_projects: Iterable[int] = (),
    send_welcome: bool = False,
    custom_of: custom.Asked = custom.STAFF,
    **fields: Unpack[CustomerFields],
) -> Customer:
    """A new customer with their first user, who is an owner.

    username: empty takes the e-mail; unique per project, kept in lower case. password: None makes a user who is
    invited later. fields: see CustomerFields; without a `name` the contact person or the e-mail stands for it. groups,
    available_projects: ids. send_welcome: the job `customers.welcome` is left for the workers.
    Raises Invalid with every bad field.
    """  # fmt: skip
    given: dict[str, Any] = {**fields, "project_id": project_id, "email": email}
    given["name"] = given.get("name") or given.get("contact_person") or email
    values = cleaned(given, custom_of=custom_of)
    for field, entity in FOREIGN.items():
        await checks.known(session, field, entity, values.get(field))
    if send_welcome and not values["email"]:
        raise Invalid(email=gettext("A welcome message needs an e-mail address."))
    user = await users.create_user(
        session, project_id=project_id, username=username, email=values["email"], password=password,
        full_name=values.get("contact_person") or values["name"], language=values.get("language", ""),
    )  # fmt: skip
    customer = Customer(**values)
    session.add(customer)
    await session.flush()
    session.add(UserCustomer(user_id=user.id, customer_id=customer.id, role=UserRole.OWNER))
    await session.flush()
    if groups := list(groups):
        await set_groups(session, customer=customer, groups=groups)
    if available_projects := list(available_projects):
        await set_available_projects(session, customer=customer, projects=available_projects)
    await follow_rules(session, [customer.id])
    if send_welcome:
        await enqueue(session, "customers.welcome", key=f"welcome:{customer.id}", customer_id=customer.id)
    return customer


async def change_customer(
    session: AsyncSession,
    *,
    customer: Customer,
    values: Mapping[str, Any],
    groups: Iterable[int] | None = None,
    available_projects: Iterable[int] | None = None,
    custom_of: custom.Asked = custom.STAFF,
) -> list[str]:
    """Change some fields of a customer; None leaves groups and available projects as they are. Another e-mail address
    is told to the old one.

    values: field -> value, see FIELDS. Gives the names of the changed columns. Raises Invalid with every bad field,
    Conflict for a customer whose personal data was cleared.
    """  # fmt: skip
    change = Change(customer, values, groups, available_projects)
    return only(await change_customers(session, [change], custom_of=custom_of))


@dataclass(frozen=True)
class Change:
    """What becomes of one customer, as `change_customer` takes it."""

    customer: Customer
    values: Mapping[str, Any]
    groups: Iterable[int] | None = None
    available_projects: Iterable[int] | None = None


async def change_customers(
    session: AsyncSession, changes: Sequence[Change], *, custom_of: custom.Asked = custom.STAFF
) -> list[Outcome]:
    """`change_customer` for many at once, each customer one time, in a few statements for all. Gives for each the names
    of the changed columns, or why the customer stays as they are."""
    found: list[Outcome] = []
    wanted: list[dict[str, Any]] = []
    for change in changes:
        try:
            if change.customer.cleared_at is not None:
                raise Conflict(gettext("The personal data of this customer was cleared."))
            values = cleaned(change.values, change.customer, custom_of=custom_of)
        except AppError as refusal:
            values = {}
            found.append(refusal)
        else:
            found.append([])
        wanted.append(values)
    await _refuse_unknown(session, changes, wanted, found)
    await _take_users_along(session, changes, wanted, found)
    addresses, done = [], []
    for n, change in enumerate(changes):
        if isinstance(found[n], AppError):
            continue
        customer, address = change.customer, change.customer.email
        found[n] = changed = checks.change(customer, _unverified(wanted[n], customer))
        done.append(change)
        if "email" in changed:
            addresses.append((customer, address))
    await session.flush()
    for customer, address in addresses:
        await tell_old_address(session, customer_id=customer.id, old=address, new=customer.email)
    await _join(session, {c.customer.id: set(c.groups) for c in done if c.groups is not None})
    await _allow(session, {c.customer.id: set(c.available_projects) for c in done if c.available_projects is not None})
    await follow_rules(session, [change.customer.id for change in done])
    return found


async def _refuse_unknown(
    session: AsyncSession, changes: Sequence[Change], wanted: Sequence[dict[str, Any]], found: list[Outcome]
) -> None:
    """Write into `found` who would point at a row that does not exist for the acting person."""
    for field, entity in FOREIGN.items():
        asked = {n: w[field] for n, w in enumerate(wanted)
                 if field in w and w[field] != getattr(changes[n].customer, field)}  # fmt: skip
        known = await checks.those_known(session, entity, asked.values())
        for n, row_id in asked.items():
            if row_id not in known and not isinstance(found[n], AppError):
                found[n] = checks.unknown(field)
    for field, entity in (("groups", Group), ("available_projects", Project)):
        several = {n: set(ids) for n, c in enumerate(changes) if (ids := getattr(c, field)) is not None}
        known = await checks.those_known(session, entity, set[int]().union(*several.values()))
        for n, ids in several.items():
            if ids - known and not isinstance(found[n], AppError):
                found[n] = checks.unknown(field)


def same(customer: Customer, values: Mapping[str, Any]) -> bool:
    """Whether `change_customer` with these values would change nothing. Raises Invalid with every bad field."""
    return not checks.differs(cleaned(values, customer), customer, *values)


def _unverified(wanted: dict[str, Any], customer: Customer) -> dict[str, Any]:
    """Another phone number is not verified, unless whoever changes it says so."""
    was, now = customer.verified_phone, wanted.get("phone", customer.phone)
    if was == customer.phone != now and was and wanted.get("verified_phone", was) == was:
        return {**wanted, "verified_phone": "", "phone_verified_at": None, "phone_verified_by": ""}
    return wanted


async def _take_users_along(
    session: AsyncSession, changes: Sequence[Change], wanted: Sequence[dict[str, Any]], found: list[Outcome]
) -> None:
    """Move the users of customers who get another project along with them. Writes into `found` Invalid for those with a
    user who serves others too, or whose name is taken there."""
    moving = {c.customer.id: n for n, c in enumerate(changes) if not isinstance(found[n], AppError)
              and wanted[n].get("project_id", c.customer.project_id) != c.customer.project_id}  # fmt: skip
    if not moving:
        return
    unscoped = {"unscoped": True}
    links = select(UserCustomer.customer_id, User).join(User, User.id == UserCustomer.user_id)
    links = links.where(UserCustomer.customer_id.in_(moving)).order_by(UserCustomer.customer_id, User.id)
    rows = [
        (moving[customer_id], user) for customer_id, user in await session.execute(links, execution_options=unscoped)
    ]
    ids = {user.id for _n, user in rows}
    served = select(UserCustomer.user_id, func.count()).where(UserCustomer.user_id.in_(ids))
    counted = await session.execute(served.group_by(UserCustomer.user_id), execution_options=unscoped)
    serves = {row[0]: row[1] for row in counted}
    taken: dict[int, set[str]] = {}
    for project_id in {wanted[n]["project_id"] for n, _user in rows}:
        names = [user.username for n, user in rows if wanted[n]["project_id"] == project_id]
        taken[project_id] = await users.those_taken(session, project_id=project_id, usernames=names)
    for n, user in rows:
        reason = ""
        if serves[user.id] > 1:
            reason = gettext("The user %(name)s serves other customers of the old project too.")
        elif user.username in taken[wanted[n]["project_id"]]:
            reason = gettext("The user name %(name)s is taken in that project.")
        if reason and not isinstance(found[n], AppError):
            found[n] = Invalid(project_id=reason % {"name": user.username})
        taken[wanted[n]["project_id"]].add(user.username)
    for n, user in rows:
        if not isinstance(found[n], AppError):
            user.project_id = wanted[n]["project_id"]


# ---- groups, projects, attitude, notes ------------------------------------------------------------------------------


async def set_groups(session: AsyncSession, *, customer: Customer, groups: Iterable[int]) -> None:
    """Make the customer a member of exactly these groups (ids), besides those that a rule has put them into. Raises
    Invalid for an unknown one."""
    await _join(session, {customer.id: set(await checks.all_known(session, "groups", Group, groups))})


async def _join(session: AsyncSession, wanted: Mapping[int, AbstractSet[int]]) -> None:
    """wanted: customer -> groups that exist."""
    if not wanted:
        return
    present: dict[int, set[int]] = {customer_id: set() for customer_id in wanted}
    for row in await session.scalars(select(Membership).where(Membership.customer_id.in_(wanted))):
        present[row.customer_id].add(row.group_id)
        if row.group_id not in wanted[row.customer_id] and not row.by_rule:
            await session.delete(row)
    session.add_all(
        Membership(customer_id=c, group_id=g) for c, groups in wanted.items() for g in sorted(groups - present[c])
    )
    await session.flush()


async def set_available_projects(session: AsyncSession, *, customer: Customer, projects: Iterable[int]) -> None:
    """Let the customer use exactly these projects (ids) besides their own. Raises Invalid for an unknown one.

    Projects that the acting person may not see stay as they were.
    """
    await _allow(session, {customer.id: set(await checks.all_known(session, "available_projects", Project, projects))})


async def _allow(session: AsyncSession, wanted: Mapping[int, AbstractSet[int]]) -> None:
    """wanted: customer -> projects that exist for the acting person."""
    if not wanted:
        return
    visible = set(await session.scalars(select(Project.id)))
    present: dict[int, set[int]] = {customer_id: set() for customer_id in wanted}
    for row in await session.scalars(select(CustomerProject).where(CustomerProject.customer_id.in_(wanted))):
        present[row.customer_id].add(row.project_id)
        if row.project_id in visible and row.project_id not in wanted[row.customer_id]:
            await session.delete(row)
    session.add_all(
        CustomerProject(customer_id=c, project_id=p)
        for c, projects in wanted.items() for p in sorted(projects - present[c])
    )  # fmt: skip
    await session.flush()


async def set_attitude(session: AsyncSession, *, customer: Customer, attitude_id: int | None) -> None:
    """Say what staff think of the customer; None: nothing. Raises Invalid for an unknown attitude."""
    await change_customer(session, customer=customer, values={"attitude_id": attitude_id})


async def add_note(session: AsyncSession, *, customer: Customer, text: str, sticky: bool = False) -> Note:
    """Write a note about the customer, signed by the acting staff member. Raises Invalid for an empty text."""
    values = checks.clean(
        {"text": text, "sticky": sticky},
        {"text": checks.area(Note.__table__.c.text, required=True), "sticky": checks.yes_no},
    )
    note = Note(customer_id=customer.id, staff_id=actor.get().staff_id, **values)
    session.add(note)
    await session.flush()
    return note
