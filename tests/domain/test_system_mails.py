"""Mails that the system sends by itself: their files, once only, and what a refusal leads to."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app import db
from app.db import moment
from app.domain import customers, jobs, users
from app.domain.messaging import bounces, system
from app.errors import Invalid
from app.integrations.mail import Deferred, Mailer, OutboxMailer, Rejected, Unsure
from app.integrations.storage import DirectoryStorage
from app.models.consent import Suppression, Why
from app.models.customers import Customer
from app.models.jobs import Job, JobState
from app.models.messaging import MailKind
from app.settings import Settings
from tasks import base
from tasks import mails as tasks
from tests import factories as make

assert tasks  # registers the task
pytestmark = pytest.mark.usefixtures("database", "redis")


class Answering:
    """A mail server that answers each mail with the next of these; None: taken."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.mails: list[bytes] = []

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        self.mails.append(message)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer

    async def close(self) -> None:
        pass


def resources(tmp_path: Path, database: str, mailer: Mailer | None = None) -> base.Resources:
    settings = Settings(database_url=database, secret_key="x" * 32, data_dir=tmp_path)
    return base.Resources(
        settings, mailer or OutboxMailer(tmp_path / "outbox"), DirectoryStorage(tmp_path / "attachments")
    )


async def send(**kw: Any) -> Job | None:
    async with db.unit() as session:
        if "customer_id" not in kw:
            project = await make.create_project(session, sender_email="desk@n.example")
            kw["customer_id"] = (await make.create_customer(session, project=project, email="ada@acme.example")).id
        return await system.send(session, **{"kind": MailKind.WELCOME} | kw)


async def state(job: Job) -> tuple[JobState, str]:
    async with db.reads() as session:
        row = await session.get_one(Job, job.id)
        return row.state, row.error


async def test_a_mail_goes_to_the_customer_with_its_files(tmp_path: Path, database: str) -> None:
    parts = resources(tmp_path, database)
    stored = await parts.storage.save(b"%PDF-1.7 ...")
    async with db.unit() as session:
        file = await make.create_attachment(session, name="invoice-7.pdf", key=stored.key)
    job = await send(attachments=[file.id])
    assert job is not None
    await base.run_job(job.id, parts)
    await base.run_job(job.id, parts)
    [path] = (tmp_path / "outbox").glob("*.eml")
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert isinstance(mail, EmailMessage) and mail["To"].addresses[0].addr_spec == "ada@acme.example"
    [part] = mail.iter_attachments()
    assert (part.get_filename(), part.get_content_type()) == ("invoice-7.pdf", "application/pdf")
    assert part.get_content() == b"%PDF-1.7 ..."


async def test_the_same_key_is_one_mail_and_a_suppressed_address_gets_none() -> None:
    first = await send(key="invoice:7")
    assert first is not None
    async with db.reads() as session:
        customer_id = (await session.get_one(Job, first.id)).args["customer_id"]
    again = await send(key="invoice:7", customer_id=customer_id)
    assert again is not None and again.id == first.id
    async with db.unit() as session:
        await make.create_suppression(session, address="ada@acme.example")
    assert await send(customer_id=customer_id) is None


async def test_a_missing_file_is_told_at_the_job_and_nothing_is_sent(tmp_path: Path, database: str) -> None:
    server = Answering()
    async with db.unit() as session:
        file = await make.create_attachment(session)
    for attachments in ([file.id], [4711]):
        job = await send(attachments=attachments)
        assert job is not None
        await base.run_job(job.id, resources(tmp_path, database, server))
        assert (await state(job))[0] is JobState.FAILED
    assert server.mails == []


async def suppressed() -> list[tuple[str, Why]]:
    async with db.reads() as session:
        rows = await session.scalars(select(Suppression).where(Suppression.lifted_at.is_(None)))
        return [(row.address, row.why) for row in rows]


async def test_a_refusal_is_told_at_the_job_and_an_address_that_is_not_there_is_suppressed(
    tmp_path: Path, database: str
) -> None:
    for said, gone in (("5.7.1 spam", False), ("5.1.1 <ada@acme.example>: User unknown", True)):
        job = await send()
        assert job is not None
        server = Answering(Rejected(said, code=550))
        await base.run_job(job.id, resources(tmp_path, database, server))
        ended, error = await state(job)
        assert ended is JobState.FAILED and said[:5] in error and len(server.mails) == 1
        assert await suppressed() == ([("ada@acme.example", Why.HARD)] if gone else [])


