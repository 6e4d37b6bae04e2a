"""The composer, segments and the card of a campaign, as a browser uses them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from admin_views.base import figures
from app import db
from app.db import utcnow
from app.domain.messaging import audience
from app.models.consent import DeliveryEvent, EventKind
from app.models.customers import Customer
from app.models.jobs import Job
from app.models.messaging import Campaign, CampaignState, Channel, DeliveryState, Segment
from app.models.projects import Project
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

ALL, CARD = "/admin/customer/action/message", "/admin/campaign/details/{}"


@pytest.fixture
async def house(database: str) -> dict[str, int]:
    async with db.unit() as session:
        project = await factories.create_project(session, name="Nordhost", languages=["en", "de"])
        other = await factories.create_project(session, name="Kupol")
        ids = {"category": (await factories.create_category(session, name="News")).id, "other": other.id}
        for name, language, country in (("Anna", "de", "DE"), ("Ben", "en", "GB"), ("Zoé", "fr", "FR")):
            customer = await factories.create_customer(
                session, project=project, name=name, language=language, country=country,
                contact_person="" if name == "Ben" else f"{name} herself",
            )  # fmt: skip
            ids[name] = customer.id
    return ids


def message(house: dict[str, int], **kw: Any) -> dict[str, str]:
    data = {
        "all": "1", "query": "", "key": "k" * 20, "category": house["category"], "channels": "email",
        "default_language": "en", "policy": "resend", "subject_en": "Hi {{ customer.contact_person }}",
        "body_en": "Hello **{{ customer.name }}**", "quiet_from": "", "quiet_until": "",
    }  # fmt: skip
    return {name: str(value) for name, value in (data | kw).items()}


async def only(model: Any) -> Any:
    async with db.reads() as session:
        return (await session.scalars(select(model))).one()


async def test_the_look_up_of_templates_is_told_the_project_of_those_who_are_chosen(
    desk: httpx.AsyncClient, house: dict[str, int]
) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session, project_id=house["other"])
    ids = {"one": f"pks={customer.id}", "same": f"pks={house['Anna']},{house['Ben']}",
           "two": f"pks={customer.id},{house['Anna']}", "all": "all=1"}  # fmt: skip
    found = {}
    for name, chosen in ids.items():
        page = await desk.get(f"{ALL}?{chosen}")
        assert page.status_code == 200
        found[name] = re.findall(r'data-project="(\d+)"', page.text)
    assert found["one"] == [str(house["other"])] and len(found["same"]) == 1 and found["same"] != found["one"]
    assert found["two"] == found["all"] == []


async def test_a_campaign_is_planned_anew_in_the_recipients_own_time(
    desk: httpx.AsyncClient, house: dict[str, int]
) -> None:
    async with db.unit() as session:
        campaign = await factories.create_campaign(
            session, state=CampaignState.SCHEDULED, send_at=datetime(2050, 1, 1, 19, tzinfo=UTC),
            local_at="2050-01-02T09:00",
        )  # fmt: skip
    url = f"/admin/campaign/action/plan?pks={campaign.id}"
    page = await desk.get(url)
    assert 'value="2050-01-02T09:00"' in page.text and re.search(r"<input[^>]*local_time[^>]*>", page.text)
    assert " checked" in re.findall(r"<input[^>]*local_time[^>]*>", page.text)[0]
    for chosen, local_at in (({"local_time": "y"}, "2050-01-03T10:00"), ({}, "")):
        data = {"pks": str(campaign.id), "send_at": "2050-01-03T10:00", **chosen}
        assert (await desk.post(url, data=data)).status_code in (302, 303)
        assert (await only(Campaign)).local_at == local_at


async def test_the_confirmation_says_what_the_composer_has_counted_a_moment_ago(
    desk: httpx.AsyncClient, house: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a million customers it takes seconds, so it is not counted again for each page."""
    counted, count = [], audience.count

    async def counting(*args: Any) -> Any:
        counted.append(args)
        return await count(*args)

    monkeypatch.setattr(audience, "count", counting)
    monkeypatch.setattr(figures, "LEAST", 60.0)
    await desk.post(ALL, data=message(house, _look="show"), headers=LOOK)
    before = len(counted)
    page = await desk.post(ALL, data=message(house))
    assert before and page.status_code == 200 and "customers will get it" in page.text
    assert len(counted) == before


