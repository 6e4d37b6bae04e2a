"""The pages and links that mails lead to, and the customer's own page of choices."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from app import db
from app.db import utcnow
from app.domain.messaging import headers, tracking
from app.models.consent import DeliveryEvent, EventKind, How, Subscription
from app.models.messaging import Category, Channel
from app.models.projects import Project
from app.models.users import UserRole
from tests import factories
from tests.generated.world import differences, dump
from tests.web.helpers import PASSWORD, People, Site, sign_in

MESSAGE = "c1.abcdef0123.1.e"


@pytest.fixture
async def letter(people: People) -> Category:
    """A mail of a category that can be refused has gone to the customer; a second such category; one of the service."""
    async with db.unit() as session:
        news = await factories.create_category(
            session, name="News", names={"de": "Neuigkeiten", "ru": "Новости", "es": "Novedades"}, subscribable=True,
            opt_in=False,
        )  # fmt: skip
        await factories.create_category(session, name="Offers", subscribable=True)
        await factories.create_category(session, name="Bills")
        campaign = await factories.create_campaign(session, category=news)
        await factories.create_delivery(
            session, campaign=campaign, customer=people.customer, channel="email", address=people.customer.email,
            message_id=MESSAGE, state="sent", sent_at=utcnow(),
        )  # fmt: skip
        return news


def link() -> str:
    return f"/unsubscribe/{headers.token_of(MESSAGE)}"


async def said() -> list[tuple[str, str, bool, How]]:
    """What holds now: (category, channel, wanted, how)."""
    async with db.reads() as session:
        rows = await session.execute(
            select(Category.name, Subscription.channel, Subscription.wanted, Subscription.how)
            .join(Category, Category.id == Subscription.category_id)
            .where(Subscription.ended_at.is_(None))
            .order_by(Category.name, Subscription.channel)
        )
        return [tuple(row) for row in rows]  # type: ignore[misc]


# ---- unsubscribe ----------------------------------------------------------------------------------------------------


async def test_looking_changes_nothing_however_often(browser: httpx.AsyncClient, letter: Category) -> None:
    before = await dump()
    for _n in range(3):
        page = await browser.get(link())
    assert page.status_code == 200 and "set-cookie" not in page.headers
    assert "Unsubscribe from &#34;News&#34;" in page.text or "Unsubscribe from" in page.text
    assert "Northwind Hosting" in page.text and "brand-3" in page.text
    assert "c…@example.org" in page.text and "Ada Lovelace" not in page.text
    assert "Bills" not in page.text and re.search(r'value="\d+" checked><span>News', page.text)
    assert differences(before, await dump()) == []


async def test_the_button_unsubscribes_and_the_choice_can_be_taken_back(
    browser: httpx.AsyncClient, letter: Category
) -> None:
    answer = await browser.post(link(), data={"what": "this"})
    assert answer.status_code == 303
    assert await said() == [("News", "email", False, How.LINK)]
    page = await browser.get(answer.headers["location"])
    assert "Your choice is kept." in page.text and f'value="{letter.id}">' in page.text
    await browser.post(link(), data={"what": "choose", "category": [str(letter.id), "999", "x"]})
    assert await said() == [("News", "email", True, How.LINK)]


async def test_all_at_once(browser: httpx.AsyncClient, letter: Category, people: People) -> None:
    async with db.unit() as session:
        offers = (await session.scalars(select(Category).where(Category.name == "Offers"))).one()
        await factories.create_subscription(session, customer=people.customer, category=offers)
    assert (await browser.post(link(), data={"what": "all"})).status_code == 303
    assert await said() == [("News", "email", False, How.LINK), ("Offers", "email", False, How.LINK)]


@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
async def test_one_click_needs_no_page_no_cookie_and_no_origin(site: Site, letter: Category, kind: str) -> None:
    """As a mail provider posts it (RFC 8058)."""
    given: dict[str, Any] = {"data": {"List-Unsubscribe": "One-Click"}}
    if kind == "multipart":
        given = {"files": {"List-Unsubscribe": (None, "One-Click")}}
    transport = httpx.ASGITransport(app=site.app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://desk.test") as provider:
        answer = await provider.post(link(), **given)
    assert answer.status_code == 200 and "location" not in answer.headers and "set-cookie" not in answer.headers
    assert await said() == [("News", "email", False, How.LINK)]


async def test_it_acts_for_the_link_and_for_no_cookie(grace: httpx.AsyncClient, letter: Category) -> None:
    """Staff open a customer's link in the browser in which they are signed in: nobody of staff has done it."""
    answer = await grace.post(link(), data={"what": "this"}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 303
    async with db.reads() as session:
        row = (await session.scalars(select(Subscription))).one()
    assert (row.staff_id, row.by_user_id, row.how, row.ip) == (None, None, How.LINK, "192.0.2.7")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "Messages to you"),
        ("de", "Nachrichten an Sie"),
        ("ru", "Сообщения для вас"),
        ("es", "Mensajes para usted"),
    ],
)
async def test_the_page_speaks_the_reader_s_language(
    browser: httpx.AsyncClient, letter: Category, people: People, language: str, words: str
) -> None:
    async with db.unit() as session:
        customer = await session.get_one(type(people.customer), people.customer.id)
        customer.language = language
    page = await browser.get(link(), headers={"accept-language": "fr"})
    assert words in page.text and f'<html lang="{language}"' in page.text
    assert letter.name_in(language) in page.text
    other = await browser.get(link(), params={"language": "es"})
    assert "Mensajes para usted" in other.text
    assert 'lang="xx"' not in (await browser.get(link(), params={"language": "xx"})).text


