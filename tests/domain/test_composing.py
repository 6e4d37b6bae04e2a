"""Before and after sending: segments, what is missing, the preview, the test mail, who was not reached, the report."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app import db
from app.db import utcnow
from app.domain.messaging import audience as audiences
from app.domain.messaging import campaigns, looking, report, segments, starting
from app.domain.messaging.audience import Audience
from app.errors import Invalid
from app.models.messaging import Channel, DeliveryState, Segment
from app.observe import Actor, Kind, acting
from tasks import base
from tasks import campaigns as campaign_tasks
from tests import factories as make
from tests.domain.test_messaging import Sink, resources, rows, sink, smtp, start, work

assert campaign_tasks  # registers its tasks
__all__ = ["resources", "sink", "smtp"]  # fixtures
pytestmark = pytest.mark.usefixtures("database", "redis")

TEXTS = {"en": ("Hello", "Hello {{ customer.contact_person }}"), "de": ("Hallo", "Hallo {{ customer.name }}")}


def everyone(**kw: Any) -> Audience:
    return Audience(**{"who": {"everyone": True}, "languages": ("en", "de"), "default_language": "en"} | kw)


# ---- segments -------------------------------------------------------------------------------------------------------

GERMANS = {"all": [{"field": "country", "op": "in", "value": ["DE"]}]}


async def test_a_segment_is_a_filter_with_a_name_of_its_owner() -> None:
    async with db.unit() as session:
        anna, bert = [await make.create_staff(session) for _n in range(2)]
    with acting(Actor(Kind.STAFF, staff_id=anna.id)):
        async with db.unit() as session:
            segment = await segments.save_segment(session, name="  Germans ", condition=GERMANS, description="DE")
            assert (segment.name, segment.staff_id, segment.condition) == ("Germans", anna.id, GERMANS)
        for name, condition, field in (
            ("Germans", GERMANS, "name"), (" ", GERMANS, "name"), ("A\x00", GERMANS, "name"),
            ("All", {"all": []}, "audience"), ("Odd", {"field": "nothing", "op": "is", "value": 1}, "audience"),
        ):  # fmt: skip
            async with db.unit() as session:
                with pytest.raises(Invalid) as refused:
                    await segments.save_segment(session, name=name, condition=condition)
                assert set(refused.value.fields) == {field}
    with acting(Actor(Kind.STAFF, staff_id=bert.id)):
        async with db.unit() as session:  # a name is taken for its owner only
            await segments.save_segment(session, name="Germans", condition=GERMANS)


async def test_segments_of_others_are_hidden_from_staff_of_some_projects() -> None:
    async with db.unit() as session:
        owner, limited = [await make.create_staff(session) for _n in range(2)]
        project = await make.create_project(session)
        session.add(Segment(name="Secret", condition=GERMANS, staff_id=owner.id))
        session.add(Segment(name="Mine", condition=GERMANS, staff_id=limited.id))
    with acting(Actor(Kind.STAFF, staff_id=limited.id, projects=frozenset({project.id}))):
        async with db.reads() as session:
            assert list(await session.scalars(select(Segment.name))) == ["Mine"]


# ---- what is missing ------------------------------------------------------------------------------------------------


async def test_languages_without_a_text_are_counted_by_customers() -> None:
    async with db.unit() as session:
        await make.create_project(session, default_language="de")
        for language in ("en", "", "fr", "fr", "de-AT", "pt_BR"):
            await make.create_customer(session, language=language)
        await make.create_customer(session, language="fr", status="closed")
    async with db.reads() as session:
        assert await looking.missing_languages(session, everyone()) == [("fr", 2), ("pt-br", 1)]
        assert await looking.missing_languages(session, everyone(languages=("de", "fr", "pt"))) == [("en", 1)]


async def test_fields_that_are_empty_for_some_are_counted_where_they_are_printed() -> None:
    async with db.unit() as session:
        for language, person in (("en", ""), ("en", "Ann"), ("de", ""), ("en", "")):
            await make.create_customer(session, language=language, contact_person=person, phone="")
    async with db.reads() as session:

        async def empty(body: str) -> list[tuple[str, int]]:
            texts = {"en": ("Hello", body), "de": ("Hallo", "Hallo {{ customer.name }}")}
            return await looking.empty_fields(session, everyone(), looking.printed_fields(texts))

        assert await empty("Hello {{ customer.contact_person }}") == [("customer.contact_person", 2)]
        assert await empty("{{ customer.phone|upper }} {{ customer.name }}") == [("customer.phone", 3)]
        assert await empty('Hello {{ customer.contact_person|default("friend") }}') == []
        assert await empty("{% if customer.phone %}Call {{ customer.phone }}{% endif %}") == []


# ---- preview and test mail ------------------------------------------------------------------------------------------


async def test_the_preview_is_the_message_of_that_customer() -> None:
    async with db.unit() as session:
        project = await make.create_project(session, default_language="de", sender_name="Nordhost")
        other = await make.create_project(session)
        german = await make.create_customer(session, project=project, name="Müller & Co", language="")
        french = await make.create_customer(session, project=project, language="fr")
    async with db.reads() as session:
        [seen] = await looking.as_recipients(session, texts=TEXTS, default_language="en", customer_id=german.id)
        assert (seen.language, seen.message.text, seen.sender_name) == ("de", "Hallo Müller & Co", "Nordhost")
        assert "Müller &amp; Co" in seen.message.html and seen.to == german.email
        [seen] = await looking.as_recipients(session, texts=TEXTS, default_language="en", customer_id=french.id)
        assert seen.language == "de", "the language of the project comes before the default"
        both = await looking.as_recipients(session, texts=TEXTS, default_language="en")
        assert [s.language for s in both] == ["en", "de"] and "Jana Müller" in both[0].message.text
        with pytest.raises(Invalid):
            await looking.as_recipients(session, texts=TEXTS, default_language="en", customer_id=4711)
    with acting(Actor(Kind.STAFF, staff_id=1, projects=frozenset({other.id}))):
        async with db.reads() as session:
            with pytest.raises(Invalid):
                await looking.as_recipients(session, texts=TEXTS, default_language="en", customer_id=german.id)


async def test_a_test_mail_goes_to_the_one_who_writes_and_to_nobody_else(smtp: Sink, resources: base.Resources) -> None:
    async with db.unit() as session:
        staff = await make.create_staff(session, email="me@example.com")
        customer = await make.create_customer(session, email="customer@example.com", contact_person="Ann")
    with acting(Actor(Kind.STAFF, staff_id=staff.id)):
        async with db.unit() as session:
            seen = await looking.as_recipients(
                session, texts=TEXTS, default_language="en", customer_id=customer.id, sender_email="desk@example.com"
            )
            assert await looking.send_test(session, seen=seen) == "me@example.com"
    await work(resources)
    assert smtp.recipients == ["me@example.com"]
    [mail] = smtp.mails
    assert mail["Subject"] == "Hello" and "desk@example.com" in mail["From"]
    body = mail.get_body(("plain",))
    assert body is not None and body.get_content().strip() == "Hello Ann"
    assert await rows() == []


# ---- those who were not reached -------------------------------------------------------------------------------------


async def test_who_was_not_reached_can_be_written_to_again() -> None:
    S = DeliveryState
    async with db.unit() as session:
        campaign = await make.create_campaign(session)
        for name, inbox, mails in (
            ("Reached", S.SENT, (S.SENT,)), ("Bounced", S.SENT, (S.FAILED,)), ("Half", S.SENT, (S.FAILED, S.SENT)),
            ("Nothing", S.SKIPPED, (S.SKIPPED,)), ("Waits", S.DUE, (S.DUE,)), ("Doubt", S.SKIPPED, (S.REVIEW,)),
        ):  # fmt: skip
            customer = await make.create_customer(session, name=name)
            await make.create_delivery(session, campaign=campaign, customer=customer, state=inbox)
            for n, state in enumerate(mails):
                await make.create_delivery(
                    session, campaign=campaign, customer=customer, channel=Channel.EMAIL, address=f"{n}@example.com",
                    state=state,
                )  # fmt: skip
        await make.create_customer(session, name="Stranger")

    async def found(channel: str) -> list[str]:
        who = audiences.check_who({"unreached": {"campaign": campaign.id, "channel": channel}})
        async with db.reads() as session:
            return sorted((await audiences.count(session, everyone(who=who))).sample)

    assert await found("email") == ["Bounced", "Nothing"]
    assert await found("") == ["Nothing"]
    for broken in ({"campaign": "1"}, {"campaign": 1, "channel": "fax"}, 7):
        with pytest.raises(Invalid):
            audiences.check_who({"unreached": broken})


async def test_those_of_a_campaign_that_one_may_not_see_cannot_be_meant() -> None:
    async with db.unit() as session:
        project = await make.create_project(session)
        staff = await make.create_staff(session)
        campaign = await make.create_campaign(session)
        category = await make.create_category(session)
    with acting(Actor(Kind.STAFF, staff_id=staff.id, projects=frozenset({project.id}))):
        with pytest.raises(Invalid) as refused:
            unreached = {"unreached": {"campaign": campaign.id, "channel": ""}}
            await start(audience=unreached, category_id=category.id)
    assert set(refused.value.fields) == {"audience"}


async def test_the_rest_of_a_stopped_campaign_is_not_reached(smtp: Sink, resources: base.Resources) -> None:
    async with db.unit() as session:
        for n in range(3):
            await make.create_customer(session, email=f"c{n}@example.com")
    first = await start(channels=["email"])
    async with db.unit() as session:
        await starting.materialise(session, campaign_id=first.id)
        await campaigns.stop_campaign(session, campaign_id=first.id)
    await work(resources)
    assert smtp.mails == []
    who = {"unreached": {"campaign": first.id, "channel": "email"}}
    await start(key="form-2", audience=who, channels=["email"])
    await work(resources)
    assert len(smtp.mails) == 3


# ---- report ---------------------------------------------------------------------------------------------------------


async def test_the_report_counts_by_language_channel_and_state_and_draws_when() -> None:
    begin = utcnow().replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
    async with db.unit() as session:
        campaign = await make.create_campaign(session)
        for n, (language, state) in enumerate((("en", "sent"), ("en", "sent"), ("de", "sent"), ("en", "failed"))):
            customer = await make.create_customer(session)
            await make.create_delivery(
                session, campaign=campaign, customer=customer, language=language, state=state, channel=Channel.EMAIL,
                address="a@example.com", sent_at=begin + timedelta(minutes=n) if state == "sent" else None,
            )  # fmt: skip
    async with db.reads() as session:
        E, S = Channel.EMAIL, DeliveryState
        totals = await report.totals(session, campaign_id=campaign.id)
        assert totals == {("de", E): {S.SENT: 1}, ("en", E): {S.SENT: 2, S.FAILED: 1}}
        line = await report.timeline(session, campaign_id=campaign.id)
        assert line.step == 5 and len(line.columns) == 25 and min(line.columns) == begin
        assert [(at - begin).seconds for at, n in line.columns.items() if n[E]] == [0, 60, 120]
        assert not (await report.timeline(session, campaign_id=4711)).columns