LOOK = {"x-fragment": "look"}


async def test_while_it_is_written_the_composer_says_who_gets_what(
    desk: httpx.AsyncClient, house: dict[str, int]
) -> None:
    page = await desk.get(f"{ALL}?all=1")
    assert page.status_code == 200 and 'id="look"' in page.text and "compose.js" in page.text
    part = await desk.post(ALL, data=message(house, _look="show", category=""), headers=LOOK)
    assert part.status_code == 200 and "<form" not in part.text, "what is required is not asked for yet"
    text = unescape(re.sub(r"<[^>]+>", " ", part.text))
    assert re.search(r"3\s+customers will get it", text)
    assert "Anna" in text and "No text in French: 1 customer gets another language." in text
    assert "No text in German: 1 customer gets another language." in text
    assert "customer.contact_person is empty for 1 recipient." in text
    assert "Hello <strong>" in part.text and "Hi Jana" in text
    shown = await desk.post(ALL, data=message(house, _look="show", matching_only="y"))
    assert shown.status_code == 200 and "No text in French: 1 customer is left out." in shown.text
    assert "Hello **{{ customer.name }}**" in unescape(shown.text), "what was written is still there"


async def test_the_preview_shows_the_message_of_one_customer(
    sign_in: SignIn, desk: httpx.AsyncClient, house: dict[str, int]
) -> None:
    data = message(house, _look="show", as_customer=house["Anna"], body_de="Hallo {{ customer.name }}", subject_de="Du")
    part = (await desk.post(ALL, data=data, headers=LOOK)).text
    assert "Hallo Anna" in part and "Hello" not in part
    bad = (await desk.post(ALL, data=message(house, _look="show", body_en="{{ customer.nam }}"), headers=LOOK)).text
    assert "unknown field" in bad and "English" in bad
    async with db.reads() as session:
        other = await session.get_one(Project, house["other"])
    limited = await sign_in(await create_staff([("*", "*")], projects=(other,)))
    part = (await limited.post(ALL, data=data, headers=LOOK)).text
    assert "Anna" not in part and "Choose one from the list." in part


async def test_a_test_mail_is_a_job_for_the_own_address(desk: httpx.AsyncClient, house: dict[str, int]) -> None:
    part = (await desk.post(ALL, data=message(house, _look="test", as_customer=house["Anna"]), headers=LOOK)).text
    assert "A test mail is on its way to" in part
    job = await only(Job)
    assert job.name == "messaging.mail" and job.args["subject"] == "Hi Anna herself"
    assert job.args["to"] in unescape(part)
    async with db.reads() as session:
        assert (await session.scalars(select(Campaign))).all() == []


