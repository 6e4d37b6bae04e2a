"""Undoing a whole import: what it made goes, what it changed comes back, and what people did since stays."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from app import db
from app.domain import customers, members
from app.domain.confirmations import by_token, link_of
from app.domain.imports import inviting, runs, undoing
from app.errors import Conflict
from app.models.audit import Audit
from app.models.confirmations import Confirmation, ConfirmationKind
from app.models.customers import Customer, ExternalRef, Membership
from app.models.imports import ImportRow, ImportRun, ImportState
from app.models.jobs import Job
from app.models.projects import Project
from app.models.users import User, UserCustomer
from tasks import base
from tests import factories
from tests.domain.test_import_runs import add, check, project, resources, row, run_jobs

pytestmark = pytest.mark.usefixtures("redis")
__all__ = ["project", "resources"]  # fixtures
HEADER = "id,name,email,phone,country\n"


async def taken(resources: base.Resources, project: Project, text: str, **defaults: str) -> int:
    import_id = await add(resources, project, text)
    await check(resources, import_id, **defaults)
    async with db.unit() as session:
        await runs.start_import(session, import_id=import_id)
    await run_jobs(resources)
    assert (await row(import_id)).state is ImportState.DONE
    return import_id


async def undone(resources: base.Resources, import_id: int) -> ImportRun:
    async with db.unit() as session:
        await undoing.undo_import(session, import_id=import_id)
    await run_jobs(resources)
    return await row(import_id)


async def everybody() -> dict[str, Customer]:
    async with db.reads() as session:
        return {c.name: c for c in await session.scalars(select(Customer))}


async def test_what_it_made_goes_and_what_it_changed_comes_back(
    resources: base.Resources, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undoing, "AT_ONCE", 2)
    await taken(resources, project, HEADER + "1,Ann,ann@x.example,+49 30 1,DE\n2,Ben,ben@x.example,,DE\n")
    async with db.unit() as session:
        group = await factories.create_group(session)
    text = HEADER + "1,Anna,ann@x.example,+49 30 2,DE\n2,Ben,new@x.example,+49 30 3,AT\n3,Cem,,,\n4,Dora,,,\n5,Eve,,,\n"
    second = await taken(resources, project, text, group=str(group.id))
    people = await everybody()
    assert set(people) == {"Anna", "Ben", "Cem", "Dora", "Eve"} and people["Ben"].email == "new@x.example"
    async with db.unit() as session:
        assert await session.scalar(select(func.count()).select_from(Membership)) == 3
        ben = await session.get_one(Customer, people["Ben"].id)
        await customers.change_customer(session, customer=ben, values={"country": "CH"})
        await factories.create_ticket(session, customer=await session.get_one(Customer, people["Dora"].id))
        eve = await session.get_one(Customer, people["Eve"].id)
        await customers.add_note(session, customer=eve, text="A good one")
    run = await undone(resources, second)
    assert (run.state, run.undone, run.kept, run.done, run.total) == (ImportState.UNDONE, 2, 3, 5, 5)
    people = await everybody()
    assert set(people) == {"Ann", "Ben", "Dora", "Eve"} and people["Ann"].phone == "+49 30 1"
    assert (people["Ben"].email, people["Ben"].phone, people["Ben"].country) == ("ben@x.example", "", "CH")
    async with db.reads() as session:
        kept = {r.cells[0]: r.reason for r in await session.scalars(select(ImportRow).where(ImportRow.undo))}
        for entity, n in ((User, 4), (UserCustomer, 4), (ExternalRef, 4), (Membership, 2)):
            assert await session.scalar(select(func.count()).select_from(entity)) == n, entity
        gone = select(Audit.noun).where(Audit.action == "delete", Audit.noun.in_(("customer", "user")))
        assert sorted(await session.scalars(gone)) == ["customer", "user"]
    assert kept["Ben"] == "Changed since, and left as it is: Country."
    assert kept["Dora"] == "Tickets belong to it by now." and kept["Eve"] == "Notes belong to it by now."
    with pytest.raises(Conflict):
        await undone(resources, second)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_who_has_signed_in_or_was_imported_again_stays(resources: base.Resources, project: Project) -> None:
    first = await taken(resources, project, HEADER + "1,Ann,a@x.example,,\n2,Ben,b@x.example,,\n3,Cem,c@x.example,,\n")
    await taken(resources, project, HEADER + "1,Anna,a@x.example,,\n")
    async with db.unit() as session:
        user = (await session.scalars(select(User).where(User.username == "b@x.example"))).one()
        user.password_hash = "x"
    run = await undone(resources, first)
    assert (run.undone, run.kept) == (1, 2) and set(await everybody()) == {"Anna", "Ben"}
    again = await taken(resources, project, HEADER + "3,Cem,c@x.example,,\n")
    assert (await row(again)).created == 1


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_users_are_invited_a_few_at_a_time(
    resources: base.Resources, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inviting, "AT_ONCE", 2)
    import_id = await add(
        resources, project, HEADER + "".join(f"{n},P{n},p{n}@x.example,,\n" for n in range(3)) + "9,Q,,,\n"
    )
    await run_jobs(resources)
    async with db.unit() as session:
        columns = (await row(import_id)).plan["columns"]
        await runs.plan_import(session, import_id=import_id, columns=columns, defaults={}, invite=True)
        await runs.check_import(session, import_id=import_id)
    await run_jobs(resources)
    async with db.unit() as session:
        await runs.start_import(session, import_id=import_id)

    async def asked() -> list[Confirmation]:
        async with db.reads() as session:
            return list(await session.scalars(select(Confirmation)))

    async with db.reads() as session:
        assert await session.scalar(select(Job.id).where(Job.name == "imports.invite")) is None
    await runs.work_off(resources.storage, import_id=import_id, state=ImportState.RUNNING, more=lambda: True)
    counts = []
    while not (await inviting.invite_some(import_id=import_id)).over:
        counts.append(len(await asked()))
    rows = await asked()
    assert counts == [2, 3] and {r.kind for r in rows} == {ConfirmationKind.JOIN}
    assert len({r.user_id for r in rows}) == 3 and (await row(import_id)).looked["invited"] == 3
    async with db.unit() as session:
        invitation = await by_token(session, link_of(rows[0]).rpartition("/")[2])
        await members.accept(session, row=invitation, password="long enough a password")
    run = await undone(resources, import_id)
    assert (run.undone, run.kept) == (3, 1) and [r.id for r in await asked()] == [rows[0].id]
