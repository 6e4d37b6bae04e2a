"""Own names of columns, screens and headings: everywhere, per language, at once, and gone again."""

from __future__ import annotations

import re

import httpx
import pytest
from sqlalchemy import select

from admin_views import headings
from admin_views.labels import items_of, screens
from app import db
from app.i18n import catalogue
from app.models.labels import Label
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff
from tests.generated.routes import form_on

URL = "/admin/label/action/rename"
LIST = "/admin/customer/list"
SAME = {"Text", "Ticket"}
"""Headings that are called the same in German."""


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


async def rename(desk: httpx.AsyncClient, screen: str, **texts: str) -> httpx.Response:
    """texts: ``email__de="Post"``; what is no column begins with an underscore."""
    page = await desk.get(f"{URL}?all=1&screen={screen}")
    form = form_on(page.text, URL)
    given = {f"text:{k.replace('__', ':')}".replace("text:_", "text:@"): v for k, v in texts.items()}
    assert set(given) <= set(form), set(given) - set(form)
    return await desk.post(URL, data={**form, **given})


async def test_a_new_name_is_said_wherever_the_old_one_was(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session, contact_person="Ada")
    card = f"/admin/customer/edit/{customer.id}"
    pages = {
        "list": f"{LIST}?columns=name,contact_person",
        "columns": "/admin/customer/columns",
        "form": card,
        "card": f"/admin/customer/details/{customer.id}",
        "drawer": "/admin/customer/filter",
        "chips": f"{LIST}?contact_person.contains=ada",
    }
    for url in pages.values():
        assert "Contact person" in (await desk.get(url)).text
    done = await rename(desk, "customer", contact_person__en="Whom to call", balance__en="Purse", _many__en="Clients")
    assert done.status_code == 303, done.text
    for name, url in pages.items():
        text = (await desk.get(url)).text
        assert "Whom to call" in text and "Contact person" not in text, name
        assert ">Clients<" in text or name == "drawer", "menu, heading and path"
    assert ">Purse<" in (await desk.get(LIST)).text, "a figure that is no column has its name too"
    sheet = await desk.post(
        "/admin/customer/action/export", data={"all": "1", "query": "columns=contact_person,name", "kind": "csv"}
    )
    assert sheet.text.splitlines()[0] == "\ufeffWhom to call,Name"
    for term in ("clients", "customers"):
        assert ">Clients<" in (await desk.get(f"/admin/find?term={term}")).text, "found by both names"
    await rename(desk, "menu", Money__en="Cash & <b>")
    assert "Cash &amp; &lt;b&gt;" in (await desk.get("/admin/")).text
    async with db.reads() as session:
        assert len(list(await session.scalars(select(Label)))) == 4
    await rename(desk, "customer", contact_person__en=" ")
    assert "Contact person" in (await desk.get(card)).text


async def test_buttons_and_headings_have_names_of_their_own(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
    card, edit = (f"/admin/customer/{what}/{customer.id}" for what in ("details", "edit"))
    done = await rename(desk, "customer", **{
        "_create__en": "Welcome somebody", "_button.message__en": "Write", "_heading.Contact__en": "Reach <them>",
        "_heading.For staff__en": "Portal", "_button.delete__en": "Burn",
    })  # fmt: skip
    assert done.status_code == 303, done.text
    page = (await desk.get(LIST)).text
    assert ">Welcome somebody<" in page and "Register customer" not in page
    assert "Write</a>" in page and "Send message" not in page
    assert "Write" in (await desk.get(f"/admin/customer/action/message?pks={customer.id}")).text
    shown = (await desk.get(card)).text
    assert ">Reach &lt;them&gt;</h2>" in shown and ">Contact</h2>" not in shown and ">Burn<" in shown
    for url, heading in ((edit, "Portal"), ("/admin/customer/create", "Portal"), ("/admin/customer/filter", "Portal")):
        text = (await desk.get(url)).text
        assert heading in text and "For staff" not in text, url
    assert "Welcome somebody" in (await desk.get("/admin/customer/create")).text
    groups = {f["group"] for f in (await desk.get("/admin/customer/fields")).json()["fields"]}
    assert "Portal" in groups and "For staff" not in groups
    assert "Burn" not in (await desk.get("/admin/payer/list")).text, "of that screen alone"
    names = (await desk.get("/admin/label/list")).text
    assert "Button: Send message" in names and "Heading: Contact" in names
    await desk.post("/language", data={"language": "de", "next": LIST})
    assert "Kontakt" in (await desk.get(card)).text and "Reach" not in (await desk.get(card)).text


async def test_every_heading_that_is_offered_is_one(database: str) -> None:
    """A word that nobody says could be renamed without anything happening."""
    known = catalogue("de")
    for screen, words in headings.MORE.items():
        assert screens()[screen].identity == screen
        for word in words:
            assert known.gettext(word) != word or word in SAME, (screen, word)
    for screen in screens():
        assert all(len(item) <= 60 for item in items_of(screen)), "as long as the column"


async def test_each_language_has_its_own(desk: httpx.AsyncClient) -> None:
    await rename(desk, "customer", email__de="Elektropost")
    assert "E-mail" in (await desk.get("/admin/customer/columns")).text
    await desk.post("/language", data={"language": "de", "next": LIST})
    page = await desk.get("/admin/customer/columns")
    assert "Elektropost" in page.text, re.findall(r'lang="\w+"', page.text)[:1]


async def test_names_that_cannot_be_and_people_who_may_not(desk: httpx.AsyncClient, sign_in: SignIn) -> None:
    for data, status in (
        ({"screen": "customer", "text:password:en": "x"}, 422),
        ({"screen": "customer", "text:email:xx": "x"}, 422),
        ({"screen": "nothing", "text:email:en": "x"}, 404),
        ({"screen": "customer", "text:email:en": "x" * 81}, 422),
        ({"screen": "customer", "text:email:en": "a\u0000b"}, 422),
    ):
        answer = await desk.post(URL, data={"all": "1", "query": "", **data})
        assert answer.status_code == status, (data, answer.status_code)
    assert "At most 80 characters" in (await rename(desk, "customer", email__en="x" * 81)).text
    async with db.unit() as session:
        mine = await factories.create_project(session, name="Mine")
        label = await factories.create_label(session)
    limited = await sign_in(await create_staff([("*", "*")], projects=(mine,)))
    assert (await rename(limited, "customer", email__en="Post")).status_code == 422
    assert "refused" not in (await limited.get(f"/admin/label/details/{label.id}")).text
    assert (await limited.post(f"/admin/label/edit/{label.id}", data={"text": "Post"})).status_code == 422
    assert "cannot be deleted" in (await limited.get(f"/admin/label/action/delete?pks={label.id}")).text
    async with db.reads() as session:
        assert [row.text for row in await session.scalars(select(Label))] == ["Mail"]
    plain = await sign_in(await create_staff([("customer", "*")], username="plain"))
    assert (await plain.get(f"{URL}?all=1")).status_code == 403