async def test_a_message_is_planned_with_quiet_hours_and_a_pace(desk: httpx.AsyncClient, house: dict[str, int]) -> None:
    at = (utcnow() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    data = message(house, send_at=at, quiet_from="22", quiet_until="8", per_second="5", stop_percent="10")
    confirm = await desk.post(ALL, data=data)
    assert confirm.status_code == 200, confirm.text
    assert "Not between 22:00 and 8:00" in confirm.text and "No text in German" in confirm.text
    refused = await desk.post(ALL, data=message(house, quiet_from="22"))
    assert refused.status_code == 422 and "Say when the quiet hours begin" in refused.text
    sent = await desk.post(ALL, data={**data, "_confirmed": "1"})
    assert sent.status_code == 303
    campaign = await only(Campaign)
    assert campaign.state is CampaignState.SCHEDULED and campaign.send_at.strftime("%Y-%m-%dT%H:%M") == at
    assert (campaign.quiet_from, campaign.quiet_until, campaign.per_second, campaign.stop_percent) == (22, 8, 5, 10)
    card = (await desk.get(sent.headers["location"])).text
    assert "It is sent on" in card and "Choose another time" in card and "Send now" in card
    again = await desk.post("/admin/campaign/action/send_now", data={"pks": str(campaign.id)})
    assert again.status_code == 303 and (await only(Campaign)).state is CampaignState.STARTING
    refused = await desk.post("/admin/campaign/action/send_now", data={"pks": str(campaign.id)})
    assert refused.status_code in (409, 422) and "Choosing recipients" in refused.text


async def test_a_large_message_waits_for_somebody_else(
    desk: httpx.AsyncClient, sign_in: SignIn, house: dict[str, int]
) -> None:
    async with db.unit() as session:
        category = await factories.create_category(session, name="Offers", approval_above=2)
    data = message(house, category=category.id)
    assert "second staff member" in (await desk.post(ALL, data=data)).text
    sent = await desk.post(ALL, data={**data, "_confirmed": "1"})
    campaign = await only(Campaign)
    assert campaign.state is CampaignState.APPROVAL
    card = sent.headers["location"]
    page = (await desk.get(card)).text
    assert "somebody else has approved it" in page and "action/approve" not in page
    url = "/admin/campaign/action/approve"
    own = await desk.post(url, data={"pks": str(campaign.id)})
    assert own.status_code in (403, 422) and "somebody else has to approve it" in own.text
    look = [("campaign", "list"), ("campaign", "details")]
    unable = await sign_in(await create_staff([*look, ("campaign", "action:stop")]))
    assert (await unable.post(url, data={"pks": str(campaign.id)})).status_code == 403
    assert "action/approve" not in (await unable.get(card)).text
    second = await sign_in(await create_staff([*look, ("campaign", "action:approve")], full_name="Second Pair"))
    assert "action/approve" in (await second.get(card)).text
    assert (await second.post(url, data={"pks": str(campaign.id)})).status_code == 303
    assert (await only(Campaign)).state is CampaignState.STARTING
    assert "Second Pair" in (await desk.get(card)).text


async def test_a_campaign_is_paused_and_resumed_from_its_card(desk: httpx.AsyncClient, database: str) -> None:
    async with db.unit() as session:
        campaign = await factories.create_campaign(session)
    pks = {"pks": str(campaign.id)}
    card = CARD.format(campaign.id)
    page = (await desk.get(card)).text
    assert "action/pause" in page and "action/stop" in page and "action/resume" not in page
    assert (await desk.post("/admin/campaign/action/pause", data=pks)).status_code == 303
    page = (await desk.get(card)).text
    assert "Paused" in page and "action/resume" in page and "data-poll" not in page
    refused = await desk.post("/admin/campaign/action/pause", data=pks)
    assert refused.status_code in (409, 422) and "Paused" in refused.text
    assert (await desk.post("/admin/campaign/action/resume", data=pks)).status_code == 303
    assert (await only(Campaign)).state is CampaignState.RUNNING


async def test_a_filter_becomes_a_segment_and_a_segment_an_audience(
    desk: httpx.AsyncClient, house: dict[str, int]
) -> None:
    save = "/admin/customer/action/segment"
    assert f"{save}?all=1" in (await desk.get("/admin/customer/list")).text
    assert "The list is not filtered" in (await desk.get(f"{save}?all=1")).text
    assert "Country" in (await desk.get(f"{save}?all=1&country.in=DE")).text
    answer = await desk.post(save, data={"all": "1", "query": "country.in=DE", "name": "Germans", "description": ""})
    assert answer.status_code == 303, answer.text
    segment = await only(Segment)
    twice = await desk.post(save, data={"all": "1", "query": "country.in=DE", "name": "Germans", "description": ""})
    assert twice.status_code == 422 and "You already have a segment of this name." in twice.text
    card = (await desk.get(answer.headers["location"])).text
    assert "Messages reach 1 customer now" in card and "Anna" in card and "Germany" in card
    part = await desk.post(ALL, data=message(house, _look="show", segment=segment.id), headers=LOOK)
    assert re.search(r"1</span>\s*<span[^>]*>customer will get it", part.text), part.text[:900]
    write = "/admin/segment/action/message"
    assert "To 1 customer of “Germans”" in (await desk.get(f"{write}?pks={segment.id}")).text
    data = {k: v for k, v in message(house).items() if k not in ("all", "query")} | {"pks": str(segment.id)}
    sent = await desk.post(write, data={**data, "_confirmed": "1"})
    assert sent.status_code == 303, sent.text
    campaign = await only(Campaign)
    assert campaign.audience["filter"] == segment.condition, "a copy: the segment may change afterwards"


async def test_those_who_were_not_reached_are_written_to_from_the_card(
    desk: httpx.AsyncClient, house: dict[str, int]
) -> None:
    async with db.unit() as session:
        campaign = await factories.create_campaign(
            session, state="done", texts={"de": ("Wartung", "Text"), "it": ("Ciao", "Testo")}
        )
        for name, state in (("Anna", "failed"), ("Ben", "sent")):
            customer = await session.get_one(Customer, house[name])
            await factories.create_delivery(
                session, campaign=campaign, customer=customer, channel=Channel.EMAIL, address="x@example.com",
                state=state,
            )  # fmt: skip
    assert "action/unreached" in (await desk.get(CARD.format(campaign.id))).text
    url = f"/admin/campaign/action/unreached?pks={campaign.id}"
    page = unescape((await desk.get(url)).text)
    assert "To 1 customer whom “Wartung” did not reach" in page and 'value="Wartung"' in page and "Testo" in page
    assert "Anna" in page


async def test_the_card_shows_what_became_of_it(desk: httpx.AsyncClient, sign_in: SignIn, database: str) -> None:
    begin = utcnow() - timedelta(hours=2)
    async with db.unit() as session:
        campaign = await factories.create_campaign(session, state="done", total=5)
        for n, state in enumerate(("sent", "sent", "sent", "failed", "skipped")):
            customer = await factories.create_customer(session)
            at = begin + timedelta(minutes=10 * n) if state == "sent" else None
            await factories.create_delivery(
                session, campaign=campaign, customer=customer, channel=Channel.EMAIL, address=f"{n}@example.com",
                state=state, sent_at=at, language="en" if n else "de",
            )  # fmt: skip
    card = CARD.format(campaign.id)
    page = unescape((await desk.get(card)).text)
    assert "By language" in page and "3 messages sent" in page and 'data-chart="bars"' in page
    failed = re.search(rf'href="({card}\?tab=delivery&state\.in={DeliveryState.FAILED.value}&[^"]+)">1<', page)
    assert failed is not None
    rows = (await desk.get(failed[1])).text
    assert "3@example.com" in rows and "1@example.com" not in rows
    export = re.search(r'href="(/admin/delivery/action/export[^"]+)"', page)
    assert export is not None and (await desk.get(export[1])).status_code == 200
    look = [("campaign", "list"), ("campaign", "details")]
    blind = await sign_in(await create_staff(look))
    assert "By language" not in (await blind.get(card)).text


async def test_opened_and_clicked_stand_there_only_where_a_project_counts_them(
    desk: httpx.AsyncClient, database: str
) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session, tracking=True)
        customer = await factories.create_customer(session, project=project)
        campaign = await factories.create_campaign(session, state="done", total=1)
        sent = await factories.create_delivery(
            session, campaign=campaign, customer=customer, channel=Channel.EMAIL, address="a@example.com", state="sent",
            sent_at=utcnow(),
        )  # fmt: skip
        for kind, url in (
            (EventKind.OPEN, ""), (EventKind.CLICK, "https://x.example/page"), (EventKind.COMPLAINT, ""),
        ):  # fmt: skip
            session.add(
                DeliveryEvent(
                    campaign_id=campaign.id, customer_id=customer.id, message_id=sent.message_id, kind=kind, url=url,
                    times=3, first_at=utcnow(), last_at=utcnow(),
                )
            )  # fmt: skip
    page = (await desk.get(CARD.format(campaign.id))).text
    assert "Opened and clicked" in page and "https://x.example/page" in page
    async with db.unit() as session:
        (await session.get_one(Project, project.id)).tracking = False
        (await session.get_one(Campaign, campaign.id)).error = "counted anew"  # another version: the figure is not kept
    page = (await desk.get(CARD.format(campaign.id))).text
    assert "Opened and clicked" not in page and "Complained about" in page
