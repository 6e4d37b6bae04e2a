"""Campaigns from the form to the last row, on real databases, a real Redis and a real SMTP server."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession
from sqlalchemy import func, select, update

from app import db
from app.domain.attachments import add_attachment
from app.domain.customers import register_customer
from app.domain.customers.welcome import send_welcome
from app.domain.imports import import_customers
from app.domain.messaging import campaigns, delivery, starting, suppression
from app.domain.messaging.audience import Audience, count, recipients
from app.domain.messaging.content import message_as_sent
from app.errors import Conflict, Invalid, NotFound
from app.integrations.mail import Deferred, SmtpMailer, notes
from app.integrations.storage import DirectoryStorage
from app.models.audit import Audit
from app.models.consent import Suppression, Why
from app.models.customers import Customer, CustomerStatus
from app.models.jobs import Job, JobState
from app.models.messaging import (
    Campaign,
    CampaignState,
    CampaignText,
    Channel,
    Delivery,
    DeliveryState,
    MailKind,
    Policy,
)
from app.observe import Actor, Kind, acting
from app.settings import Settings
from tasks import base, customers, messaging
from tasks.lane import MailServer
from tests import factories as make
from tests.conftest import CHINOOK, needs_shared

assert customers  # registers the task of the welcome
pytestmark = pytest.mark.usefixtures("database", "redis")

TEXTS = {"en": ("Maintenance", "Hello {{ customer.name }}"), "de": ("Wartung", "Hallo {{ customer.name }}")}


class Sink:
    """A mail server that does as `answers` say: address -> the answer to RCPT, or to DATA when it begins with DATA."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answers: dict[str, str] = {}

    async def handle_RCPT(
        self, _server: SMTP, _session: SmtpSession, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = self.answers.get(address, "")
        if answer and not answer.startswith("DATA"):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: SmtpSession, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        address = envelope.rcpt_tos[0]
        answer = self.answers.get(address, "DATA 250 OK").removeprefix("DATA ")
        if answer == "cut":
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        if answer.startswith("250") or answer == "cut":
            parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(parsed, EmailMessage)
            self.mails.append(parsed)
            self.recipients.append(address)
        return "421 gone" if answer == "cut" else answer


@pytest.fixture
def sink() -> Iterator[tuple[Sink, Controller]]:
    handler = Sink()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, controller
    if controller.server is not None and controller.loop.is_running():
        controller.stop()


@pytest.fixture
def smtp(sink: tuple[Sink, Controller]) -> Sink:
    return sink[0]


@pytest.fixture
async def resources(sink: tuple[Sink, Controller], tmp_path: Path, database: str) -> AsyncIterator[base.Resources]:
    mailer = SmtpMailer(f"smtp://127.0.0.1:{sink[1].port}", timeout=5)
    settings = Settings(database_url=database, secret_key="x" * 32, data_dir=tmp_path, lease_seconds=5)
    MailServer.down_since = None
    yield base.Resources(settings, mailer, DirectoryStorage(tmp_path / "attachments"))
    await mailer.close()


async def start(**kw: Any) -> Campaign:
    async with db.unit() as session:
        if "category_id" not in kw:
            kw["category_id"] = (await make.create_category(session)).id
        kw = {"key": "form-1", "audience": {"everyone": True}, "texts": TEXTS, "default_language": "en"} | kw
        return await starting.start_campaign(session, **kw)


async def work(resources: base.Resources, *, rounds: int = 20) -> None:
    """Run what is due, as a worker would, until nothing is."""
    for _n in range(rounds):
        async with db.reads() as session:
            due = (
                await session.scalars(
                    select(Job.id).where(Job.state == JobState.DUE, Job.due_at <= db.moment()).order_by(Job.id)
                )
            ).all()
        if not due:
            return
        for job_id in due:
            await base.run_job(job_id, resources)


async def make_due() -> None:
    """Let the waiting time pass."""
    async with db.unit() as session:
        await session.execute(update(Delivery).values(next_at=db.moment(-1)))
        await session.execute(update(Job).where(Job.state == JobState.DUE).values(due_at=db.moment(-1)))


async def rows(**where: Any) -> list[Delivery]:
    async with db.reads() as session:
        found = await session.scalars(
            select(Delivery).filter_by(**where).order_by(Delivery.customer_id, Delivery.channel, Delivery.address)
        )
        return list(found)


async def state_of(campaign: Campaign) -> CampaignState:
    async with db.reads() as session:
        return (await session.execute(select(Campaign.state).where(Campaign.id == campaign.id))).scalar_one()


async def chosen(**kw: Any) -> set[tuple[str, str, str, str]]:
    """(customer, channel, address, language) of everybody whom this audience reaches."""
    kw = {"who": {"everyone": True}, "languages": ("en", "de"), "default_language": "en"} | kw
    async with db.reads() as session:
        found = recipients(Audience(**kw)).c
        statement = select(Customer.name, found.channel, found.address, found.language)
        result = await session.execute(statement.join(Customer, Customer.id == found.customer_id))
        return {(name, channel.value, address, language) for name, channel, address, language in result}


# ---- who, and in which language -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "languages", "expected"),
    [
        ("de", ("en", "de"), "de"),
        ("de-AT", ("en", "de"), "de"),
        ("de_AT", ("en", "de"), "de"),
        ("DE-at", ("en", "de", "de-AT"), "de-AT"),
        ("de-CH", ("en", "de", "de-AT"), "de"),
        ("de", ("en", "de-AT"), "en"),  # a text for Austria is not for everybody who speaks German
        ("den", ("en", "de"), "en"),  # Slavey is not German
        ("", ("en", "es"), "es"),  # nothing chosen: the project's
        ("ru", ("en", "es"), "es"),  # no text: the project's
        ("ru", ("en", "de"), "en"),  # neither own nor the project's: the campaign's
    ],
)
async def test_the_language_is_the_closest_text_then_the_projects_then_the_default(
    wanted: str, languages: tuple[str, ...], expected: str
) -> None:
    async with db.unit() as session:
        project = await make.create_project(session, default_language="es-MX")
        await make.create_customer(session, project=project, name="A", language=wanted, email="a@example.org")
    assert await chosen(languages=languages, channels=("email",)) == {("A", "email", "a@example.org", expected)}


