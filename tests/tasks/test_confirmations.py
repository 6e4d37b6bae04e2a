"""Codes and links go out: over a real gateway, as mail, and not at all when nobody can use them any more."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app import db
from app.db import utcnow
from app.domain import confirmations, members
from app.integrations.codes import NotTaken, SmsGateway, Way, signature
from app.integrations.mail import OutboxMailer
from app.integrations.storage import DirectoryStorage
from app.models.confirmations import Confirmation
from app.models.jobs import Job, JobState
from app.models.messaging import MailKind
from app.settings import Settings
from tasks import base
from tasks import confirmations as tasks
from tests import factories as make
from tests.integrations.sms_gateway import sms_gateway
from tests.tasks.outbox import mails_in

assert tasks  # registers the task
pytestmark = [
    pytest.mark.usefixtures("database", "redis"), pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True),
]  # fmt: skip
SECRET = "s" * 32


def resources(tmp_path: Path, database: str, sms_url: str = "") -> base.Resources:
    settings = Settings(
        database_url=database, secret_key="k" * 40, data_dir=tmp_path, sms_url=sms_url, sms_secret=SECRET
    )
    return base.Resources(settings, OutboxMailer(settings.outbox), DirectoryStorage(tmp_path / "attachments"))


async def code_asked(way: Way = Way.SMS, language: str = "en") -> Confirmation:
    async with db.unit() as session:
        customer = await make.create_customer(session, phone="+49 30 1234567", language=language)
        return await confirmations.send_code(session, customer=customer, way=way)


async def run(row: Confirmation, tools: base.Resources) -> JobState:
    async with db.reads() as session:
        job = (await session.scalars(select(Job).where(Job.key == f"confirmation:{row.id}"))).one()
    assert confirmations.code_of(row) not in json.dumps(job.args), "no secret lies in a job"
    await base.run_job(job.id, tools)
    async with db.reads() as session:
        return (await session.get_one(Job, job.id)).state


async def test_a_code_goes_to_the_gateway_signed_and_is_tried_again_under_the_same_key(
    database: str, tmp_path: Path
) -> None:
    row = await code_asked(language="de")
    async with sms_gateway() as gateway:
        gateway.answers = [503]
        tools = resources(tmp_path, database, gateway.url)
        assert await run(row, tools) is JobState.DUE, "it is put off"
        async with db.unit() as session:
            (await session.scalars(select(Job))).one().due_at = utcnow() - timedelta(minutes=1)
        assert await run(row, tools) is JobState.DONE
    (first, _body), (headers, body) = gateway.got
    assert first["webhook-id"] == headers["webhook-id"] == f"code-{row.id}"
    told = json.loads(body)
    assert told["to"] == "+49301234567" and told["text"].startswith(confirmations.code_of(row))
    assert "Ihr Code" in told["text"]
    moment = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == signature(SECRET, headers["webhook-id"], moment, body)


async def test_a_gateway_that_refuses_or_is_not_there(database: str, tmp_path: Path) -> None:
    row = await code_asked()
    async with sms_gateway() as gateway:
        gateway.answers = [400]
        assert await run(row, resources(tmp_path, database, gateway.url)) is JobState.FAILED
        gone = gateway.url
    with pytest.raises(NotTaken) as problem:
        await SmsGateway(gone, SECRET).send(key="x", to="+1", text="x")
    assert not problem.value.final


async def test_without_a_gateway_the_code_lies_in_the_outbox_or_goes_by_mail(database: str, tmp_path: Path) -> None:
    row = await code_asked()
    tools = resources(tmp_path, database)
    assert await run(row, tools) is JobState.DONE
    [file] = tools.settings.outbox.glob("sms-*.txt")
    assert confirmations.code_of(row) in file.read_text()
    mailed = await code_asked(Way.EMAIL)
    assert await run(mailed, tools) is JobState.DONE
    [mail] = mails_in(tools)
    body = mail.get_body(("plain",))
    assert body is not None and confirmations.code_of(mailed) in body.get_content()


@pytest.mark.parametrize("how", ["ended", "too old"])
async def test_what_nobody_can_use_any_more_is_not_sent(database: str, tmp_path: Path, how: str) -> None:
    row = await code_asked()
    async with db.unit() as session:
        kept = await session.get_one(Confirmation, row.id)
        if how == "ended":
            kept.ended_at = utcnow()
        else:
            kept.expires_at = utcnow() - timedelta(seconds=1)
    tools = resources(tmp_path, database)
    assert await run(row, tools) is JobState.DONE
    assert not list(tools.settings.outbox.glob("*"))


async def test_an_invitation_and_a_new_address_are_mailed_with_their_links(database: str, tmp_path: Path) -> None:
    tools = resources(tmp_path, database)
    async with db.unit() as session:
        customer = await make.create_customer(session, name="Ada [x](https://evil.example) Ltd", language="de")
        owner = await make.create_user(session, customer=customer, full_name="Ada King")
        invited = await members.invite(
            session, customer=customer, email="ben@new.example", role="finance",
            by=members.By(members.STAFF.rights, owner.id),
        )  # fmt: skip
        address = await confirmations.ask_address(session, customer=customer, email="new@ada.example")
    for row in (invited, address):
        assert await run(row, tools) is JobState.DONE
    by_address = {str(mail["To"]): mail for mail in mails_in(tools)}
    assert set(by_address) == {"ben@new.example", "new@ada.example"}
    for to, row in (("ben@new.example", invited), ("new@ada.example", address)):
        text, html = (by_address[to].get_body((kind,)) for kind in ("plain", "html"))
        assert text is not None and html is not None
        assert confirmations.link_of(row) in text.get_content()
        assert 'href="https://evil.example' not in html.get_content()
    assert "Ada King" in by_address["ben@new.example"]["Subject"]
    assert re.search(r"Finanzen", by_address["ben@new.example"].get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert MailKind.INVITATION
