"""The headers and links of a mail, from the row in the database to the bytes that go out."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app import db, links
from app.db import utcnow
from app.domain.messaging import headers, tracking
from app.domain.messaging.compose import compose
from app.domain.messaging.content import Content, load_content
from app.domain.messaging.delivery import Row
from app.domain.messaging.values import load as load_values
from app.models.consent import EventKind
from app.models.customers import Customer
from app.settings import Settings
from tests import factories as make

SETTINGS = Settings(database_url="", secret_key="n" * 40, data_dir=Path(), public_url="https://desk.example.com")
BODY = "Hello {{ customer.name }}, [look](https://shop.example/a?b=1&c=2) or [write](mailto:us@example.com)."


@pytest.fixture(autouse=True)
def reached_by_https(database: str) -> Iterator[None]:
    links.configure(SETTINGS)
    yield


async def one_mail(**category: Any) -> tuple[Content, Row, EmailMessage]:
    """A delivery of a campaign, and the mail that it becomes."""
    async with db.unit() as session:
        project = await make.create_project(
            session, tracking=category.pop("tracking", False), host=category.pop("host", None)
        )
        customer = await make.create_customer(session, project=project)
        kind = await make.create_category(session, **{"name": "Neues & Mehr", "subscribable": True} | category)
        campaign = await make.create_campaign(session, category=kind, texts={"en": ("Hi", BODY)})
        row = await make.create_delivery(
            session, campaign=campaign, customer=customer, channel="email", address=customer.email,
            message_id=f"c{campaign.id}.abcdef0123.{customer.id}.e",
        )  # fmt: skip
    return await as_mail(campaign.id, row.message_id, customer)


async def as_mail(campaign_id: int, message_id: str, customer: Customer) -> tuple[Content, Row, EmailMessage]:
    async with db.reads() as session:
        content = replace(await load_content(session, campaign_id), sender_email="news@brand.example")
        values = await load_values(session, macros=content.macros, rows={message_id: "en"}, staff_name="")
    row = Row(message_id, customer.email, "en", 0, values[message_id])
    raw = compose(content=content, files=[], row=row)
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    assert headers.message_in(raw.decode()) == message_id, "whatever it is of, a bounce tells which mail it was"
    return content, row, parsed


# ---- headers --------------------------------------------------------------------------------------------------------


async def test_a_mail_that_can_be_refused_says_how(database: str) -> None:
    content, row, mail = await one_mail()
    assert mail["Auto-Submitted"] == "auto-generated"
    assert content.category is not None
    assert mail["List-Id"] == f"<neues-mehr-{content.category.id}.brand.example>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    found = re.fullmatch(r"<https://desk\.example\.com/unsubscribe/([\w.-]+)>", mail["List-Unsubscribe"])
    assert found and headers.message_of(found[1]) == row.message_id


async def test_a_service_mail_offers_no_refusal_but_is_known_when_it_comes_back(database: str) -> None:
    _content, row, mail = await one_mail(subscribable=False)
    assert mail["List-Unsubscribe"] is None and mail["List-Unsubscribe-Post"] is None and mail["List-Id"]
    assert headers.message_of(mail[headers.REFERENCE]) == row.message_id


async def test_links_lead_to_the_host_of_the_brand(database: str) -> None:
    _content, _row, mail = await one_mail(host="desk.brand.example", tracking=True)
    assert mail["List-Unsubscribe"].startswith("<https://desk.brand.example/unsubscribe/")
    found = [t for t in targets(mail) if "/t/" in t]
    assert len(found) == 2 and all(t.startswith("https://desk.brand.example/t/") for t in found)


async def test_one_click_is_offered_over_https_only(database: str) -> None:
    links.configure(replace(SETTINGS, public_url=None, port=9000))
    _content, _row, mail = await one_mail()
    assert mail["List-Unsubscribe"].startswith("<http://127.0.0.1:9000/unsubscribe/")
    assert mail["List-Unsubscribe-Post"] is None


async def test_links_outlive_a_change_of_the_key_and_no_other_key_opens_them() -> None:
    token = headers.token_of("c1.aa.2.e")
    click = tracking.click_url("c1.aa.2.e", "https://shop.example/")
    mac = urlsplit(click).path.rpartition("/")[2]
    links.configure(replace(SETTINGS, secret_key="m" * 40, old_secret_keys=("x" * 40, SETTINGS.secret_key)))
    assert headers.message_of(token) == "c1.aa.2.e"
    assert tracking.clicked(mac, "https://shop.example/") == "c1.aa.2.e"
    assert headers.token_of("c1.aa.2.e") != token, "new ones are signed with the new key"
    links.configure(replace(SETTINGS, secret_key="m" * 40))
    assert headers.message_of(token) is None and tracking.clicked(mac, "https://shop.example/") is None


async def test_no_changed_token_opens() -> None:
    token = headers.token_of("c1.aa.2.e")
    wrong = [token[:-1], token + "A", token.replace("c1", "c2", 1), "", ".", "x" * 5000, token.upper(), f"ä{token}"]
    wrong += [tracking._opens.sign("c1.aa.2.e"), tracking._clicks.sign("c1.aa.2.e")]
    assert [t for t in wrong if headers.message_of(t) is not None] == []


# ---- opened and clicked ---------------------------------------------------------------------------------------------


def targets(mail: EmailMessage) -> list[str]:
    part = mail.get_body(("html",))
    assert part is not None
    return re.findall(r'(?:href|src)="([^"]*)"', part.get_content())


async def test_without_tracking_a_mail_holds_nothing_that_tells(database: str) -> None:
    _content, _row, mail = await one_mail()
    assert "https://shop.example/a?b=1&amp;c=2" in targets(mail)
    assert not [t for t in targets(mail) if "/t/" in t] and "<img" not in mail.as_string()


async def test_with_tracking_links_and_a_picture_tell(database: str) -> None:
    _content, row, mail = await one_mail(tracking=True)
    click = urlsplit(next(t for t in targets(mail) if "/t/c/" in t).replace("&amp;", "&"))
    url = parse_qs(click.query)["to"][0]
    assert url == "https://shop.example/a?b=1&c=2"
    token = click.path.rpartition("/")[2]
    assert tracking.clicked(token, url) == row.message_id
    assert tracking.clicked(token, "https://evil.example/") is None
    picture = next(t for t in targets(mail) if "/t/o/" in t)
    assert tracking.opened(picture.rpartition("/")[2]) == row.message_id
    assert "mailto:us@example.com" in targets(mail)
    text = mail.get_body(("plain",))
    assert text is not None and "/t/" not in text.get_content()


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "//evil.example", "/admin", "data:text/html,x", "ftp://x", "https://", "", "a b"]
)
async def test_even_signed_a_click_leads_only_to_the_web(url: str) -> None:
    mac = tracking._clicks.mac(f"c1.aa.2.e {url}")
    assert tracking.clicked(f"c1.aa.2.e.{mac}", url) is None


async def test_the_figures_of_a_campaign(database: str) -> None:
    async with db.unit() as session:
        project = await make.create_project(session, tracking=True)
        campaign = await make.create_campaign(session)
        for n in range(3):
            customer = await make.create_customer(session, project=project)
            name = f"m{n}"
            await make.create_delivery(
                session, campaign=campaign, customer=customer, message_id=name, state="sent", sent_at=utcnow()
            )
            of = await tracking.counts_now(session, name)
            assert of == (campaign.id, customer.id)
            for _times in range(n + 1):
                await tracking.note(session, kind=EventKind.OPEN, message_id=name, of=of)
            if n:
                await tracking.note(session, kind=EventKind.CLICK, message_id=name, of=of, url="https://a.example/")
        await tracking.note(session, kind=EventKind.CLICK, message_id="m2", of=of, url="https://b.example/")
        await tracking.note(session, kind=EventKind.CLICK, message_id="m2", of=of, url="https://b.example/")
    async with db.reads() as session:
        found = await tracking.counts(session, campaign_id=campaign.id)
    assert (found.on, found.opened, found.opens, found.clicked, found.clicks) == (True, 3, 6, 2, 4)
    assert [(link.url, link.messages, link.times) for link in found.links] == [
        ("https://a.example/", 2, 2), ("https://b.example/", 1, 2),
    ]  # fmt: skip
