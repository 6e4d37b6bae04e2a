"""The demo: lively, valid, marked, and gone without a trace."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from stdnum.eu import vat as eu_vat

from app import db
from app.db import reads, unit
from app.domain import billing, checks, customers, demo, ledger
from app.domain.ledger import invariants
from app.domain.messaging.render import compile_message
from app.errors import Conflict
from app.models.audit import Audit, AuditDetail
from app.models.billing import Payer
from app.models.catalog import Service, ServiceStatus
from app.models.customers import Customer, CustomerStatus, ExternalRef
from app.models.ledger import Account
from app.models.messaging import Campaign, CampaignState, CampaignText, Delivery, TemplateText
from app.models.projects import Project
from app.models.staff import Staff
from app.models.tickets import Ticket, TicketMessage
from app.models.users import User
from tests.conftest import LONG
from tests.factories import create_attitude, create_customer, create_note, create_project, create_service

pytestmark = pytest.mark.usefixtures("database")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test of this file leaves the SQLite database with the demo, for the others."""
    return tmp_path_factory.mktemp("demo") / "demo.db"


@pytest.fixture
async def there(database: str, made: Path) -> None:
    """The demo of NOW is loaded."""
    path = sa.make_url(database).database or ""
    if not database.startswith("sqlite"):
        await demo.load(now=NOW)
    elif not await asyncio.to_thread(made.exists):
        await demo.load(now=NOW)
        await db.dispose()  # the last connection writes the log back into the file
        shutil.copy(path, made)
        db.configure(database)
    else:
        await db.dispose()
        shutil.copy(made, path)
        db.configure(database)


async def rows_per_table() -> dict[str, int]:
    """What is in the database, but for the audit."""
    tables = [t for t in db.Base.metadata.sorted_tables if t.name not in ("audit", "audit_detail")]
    async with reads() as session:
        found = {t.name: await session.scalar(select(func.count()).select_from(t)) or 0 for t in tables}
    return {name: n for name, n in found.items() if n}


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_a_lively_provider(there: None) -> None:
    counts = await rows_per_table()
    assert [counts[n] for n in ("project", "staff", "campaign", "message_template")] == [3, 5, 2, 6]
    async with reads() as session:
        assert await demo.loaded(session)
        people = list(await session.scalars(select(Customer)))
        services = list(await session.scalars(select(Service)))
        assert set(await session.scalars(select(Staff.password_hash))) == {None}
        assert set(await session.scalars(select(User.password_hash))) == {None}
    assert 230 <= len(people) <= 270 and len({c.country for c in people}) >= 30
    assert all(c.email.endswith(".example") for c in people)
    assert {c.status for c in people} == set(CustomerStatus) and {s.status for s in services} == set(ServiceStatus)
    assert len({c.name for c in people}) > 0.9 * len(people)
    assert sum(not c.name.isascii() for c in people) > 100
    recent = [c for c in people if c.registered_at > NOW - timedelta(days=90)]
    assert len(recent) > len(people) / 4 and min(c.registered_at for c in people) > NOW - timedelta(days=731)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_everything_would_pass_the_checks_of_the_forms(there: None) -> None:
    async with reads() as session:
        people = list(await session.scalars(select(Customer)))
        payers = list(await session.scalars(select(Payer)))
        texts = [*await session.scalars(select(TemplateText)), *await session.scalars(select(CampaignText))]
    for customer in people:
        values = {field: getattr(customer, field) for field in customers.FIELDS}
        assert checks.clean(values, customers.FIELDS) == values
        assert not customers.doubts(values), values["phone"]
    for payer in payers:
        values = {field: getattr(payer, field) for field in billing.FIELDS}
        assert billing.check_payer(values) == values
    assert sum(eu_vat.is_valid(p.vat_number) for p in payers) >= 20
    assert {t.language for t in texts} == {"en", "de", "ru", "es"}
    for text in texts:
        compile_message(text.subject, text.body)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_status_and_campaigns_agree_with_their_rows(there: None) -> None:
    async with reads() as session:
        active = set(await session.scalars(select(Service.customer_id).where(Service.status == ServiceStatus.ACTIVE)))
        for customer in await session.scalars(select(Customer)):
            assert (customer.status is CustomerStatus.ACTIVE) == (customer.id in active)
        for campaign in await session.scalars(select(Campaign)):
            sent = await session.scalar(select(func.count()).where(Delivery.campaign_id == campaign.id))
            assert campaign.state is CampaignState.DONE and sent is not None and campaign.total == sent > 200
        own = select(TicketMessage).join(Ticket).where(Ticket.campaign_id.is_(None))
        assert len((await session.scalars(own)).all()) > 100


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_the_same_moment_makes_the_same_demo_in_the_unit_that_it_is_given_and_twice_is_refused(
    there: None,
) -> None:
    async def look(session: AsyncSession) -> list[tuple[str, str, str]]:
        query = select(Customer.name, Customer.email, Customer.vat_number).order_by(Customer.id)
        return [(n, e, v) for n, e, v in await session.execute(query)]

    async with reads() as session:
        first = await look(session)
    with pytest.raises(Conflict):
        await demo.load()
    await demo.remove()
    assert await rows_per_table() == {}
    with pytest.raises(RuntimeError, match="changed my mind"):
        async with unit() as session:
            await demo.load(session, now=NOW)
            assert await look(session) == first
            raise RuntimeError("changed my mind")
    assert await rows_per_table() == {}


