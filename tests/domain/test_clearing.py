"""Clearing personal data: what is personal is found nowhere, but where the law wants it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from app import db
from app.db import Base
from app.domain import customers
from app.domain.customers import clearing, merge_rules
from app.errors import Conflict
from app.integrations.storage import DirectoryStorage, FileMissing
from app.models.attachments import Attachment
from app.models.audit import Audit, AuditDetail
from app.models.billing import Invoice, InvoiceStatus
from app.models.catalog import Service
from app.models.customers import Customer, CustomerStatus
from app.models.imports import ImportRow
from app.models.jobs import Job, JobState
from app.models.registrations import Registration
from app.models.sessions import LoginSession
from app.models.users import User, UserCustomer
from app.observe import request_id
from app.settings import Settings
from tasks import base
from tasks import customers as customer_tasks
from tasks import privacy as privacy_tasks
from tests import factories as make
from tests.domain.belongings import furnish

assert customer_tasks and privacy_tasks
pytestmark = pytest.mark.usefixtures("database", "redis")
WORD = "Zebedee"


async def _where(word: str) -> set[str]:
    """The columns of all tables in which the word stands, however it is written."""
    found = set()
    async with db.engine().connect() as connection:
        for table in Base.metadata.sorted_tables:
            for row in await connection.execute(select(table)):
                found |= {f"{table.name}.{c}" for c, v in row._mapping.items() if word.casefold() in str(v).casefold()}
    return found


async def _work(resources: base.Resources) -> None:
    async with db.reads() as session:
        waiting = list(await session.scalars(select(Job.id).where(Job.state == JobState.DUE).order_by(Job.id)))
    for job_id in waiting:
        await base.run_job(job_id, resources)


async def test_nothing_personal_is_left_but_what_the_law_wants(tmp_path: Path, database: str) -> None:
    storage = DirectoryStorage(tmp_path / "store")
    settings = Settings(database_url=database, secret_key="x" * 32, data_dir=tmp_path)
    stored = await storage.save(b"a letter of Zebedee")
    token = request_id.set("import-1")
    async with db.unit() as session:
        customer, user = await furnish(session, WORD)
        request_id.reset(token)
        double, _login = await furnish(session, f"{WORD}2")
        double.merged_into_id = customer.id
        other = await make.create_customer(session, name="Another", email="another@example.org")
        both = await make.create_user(session, customers=[customer, other], full_name="Both")
        letters = (await session.scalars(select(Attachment).where(Attachment.customer_id == customer.id))).all()
        letters[0].key = stored.key
        run = await make.create_import(session, project_id=customer.project_id, state="done", key="", report={
            "errors": [[1, "name", WORD]]}, looked={"columns": [{"name": "n", "samples": [WORD], "values": [WORD]}]},
        )  # fmt: skip
        assert run.id == 1
        row = {"import_id": run.id, "line": 1, "reason": "twice", "cells": [WORD]}
        await (await session.connection()).execute(insert(ImportRow.metadata.tables["import_row"]), [row])
        session.add(Registration(
            project_id=customer.project_id, email=f"{WORD}@EXAMPLE.org", password_hash="x", fields={"name": WORD}
        ))  # fmt: skip
        gone = await make.create_note(session, customer=customer, text=f"{WORD} once more")
        await session.delete(gone)
        await session.flush()
        mail = {"customer_id": customer.id, "to": f"{WORD}@example.org", "text": f"Hello {WORD}"}
        await make.create_job(session, name="messaging.mail", args=mail, state=JobState.DONE)
        await session.execute(update(Service).values(status="closed").execution_options(audited=True))
        await make.create_suppression(session, address=f"{WORD.lower()}@example.org")
    planted = await _where(WORD)
    assert len({place.partition(".")[0] for place in planted}) >= 25 and "customer.search_text" in planted

    async with db.unit() as session:
        mine = (await session.scalars(select(Customer).where(Customer.id == customer.id))).one()
        report = await customers.clear(session, customer=mine)
    await _work(base.Resources(settings, None, storage))  # type: ignore[arg-type]

    left = await _where(WORD)
    assert not {place for place in left if place.partition(".")[0] not in clearing.STAYS}, left
    assert not left & {
        "payer.phone",
        "payer.email",
        "payer.contact",
        "payer.custom",
        "payer.custom_folded",
        "payment.note",
        "invoice.note",
    }
    assert {"invoice.sides", "payer.name"} <= left
    assert report["kept"]["invoice"] == 2 and report["kept"]["user"] == 1 and report["cleared"]["ticket"] == 1
    with pytest.raises(FileMissing):
        await storage.read(stored.key)
    async with db.reads() as session:
        gone_user = await session.get(User, user.id)
        assert gone_user is not None and not gone_user.enabled and gone_user.password_hash is None
        assert gone_user.username == f"cleared-{user.id}" and gone_user.custom == {}
        same = await session.get(User, both.id)
        assert same is not None and same.enabled and same.full_name == "Both"
        links = select(UserCustomer.customer_id).where(UserCustomer.user_id == both.id)
        assert list(await session.scalars(links)) == [other.id]
        assert not list(await session.scalars(select(LoginSession.id).where(LoginSession.ended_at.is_(None))))
        for customer_id in (customer.id, double.id):
            row = await session.get(Customer, customer_id)
            assert row is not None and row.name == f"#{row.id}" and row.status is CustomerStatus.CLOSED
            assert row.cleared_at is not None and row.search_text == ""
        details = select(AuditDetail.payload).join(Audit, Audit.id == AuditDetail.audit_id)
        told = details.where(Audit.noun == "customer", Audit.noun_id == customer.id)
        assert len(list(await session.scalars(told))) == 1, "only the report"
        issued = select(Invoice.number).where(Invoice.status != InvoiceStatus.DRAFT)
        assert len(list(await session.scalars(issued))) == 2
    async with db.unit() as session:
        mine = (await session.scalars(select(Customer).where(Customer.id == customer.id))).one()
        with pytest.raises(Conflict, match="was cleared"):
            await customers.clear(session, customer=mine)
        with pytest.raises(Conflict, match="was cleared"):
            await customers.reopen_customer(session, customer=mine)


async def test_what_still_goes_on_stands_in_the_way() -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session)
        assert await customers.refusals_to_clear(session, customer) == []
        await make.create_service(session, customer=customer)
        account = await make.create_account(session, customer=customer)
        await make.create_invoice(session, account=account, status=InvoiceStatus.OVERDUE, number="7")
        await make.create_payment(session, account=account)
        said = " ".join(await customers.refusals_to_clear(session, customer))
        assert "1 service is not closed" in said and "not paid: 1" in said and "on their way: 1" in said
        with pytest.raises(Conflict, match="not paid"):
            await customers.clear(session, customer=customer)


def test_each_table_that_names_customers_is_thought_of() -> None:
    """Whoever adds one says in `clearing` what becomes of it, and plants the word of the test above in it."""
    tables = {name.partition(".")[0] for name, _model, _attribute in merge_rules.foreign_keys()}
    source = Path(clearing.__file__).read_text()
    for table in tables:
        model = next(m.class_ for m in Base.registry.mappers if m.class_.__tablename__ == table)
        assert model.__name__ in source, f"{table}: nothing is said of it in clearing.py"