async def test_matching_only_reaches_only_languages_with_a_text_of_their_own() -> None:
    async with db.unit() as session:
        project = await make.create_project(session, default_language="de")
        for name, language in (("De", "de"), ("At", "de-AT"), ("En", "en"), ("Ru", "ru"), ("None", "")):
            await make.create_customer(session, project=project, name=name, language=language)
    found = await chosen(languages=("de",), default_language="de", matching_only=True)
    assert {(name, language) for name, _channel, _address, language in found} == {
        ("De", "de"), ("At", "de"), ("None", "de"),
    }  # fmt: skip
    assert {name for name, *_rest in await chosen(languages=("de",), default_language="de")} == {
        "De", "At", "En", "Ru", "None",
    }  # fmt: skip


async def test_users_who_receive_get_it_in_their_own_language() -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session, name="A", language="de", email="a@example.org")
        await make.create_user(session, customer=customer, receives=True, language="en", email="u1@example.org")
        await make.create_user(session, customer=customer, receives=True, language="", email="u2@example.org")
        await make.create_user(session, customer=customer, receives=False, email="u3@example.org")
        await make.create_user(session, customer=customer, receives=True, enabled=False, email="u4@example.org")
    assert await chosen() == {
        ("A", "inbox", "", "de"),
        ("A", "email", "a@example.org", "de"),
        ("A", "email", "u1@example.org", "en"),
        ("A", "email", "u2@example.org", "de"),
    }


async def test_the_same_address_twice_for_one_customer_is_once() -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session, name="A", language="ru", email="Same@example.org")
        await make.create_user(session, customer=customer, receives=True, language="en", email="same@example.org")
        await make.create_user(session, customer=customer, receives=True, language="en", email="two@example.org")
        await make.create_user(session, customer=customer, receives=True, language="de", email="TWO@example.org")
        await make.create_customer(session, name="B", language="de", email="same@example.org")
    assert await chosen(channels=("email",)) == {
        ("A", "email", "Same@example.org", "en"),
        ("A", "email", "two@example.org", "en"),
        ("B", "email", "same@example.org", "de"),
    }
    # a first one without a text of their own does not take the place of a second one who has
    assert ("A", "email", "TWO@example.org", "de") in await chosen(
        channels=("email",), languages=("de",), default_language="de", matching_only=True
    )


async def test_closed_customers_and_those_of_other_projects_are_left_out() -> None:
    async with db.unit() as session:
        mine, other = await make.create_project(session), await make.create_project(session)
        await make.create_customer(session, project=mine, name="A")
        await make.create_customer(session, project=mine, name="Closed", status=CustomerStatus.CLOSED)
        await make.create_customer(session, project=other, name="Other")
    assert {name for name, *_rest in await chosen(projects=frozenset({mine.id}))} == {"A"}