async def test_nobody_knows_is_not_sent_again_until_staff_say_so(tmp_path: Path, database: str) -> None:
    job = await send()
    assert job is not None
    server = Answering(Unsure("silence"))
    parts = resources(tmp_path, database, server)
    await base.run_job(job.id, parts)
    await base.run_job(job.id, parts)
    assert len(server.mails) == 1 and (await state(job))[0] is JobState.FAILED
    async with db.unit() as session:
        await jobs.retry(session, job_id=job.id)
    await base.run_job(job.id, parts)
    assert len(server.mails) == 2 and (await state(job))[0] is JobState.DONE


async def test_a_worker_that_died_while_it_sent_leaves_no_second_mail(tmp_path: Path, database: str) -> None:
    job = await send()
    assert job is not None
    async with db.unit() as session:
        await session.execute(
            update(Job)
            .values(state=JobState.RUNNING, done=1, attempt=1, lease_token="gone", lease_until=moment(-1))
            .execution_options(synchronize_session=False)
        )
    server = Answering()
    await base.run_job(job.id, resources(tmp_path, database, server))
    assert server.mails == [] and (await state(job))[0] is JobState.FAILED


async def test_a_mail_that_is_put_off_goes_out_later(tmp_path: Path, database: str) -> None:
    job = await send()
    assert job is not None
    server = Answering(Deferred("busy", code=451))
    parts = resources(tmp_path, database, server)
    await base.run_job(job.id, parts)
    async with db.unit() as session:
        await session.execute(update(Job).values(due_at=moment(-1)).execution_options(synchronize_session=False))
    await base.run_job(job.id, parts)
    assert len(server.mails) == 2 and (await state(job))[0] is JobState.DONE


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        ("5.1.1 <x@y.example>: Recipient address rejected: User unknown in virtual mailbox table", True),
        ("5.1.2 bad destination system", True), ("5.1.3 bad address syntax", True), ("5.2.1 mailbox disabled", True),
        ("No such user here", True), ("5.1.0 address unknown: user unknown", True),
        ("5.7.1 user unknown to our policy", False), ("5.2.2 mailbox full", False), ("go away", False),
        ("5.1.8 sender address rejected: domain not found", False), ("sender address rejected: not found", False),
        ("Recipient address rejected: blocked for spam", False), ("4.1.1 later, user unknown", False),
        ("5.3.4 message too big", False), ("", False),
    ],
)  # fmt: skip
def test_only_what_speaks_of_the_address_suppresses_it(said: str, gone: bool) -> None:
    assert bounces.missing(said) is gone


# ---- a changed address ----------------------------------------------------------------------------------------------


async def mails() -> list[tuple[str, str, str]]:
    async with db.reads() as session:
        rows = await session.scalars(select(Job).where(Job.name == "messaging.mail").order_by(Job.id))
        return [(job.args["to"], job.args["subject"], job.args["text"]) for job in rows]


async def test_another_address_is_told_to_the_old_one() -> None:
    async with db.unit() as session:
        project = await make.create_project(session, name="Nordhost")
        customer = await make.create_customer(session, project=project, email="old@acme.example", language="de")
        user = await make.create_user(session, customer=customer, email="ada@acme.example", full_name="Ada")
        for address in ("old@acme.example", "Old@Acme.example"):  # the same to every mail server
            await customers.change_customer(session, customer=customer, values={"email": address})
        await customers.change_customer(session, customer=customer, values={"phone": "+49 30 1"})
        assert not await session.scalar(select(Job.id))
        await customers.change_customer(session, customer=customer, values={"email": "new@acme.example"})
        await users.change_user(session, user=user, values={"email": "ada@new.example", "language": "en"})
        lonely = await make.create_user(session, project=project)
        await users.change_user(session, user=lonely, values={"email": "x@new.example"})
    (first, second) = await mails()
    assert first[0] == "Old@Acme.example" and first[1] == "Ihre E-Mail-Adresse bei Nordhost wurde geändert"
    assert "new@acme.example" in first[2]
    assert second[0] == "ada@acme.example" and second[1] == "Your e-mail address at Nordhost was changed"
    assert "Hello Ada" in second[2] and "ada@new.example" in second[2]


async def test_a_change_that_is_refused_tells_nobody() -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session, email="old@acme.example")
    with pytest.raises(Invalid):
        async with db.unit() as session:
            customer = await session.get_one(Customer, customer.id)
            await customers.change_customer(
                session, customer=customer, values={"email": "new@acme.example", "name": ""}
            )
    assert await mails() == []
