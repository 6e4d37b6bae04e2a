"""Customers: registering, changing, duplicates, status, and what deleting takes along."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from app.db import Base, reads, unit
from app.domain import customers
from app.errors import Conflict, Invalid
from app.models.audit import Audit, AuditDetail
from app.models.catalog import ServiceStatus
from app.models.customers import Customer, CustomerKind, CustomerProject, CustomerStatus, ExternalRef, Membership
from app.models.jobs import Job
from app.models.users import User, UserCustomer, UserRole
from app.observe import Actor, Kind, acting
from tests.factories import (
    create_attachment,
    create_attitude,
    create_campaign,
    create_customer,
    create_delivery,
    create_group,
    create_inbound,
    create_note,
    create_payer,
    create_project,
    create_service,
    create_staff,
    create_ticket,
    create_user,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("database")


async def count(entity: type[Base], *where: Any) -> int:
    async with reads() as session:
        return await session.scalar(select(func.count()).select_from(entity).where(*where)) or 0


async def audited(noun: str, action: str) -> list[str]:
    async with reads() as session:
        query = select(AuditDetail.payload).join(Audit, Audit.id == AuditDetail.audit_id)
        return list(await session.scalars(query.where(Audit.noun == noun, Audit.action == action).order_by(Audit.id)))


# ---- registering --------------------------------------------------------------------------------------------------


async def test_registering_makes_the_customer_and_an_owner() -> None:
    async with unit() as session:
        project, other = await create_project(session), await create_project(session)
        group, attitude = await create_group(session), await create_attitude(session)
        customer = await customers.register_customer(
            session, project_id=project.id, email="Jana@Firma.example", name="Müller & Söhne", kind="company",
            contact_person="Jana Müller", phone="030 23125000", country="de", language="de_at",
            timezone="Europe/Vienna",
            vat_number="136695976", address="Weg 1\r\n10115 Berlin", note="Called us", attitude_id=attitude.id,
            registration_ip="2001:DB8::1", groups=[group.id], available_projects=[other.id],
            password="long enough",
        )  # fmt: skip
        user = (await session.scalars(select(User))).one()
        link = (await session.scalars(select(UserCustomer))).one()
        assert (customer.kind, customer.status) == (CustomerKind.COMPANY, CustomerStatus.NEW)
        assert (customer.phone, customer.country, customer.language) == ("+49 30 23125000", "DE", "de-AT")
        assert (customer.vat_number, customer.registration_ip) == ("DE136695976", "2001:db8::1")
        assert customer.address == "Weg 1\n10115 Berlin"
        assert (user.username, user.email) == ("jana@firma.example", "Jana@Firma.example")
        assert user.full_name == "Jana Müller"
        assert user.password_hash is not None and "long enough" not in user.password_hash
        assert (link.customer_id, link.role) == (customer.id, UserRole.OWNER)
    assert await count(Membership) == await count(CustomerProject) == 1


async def test_a_user_without_password_is_invited_later_and_a_name_is_found() -> None:
    async with unit() as session:
        project = await create_project(session)
        customer = await customers.register_customer(session, project_id=project.id, email="a@x.example")
        assert customer.name == "a@x.example"
        assert (await session.scalars(select(User.password_hash))).one() is None


async def test_the_welcome_is_left_for_the_workers(redis: str) -> None:
    async with unit() as session:
        project = await create_project(session)
        await customers.register_customer(session, project_id=project.id, email="a@x.example", send_welcome=True)
    assert await count(Job, Job.name == "customers.welcome") == 1
    with pytest.raises(Invalid) as refused:
        async with unit() as session:
            await customers.register_customer(session, project_id=project.id, email="", name="X", send_welcome=True)
    assert set(refused.value.fields) == {"email"}


async def test_a_user_name_is_unique_per_project_whatever_the_case() -> None:
    async with unit() as session:
        here, there = await create_project(session), await create_project(session)
        await customers.register_customer(session, project_id=here.id, email="same@x.example")
        await customers.register_customer(session, project_id=there.id, email="same@x.example")
        with pytest.raises(Invalid) as refused:
            await customers.register_customer(session, project_id=here.id, email="SAME@x.example")
        assert "same@x.example" in refused.value.fields["username"]
        await customers.register_customer(session, project_id=here.id, email="same@x.example", username="Second")
    assert await count(Customer) == 3 and await count(User, User.username == "second") == 1


async def test_two_who_take_the_same_name_at_once() -> None:
    async with unit() as session:
        project = await create_project(session)

    async def register() -> Customer:
        async with unit() as session:
            made = await customers.register_customer(session, project_id=project.id, email="race@x.example")
            await asyncio.sleep(0.1)  # hold the transaction open, so that the other one passes its question
            return made

    ends = await asyncio.gather(register(), register(), return_exceptions=True)
    refused = [end for end in ends if isinstance(end, Invalid)]
    assert len(refused) == 1 and set(refused[0].fields) == {"username"}
    assert await count(Customer) == await count(User) == 1


BAD: list[tuple[dict[str, Any], str]] = [
    ({"email": "not an address"}, "email"), ({"email": "a@x.example\nBcc: b@x.example"}, "email"),
    ({"email": f"{'a' * 250}@x.example"}, "email"), ({"name": "x" * 201}, "name"), ({"name": "a\0b"}, "name"),
    ({"name": "a\nb"}, "name"), ({"name": 5}, "name"), ({"note": "a\0b"}, "note"), ({"country": "XX"}, "country"),
    ({"country": "Germany"}, "country"), ({"language": "german"}, "language"), ({"language": "de-XX"}, "language"),
    ({"timezone": "Mars/Base"}, "timezone"), ({"registration_ip": "300.1.1.1"}, "registration_ip"),
    ({"kind": "robot"}, "kind"), ({"phone": "1" * 41}, "phone"), ({"attitude_id": 999}, "attitude_id"),
    ({"attitude_id": 2**70}, "attitude_id"), ({"responsible_id": "1; drop"}, "responsible_id"),
    ({"project_id": 999}, "project_id"), ({"registered_at": "yesterday"}, "registered_at"),
    ({"groups": [999]}, "groups"),
    ({"available_projects": [999]}, "available_projects"), ({"password": "short"}, "password"),
    ({"username": "two words"}, "username"), ({"email": ""}, "username"), ({"shoe_size": 44}, "shoe_size"),
    ({"kind": "company", "country": "DE", "vat_number": "DE136695975"}, "vat_number"),
    ({"kind": "sole_proprietor", "country": "AT", "vat_number": "DE1"}, "vat_number"),
]  # fmt: skip


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("values", "field"), BAD)
async def test_bad_values_are_named_and_nothing_is_kept(values: dict[str, Any], field: str) -> None:
    async with unit() as session:
        project = await create_project(session)
    with pytest.raises(Invalid) as refused:
        async with unit() as session:
            given = {"project_id": project.id, "email": "a@x.example", "name": "A", **values}
            await customers.register_customer(session, **given)
    assert set(refused.value.fields) == {field} and all(refused.value.fields.values())
    assert await count(Customer) == await count(User) == 0


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_all_bad_fields_are_named_at_once() -> None:
    async with unit() as session:
        project = await create_project(session)
        with pytest.raises(Invalid) as refused:
            await customers.register_customer(session, project_id=project.id, email="x", country="??", timezone="?")
    assert set(refused.value.fields) == {"email", "country", "timezone"}


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_what_is_only_doubtful_is_kept() -> None:
    async with unit() as session:
        project = await create_project(session)
        customer = await customers.register_customer(
            session, project_id=project.id, email="a@x.example", phone="ask for Jürgen", vat_number="nobody knows"
        )
        assert (customer.phone, customer.vat_number) == ("ask for Jürgen", "nobody knows")
    assert set(customers.doubts({"phone": "ask for Jürgen", "country": "DE"})) == {"phone"}
    assert customers.doubts({"phone": "030 23125000", "country": "DE"}) == {}


# ---- duplicates ---------------------------------------------------------------------------------------------------


async def test_the_same_email_phone_or_vat_number_is_a_warning() -> None:
    async with unit() as session:
        first = await create_customer(session, name="First", email="A@x.example", phone="+49 (30) 23125-000")
        second = await create_customer(session, name="Second", vat_number="DE136695976")
        await create_customer(session, email="b@x.example", phone="+49 30 99999999")
        found = await customers.duplicates(
            session, email="a@X.example", phone="030 23125 000", country="DE", vat_number="DE 136 695 976"
        )
        assert {(d.field, d.customer_id, d.name) for d in found} == {
            ("email", first.id, "First"), ("phone", first.id, "First"), ("vat_number", second.id, "Second"),
        }  # fmt: skip
        assert await customers.duplicates(session, email="a@x.example", except_id=first.id) == []
        other = await create_project(session)
        assert await customers.duplicates(session, email="a@x.example", project_id=other.id) == []
        assert await customers.duplicates(session, email="", phone="12", vat_number=" ") == []


async def test_duplicates_of_projects_that_staff_do_not_see_stay_hidden() -> None:
    async with unit() as session:
        mine, theirs = await create_project(session), await create_project(session)
        await create_customer(session, project=theirs, email="a@x.example")
    limited = Actor(Kind.STAFF, staff_id=1, projects=frozenset({mine.id}))
    with acting(limited):
        async with reads() as session:
            assert await customers.duplicates(session, email="a@x.example") == []


# ---- changing -----------------------------------------------------------------------------------------------------


async def test_a_change_touches_exactly_what_differs() -> None:
    async with unit() as session:
        customer = await create_customer(session, name="Old", phone="+49 30 23125000", country="DE")
    async with unit() as session:
        row = await session.get_one(Customer, customer.id)
        changed = await customers.change_customer(
            session, customer=row, values={"name": "New", "phone": "030/23125000", "country": "DE", "email": row.email}
        )
        assert changed == ["name"]
    assert await audited("customer", "update") == ['{"name":["Old","New"]}']


async def test_an_old_bad_vat_number_does_not_block_a_new_phone() -> None:
    async with unit() as session:
        customer = await create_customer(session, kind=CustomerKind.COMPANY, country="DE", vat_number="DE1")
        values = {"phone": "+49 30 23125000", "vat_number": "DE1", "kind": "company", "country": "DE"}
        assert await customers.change_customer(session, customer=customer, values=values) == ["phone"]
        with pytest.raises(Invalid) as refused:
            await customers.change_customer(session, customer=customer, values={"country": "AT"})
    assert set(refused.value.fields) == {"vat_number"}


async def test_another_project_takes_the_users_along() -> None:
    async with unit() as session:
        here, there = await create_project(session), await create_project(session)
        customer = await create_customer(session, project=here)
        user = await create_user(session, customer=customer, username="ann")
        await customers.change_customer(session, customer=customer, values={"project_id": there.id})
        assert (customer.project_id, user.project_id) == (there.id, there.id)
        shared = await create_customer(session, project=there)
        await create_user(session, customers=[customer, shared], username="both", project=there)
        with pytest.raises(Invalid) as refused:
            await customers.change_customer(session, customer=customer, values={"project_id": here.id})
    assert "both" in refused.value.fields["project_id"]


async def test_groups_and_projects_become_exactly_these() -> None:
    async with unit() as session:
        groups = [await create_group(session) for _n in range(3)]
        projects = [await create_project(session) for _n in range(3)]
        customer = await create_customer(session, project=projects[0], groups=groups[:2])
        await customers.change_customer(
            session, customer=customer, values={}, groups=[groups[1].id, groups[2].id, groups[2].id],
            available_projects=[projects[1].id, projects[2].id],
        )  # fmt: skip
        assert set(await session.scalars(select(Membership.group_id))) == {groups[1].id, groups[2].id}
    assert len(await audited("membership", "delete")) == 1
    limited = Actor(Kind.STAFF, staff_id=1, projects=frozenset({projects[0].id, projects[1].id}))
    with acting(limited):
        async with unit() as session:
            row = (await session.scalars(select(Customer))).one()
            await customers.set_available_projects(session, customer=row, projects=[])
            with pytest.raises(Invalid):
                await customers.set_available_projects(session, customer=row, projects=[projects[2].id])
    async with reads() as session:  # what the limited colleague does not see stays
        assert (await session.scalars(select(CustomerProject.project_id))).all() == [projects[2].id]


async def test_a_note_is_signed() -> None:
    async with unit() as session:
        customer, staff = await create_customer(session), await create_staff(session)
    with acting(Actor(Kind.STAFF, staff_id=staff.id)):
        async with unit() as session:
            note = await customers.add_note(session, customer=customer, text=" Two\nlines ", sticky=True)
            assert (note.text, note.staff_id, note.sticky) == ("Two\nlines", staff.id, True)
            with pytest.raises(Invalid):
                await customers.add_note(session, customer=customer, text="  ")


# ---- status -------------------------------------------------------------------------------------------------------


async def test_the_status_follows_the_services_unless_set_by_hand() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        service = await create_service(session, customer=customer, status=ServiceStatus.ACTIVE)
        assert await customers.refresh_status(session, customer.id) is CustomerStatus.ACTIVE
        await customers.suspend_customer(session, customer=customer)
        assert await customers.refresh_status(session, customer.id) is CustomerStatus.SUSPENDED
        with pytest.raises(Conflict, match="1 service is not closed"):
            await customers.close_customer(session, customer=customer)
        await customers.reopen_customer(session, customer=customer)
        assert customer.status is CustomerStatus.ACTIVE
        service.status = ServiceStatus.CLOSED
        assert await customers.refresh_status(session, customer.id) is CustomerStatus.NEW
        await customers.close_customer(session, customer=customer)
        with pytest.raises(Conflict):
            await customers.suspend_customer(session, customer=customer)
        await customers.reopen_customer(session, customer=customer)
        with pytest.raises(Conflict):
            await customers.reopen_customer(session, customer=customer)


# ---- deleting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [s for s in ServiceStatus if s is not ServiceStatus.CLOSED])
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_deleting_is_refused_while_a_service_runs(status: ServiceStatus) -> None:
    async with unit() as session:
        customer = await create_customer(session)
        await create_service(session, customer=customer, status=status)
        assert await customers.refusals(session, customer) == ["1 service is not closed. Close it first."]
        with pytest.raises(Conflict, match="not closed"):
            await customers.delete_customer(session, customer=customer)
    assert await count(Customer) == 1


async def test_deleting_takes_everything_and_the_audit_saw_it() -> None:
    async with unit() as session:
        project = await create_project(session)
        leaving = await create_customer(session, groups=[await create_group(session)])
        staying = await create_customer(session)
        own = await create_user(session, customer=leaving)
        both = await create_user(session, customers=[leaving, staying])
        session.add(CustomerProject(customer_id=leaving.id, project_id=project.id))
        session.add(ExternalRef(source="csv", ref="1", noun="customer", noun_id=leaving.id))
        campaign = await create_campaign(session)
        for customer in (leaving, staying):
            await create_payer(session, customer=customer)
            await create_service(session, customer=customer, status=ServiceStatus.CLOSED)
            await create_ticket(session, customer=customer)
            await create_note(session, customer=customer)
            await create_attachment(session, customer_id=customer.id)
            await create_delivery(session, campaign=campaign, customer=customer)
            await create_inbound(session, customer=customer)
    before = {t.name for t in Base.metadata.sorted_tables}
    async with unit() as session:
        row = await session.get_one(Customer, leaving.id)
        assert {(a.noun, a.n) for a in await customers.attached(session, row)} == {
            ("user", 2), ("payer", 1), ("service", 1), ("ticket", 1), ("delivery", 1), ("note", 1),
            ("attachment", 1), ("inbound_mail", 1),
        }  # fmt: skip
        assert await customers.refusals(session, row) == []
        await customers.delete_customer(session, customer=row)
    async with reads() as session:
        assert (await session.scalars(select(Customer.id))).all() == [staying.id]
        assert (await session.scalars(select(User.id))).all() == [both.id]
        theirs = {"payer", "service", "ticket", "ticket_message", "note", "attachment", "delivery", "inbound_mail"}
        for name in before & theirs:
            assert await session.scalar(select(func.count()).select_from(Base.metadata.tables[name])) == 1, name
    assert await count(ExternalRef) == await count(Membership) == await count(CustomerProject) == 0
    nouns = ("customer", "payer", "service", "ticket", "ticket_message", "note", "attachment", "user", "membership")
    for noun in nouns:
        assert len(await audited(noun, "delete")) == 1, noun
    assert await audited("delivery", "delete") == ['{"deliveries":[1,0]}']
    assert own.username in (await audited("user", "delete"))[0]