async def test_the_count_says_how_many_and_who_is_left_out() -> None:
    async with db.unit() as session:
        a = await make.create_customer(session, name="A", language="de")
        await make.create_user(session, customer=a, receives=True, language="de")
        await make.create_customer(session, name="B", language="de", email="")
        await make.create_customer(session, name="C", language="ru")
        await make.create_customer(session, name="D", language="de", status=CustomerStatus.CLOSED)
        await make.create_customer(session, name="E", language="de", email="nonsense")
    audience = Audience({"everyone": True}, ("de",), "de", matching_only=True)
    async with db.reads() as session:
        result = await count(session, audience)
    assert (result.customers, result.deliveries) == (3, {"inbox": 3, "email": 2})
    assert result.by_language == {"de": 3}
    assert {r.reason: r.count for r in result.left_out} == {
        "language": 1, "no_address": 1, "bad_address": 1, "closed": 1,
    }  # fmt: skip
    assert list(result.sample) == ["A", "B", "E"]


async def test_the_count_is_what_is_then_written() -> None:
    async with db.unit() as session:
        project = await make.create_project(session, default_language="de")
        for n in range(30):
            customer = await make.create_customer(
                session, project=project, language=("de", "en", "de-AT", "ru", "")[n % 5],
                email="" if n % 7 == 0 else f"c{n}@example.org",
            )  # fmt: skip
            if n % 3 == 0:
                await make.create_user(session, customer=customer, receives=True, language=("", "en")[n % 2])
    campaign = await start(matching_only=True)
    async with db.unit() as session:
        audience = Audience(campaign.audience, ("en", "de"), "en", matching_only=True)
        expected = await count(session, audience)
        await starting.materialise(session, campaign_id=campaign.id)
    written = await rows()
    assert Counter(row.channel for row in written if row.state is DeliveryState.DUE) == expected.deliveries
    assert len({row.customer_id for row in written if row.state is DeliveryState.DUE}) == expected.customers


# ---- starting -------------------------------------------------------------------------------------------------------


async def test_twenty_calls_with_one_key_make_one_campaign() -> None:
    async with db.unit() as session:
        category = await make.create_category(session)
    started = await asyncio.gather(*[start(category_id=category.id) for _n in range(20)])
    assert len({campaign.id for campaign in started}) == 1
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Campaign)) == 1
        assert await session.scalar(select(func.count()).select_from(CampaignText)) == 2
        assert await session.scalar(select(func.count()).select_from(Job)) == 1


async def test_the_key_of_somebody_else_is_refused() -> None:
    async with db.unit() as session:
        staff = await make.create_staff(session)
    await start()
    with acting(Actor(Kind.STAFF, staff_id=staff.id)), pytest.raises(Conflict):
        await start()


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"texts": {"en": ("Hi", "Hello {{ customer.nmae }}"), "de": ("Hi", "Hallo")}}, {"body_en"}),
        ({"texts": {"en": ("Hi {{ nothing }}", "Hello"), "de": ("Hi", "Hallo")}}, {"subject_en"}),
        ({"texts": {"en": ("", "Hello"), "de": ("Hi", "")}}, {"subject_en", "body_de"}),
        ({"texts": {"en": ("x" * 301, "Hello")}}, {"subject_en"}),
        ({"texts": {"en": ("Hi", "ä" * 100_001)}}, {"body_en"}),
        ({"texts": {"en": ("Hi", "Hel\0lo")}}, {"body_en"}),
        ({"texts": {"en": ("", " ")}}, {"texts"}),
        ({"texts": {"no language": ("Hi", "Hello")}}, {"texts"}),
        ({"default_language": "ru"}, {"default_language"}),
        ({"category_id": 4711}, {"category"}),
        ({"category_id": None}, {"category"}),
        ({"attachment_ids": [4711]}, {"attachments"}),
        ({"sender_email": "not an address"}, {"sender_email"}),
        ({"sender_name": "a\0b"}, {"sender_name"}),
        ({"channels": []}, {"channels"}),
        ({"channels": ["pigeon"]}, {"channels"}),
        ({"audience": {}}, {"audience"}),
        ({"audience": {"ids": []}}, {"audience"}),
        ({"audience": {"ids": ["1"]}}, {"audience"}),
        ({"audience": {"everyone": False}}, {"audience"}),
        ({"audience": {"filter": {"all": []}}}, {"audience"}),
        ({"audience": {"filter": {"field": "no_such_field", "op": "is", "value": 1}}}, {"audience"}),
    ],
)
async def test_what_cannot_be_sent_is_refused_at_its_field(change: dict[str, Any], fields: set[str]) -> None:
    with pytest.raises(Invalid) as refusal:
        await start(**change)
    assert set(refusal.value.fields) == fields
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Campaign)) == 0


async def test_a_filter_chooses_the_recipients(resources: base.Resources) -> None:
    async with db.unit() as session:
        await make.create_customer(session, name="Köhler")
        await make.create_customer(session, name="Meier")
    await start(audience={"filter": {"field": "name", "op": "contains", "value": "kohl"}}, channels=["inbox"])
    await work(resources)
    assert [row.state for row in await rows()] == [DeliveryState.SENT]


