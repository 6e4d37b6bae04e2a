"""A copy of all data of a customer: what is in it, what is not, that it ends; and asking for deletion."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app import db
from app.db import utcnow
from app.domain import customers, privacy, tickets
from app.errors import Conflict, NotFound
from app.integrations.mail import OutboxMailer
from app.integrations.storage import DirectoryStorage, FileMissing
from app.models.billing import InvoiceStatus
from app.models.customers import Customer
from app.models.jobs import Job, JobState
from app.models.messaging import CampaignAttachment, DeliveryState
from app.models.privacy import DataRequest, DataState
from app.models.sessions import LoginSession, SessionKind
from app.models.tickets import Ticket, TicketAttachment, TicketMessage, TicketStatus
from app.models.users import User
from app.settings import Settings
from tasks import base
from tasks import mails as mail_tasks
from tasks import privacy as tasks
from tests import factories as make
from tests.tasks.outbox import mails_in

assert tasks and mail_tasks  # registers the tasks
pytestmark = pytest.mark.usefixtures("database", "redis")


@pytest.fixture
def resources(tmp_path: Path, database: str) -> base.Resources:
    settings = Settings(database_url=database, secret_key="x" * 32, data_dir=tmp_path)
    return base.Resources(settings, OutboxMailer(tmp_path / "outbox"), DirectoryStorage(tmp_path / "attachments"))


async def _file(session: Any, resources: base.Resources, name: str, content: bytes, **kw: Any) -> Any:
    stored = await resources.storage.save(content)
    return await make.create_attachment(session, name=name, size=stored.size, key=stored.key, **kw)


async def furnish(session: Any, resources: base.Resources, name: str) -> tuple[Customer, User]:
    """A customer who has something in every part of an export."""
    customer = await make.create_customer(session, name=name, note=f"note about {name}")
    user = await make.create_user(
        session, customer=customer, username=name.lower(), full_name=name, email=f"{name.lower()}@example.org",
        password_hash=f"hash of {name}", language="de",
    )  # fmt: skip
    staff = await make.create_staff(session, full_name="Grace Hopper")
    await make.create_payer(session, customer=customer, name=f"={name}|cmd")
    await make.create_service(session, customer=customer, name=f"{name}.example", price=1290)
    account = await make.create_account(session, customer=customer, balance=5000)
    await make.create_payment(session, account=account, number=f"{name}-P1", note="only for staff")
    sides = {"payer": {"name": name, "email": ""}, "seller": {"name": "We"}}
    today = utcnow().date()
    await make.create_invoice(
        session, account=account, number=f"{name}-I1", status=InvoiceStatus.ISSUED, issued_on=today, due_on=today,
        sides=sides,
    )  # fmt: skip
    await make.create_invoice(session, account=account, note="a draft")
    await make.create_expense(session, account=account, description=f"{name} hosting")
    await make.create_document(session, customer=customer, title=f"{name} act")
    category = await make.create_category(session)
    campaign = await make.create_campaign(
        session, category=category, texts={"de": ("Hallo {{ customer.name }}", "Es *kostet* 5.")}
    )
    sent = await _file(session, resources, "prices.txt", f"prices of {name}".encode())
    session.add(CampaignAttachment(campaign_id=campaign.id, attachment_id=sent.id))
    for channel, address in (("inbox", ""), ("email", "a@example.org")):
        await make.create_delivery(
            session, campaign=campaign, customer=customer, channel=channel, address=address, language="de",
            values={"customer.name": name}, state=DeliveryState.SENT, sent_at=utcnow(),
            message_id=f"{name}-{channel}",
        )  # fmt: skip
    ticket = await make.create_ticket(session, customer=customer, subject=f"{name} asks", text="=1+1 is two")
    wish = await _file(session, resources, "../wish.html", f"wish of {name}".encode(), customer_id=customer.id)
    said = TicketMessage(ticket_id=ticket.id, from_customer=False, staff_id=staff.id, text="We look.")
    note = TicketMessage(ticket_id=ticket.id, from_customer=False, internal=True, text="between us")
    session.add_all([said, note])
    await session.flush()
    session.add(TicketAttachment(message_id=said.id, attachment_id=wish.id))
    await make.create_subscription(session, customer=customer, category=category)
    for kind, more in (
        (SessionKind.CLIENT, {"user_id": user.id, "agent": "Firefox"}),
        (SessionKind.VISIT, {"staff_id": staff.id, "reason": "Ticket 7"}),
    ):
        session.add(
            LoginSession(
                token_hash=f"token of {name} {kind}", kind=kind, customer_id=customer.id, last_seen_at=utcnow(),
                expires_at=utcnow(), **more,  # type: ignore[arg-type]
            )
        )  # fmt: skip
    await session.flush()
    return customer, user


async def run(resources: base.Resources) -> None:
    """Everything that is due, until nothing is."""
    while True:
        async with db.reads() as session:
            ids = (await session.scalars(select(Job.id).where(Job.state == JobState.DUE))).all()
        if not ids:
            return
        for job_id in ids:
            assert await base.run_job(job_id, resources)


Asked = Callable[[], Awaitable[tuple[Customer, DataRequest]]]


@pytest.fixture
def asked(resources: base.Resources) -> Asked:
    """Two customers with everything; the export of the first one is made."""

    async def ask() -> tuple[Customer, DataRequest]:
        async with db.unit() as session:
            customer, user = await furnish(session, resources, "Ada")
            await furnish(session, resources, "Charles")
        async with db.unit() as session:
            made = await privacy.ask_export(session, customer_id=customer.id, user_id=user.id)
        await run(resources)
        async with db.reads() as session:
            return customer, await session.get_one(DataRequest, made.id)

    return ask


async def test_an_export_holds_everything_of_this_customer_and_nothing_else(
    asked: Asked, resources: base.Resources
) -> None:
    _customer, made = await asked()
    assert made.state is DataState.READY and made.expires_at is not None
    assert timedelta(days=6) < made.expires_at - utcnow() < timedelta(days=8)
    raw = await resources.storage.read(made.key)
    assert made.size == len(raw)
    archive = zipfile.ZipFile(io.BytesIO(raw))
    assert archive.testzip() is None
    names = archive.namelist()
    assert all(".." not in name and not name.startswith("/") for name in names)
    parts = {n.removesuffix(".json"): json.loads(archive.read(n)) for n in names if n.endswith(".json")}
    assert not [name for name, rows in parts.items() if not rows], "each part has a row"
    assert [row["name"] for row in parts["profile"]] == ["Ada"]
    assert parts["services"][0]["price"] == "12.90"
    assert [row["number"] for row in parts["invoices"]] == ["Ada-I1"], "drafts are no invoices yet"
    letters = {row["channel"]: row for row in parts["messages"]}
    assert letters["inbox"]["subject"] == "Hallo Ada" and "<em>kostet</em>" in letters["inbox"]["html"]
    assert letters["email"]["address"] == "a@example.org"
    assert [row["text"] for row in parts["ticket_messages"]] == ["=1+1 is two", "We look."]
    [attached] = parts["ticket_messages"][1]["files"]
    assert archive.read(attached) == b"wish of Ada"
    assert archive.read(letters["inbox"]["files"][0]) == b"prices of Ada"
    [pdf] = [n for n in names if n.startswith("invoices/")]
    assert archive.read(pdf).startswith(b"%PDF")
    assert parts["visits"][0]["staff"] == "Grace Hopper" and parts["visits"][0]["reason"] == "Ticket 7"
    assert parts["sign_ins"][0]["agent"] == "Firefox"
    assert "Daten" in archive.read("README.txt").decode()
    everything = b"".join(archive.read(name) for name in names)
    for secret in (b"Charles", b"hash of", b"token of", b"between us", b"note about", b"only for staff"):
        assert secret not in everything, secret


async def test_formulas_do_nothing_in_the_sheets(asked: Asked, resources: base.Resources) -> None:
    _customer, made = await asked()
    archive = zipfile.ZipFile(io.BytesIO(await resources.storage.read(made.key)))
    for name, cell in (("payers.csv", "'=Ada|cmd"), ("ticket_messages.csv", "'=1+1 is two")):
        rows = list(csv.reader(io.StringIO(archive.read(name).decode("utf-8-sig"))))
        assert any(cell in row for row in rows), rows
        assert all(not value.startswith("=") for row in rows for value in row)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_whoever_asked_is_told_in_their_language_and_once(asked: Asked, resources: base.Resources) -> None:
    _customer, made = await asked()
    [mail] = mails_in(resources)
    assert mail["to"] == "ada@example.org"
    body = mail.get_body(("plain",))
    assert body is not None and "/client/data" in body.get_content() and "bereit" in body.get_content()
    async with db.unit() as session:  # the same job once more, as after a crash
        await session.execute(update(Job).where(Job.id == made.job_id).values(state=JobState.DUE))
    await run(resources)
    assert len(mails_in(resources)) == 1


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_one_export_at_a_time_and_not_without_end(resources: base.Resources) -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session)
    ids = set()
    for _n in range(2):
        async with db.unit() as session:
            ids.add((await privacy.ask_export(session, customer_id=customer.id, user_id=None)).id)
    assert len(ids) == 1, "the second click gets the first request"
    for _n in range(4):
        await run(resources)
        async with db.unit() as session:
            await privacy.ask_export(session, customer_id=customer.id, user_id=None)
    await run(resources)
    with pytest.raises(Conflict):
        async with db.unit() as session:
            await privacy.ask_export(session, customer_id=customer.id, user_id=None)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_an_export_ends_and_its_file_is_gone(asked: Asked, resources: base.Resources) -> None:
    customer, made = await asked()
    assert not await privacy.forget(resources.storage)
    assert await resources.storage.read(made.key)
    async with db.unit() as session:
        assert (await privacy.file_of(session, customer_id=customer.id, request_id=made.id)).key == made.key
        (await session.get_one(DataRequest, made.id)).expires_at = utcnow()
    async with db.reads() as session:
        with pytest.raises(NotFound):
            await privacy.file_of(session, customer_id=customer.id, request_id=made.id)
    await privacy.forget(resources.storage)
    with pytest.raises(FileMissing):
        await resources.storage.read(made.key)
    async with db.reads() as session:
        assert (await session.get_one(DataRequest, made.id)).state is DataState.EXPIRED


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_the_file_goes_with_the_customer(resources: base.Resources) -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session)
    async with db.unit() as session:
        made = await privacy.ask_export(session, customer_id=customer.id, user_id=None)
    await run(resources)
    async with db.unit() as session:
        key = (await session.get_one(DataRequest, made.id)).key
        await customers.delete_customer(session, customer=await session.get_one(Customer, customer.id))
    await run(resources)
    with pytest.raises(FileMissing):
        await resources.storage.read(key)


async def test_deletion_is_a_ticket_for_staff_and_nothing_more() -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session)
        await make.create_category(session, name="News", subscribable=True, priority=9)
        service = await make.create_category(session, name="Support")
    for _click in range(2):
        async with db.unit() as session:
            made = await privacy.ask_deletion(session, customer_id=customer.id, user_id=None, reason="We move.")
    async with db.reads() as session:
        [ticket] = (await session.scalars(select(Ticket))).all()
        assert (ticket.category_id, ticket.status) == (service.id, TicketStatus.OPEN)
        assert await session.get(Customer, customer.id) is not None
        waiting = await privacy.deletion(session, customer.id)
        assert waiting is not None and waiting.id == made.id
    async with db.unit() as session:
        await privacy.withdraw(session, customer_id=customer.id, user_id=None)
    async with db.reads() as session:
        assert await privacy.deletion(session, customer.id) is None
        assert len((await session.scalars(select(TicketMessage))).all()) == 2
    with pytest.raises(Conflict):
        async with db.unit() as session:
            await privacy.withdraw(session, customer_id=customer.id, user_id=None)
    async with db.unit() as session:
        again = await privacy.ask_deletion(session, customer_id=customer.id, user_id=None)
        assert again.ticket_id != made.ticket_id
    async with db.unit() as session:
        await tickets.close(session, ticket_id=again.ticket_id or 0)
    async with db.reads() as session:
        assert await privacy.deletion(session, customer.id) is None, "staff have ended it"
