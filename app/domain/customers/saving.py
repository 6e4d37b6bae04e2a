"""Registering and changing customers, their groups, projects, attitude and notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks, custom, users
from app.domain.customers.fields import CustomerFields, cleaned
from app.domain.customers.grouping import follow_rules
from app.domain.messaging.system import tell_old_address
from app.errors import Conflict, Invalid
from app.i18n import gettext
from app.models.customers import Attitude, Customer, CustomerProject, Group, Membership, Note
from app.models.projects import Project
from app.models.staff import Staff
from app.models.users import User, UserCustomer, UserRole
from app.observe import actor
from app.queue import enqueue

FOREIGN = {"project_id": Project, "attitude_id": Attitude, "responsible_id": Staff}


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
    if customer.cleared_at is not None:
        raise Conflict(gettext("The personal data of this customer was cleared."))
    wanted = cleaned(values, customer, custom_of=custom_of)
    for field, entity in FOREIGN.items():
        if field in wanted and wanted[field] != getattr(customer, field):
            await checks.known(session, field, entity, wanted[field])
    if wanted.get("project_id", customer.project_id) != customer.project_id:
        await _take_users_along(session, customer, wanted["project_id"])
    address = customer.email
    wanted = _unverified(wanted, customer)
    changed = checks.change(customer, wanted)
    await session.flush()
    if "email" in changed:
        await tell_old_address(session, customer_id=customer.id, old=address, new=customer.email)
    if groups is not None:
        await set_groups(session, customer=customer, groups=groups)
    if available_projects is not None:
        await set_available_projects(session, customer=customer, projects=available_projects)
    await follow_rules(session, [customer.id])
    return changed


def same(customer: Customer, values: Mapping[str, Any]) -> bool:
    """Whether `change_customer` with these values would change nothing. Raises Invalid with every bad field."""
    return not checks.differs(cleaned(values, customer), customer, *values)


def _unverified(wanted: dict[str, Any], customer: Customer) -> dict[str, Any]:
    """Another phone number is not verified, unless whoever changes it says so."""
    was, now = customer.verified_phone, wanted.get("phone", customer.phone)
    if was == customer.phone != now and was and wanted.get("verified_phone", was) == was:
        return {**wanted, "verified_phone": "", "phone_verified_at": None, "phone_verified_by": ""}
    return wanted


async def _take_users_along(session: AsyncSession, customer: Customer, project_id: int) -> None:
    """Move the customer's users to the new project. Invalid when one serves others too, or the name is taken there."""
    query = select(User).join(UserCustomer).where(UserCustomer.customer_id == customer.id)
    for user in (await session.scalars(query.execution_options(unscoped=True))).all():
        served = select(func.count()).select_from(UserCustomer).where(UserCustomer.user_id == user.id)
        if (await session.scalar(served.execution_options(unscoped=True)) or 0) > 1:
            reason = gettext("The user %(name)s serves other customers of the old project too.")
        elif await users.taken(session, project_id=project_id, username=user.username):
            reason = gettext("The user name %(name)s is taken in that project.")
        else:
            user.project_id = project_id
            continue
        raise Invalid(project_id=reason % {"name": user.username})


# ---- groups, projects, attitude, notes ------------------------------------------------------------------------------


async def set_groups(session: AsyncSession, *, customer: Customer, groups: Iterable[int]) -> None:
    """Make the customer a member of exactly these groups (ids), besides those that a rule has put them into. Raises
    Invalid for an unknown one."""
    wanted = await checks.all_known(session, "groups", Group, groups)
    query = select(Membership).where(Membership.customer_id == customer.id)
    rows = {row.group_id: row for row in await session.scalars(query)}
    for group_id, row in rows.items():
        if group_id not in wanted and not row.by_rule:
            await session.delete(row)
    session.add_all(Membership(customer_id=customer.id, group_id=g) for g in wanted if g not in rows)
    await session.flush()


async def set_available_projects(session: AsyncSession, *, customer: Customer, projects: Iterable[int]) -> None:
    """Let the customer use exactly these projects (ids) besides their own. Raises Invalid for an unknown one.

    Projects that the acting person may not see stay as they were.
    """
    wanted = await checks.all_known(session, "available_projects", Project, projects)
    visible = set(await session.scalars(select(Project.id)))
    query = select(CustomerProject).where(CustomerProject.customer_id == customer.id)
    rows = {row.project_id: row for row in await session.scalars(query)}
    for project_id, row in rows.items():
        if project_id in visible and project_id not in wanted:
            await session.delete(row)
    session.add_all(CustomerProject(customer_id=customer.id, project_id=p) for p in wanted if p not in rows)
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