async def test_scoped_staff_reach_only_customers_of_their_projects(resources: base.Resources) -> None:
    async with db.unit() as session:
        mine, other = await make.create_project(session), await make.create_project(session)
        a = await make.create_customer(session, project=mine)
        b = await make.create_customer(session, project=other)
        staff = await make.create_staff(session, projects=[mine])
        category = await make.create_category(session)
    with acting(Actor(Kind.STAFF, staff_id=staff.id, projects=frozenset({mine.id}))):
        campaign = await start(audience={"ids": [a.id, b.id]}, category_id=category.id)
    await work(resources)
    assert {row.customer_id for row in await rows()} == {a.id}
    assert await state_of(campaign) is CampaignState.DONE
    async with db.reads() as session:  # whose doing it was stays known to the end
        audits = await session.scalars(select(Audit).where(Audit.noun == "campaign", Audit.noun_id == campaign.id))
        assert {audit.staff_id for audit in audits} == {staff.id}


async def test_materialise_twice_changes_nothing() -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session)
        await make.create_user(session, customer=customer, receives=True)
    campaign = await start()
    async with db.unit() as session:
        await starting.materialise(session, campaign_id=campaign.id)
    before = [(row.message_id, row.address, row.channel) for row in await rows()]
    assert len(before) == 3 and len({message_id for message_id, *_rest in before}) == 3
    assert [row.values for row in await rows()] == [{}] * 3 and len({row.next_at for row in await rows()}) == 1
    async with db.unit() as session:
        await make.create_customer(session)
        again = await starting.materialise(session, campaign_id=campaign.id)
        assert again.total == 3
    async with db.unit() as session:  # even when the state was lost: the keys are the same
        await session.execute(update(Campaign).values(state=CampaignState.STARTING).execution_options(audited=True))
        session.expunge_all()
        await starting.materialise(session, campaign_id=campaign.id)
    after = [(row.message_id, row.address, row.channel) for row in await rows()]
    assert after[:3] == before and len(after) == 5
    async with db.reads() as session:
        lanes = await session.scalar(select(func.count()).where(Job.name == "messaging.deliver"))
        assert lanes in (campaigns.LANES, 2 * campaigns.LANES)


async def test_a_campaign_that_reaches_nobody_is_done_at_once(resources: base.Resources) -> None:
    campaign = await start()
    await work(resources)
    assert await state_of(campaign) is CampaignState.DONE


def test_only_listed_moves_are_possible() -> None:
    campaign = Campaign(state=CampaignState.CANCELLED)
    with pytest.raises(Conflict):
        campaigns.move(campaign, CampaignState.RUNNING)
    campaign.state = CampaignState.DONE
    campaigns.move(campaign, CampaignState.RUNNING)
    assert campaign.state is CampaignState.RUNNING


# ---- sending --------------------------------------------------------------------------------------------------------


async def test_each_gets_the_message_in_their_language_with_the_file(
    smtp: Sink, resources: base.Resources, tmp_path: Path
) -> None:
    async with db.unit() as session:
        file = await add_attachment(session, resources.storage, name="../Plan ü.pdf", chunks=b"%PDF", max_bytes=100)
    async with db.unit() as session:
        project = await make.create_project(session, name="Nordhost", sender_email="desk@nordhost.example")
        a = await make.create_customer(session, project=project, name="Ä & Co", language="de-AT", email="a@example.org")
        await make.create_customer(session, project=project, name="B", language="en", email="b@example.org")
    campaign = await start(attachment_ids=[file.id])
    await work(resources)
    assert await state_of(campaign) is CampaignState.DONE
    by_address = dict(zip(smtp.recipients, smtp.mails, strict=True))
    german = by_address["a@example.org"]
    assert (german["Subject"], german["From"]) == ("Wartung", "Nordhost <desk@nordhost.example>")
    text, html = german.get_body(("plain",)), german.get_body(("html",))
    assert text is not None and "Hallo Ä & Co" in text.get_content()
    assert html is not None and "Hallo Ä &amp; Co" in html.get_content() and "Nordhost" in html.get_content()
    assert [part.get_filename() for part in german.iter_attachments()] == ["Plan ü.pdf"]
    assert by_address["b@example.org"]["Subject"] == "Maintenance"
    delivered = await rows(customer_id=a.id)
    assert {row.state for row in delivered} == {DeliveryState.SENT} and len(delivered) == 2
    assert german["Message-ID"] == f"<{next(r for r in delivered if r.address).message_id}@nordhost.example>"

    async with db.unit() as session:  # what changes later does not change what was sent
        customer = await session.get_one(Customer, a.id)
        customer.name = "Renamed"
    async with db.reads() as session:
        sent = await message_as_sent(session, next(row for row in delivered if row.channel is Channel.INBOX))
    assert sent.message.text == "Hallo Ä & Co" and sent.sender_email == "desk@nordhost.example"
    assert [f.name for f in sent.attachments] == ["Plan ü.pdf"]


