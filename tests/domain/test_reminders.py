"""Invoices by the calendar: overdue, reminders at their stages, invoices before funds run out, mails."""

from __future__ import annotations

import email
import email.policy
import io
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from sqlalchemy import select

from app import db
from app.db import unit
from app.domain import billing, charging, jobs
from app.domain.billing import LineIn, reminders
from app.domain.ledger.standing import standing
from app.integrations.mail import OutboxMailer
from app.integrations.storage import DirectoryStorage
from app.models.billing import Invoice, InvoiceStatus, LineKind
from app.models.catalog import Period, ServiceStatus
from app.models.jobs import Job
from app.settings import Settings
from tasks import base, invoices
from tests.factories import (
    create_account,
    create_customer,
    create_discount,
    create_product,
    create_project,
    create_service,
)

assert invoices  # registers the tasks
pytestmark = [
    pytest.mark.usefixtures("database", "redis"),
    pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True),
]
TODAY = date(2026, 11, 22)


async def world(session: Any, *, balance: int = 0, **kw: Any) -> Any:
    project = await create_project(session, country="DE", sender_email="desk@nordhost.example", name="Nordhost")
    customer = await create_customer(session, project=project, language="de", email="ada@customer.example")
    return await create_account(session, customer=customer, balance=balance, **kw)


async def issued(session: Any, account: Any, *, days: int, on: date = TODAY) -> Invoice:
    lines = [LineIn("Hosting", 11900)]
    due = on + timedelta(days=days)
    draft = await billing.draft_invoice(session, customer_id=account.customer_id, lines=lines, due_on=due, today=on)
    return await billing.issue_invoice(session, invoice=draft, day=on)


@pytest.mark.parametrize(
    ("left", "expected"),
    [(12, None), (11, None), (10, 10), (6, 10), (5, 5), (4, 5), (2, 3), (1, 1), (0, 0), (-1, None)],
)
def test_stages(left: int, expected: int | None) -> None:
    assert reminders.stage(left) == expected


async def test_overdue_is_said_once_and_only_of_what_is_unpaid() -> None:
    async with unit() as session:
        account = await world(session, balance=11900)
        late, fresh, paid = [await issued(session, account, days=n) for n in (3, 9, 3)]
        await billing.pay_from_balance(session, invoice=paid)
        after = TODAY + timedelta(days=4)
        assert await reminders.mark_overdue(session, today=TODAY + timedelta(days=3)) == 0
        assert await reminders.mark_overdue(session, today=after) == 1
        assert await reminders.mark_overdue(session, today=after) == 0
        assert [i.status for i in (late, fresh, paid)] == [
            InvoiceStatus.OVERDUE, InvoiceStatus.ISSUED, InvoiceStatus.PAID,
        ]  # fmt: skip


async def test_reminders_come_once_in_each_stage_also_after_days_of_outage() -> None:
    async with unit() as session:
        account = await world(session)
        invoice = await issued(session, account, days=14)
        told = []
        for day in range(16):
            if day in (9, 10):  # an outage: the reminder of five days comes on the fourth
                continue
            today = TODAY + timedelta(days=day)
            for _ in range(2):
                n, after = await reminders.remind(session, today=today)
                assert after is None
                told += [day] * n
        assert told == [4, 11, 13, 14] and invoice.reminded_on == TODAY + timedelta(days=14)
        keys = (await session.scalars(select(Job.key).order_by(Job.id))).all()
        assert keys == [f"invoice.remind:{invoice.id}:{n}" for n in (10, 3, 1, 0)]


async def test_an_invoice_is_made_before_funds_run_out_and_only_one() -> None:
    async with unit() as session:
        account = await world(session, balance=3000, auto_invoice=True, credit_limit=500)
        product = await create_product(session)
        await create_service(
            session, customer_id=account.customer_id, product=product, price=9000, currency="EUR",
            status=ServiceStatus.ACTIVE, next_charge_on=TODAY + timedelta(days=10), period=Period.QUARTER,
        )  # fmt: skip
        await create_discount(session, percent=1000)
        left = await charging.days_left(session, account, day=TODAY)
        assert left == 10
        assert (await standing(session, account, day=TODAY)).runs_out == TODAY + timedelta(days=10)  # one forecast
        invoice = await reminders.invoice_in_time(session, account_id=account.id, today=TODAY)
        assert invoice is not None and invoice.total == 8100 - 3000 and invoice.due_on == TODAY + timedelta(days=10)
        assert [x.kind for x in invoice.lines] == [LineKind.ADVANCE]
        assert invoice.status is InvoiceStatus.ISSUED
        for day in (TODAY, TODAY + timedelta(days=1)):
            assert await reminders.invoice_in_time(session, account_id=account.id, today=day) is None


async def test_nobody_is_asked_for_funds_who_has_enough_or_does_not_want_it() -> None:
    async with unit() as session:
        account = await world(session, balance=3600, auto_invoice=True)
        assert await reminders.invoice_in_time(session, account_id=account.id, today=TODAY) is None  # nothing runs
        product = await create_product(session)
        await create_service(
            session, customer_id=account.customer_id, product=product, price=9000, currency="EUR",
            status=ServiceStatus.ACTIVE, next_charge_on=TODAY + timedelta(days=11),
        )  # fmt: skip
        assert await reminders.invoice_in_time(session, account_id=account.id, today=TODAY) is None  # eleven days
        account.auto_invoice = False
        later = TODAY + timedelta(days=30)
        assert await reminders.invoice_in_time(session, account_id=account.id, today=later) is None


async def test_an_invoice_is_mailed_once_with_its_pdf_in_the_customers_language(tmp_path: Path, database: str) -> None:
    settings = Settings(database_url=database, secret_key="x" * 32, data_dir=tmp_path)
    resources = base.Resources(settings, OutboxMailer(tmp_path / "outbox"), DirectoryStorage(tmp_path / "attachments"))
    async with unit() as session:
        invoice = await issued(session, await world(session), days=14)
        await billing.send_invoice(session, invoice=invoice, key="once")
        await billing.send_invoice(session, invoice=invoice, key="once")
    for _round in range(3):
        async with db.reads() as session:
            due = await jobs.due(session)
        for job in due:
            await base.run_job(job.id, resources)
    [file] = list((tmp_path / "outbox").rglob("*.eml"))
    mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert mail["Subject"] == f"Rechnung {invoice.number} von Nordhost"
    assert "119,00 EUR" in mail.get_body(("plain",)).get_content()
    [attached] = list(mail.iter_attachments())
    assert attached.get_filename() == f"invoice-{invoice.number}.pdf"
    pdf = PdfReader(io.BytesIO(attached.get_content()))
    assert f"Rechnung {invoice.number}" in pdf.pages[0].extract_text()
