"""Projects as brands: the host or the path chooses one, and nothing of another is shown or opened there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.domain import brands
from app.domain.messaging import headers, system, tracking
from app.domain.sessions import passwords
from app.errors import Invalid
from app.integrations.storage import DirectoryStorage
from app.models.customers import Customer
from app.models.projects import Project
from app.web import client
from app.web.guard import SAFE
from tests import factories
from tests.web.helpers import PASSWORD, Site, sign_in

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\nIDATx\x9cc\x00\x01\x00\x00\x05\x00\x01\r\n-\xb4\x00\x00\x00\x00IEND\xaeB`\x82"
)
NORTH, SOUTH = "http://north.test", "http://south.test"
OTHER = re.compile("Southern|south[.]test|p/south")


@dataclass
class Two:
    north: Project
    south: Project


@pytest.fixture
async def two(site: Site) -> Two:
    """Two brands with a user each; both users have one name and one password but for `both`."""
    hashed = await passwords.hash_password(PASSWORD)
    stored = await DirectoryStorage(site.settings.data_dir / "attachments").save(PNG)
    async with db.unit() as session:
        north = await factories.create_project(
            session, name="Northern", host="north.test", slug="north", languages=["de", "en"], default_language="de",
            terms="Northern terms", hue=3, logo=stored.key,
        )  # fmt: skip
        south = await factories.create_project(
            session, name="Southern", host="south.test", slug="south", languages=["es"], default_language="es"
        )
        for project, name in ((north, "nora"), (south, "sara")):
            customer = await factories.create_customer(
                session, project=project, name=f"{project.name} Inc", language=""
            )
            await factories.create_user(session, customer=customer, username=name, password_hash=hashed)
    return Two(north, south)


@pytest.fixture
async def north(site: Site, two: Two) -> AsyncIterator[httpx.AsyncClient]:
    async with site.browser(base=NORTH) as browser:
        yield browser


async def change(project: Project, **values: object) -> None:
    async with db.unit() as session:
        row = await session.get_one(Project, project.id)
        for name, value in values.items():
            setattr(row, name, value)


# ---- by host ---------------------------------------------------------------------------------------------------


async def test_a_host_shows_its_brand_and_signs_in_its_users_alone(north: httpx.AsyncClient) -> None:
    page = (await north.get("/client/login")).text
    assert "Northern" in page and "brand-3" in page and "/client/logo?v=" in page and not OTHER.search(page)
    assert "Bursar" not in page.replace('content="Bursar"', "")
    refused = await sign_in(north, "sara", area="/client")
    assert refused.status_code == 422 and "bursar_client" not in north.cookies and not OTHER.search(refused.text)
    assert (await sign_in(north, "nora", area="/client")).status_code == 303
    assert "Northern" in (await north.get("/client/")).text
    assert (await north.get("/")).headers["location"] == "/client/"


async def test_the_panel_is_not_served_on_the_host_of_a_brand(north: httpx.AsyncClient) -> None:
    for path in ("/admin/", "/admin", "/login", "/files/1", "/adminx"):
        assert (await north.get(path)).status_code == 404, path
    for path in ("/login", "/logout", "/language", "/admin/customer/create"):
        assert (await north.post(path, data={"username": "grace", "password": PASSWORD})).status_code == 404, path
    assert (await north.get("/health")).status_code in (200, 503)
    assert (await north.get("/static/tokens.css")).status_code == 200


async def test_a_session_of_another_brand_counts_for_nothing(site: Site, north: httpx.AsyncClient) -> None:
    async with site.browser(base=SOUTH) as south:
        await sign_in(south, "sara", area="/client")
        stolen = south.cookies["bursar_client"]
        north.cookies.set("bursar_client", stolen, domain="north.test", path="/")
        answer = await north.get("/client/profile")
        assert answer.status_code == 303 and answer.headers["location"].startswith("/client/login")
        login = await north.get("/client/login")
        assert login.status_code == 200 and not OTHER.search(login.text)
        assert (await south.get("/client/")).status_code == 200  # at home it still counts


async def test_every_page_of_one_brand_keeps_silent_about_the_other(north: httpx.AsyncClient) -> None:
    await sign_in(north, "nora", area="/client")
    seen = 0
    for handler in client.HANDLERS:
        if not {str(m) for m in handler.http_methods} <= SAFE | {"OPTIONS"}:
            continue
        for path in handler.paths:
            page = await north.get(re.sub(r"{\w+:str}", "1", path))
            assert not OTHER.search(page.text), path
            seen += page.status_code == 200
    assert seen > 10
    for path in ("/client/nowhere", "/client/p/south/login", "/client/p/south/terms", "/client/p/south/logo"):
        page = await north.get(path)
        assert page.status_code == 404 and not OTHER.search(page.text.replace(path, "")), path


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("desk.example.com", 200), ("north.test", 200), ("NORTH.test", 200), ("south.test", 200),
        ("north.test:443", 200), ("north.test:8443", 421), ("north.test.", 421), ("evil.test", 421),
        ("north.test.evil.test", 421), ("xnorth.test", 421), ("north.test@evil.test", 400), ("north.test, a", 400),
        ("", 400),
    ],
)  # fmt: skip
async def test_only_hosts_that_are_ours_are_served(site: Site, two: Two, host: str, status: int) -> None:
    public = site.again(public_url="https://desk.example.com")
    async with public.browser(base="https://desk.example.com") as browser:
        answer = await browser.get("/client/login", headers={"host": host, "x-forwarded-host": "south.test"})
        assert answer.status_code == status
        if status == 200 and host.lower().startswith("north"):
            assert "Northern" in answer.text


async def test_a_post_must_come_from_the_same_brand(site: Site, two: Two) -> None:
    public = site.again(public_url="https://desk.example.com")
    form = {"username": "nora", "password": PASSWORD}
    async with public.browser(base="https://north.test", headers={"sec-fetch-site": ""}) as browser:
        for origin in ("https://desk.example.com", "https://south.test", "http://north.test", "https://north.test:81"):
            answer = await browser.post("/client/login", data=form, headers={"origin": origin})
            assert answer.status_code == 403, origin
        answer = await browser.post("/client/login", data=form, headers={"origin": "https://north.test"})
        assert answer.status_code == 303 and "__Host-bursar_client" in answer.headers["set-cookie"]
        assert "domain" not in answer.headers["set-cookie"].lower()


# ---- by path -----------------------------------------------------------------------------------------------------


async def test_a_path_shows_its_brand_and_signs_in_its_users_alone(browser: httpx.AsyncClient, two: Two) -> None:
    page = (await browser.get("/client/login")).text
    assert "Northern" not in page and "Southern" not in page  # several share this address
    page = (await browser.get("/client/p/north/login")).text
    assert "Northern" in page and not OTHER.search(page)
    assert 'action="/client/p/north/login"' in page and 'href="/client/p/north/terms"' in page
    assert (await browser.get("/client/p/north")).text == page
    assert "Northern terms" in (await browser.get("/client/p/north/terms")).text
    assert (await sign_in(browser, "sara", area="/client/p/north")).status_code == 422
    answer = await sign_in(browser, "nora", area="/client/p/north")
    assert (answer.status_code, answer.headers["location"]) == (303, "/client/")
    # who is signed in stays in the own brand, whatever the path says
    assert "Southern" not in (await browser.get("/client/p/south/profile")).text
    assert (await browser.get("/client/p/south/login")).headers["location"] == "/client/"


@pytest.mark.parametrize(
    "path", ["nobody/login", "north/p/south/login", "%2e%2e/login", "", "north/nowhere", "NORTH/login"]
)
async def test_odd_paths_of_brands_are_not_found(browser: httpx.AsyncClient, two: Two, path: str) -> None:
    assert (await browser.get(f"/client/p/{path}")).status_code in (400, 404, 303)
    assert "Southern" not in (await browser.get(f"/client/p/{path}", follow_redirects=True)).text


@pytest.mark.parametrize("enabled", [True, False], ids=["in use", "switched off"])
async def test_links_of_mails_open_on_the_host_of_the_brand(north: httpx.AsyncClient, two: Two, enabled: bool) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session, project=two.north)
        campaign = await factories.create_campaign(session, category=await factories.create_category(session))
        mail = await factories.create_delivery(
            session, campaign=campaign, customer=customer, channel="email", address=customer.email,
            message_id=f"c{campaign.id}.abcdef0123.{customer.id}.e",
        )  # fmt: skip
    await change(two.north, enabled=enabled)
    page = await north.get(f"/unsubscribe/{headers.token_of(mail.message_id)}")
    assert page.status_code == 200 and "Northern" in page.text and not OTHER.search(page.text)
    click = urlsplit(tracking.click_url(mail.message_id, "https://shop.example/"))
    led = await north.get(f"{click.path}?{click.query}")
    assert (led.status_code, led.headers["location"]) == (303, "https://shop.example/")


async def test_the_logo_is_that_of_the_brand_alone(browser: httpx.AsyncClient, north: httpx.AsyncClient) -> None:
    answer = await north.get("/client/logo?v=1")
    assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert (await browser.get("/client/p/north/logo")).content == PNG
    assert (await browser.get("/client/p/south/logo")).status_code == 404
    assert (await browser.get("/client/logo")).status_code == 404


# ---- languages, links ----------------------------------------------------------------------------------------------


async def test_languages_are_those_of_the_brand(site: Site, two: Two, north: httpx.AsyncClient) -> None:
    page = (await north.get("/client/login", headers={"accept-language": "ru, es;q=0.9, en;q=0.5"})).text
    assert '<html lang="en"' in page and 'value="de"' in page and 'value="ru"' not in page and 'value="es"' not in page
    assert '<html lang="de"' in (await north.get("/client/login", headers={"accept-language": "ru"})).text
    assert (await north.post("/client/language", data={"language": "ru"})).status_code == 422
    await sign_in(north, "nora", area="/client")
    assert '<html lang="de"' in (await north.get("/client/")).text
    assert (await north.post("/client/language", data={"language": "es"})).status_code == 422
    assert (await north.post("/client/language", data={"language": "en"})).status_code == 303
    assert '<html lang="en"' in (await north.get("/client/")).text
    await change(two.north, languages=["de"])  # what was chosen is not offered any more
    assert '<html lang="de"' in (await north.get("/client/")).text


async def test_links_in_mails_lead_to_the_host_of_the_brand(site: Site, two: Two) -> None:
    site.again(public_url="https://desk.example.com")
    assert await brands.url_for(two.north.id, "/client/") == "https://north.test/client/"
    await change(two.north, host=None)
    assert await brands.url_for(two.north.id, "/client/") == "https://desk.example.com/client/"
    site.again(public_url="https://desk.example.com:8443")
    assert await brands.url_for(two.south.id, "/client/x") == "https://south.test:8443/client/x"


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"host": "https://a.example"}, "host"), ({"host": "a.example:80"}, "host"), ({"host": "a b.example"}, "host"),
        ({"host": "localhost"}, "host"), ({"host": "10.0.0.1"}, "host"), ({"host": "desk.example.com"}, "host"),
        ({"slug": "a/b"}, "slug"), ({"slug": "-a"}, "slug"), ({"slug": "ä"}, "slug"),
    ],
)  # fmt: skip
def test_addresses_of_brands_are_checked(site: Site, values: dict[str, str], wrong: str) -> None:
    site.again(public_url="https://desk.example.com")
    with pytest.raises(Invalid) as refused:
        brands.check(dict(values))
    assert set(refused.value.fields) == {wrong}
    good = {"host": " Desk.Brand.Example. ", "slug": "Brand-1"}
    brands.check(good)
    assert good == {"host": "desk.brand.example", "slug": "brand-1"}


# ---- switched off ---------------------------------------------------------------------------------------------------


async def test_a_project_that_is_switched_off_says_so(
    site: Site, two: Two, north: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    await sign_in(north, "nora", area="/client")
    await sign_in(browser, "nora", area="/client")
    await change(two.north, enabled=False)
    for path in ("/client/login", "/client/", "/client/terms", "/client/profile"):
        answer = await north.get(path)
        assert answer.status_code == 403 and "Northern" in answer.text, path
    assert (await north.post("/client/login", data={"username": "nora", "password": PASSWORD})).status_code == 403
    answer = await browser.get("/client/invoices")  # elsewhere too: once, then the form
    assert answer.status_code == 403 and "Northern" in answer.text
    assert (await browser.get("/client/login")).status_code == 200
    answer = await browser.post("/client/p/north/login", data={"username": "nora", "password": PASSWORD})
    assert answer.status_code == 403
    wrong = await sign_in(browser, "nora", "not the password", area="/client")
    assert wrong.status_code == 422 and "Northern" not in wrong.text
    right = await sign_in(browser, "nora", area="/client")
    assert right.status_code == 403 and "Northern" in right.text and "bursar_client" not in browser.cookies
    await change(two.north, enabled=True)
    assert (await sign_in(north, "nora", area="/client")).status_code == 303


async def test_mails_of_a_project_name_no_other(two: Two) -> None:
    async with db.unit() as session:
        nora = await session.scalar(select(Customer).where(Customer.project_id == two.north.id))
        assert nora is not None
        values = await system.values_of(session, nora.id)
    assert not OTHER.search(" ".join(values.values()))