async def test_a_customer_without_an_address_is_left_out_with_the_reason(smtp: Sink, resources: base.Resources) -> None:
    async with db.unit() as session:
        await make.create_customer(session, email="")
        await make.create_customer(session, email="a..b@example.org")  # only the finer rules see it
        await make.create_customer(session, email="nonsense")
    campaign = await start(channels=["email"])
    await work(resources)
    found = await rows()
    assert [row.state for row in found] == [DeliveryState.SKIPPED] * 3
    assert [row.error for row in found] == [
        "The customer has no e-mail address.", "This is not an e-mail address.", "This is not an e-mail address.",
    ]  # fmt: skip
    assert smtp.mails == [] and await state_of(campaign) is CampaignState.DONE


async def test_a_refused_address_fails_with_the_servers_reason_and_can_be_tried_again(
    smtp: Sink, resources: base.Resources
) -> None:
    async with db.unit() as session:
        await make.create_customer(session, email="gone@example.org")
        await make.create_customer(session, email="well@example.org")
        await make.create_customer(session, email="zealous@example.org")
    smtp.answers["gone@example.org"] = "550 5.1.1 no such mailbox"
    smtp.answers["zealous@example.org"] = "550 5.7.1 blocked"
    campaign = await start(channels=["email"])
    await work(resources)
    assert [(row.state, row.error) for row in await rows()] == [
        (DeliveryState.FAILED, "550 5.1.1 no such mailbox"), (DeliveryState.SENT, ""),
        (DeliveryState.FAILED, "550 5.7.1 blocked"),
    ]  # fmt: skip
    assert await state_of(campaign) is CampaignState.DONE
    async with db.unit() as session:  # only who is not there is written to no more
        [gone] = await session.scalars(select(Suppression))
        assert (gone.address, gone.why, gone.detail) == ("gone@example.org", Why.HARD, "550 5.1.1 no such mailbox")
        await suppression.lift(session, suppression_id=gone.id, reason="They have a new one")
    smtp.answers.clear()
    async with db.unit() as session:
        assert await campaigns.resend_failed(session, campaign_id=campaign.id) == 2
    await work(resources)
    assert {row.state for row in await rows()} == {DeliveryState.SENT}
    assert set(Counter(smtp.recipients).values()) == {1} and len(smtp.recipients) == 3
    assert await state_of(campaign) is CampaignState.DONE


async def test_a_message_that_is_put_off_is_tried_five_times_and_then_fails(
    smtp: Sink, resources: base.Resources
) -> None:
    async with db.unit() as session:
        await make.create_customer(session, email="grey@example.org")
    smtp.answers["grey@example.org"] = "451 4.7.1 greylisted"
    campaign = await start(channels=["email"])
    await work(resources)
    for attempt in range(1, delivery.MAX_TRIES):
        (row,) = await rows()
        assert (row.state, row.attempt) == (DeliveryState.DUE, attempt)
        assert "greylisted" in row.error
        assert row.next_at > db.utcnow()  # not before its time
        await work(resources)
        assert (await rows())[0].attempt == attempt
        await make_due()
        await work(resources)
    (row,) = await rows()
    assert (row.state, row.attempt) == (DeliveryState.FAILED, delivery.MAX_TRIES)
    assert "greylisted" in row.error and await state_of(campaign) is CampaignState.DONE


async def test_a_message_that_is_put_off_goes_out_when_the_server_takes_it(
    smtp: Sink, resources: base.Resources
) -> None:
    async with db.unit() as session:
        await make.create_customer(session, email="grey@example.org")
    smtp.answers["grey@example.org"] = "451 greylisted"
    campaign = await start(channels=["email"])
    await work(resources)
    smtp.answers.clear()
    await make_due()
    await work(resources)
    (row,) = await rows()
    assert (row.state, row.error) == (DeliveryState.SENT, "")
    assert smtp.recipients == ["grey@example.org"] and await state_of(campaign) is CampaignState.DONE