@pytest.mark.parametrize("engine_name", ["sqlite", LONG], indirect=True)
async def test_removing_leaves_nothing_but_the_audit_and_what_had_such_a_name() -> None:
    async with unit() as session:
        await create_project(session, name="Kupol", currency="EUR")
        await create_customer(session, attitude_id=(await create_attitude(session, name="Loyal")).id)
    before = await rows_per_table()
    await demo.load()
    removed = await demo.remove()
    assert await rows_per_table() == before and removed.kept == []
    async with reads() as session:
        assert not await demo.loaded(session)
        last = await session.scalar(select(Audit).order_by(Audit.id.desc()))
        assert last is not None and last.action == "demo_removed"
        payload = await session.scalar(select(AuditDetail.payload).where(AuditDetail.audit_id == last.id))
    assert f'"customer":[{removed.counts["customer"]},0]' in str(payload)
    assert (await demo.remove()).lines() == ["There is no demo data."]


@pytest.mark.parametrize("engine_name", ["sqlite", LONG], indirect=True)
async def test_what_staff_added_on_top_is_kept_and_said(there: None) -> None:
    async with unit() as session:
        noted, served = (await session.scalars(select(Customer).order_by(Customer.id.desc()).limit(2))).all()
        nordhost = await session.scalar(select(Project).where(Project.name == "Nordhost"))
        ticket = await session.scalar(select(Ticket).where(Ticket.customer_id.not_in([noted.id, served.id])))
        assert nordhost is not None and ticket is not None
        await create_note(session, customer=noted)
        await create_service(session, customer=served)
        await create_customer(session, project=nordhost, merged_into_id=served.id)
        await create_customer(session, project=nordhost)
        session.add(TicketMessage(ticket_id=ticket.id, from_customer=True, text="One more thing"))
    removed = await demo.remove()
    async with reads() as session:
        kept = set(await session.scalars(select(Customer.id)))
        assert len(kept) == 5 and {noted.id, served.id, ticket.customer_id} < kept
        owners = {noted.id, served.id, ticket.customer_id}
        marked = select(ExternalRef.noun_id).where(ExternalRef.source == "demo", ExternalRef.noun == "customer")
        assert set(await session.scalars(marked)) == owners
        assert await session.scalar(select(Project.id).where(Project.name == "Nordhost")) is not None
    assert any(noted.name in line for line in removed.lines()) and any("Nordhost" in line for line in removed.lines())


async def test_the_books_of_the_demo_agree_and_their_guards_stand_again_after_it(there: None) -> None:
    async with reads() as session:
        assert await invariants.check(session) == []
        balances = (await session.scalars(select(Account.balance).where(Account.customer_id.is_not(None)))).all()
        assert len(balances) >= 230 and any(b > 0 for b in balances)
        kept = (await session.scalars(select(Account).where(Account.balance > 0).limit(1))).one()
    async with unit() as session:  # somebody books on one of the accounts: that customer stays with all entries
        await ledger.correct(session, account_id=kept.id, amount=5, reason="By hand", key="hand")
    await demo.remove()
    async with reads() as session:
        assert (await session.scalars(select(Customer.id))).all() == [kept.customer_id]
        assert await invariants.check(session) == []
        assert await session.scalar(select(Account.balance).where(Account.id == kept.id)) == kept.balance + 5
    for forbidden in ("DELETE FROM ledger_entry", "UPDATE account SET balance = balance + 1"):
        with pytest.raises(DBAPIError):
            async with unit() as session:
                await session.execute(sql(forbidden))
