"""Lists: parts of the page for scripts, marked words, copying, empty states, chips, the groups of the filter."""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_views.base.cells import Marker
from app import db
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


LIST = "/admin/customer/list"
PARTS = ("acts", "views", "keep", "chips", "tools", "rows", "drawer")


async def part(browser: httpx.AsyncClient, url: str, what: str = "list") -> httpx.Response:
    return await browser.get(url, headers={"X-Fragment": what})


# ---- parts of the page ----------------------------------------------------------------------------------------------


async def test_the_parts_alone_are_those_of_the_whole_page(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        for n in range(30):
            await factories.create_customer(session, name=f"Customer {n:02}")
    for query in ("", "?sort=name", "?search=customer", "?name.contains=1&language.in=de", "?search=nobody"):
        whole, alone = await desk.get(LIST + query), await part(desk, LIST + query)
        for answer in (whole, alone):
            assert "x-fragment" in answer.headers["vary"].lower(), "no cache may give one for the other"
            assert answer.headers["cache-control"] == "no-store"
        assert "<html" in whole.text and "</nav>" in whole.text
        assert "<html" not in alone.text and 'id="menu"' not in alone.text and 'class="top"' not in alone.text
        found = re.findall(r'data-part="(\w+)"', alone.text)
        assert sorted(found) == sorted(PARTS) == sorted(re.findall(r'data-part="(\w+)"', whole.text))
        for piece in re.split(r"\n(?=<(?:div|span|aside)[^>]*data-part)", alone.text.strip()):
            assert piece.strip() in whole.text, (query, piece[:80])


async def test_how_many_match_is_told_without_rows(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        for name in ("Anna", "Anton", "Berta"):
            await factories.create_customer(session, name=name)
    answer = await part(desk, f"{LIST}?name.contains=an", "count")
    assert answer.json() == {"match": "2 match", "number": "2"}
    assert (await part(desk, f"{LIST}?id.is=abc", "count")).status_code == 400


async def test_parts_keep_to_grants_and_scope(sign_in: SignIn, database: str) -> None:
    async with db.unit() as session:
        mine, foreign = [await factories.create_project(session, name=name) for name in ("Mine", "Foreign")]
        await factories.create_customer(session, project=mine, name="Own")
        await factories.create_customer(session, project=foreign, name="Other")
    limited = await sign_in(await create_staff([("customer", "list")], projects=(mine,)))
    assert (await part(limited, LIST, "count")).json()["number"] == "1"
    shown = (await part(limited, LIST)).text
    assert "Own" in shown and "Other" not in shown
    for what in ("list", "count"):
        assert (await part(limited, "/admin/user/list", what)).status_code == 403
        assert (await part(limited, f"{LIST}?pin=abc", what)).status_code == 400


# ---- what was searched for ------------------------------------------------------------------------------------------


async def test_the_words_of_the_search_are_marked(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        await factories.create_customer(session, name="Bäckerei Grünwald & Söhne <amp>")
    page = (await desk.get(f"{LIST}?search=GRUNWALD amp")).text
    assert "Bäckerei <mark>Grünwald</mark> &amp; Söhne &lt;<mark>amp</mark>&gt;</bdi>" in page
    assert "<mark>" not in (await desk.get(LIST)).text


@pytest.mark.parametrize(
    ("search", "html", "marked"),
    [
        ("strasse", "<b>Hauptstraße</b>", "<b>Haupt<mark>straße</mark></b>"),
        ("b", "<b>abba b</b>", "<b>abba <mark>b</mark></b>"),  # a short word begins a word
        ("bold", '<i title="bold">bold</i>', '<i title="bold"><mark>bold</mark></i>'),
        ("a", "&amp; a", "&amp; <mark>a</mark>"),
        ("ann anna", "Anna", "<mark>Anna</mark>"),
        (".*", "x.*y", "x.*y"),
        ("й", "й", "<mark>й</mark>"),
        ("", "x", "x"),
    ],
)
def test_marking(search: str, html: str, marked: str) -> None:
    assert Marker(search)(html) == marked


@given(st.text(max_size=12), st.text(max_size=30))
def test_marking_changes_nothing_else(search: str, text: str) -> None:
    from html import escape

    html = f'<a title="{escape(search)}">{escape(text)}</a>'
    found = Marker(search)(html)
    assert found.replace("<mark>", "").replace("</mark>", "") == html
    assert found.count("<mark>") == found.count("</mark>")


# ---- cells ----------------------------------------------------------------------------------------------------------


async def test_ids_and_addresses_can_be_copied(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        user = await factories.create_user(session, customer=customer, email='o"neil@example.org')
    page = (await desk.get("/admin/user/list")).text
    copied = [unescape(value) for value in re.findall(r'data-copy-text="([^"]*)"', page)]
    assert copied == [str(user.id), 'o"neil@example.org']
    assert f'data-copy-text="{customer.email}"' in (await desk.get(f"/admin/customer/details/{customer.id}")).text


async def test_a_date_says_the_exact_one_to_everybody(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        await factories.create_customer(session)
    page = (await desk.get(LIST)).text
    shown = re.search(r'<time datetime="[^"]+" title="([^"]+)">([^<]+)<span class="sr">, ([^<]+)</span></time>', page)
    assert shown is not None and shown[1] == shown[3] and shown[2] == "just now"


# ---- nothing to show ------------------------------------------------------------------------------------------------


async def test_an_empty_screen_says_what_it_is_for(desk: httpx.AsyncClient, sign_in: SignIn) -> None:
    page = (await desk.get(LIST)).text
    assert "Everybody you serve" in page and page.count('href="/admin/customer/create"') == 2
    looks = await sign_in(await create_staff([("customer", "list")], username="looks"))
    page = (await looks.get(LIST)).text
    assert "Everybody you serve" in page and "/admin/customer/create" not in page


async def test_a_list_without_matches_says_how_to_widen_it(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        one = await factories.create_customer(session, name="One")
        other = await factories.create_customer(session, name="Other")
        await factories.create_user(session, customer=one)
    page = (await desk.get(f"{LIST}?search=zzz&sort=name")).text
    assert "another spelling" in page and "one condition" not in page
    assert re.search(rf'href="{LIST}\?sort=name">Remove the search<', page), "the order stays"
    page = (await desk.get(f"{LIST}?name.contains=zzz&country.in=DE")).text
    assert "one condition after the other" in page and "another spelling" not in page
    page = (await desk.get(f"/admin/user/list?pin={other.id}")).text
    assert "only the pinned customers" in page and "Nothing here yet" not in page


# ---- the filter -----------------------------------------------------------------------------------------------------


async def test_several_of_one_field_are_one_chip_and_survive_a_search(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        await factories.create_customer(session, name="Anna", kind="company")
    page = (await desk.get(f"{LIST}?kind.in=company&kind.in=individual&name.contains=a")).text
    removes = [unescape(url) for url in re.findall(r'class="x" href="([^"]+)"', page)]
    assert removes == [f"{LIST}?name.contains=a", f"{LIST}?kind.in=company&kind.in=individual"]
    assert 'aria-label="Remove: Account type any of Company, Individual"' in page
    kept = page.partition('data-part="keep"')[2].partition("</span>")[0]
    assert re.findall(r'name="([^"]+)" value="([^"]*)"', kept) == [
        ("kind.in", "company"),
        ("kind.in", "individual"),
        ("name.contains", "a"),
    ]


async def test_the_filter_form_is_grouped_and_opens_what_is_used(desk: httpx.AsyncClient) -> None:
    form = (await desk.get("/admin/customer/filter?vat_number.contains=DE&kind.in=company,individual")).text
    groups = {
        unescape(re.sub(r"<[^>]+>|\d", "", text)).strip(): bool(opened)
        for opened, text in re.findall(r'<details class="part fold"( open)?><summary>(.*?)</summary>', form)
    }
    assert groups["Company"] and groups["Account"] and not groups["Contact"], groups
    assert list(groups)[-1] == "More"
    assert form.index('name="group.in"') < form.index('"part fold"'), "what is asked for most stands before the groups"
    assert re.findall(r'name="kind.in" value="(\w+)" checked', form) == ["individual", "company"]


async def test_a_list_travels_packed_to_whoever_takes_that(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        for n in range(25):
            await factories.create_customer(session, name=f"Customer {n}")
    url, packings = "/admin/customer/list", ("gzip", "identity")
    packed, plain = [await desk.get(url, headers={"accept-encoding": p}) for p in packings]
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 4
    assert packed.text == plain.text
    assert "x-fragment" in packed.headers["vary"] and "Accept-Encoding" in packed.headers["vary"]


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_an_empty_list_offers_what_fills_it(desk: httpx.AsyncClient) -> None:
    page = (await desk.get("/admin/import_run/list")).text
    empty = page.split("Nothing here yet")[1]
    assert "/admin/import_run/action/upload" in empty and "with its report" in empty