@pytest.mark.parametrize("resend", [True, False])
async def test_nobody_knows_and_the_policy_is_review_so_staff_decide(
    smtp: Sink, resources: base.Resources, resend: bool
) -> None:
    async with db.unit() as session:
        await make.create_customer(session, name="A", email="cut@example.org")
    smtp.answers["cut@example.org"] = "DATA cut"
    campaign = await start(channels=["email"], policy=Policy.REVIEW)
    await work(resources)
    (row,) = await rows()
    assert row.state is DeliveryState.REVIEW and "answer" in row.error
    assert await state_of(campaign) is CampaignState.DONE and len(smtp.mails) == 1
    smtp.answers.clear()
    async with db.unit() as session:
        assert await campaigns.decide_review(session, campaign_id=campaign.id, resend=resend) == 1
    await work(resources)
    (row,) = await rows()
    assert row.state is DeliveryState.SENT and row.sent_at is not None
    assert row.values["customer.name"] == "A"
    assert len(smtp.mails) == (2 if resend else 1)
    assert await state_of(campaign) is CampaignState.DONE


async def test_nobody_knows_and_the_policy_is_resend_so_it_goes_again(smtp: Sink, resources: base.Resources) -> None:
    async with db.unit() as session:
        await make.create_customer(session, email="cut@example.org")
    smtp.answers["cut@example.org"] = "DATA cut"
    await start(channels=["email"])
    await work(resources)
    assert (await rows())[0].state is DeliveryState.DUE
    smtp.answers.clear()
    await make_due()
    await work(resources)
    assert (await rows())[0].state is DeliveryState.SENT
    assert len(smtp.mails) == 2 and len({mail["Message-ID"] for mail in smtp.mails}) == 1


async def test_while_the_mail_server_is_down_rows_wait_with_the_reason_and_then_go_out(
    sink: tuple[Sink, Controller], resources: base.Resources
) -> None:
    async with db.unit() as session:
        for _n in range(40):
            await make.create_customer(session)
    controller = sink[1]
    controller.stop()
    campaign = await start(channels=["email"])
    for _n in range(delivery.MAX_TRIES + 2):
        await work(resources)
        await make_due()
    found = await rows()
    assert {row.state for row in found} == {DeliveryState.DUE}
    assert {row.attempt for row in found} == {0}, "an outage is no failed try of a message"
    assert any("no connection to" in row.error for row in found)
    async with db.reads() as session:
        assert "no connection" in (await delivery.progress(session, campaign_id=campaign.id)).trouble
        assert {job.state for job in await session.scalars(select(Job).where(Job.name == "messaging.deliver"))} == {
            JobState.DUE
        }
    back = Controller(sink[0], hostname="127.0.0.1", port=controller.port)
    back.start()
    try:
        await make_due()
        await work(resources)
    finally:
        back.stop()
    assert {(row.state, row.error) for row in await rows()} == {(DeliveryState.SENT, "")}
    assert len(sink[0].recipients) == 40 and await state_of(campaign) is CampaignState.DONE


async def test_a_stopped_campaign_sends_nothing_more(smtp: Sink, resources: base.Resources) -> None:
    async with db.unit() as session:
        for _n in range(3):
            await make.create_customer(session)
    campaign = await start()
    async with db.unit() as session:
        await starting.materialise(session, campaign_id=campaign.id)
        content = await delivery_content(session, campaign)
        found, mails, _last = await delivery.claim(session, content=content, n=2, token="mine", lease_seconds=60)
    async with db.unit() as session:
        await campaigns.stop_campaign(session, campaign_id=campaign.id)
    async with db.unit() as session:
        assert await delivery.fence(session, rows=mails, token="mine", lease_seconds=60) == set()
        released = [delivery.Outcome(row, delivery.End.RELEASED) for row in mails]
        await delivery.finish(session, campaign_id=campaign.id, outcomes=released, token="mine", policy=Policy.RESEND)
    await work(resources)
    posted = found - len(mails)
    assert Counter(row.state for row in await rows()) == Counter(
        {DeliveryState.SENT: posted, DeliveryState.SKIPPED: 6 - posted}
    ) - Counter({DeliveryState.SENT: 0})
    assert smtp.mails == []
    async with db.unit() as session:
        with pytest.raises(Conflict):
            await campaigns.resend_failed(session, campaign_id=campaign.id)
        with pytest.raises(NotFound):
            await campaigns.stop_campaign(session, campaign_id=4711)


async def delivery_content(session: Any, campaign: Campaign) -> Any:
    from app.domain.messaging.content import load_content

    return await load_content(session, campaign.id)


# ---- leases ---------------------------------------------------------------------------------------------------------


async def running_campaign(n: int, **kw: Any) -> Campaign:
    async with db.unit() as session:
        for _n in range(n):
            await make.create_customer(session)
    campaign = await start(channels=["email"], **kw)
    async with db.unit() as session:
        return await starting.materialise(session, campaign_id=campaign.id)


async def claim(campaign: Campaign, token: str, n: int = 10, lease: float = 60) -> tuple[Any, list[delivery.Row]]:
    async with db.unit() as session:
        content = await delivery_content(session, campaign)
        return content, (await delivery.claim(session, content=content, n=n, token=token, lease_seconds=lease))[1]


