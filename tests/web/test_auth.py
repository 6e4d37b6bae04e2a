"""Signing in and out, cookies, languages, and the way back after the sign-in."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import func, select

from app import db
from app.models.audit import Audit
from app.models.sessions import LoginSession, SessionKind
from app.models.staff import Staff
from app.models.users import User
from tests.web.helpers import PASSWORD, People, Site, sign_in


async def _row(kind: SessionKind) -> LoginSession:
    async with db.reads() as session:
        return (await session.scalars(select(LoginSession).where(LoginSession.kind == kind))).one()


async def test_staff_sign_in_and_reach_the_panel(browser: httpx.AsyncClient, people: People) -> None:
    answer = await sign_in(browser, "grace")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/")
    told = (await browser.get("/admin/")).json()
    assert told["session"]["staff_id"] == people.staff.id
    assert told["session"]["grants"] == [["*", "*"]]
    assert told["session"]["name"] == "Grace Hopper"
    assert told["session"]["session_id"] == (await _row(SessionKind.STAFF)).id


async def test_staff_sign_in_by_email_and_in_other_case(browser: httpx.AsyncClient, people: People) -> None:
    assert (await sign_in(browser, "Grace@Example.com")).status_code == 303
    browser.cookies.clear()
    assert (await sign_in(browser, " GRACE ")).status_code == 303


async def test_the_cookie_is_closed_to_scripts_and_other_sites(browser: httpx.AsyncClient, people: People) -> None:
    cookie = (await sign_in(browser, "grace")).headers["set-cookie"]
    assert cookie.startswith("bursar_staff=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie


async def test_over_https_the_cookie_has_the_host_prefix(site: Site, people: People) -> None:
    async with site.again(public_url="https://desk.test").browser(base="https://desk.test") as client:
        answer = await sign_in(client, "grace")
        assert answer.headers["set-cookie"].startswith("__Host-bursar_staff=")
        assert "Secure" in answer.headers["set-cookie"].split("; ")
        assert (await client.get("/admin/")).status_code == 200


async def test_over_https_a_planted_bare_cookie_does_not_count(
    site: Site, people: People, grace: httpx.AsyncClient
) -> None:
    token = grace.cookies["bursar_staff"]
    async with site.again(public_url="https://desk.test").browser(base="https://desk.test") as client:
        answer = await client.get("/admin/", headers={"cookie": f"bursar_staff={token}"})
        assert answer.status_code == 303


async def test_the_token_itself_is_not_stored(grace: httpx.AsyncClient) -> None:
    row = await _row(SessionKind.STAFF)
    assert grace.cookies["bursar_staff"] != row.token_hash
    assert len(row.token_hash) == 64


@pytest.mark.parametrize("username", ["grace", "nobody", "", "x" * 5000, "a\0b"])
async def test_a_wrong_password_and_an_unknown_name_read_the_same(
    browser: httpx.AsyncClient, people: People, username: str
) -> None:
    answer = await sign_in(browser, username, "wrong")
    assert answer.status_code == 422
    assert "User name or password is wrong." in answer.text
    assert "bursar_staff" not in browser.cookies


async def test_a_cookie_that_we_did_not_make_is_never_adopted(browser: httpx.AsyncClient, people: People) -> None:
    planted = "attacker-chose-this-token-attacker-chose-this"
    browser.cookies.set("bursar_staff", planted, domain="desk.test", path="/")
    first = await browser.get("/admin/")
    assert first.status_code == 303
    assert "bursar_staff=; " in first.headers["set-cookie"]
    browser.cookies.set("bursar_staff", planted, domain="desk.test", path="/")
    await sign_in(browser, "grace")
    assert planted not in {c.value for c in browser.cookies.jar}
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(LoginSession)) == 1


async def test_signing_in_again_ends_the_old_session_of_this_browser(grace: httpx.AsyncClient) -> None:
    old = grace.cookies["bursar_staff"]
    await sign_in(grace, "grace")
    assert grace.cookies["bursar_staff"] != old
    grace.cookies.set("bursar_staff", old, domain="desk.test", path="/")
    assert (await grace.get("/admin/")).status_code == 303


async def test_signing_out_ends_the_session_itself(grace: httpx.AsyncClient) -> None:
    token = grace.cookies["bursar_staff"]
    answer = await grace.post("/logout")
    assert answer.headers["location"] == "/login"
    assert "bursar_staff" not in grace.cookies
    grace.cookies.set("bursar_staff", token, domain="desk.test", path="/")
    assert (await grace.get("/admin/")).status_code == 303
    async with db.reads() as session:
        assert "sign_out" in (await session.scalars(select(Audit.action))).all()


async def test_logout_by_get_does_nothing(grace: httpx.AsyncClient) -> None:
    assert (await grace.get("/logout")).status_code == 405
    assert (await grace.get("/admin/")).status_code == 200


async def test_who_is_signed_in_is_sent_on_from_the_form(grace: httpx.AsyncClient, ada: httpx.AsyncClient) -> None:
    assert (await grace.get("/login")).headers["location"] == "/admin/"
    assert (await ada.get("/client/login")).headers["location"] == "/client/"


async def test_staff_and_users_do_not_share_a_door(browser: httpx.AsyncClient, people: People) -> None:
    assert (await sign_in(browser, "ada")).status_code == 422
    assert (await sign_in(browser, "grace", area="/client")).status_code == 422


async def test_a_users_cookie_does_not_open_the_panel(ada: httpx.AsyncClient) -> None:
    ada.cookies.set("bursar_staff", ada.cookies["bursar_client"], domain="desk.test", path="/")
    assert (await ada.get("/admin/")).status_code == 303


async def test_a_staff_cookie_does_not_open_the_client_area(grace: httpx.AsyncClient) -> None:
    grace.cookies.set("bursar_client", grace.cookies["bursar_staff"], domain="desk.test", path="/")
    assert (await grace.get("/client")).headers["location"].startswith("/client/login")


async def test_after_the_sign_in_back_to_where_one_wanted_to_go(browser: httpx.AsyncClient, people: People) -> None:
    first = await browser.get("/admin/customer/list?page=2")
    assert first.headers["location"] == "/login?next=%2Fadmin%2Fcustomer%2Flist%3Fpage%3D2"
    form = await browser.get(first.headers["location"])
    assert 'name="next" value="/admin/customer/list?page=2"' in form.text
    answer = await browser.post(
        "/login", data={"username": "grace", "password": PASSWORD, "next": "/admin/customer/list?page=2"}
    )
    assert answer.headers["location"] == "/admin/customer/list?page=2"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/",
        "//evil.test/",
        "/\\evil.test",
        "\\\\evil.test",
        "/a\nb",
        "javascript:alert(1)",
        "evil",
        "/\t/evil.test",
        "/logout",
        "/" + "x" * 3000,
    ],
)
async def test_nobody_is_sent_to_another_site(browser: httpx.AsyncClient, people: People, target: str) -> None:
    answer = await browser.post("/login", data={"username": "grace", "password": PASSWORD, "next": target})
    assert answer.headers["location"] == "/admin/"


async def test_a_post_after_the_session_has_ended_shows_the_form(browser: httpx.AsyncClient, people: People) -> None:
    answer = await browser.post(
        "/admin/customer/edit/1", data={"name": "x"}, headers={"referer": "http://desk.test/admin/customer/edit/1"}
    )
    assert answer.status_code == 401
    assert 'action="/login"' in answer.text
    assert 'value="/admin/customer/edit/1"' in answer.text
    client = await browser.post("/client/profile", data={"name": "x"})
    assert client.status_code == 401
    assert 'action="/client/login"' in client.text


async def test_an_unknown_user_costs_as_much_as_a_wrong_password(
    browser: httpx.AsyncClient, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.domain.sessions import passwords

    seen: list[str] = []
    real = passwords.hasher

    class Watched:
        def verify(self, hashed: str, password: str) -> bool:
            seen.append(hashed.rpartition("$")[0].rpartition("$")[0])  # algorithm and parameters
            return real.verify(hashed, password)

        hash = staticmethod(real.hash)

    monkeypatch.setattr(passwords, "hasher", Watched())
    await sign_in(browser, "grace", "wrong")
    await sign_in(browser, "nobody", "wrong")
    assert len(seen) == 2
    assert seen[0] == seen[1]


# ---- throttling ------------------------------------------------------------------------------------------------------


async def test_the_sixth_try_on_an_account_is_refused_even_with_the_right_password(
    browser: httpx.AsyncClient, people: People
) -> None:
    for _n in range(5):
        assert (await sign_in(browser, "grace", "wrong")).status_code == 422
    for _n in range(2):
        answer = await sign_in(browser, "grace")
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 900
    async with db.reads() as session:
        notes = (await session.execute(select(Audit.note).where(Audit.action == "sign_in_refused"))).scalars().all()
        assert sorted(notes) == ["", "", "", "", "", "throttled"]


async def test_the_throttle_counts_an_address_over_many_accounts(site: Site, people: People) -> None:
    async with site.browser(ip="198.51.100.1") as client:
        for n in range(20):
            assert (await sign_in(client, f"user{n}", "wrong")).status_code == 422
        assert (await sign_in(client, "grace")).status_code == 429
    async with site.browser(ip="198.51.100.2") as client:
        assert (await sign_in(client, "grace")).status_code == 303


async def test_a_right_password_forgets_the_failures(browser: httpx.AsyncClient, people: People) -> None:
    for _round in range(2):
        for _n in range(4):
            assert (await sign_in(browser, "grace", "wrong")).status_code == 422
        assert (await sign_in(browser, "grace")).status_code == 303


# ---- language --------------------------------------------------------------------------------------------------------


async def test_the_form_speaks_the_browsers_language_until_another_is_chosen(
    browser: httpx.AsyncClient, people: People
) -> None:
    page = await browser.get("/login", headers={"accept-language": "de-AT,de;q=0.9,en;q=0.5"})
    assert '<html lang="de"' in page.text
    answer = await browser.post("/language", data={"language": "es", "next": "/login"})
    assert answer.headers["location"] == "/login"
    page = await browser.get("/login", headers={"accept-language": "de"})
    assert '<html lang="es"' in page.text


async def test_the_language_of_a_signed_in_person_is_kept(
    grace: httpx.AsyncClient, ada: httpx.AsyncClient, people: People
) -> None:
    await grace.post("/language", data={"language": "ru", "next": "/admin/"})
    await ada.post("/client/language", data={"language": "de", "next": "/client/"})
    async with db.reads() as session:
        assert (await session.get_one(Staff, people.staff.id)).language == "ru"
        assert (await session.get_one(User, people.user.id)).language == "de"
    assert '<html lang="de"' in (await ada.get("/client")).text


async def test_an_unknown_language_is_refused(browser: httpx.AsyncClient, people: People) -> None:
    assert (await browser.post("/language", data={"language": "xx"})).status_code == 422
    assert (await browser.post("/language")).status_code == 422