async def test_a_link_that_is_not_ours_does_nothing(browser: httpx.AsyncClient, letter: Category) -> None:
    token = headers.token_of(MESSAGE)
    for wrong in (token[:-1] + ("A" if token[-1] != "A" else "B"), MESSAGE, headers.token_of("c9.aa.9.e"), "x" * 3000):
        for answer in (await browser.get(f"/unsubscribe/{wrong}"), await browser.post(f"/unsubscribe/{wrong}")):
            assert answer.status_code == 404, wrong
    for body in ({}, {"what": "everything"}):
        assert (await browser.post(link(), data=body)).status_code == 400
    assert await said() == []


# ---- opened and clicked ---------------------------------------------------------------------------------------------


async def events() -> list[tuple[EventKind, str, int]]:
    async with db.reads() as session:
        rows = await session.scalars(select(DeliveryEvent).order_by(DeliveryEvent.id))
        return [(e.kind, e.url, e.times) for e in rows]


async def track(on: bool) -> None:
    async with db.unit() as session:
        await session.execute(update(Project).values(tracking=on).execution_options(audited=True))


def path(url: str) -> str:
    return "/" + url.split("/", 3)[3]


async def test_a_click_leads_on_and_counts_only_where_it_is_switched_on(
    browser: httpx.AsyncClient, letter: Category
) -> None:
    url = "https://shop.example/a?b=1&c=Ä#d"
    click = path(tracking.click_url(MESSAGE, url))
    picture = f"/t/o/{tracking._opens.sign(MESSAGE)}"
    for on in (False, True, True):
        await track(on)
        answer = await browser.get(click)
        assert answer.status_code == 303 and answer.headers["location"] == "https://shop.example/a?b=1&c=%C3%84#d"
        assert answer.headers["referrer-policy"] == "no-referrer"
        shown = await browser.get(picture)
        assert shown.status_code == 200 and shown.headers["content-type"] == "image/gif"
        assert shown.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "set-cookie" not in answer.headers and "set-cookie" not in shown.headers
        if not on:
            assert await events() == []
    assert await events() == [(EventKind.CLICK, url, 2), (EventKind.OPEN, "", 2)]


async def test_no_link_of_ours_leads_where_somebody_else_wants(browser: httpx.AsyncClient, letter: Category) -> None:
    await track(True)
    click = path(tracking.click_url(MESSAGE, "https://shop.example/"))
    route = click.partition("?")[0]
    for to in (
        "https://evil.example/", "//evil.example/", "https://shop.example@evil.example/", "https://shop.example/x",
        "javascript:alert(1)", "", "https://shop.example/\r\nSet-Cookie: a=b",
    ):  # fmt: skip
        answer = await browser.get(route, params={"to": to})
        assert answer.status_code in (400, 404) and "location" not in answer.headers, to
    doubled = await browser.get(f"{click}&to=https%3A%2F%2Fevil.example")
    assert "evil" not in doubled.headers.get("location", "")
    assert (await browser.get(f"/t/o/{MESSAGE}.{'A' * 22}")).status_code == 404
    assert [e for e in await events() if "evil" in e[1]] == []


# ---- in the client area ---------------------------------------------------------------------------------------------

URL = "/client/profile/subscriptions"


async def test_customers_choose_per_category_and_channel(ada: httpx.AsyncClient, letter: Category) -> None:
    assert URL in (await ada.get("/client/profile")).text
    page = (await ada.get(URL)).text
    assert "News" in page and "Offers" in page and "Bills" not in page
    async with db.reads() as session:
        offers = (await session.scalars(select(Category.id).where(Category.name == "Offers"))).one()
    answer = await ada.post(URL, data={f"c0_{letter.id}": ["inbox"], f"c0_{offers}": ["email"]})
    assert answer.status_code == 303
    assert await said() == [("News", "email", False, How.CLIENT), ("Offers", "email", True, How.CLIENT)]
    page = (await ada.get(URL)).text
    assert "E-mail: since" in page
    wrong = await ada.post(URL, data={f"c0_{letter.id}": ["pigeon"]})
    assert wrong.status_code == 422
    async with db.reads() as session:
        user = {s.by_user_id for s in await session.scalars(select(Subscription))}
    assert None not in user


async def test_a_user_who_receives_chooses_for_themselves_too(site: Site, people: People, letter: Category) -> None:
    hashed = people.user.password_hash
    async with db.unit() as session:
        grete = await factories.create_user(
            session, customer=people.customer, username="grete", email="grete@example.net", receives=True,
            password_hash=hashed, role=UserRole.FINANCE,
        )  # fmt: skip
        await factories.create_user(
            session, customer=people.customer, username="max", email="max@example.net", receives=True
        )
    async with site.browser() as browser:
        await sign_in(browser, "grete", PASSWORD, area="/client")
        page = (await browser.get(URL)).text
        assert "grete@example.net" in page and "max@example.net" not in page
        both = [Channel.EMAIL.value, Channel.INBOX.value]
        await browser.post(URL, data={f"c0_{letter.id}": both, f"c{grete.id}_{letter.id}": ["inbox"]})
    async with db.reads() as session:
        rows = await session.execute(select(Subscription.user_id, Subscription.channel, Subscription.wanted))
        assert [tuple(r) for r in rows] == [(grete.id, Channel.EMAIL, False)]