async def test_no_row_is_claimed_twice_by_many_at_once() -> None:
    campaign = await running_campaign(50)
    claims = await asyncio.gather(*[claim(campaign, f"worker{n}", n=7) for n in range(8)])
    ids = [row.message_id for _content, mails in claims for row in mails]
    assert len(ids) == len(set(ids)) and all(len(mails) <= 7 for _content, mails in claims)
    later = [row.message_id for row in (await claim(campaign, "last", n=50))[1]]
    assert sorted(ids + later) == sorted(row.message_id for row in await rows())


async def test_after_the_lease_is_over_the_fence_is_closed_and_a_late_finish_changes_nothing() -> None:
    campaign = await running_campaign(1)
    _content, (row,) = await claim(campaign, "slow", lease=0.05)
    await asyncio.sleep(0.1)
    async with db.unit() as session:
        assert await delivery.fence(session, rows=[row], token="slow", lease_seconds=60) == set()
    await messaging.return_expired()
    _content, (again,) = await claim(campaign, "quick")
    assert again.message_id == row.message_id
    async with db.unit() as session:
        for end in delivery.End:
            late = [delivery.Outcome(row, end, "late")]
            await delivery.finish(session, campaign_id=campaign.id, outcomes=late, token="slow", policy=Policy.RESEND)
    (found,) = await rows()
    assert (found.state, found.lease_token, found.error) == (DeliveryState.LEASED, "quick", "")


@pytest.mark.parametrize(
    ("policy", "noted", "expected"),
    [
        (Policy.RESEND, None, DeliveryState.DUE),
        (Policy.REVIEW, None, DeliveryState.REVIEW),
        (Policy.RESEND, "nothing", DeliveryState.DUE),
        (Policy.REVIEW, "nothing", DeliveryState.DUE),
        (Policy.RESEND, "begun", DeliveryState.DUE),
        (Policy.REVIEW, "begun", DeliveryState.REVIEW),
        (Policy.RESEND, "taken", DeliveryState.SENT),
        (Policy.REVIEW, "taken", DeliveryState.SENT),
        (Policy.REVIEW, "refused", DeliveryState.DUE),
    ],
)
async def test_rows_of_a_dead_worker_come_back_as_its_notes_and_the_policy_say(
    policy: Policy, noted: str | None, expected: DeliveryState, tmp_path: Path
) -> None:
    folder = tmp_path / "sending"
    token = f"{notes.mark(folder)}-dead"
    campaign = await running_campaign(1, policy=policy)
    _content, (row,) = await claim(campaign, token)
    if noted is not None:
        book = notes.Notes(folder, token, 4)
        if noted != "nothing":
            slot = book.begin(row.message_id)
            if noted != "begun":
                book.end(slot, notes.TAKEN if noted == "taken" else notes.REFUSED)
        book.leave()
    await messaging.return_expired(tmp_path)
    assert (await rows())[0].state is DeliveryState.LEASED, "the lease still runs"
    async with db.unit() as session:
        await session.execute(update(Delivery).values(lease_until=db.moment(-1)).execution_options(audited=True))
    await messaging.return_expired(tmp_path)
    (found,) = await rows()
    assert found.state is expected
    assert found.attempt == (0 if noted in ("nothing", "refused") else 1), "what was not begun was no try"
    assert noted is None or os.listdir(folder) == []
    if expected is DeliveryState.SENT:
        assert found.values["customer.name"] and found.sent_at is not None


async def test_notes_of_another_start_of_the_machine_are_not_believed(tmp_path: Path) -> None:
    folder = tmp_path / "sending"
    book = notes.Notes(folder, "token", 4)
    book.begin("c1.e")
    book.leave()
    with (folder / "token").open("r+b") as file:
        file.write(b"another boot id")
    with notes.sealed(folder, "token") as found:
        assert found is None


async def test_a_lane_that_was_taken_for_dead_sends_nothing_more(tmp_path: Path) -> None:
    book = notes.Notes(tmp_path, "token", 4)
    assert book.begin("c1.e") >= 0
    with notes.sealed(tmp_path, "token") as found:
        assert found is not None and found.doubtful == {"c1.e"}
    assert book.sealed and book.begin("c2.e") == -1


async def test_progress_tells_counts_and_the_time_left(resources: base.Resources, smtp: Sink) -> None:
    campaign = await running_campaign(4)
    _content, mails = await claim(campaign, "me", n=2)
    async with db.unit() as session:
        await delivery.fence(session, rows=mails, token="me", lease_seconds=60)
        outcomes = [delivery.Outcome(row, delivery.End.SENT) for row in mails]
        await delivery.finish(session, campaign_id=campaign.id, outcomes=outcomes, token="me", policy=Policy.RESEND)
    async with db.reads() as session:
        now = await delivery.progress(session, campaign_id=campaign.id)
    assert (now.counts, now.total, now.done) == ({DeliveryState.DUE: 2, DeliveryState.SENT: 2}, 4, 2)
    assert now.rate > 0 and now.seconds_left is not None and now.trouble == ""


async def test_a_missing_file_fails_the_rows_and_not_the_worker(resources: base.Resources, smtp: Sink) -> None:
    async with db.unit() as session:
        await make.create_customer(session)
        file = await make.create_attachment(session)
    campaign = await start(channels=["email"], attachment_ids=[file.id])
    await work(resources)
    (row,) = await rows()
    assert row.state is DeliveryState.FAILED and "file is missing" in row.error
    assert await state_of(campaign) is CampaignState.DONE and smtp.mails == []


async def test_a_cut_connection_of_one_message_counts_as_a_try_when_others_get_through(
    resources: base.Resources,
) -> None:
    class Mailer:
        """Not a mail server's double: the order of two endings at once cannot be had from a real one."""

        def __init__(self) -> None:
            self.through = asyncio.Event()

        async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
            if recipient == "poison@example.org":
                await self.through.wait()
                raise Deferred("the connection was cut while the message was being sent")
            self.through.set()

        async def close(self) -> None: ...

    async with db.unit() as session:
        await make.create_customer(session, email="poison@example.org")
        await make.create_customer(session, email="well@example.org")
    await start(channels=["email"])
    await work(base.Resources(resources.settings, Mailer(), resources.storage))
    assert [(row.state, row.attempt) for row in await rows()] == [(DeliveryState.DUE, 1), (DeliveryState.SENT, 1)]


async def test_a_form_sent_again_with_other_words_is_refused_instead_of_forgotten() -> None:
    first = await start()
    assert (await start(category_id=first.category_id)).id == first.id
    with pytest.raises(Conflict, match="already sent"):
        await start(category_id=first.category_id, texts={"en": ("Other", "words")})


# ---- the welcome ----------------------------------------------------------------------------------------------------


async def test_a_welcome_is_a_message_in_the_customers_language_and_is_sent_once(
    resources: base.Resources, smtp: Sink
) -> None:
    async with db.unit() as session:
        project = await make.create_project(session, name="Nordhost", languages=["en", "de"])
        customer = await register_customer(
            session, project_id=project.id, email="jana@example.com", contact_person="Jana", send_welcome=True
        )
    await work(resources)
    async with db.unit() as session:
        await send_welcome(session, customer_id=customer.id)
    await work(resources)
    assert smtp.recipients == ["jana@example.com"]
    body = smtp.mails[0].get_body(("plain",))
    assert (
        body is not None
        and body.get_content().startswith("Hello Jana,")
        and "Nordhost" in str(smtp.mails[0]["Subject"])
    )


async def test_a_welcome_of_our_own_replaces_the_shipped_text(resources: base.Resources, smtp: Sink) -> None:
    async with db.unit() as session:
        await make.create_template(session, kind=MailKind.WELCOME, texts={"en": ("Ours", "Hi {{ customer.name }}")})
        customer = await make.create_customer(session, name="Ada")
        await send_welcome(session, customer_id=customer.id)
    await work(resources)
    assert str(smtp.mails[0]["Subject"]) == "Ours"


# ---- real input -----------------------------------------------------------------------------------------------------


@needs_shared
async def test_only_in_german_reaches_exactly_the_german_speakers_of_chinook_once_each(
    resources: base.Resources, smtp: Sink
) -> None:
    async with db.unit() as session:
        await make.create_project(session, name="Chinook", languages=["en", "de"], default_language="en")
    report = await import_customers(CHINOOK / "customers.csv", project="Chinook", source="chinook")
    assert report.created == 59
    await start(
        texts={"de": ("Nur auf Deutsch", "Guten Tag {{ customer.name }}")}, default_language="de", matching_only=True
    )
    await work(resources)
    async with db.reads() as session:
        speakers = (await session.scalars(select(Customer).where(Customer.country.in_(["DE", "AT"])))).all()
    assert Counter(smtp.recipients) == Counter(c.email for c in speakers) and len(speakers) == 5
    inboxes = [d for d in await rows(channel=Channel.INBOX) if d.state is DeliveryState.SENT]
    assert sorted(d.customer_id for d in inboxes) == sorted(c.id for c in speakers)
    assert {str(mail["Subject"]) for mail in smtp.mails} == {"Nur auf Deutsch"}
    body = smtp.mails[0].get_body(("plain",))
    assert body is not None and body.get_content().startswith("Guten Tag ")
