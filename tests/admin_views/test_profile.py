"""The profile: what staff change of themselves, their password, and where they are signed in."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.domain.sessions.devices import device
from app.models.audit import Audit
from app.models.sessions import LoginSession
from app.models.staff import Staff
from tests.admin_views.conftest import PASSWORD, SignIn, create_staff


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


URL = "/admin/profile"
OWN = {
    "full_name": "Olga Neumann", "email": "olga@new.example", "language": "de", "timezone": "Europe/Berlin",
    "theme": "dark", "density": "compact", "shortcuts": "y",
}  # fmt: skip
NEW = "a better horse battery"


async def me(owner: Staff) -> Staff:
    async with db.reads() as session:
        return await session.get_one(Staff, owner.id)


async def test_anybody_changes_their_own_data_and_the_next_page_follows(sign_in: SignIn, database: str) -> None:
    staff = await create_staff([("ticket", "list")])
    browser = await sign_in(staff)
    page = (await browser.get(URL)).text
    assert f'value="{staff.full_name}"' in page and "data-theme" not in page.partition("<head>")[0]
    answer = await browser.post(URL, data=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, URL)
    now = await me(staff)
    assert (now.full_name, now.email, now.timezone, now.shortcuts) == (
        "Olga Neumann", "olga@new.example", "Europe/Berlin", True
    )  # fmt: skip
    page = (await browser.get(URL)).text
    head = page.partition("<head>")[0]
    assert 'lang="de"' in head and 'data-theme="dark"' in head and 'data-density="compact"' in head
    assert "Gespeichert." in page and "Olga Neumann" in page and "data-keys" not in head
    await browser.post(URL, data={k: v for k, v in OWN.items() if k != "shortcuts"} | {"theme": "system"})
    head = (await browser.get("/admin/")).text.partition("<head>")[0]
    assert 'data-keys="off"' in head and "data-theme" not in head and 'data-account="system"' in head


async def test_nobody_changes_more_than_that(sign_in: SignIn, database: str) -> None:
    staff = await create_staff([("ticket", "list")])
    browser = await sign_in(staff)
    before = await me(staff)
    more = {"username": "boss", "enabled": "", "roles": "1", "projects": "1", "id": "1", "password": NEW}
    assert (await browser.post(URL, data=OWN | more)).status_code == 303
    now = await me(staff)
    assert (now.username, now.enabled, now.password_hash) == (staff.username, True, before.password_hash)
    async with db.reads() as session:
        rows = (await session.scalars(select(Audit).where(Audit.noun == "staff", Audit.staff_id == staff.id))).all()
    assert "update" in {r.action for r in rows}, "it is in the audit"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"email": "nonsense"}, "email-error"),
        ({"full_name": ""}, "full_name-error"),
        ({"language": "xx"}, "language-error"),
        ({"timezone": "Mars/Base"}, "timezone-error"),
        ({"theme": "pink"}, "theme-error"),
        ({"full_name": "a\x07b"}, "full_name-error"),
    ],
)
async def test_what_is_wrong_is_said_at_the_field_and_nothing_typed_is_lost(
    desk: httpx.AsyncClient, owner: Staff, wrong: dict[str, str], said: str
) -> None:
    answer = await desk.post(URL, data=OWN | wrong)
    assert answer.status_code == 422 and f'id="{said}"' in answer.text and "olga" in answer.text.lower()
    assert (await me(owner)).full_name == "Olga Owner"


async def test_the_password_needs_the_present_one_and_signs_the_others_out(sign_in: SignIn, owner: Staff) -> None:
    here, there = await sign_in(owner), await sign_in(owner)
    wrong = await here.post(f"{URL}/password", data={"old": "not this", "password": NEW, "password_again": NEW})
    assert wrong.status_code == 422 and 'id="old-error"' in wrong.text and NEW not in wrong.text
    for new, again, at in (("short", "short", "password"), (NEW, "differs from it", "password_again")):
        data = {"old": PASSWORD, "password": new, "password_again": again}
        refused = await here.post(f"{URL}/password", data=data)
        assert refused.status_code == 422 and f'id="{at}-error"' in refused.text
    assert (await there.get("/admin/")).status_code == 200
    answer = await here.post(f"{URL}/password", data={"old": PASSWORD, "password": NEW, "password_again": NEW})
    assert answer.status_code == 303
    assert "Other devices are signed out" in (await here.get(URL)).text
    assert (await there.get("/admin/")).status_code == 303
    for password, status in ((PASSWORD, 422), (NEW, 303)):
        assert (
            await there.post("/login", data={"username": owner.username, "password": password})
        ).status_code == status


async def test_guessing_the_present_password_is_slowed_down(desk: httpx.AsyncClient) -> None:
    data = {"old": "a guess", "password": NEW, "password_again": NEW}
    answers = [(await desk.post(f"{URL}/password", data=data)).status_code for _n in range(6)]
    assert answers == [422] * 5 + [429]
    right = await desk.post(f"{URL}/password", data={**data, "old": PASSWORD})
    assert right.status_code == 429, "not even the right one"


async def test_it_shows_where_one_is_signed_in_and_signs_out_the_others(sign_in: SignIn, owner: Staff) -> None:
    colleague = await sign_in(await create_staff([("*", "*")]))
    here = await sign_in(owner)
    assert "Sign out the others" not in (await here.get(URL)).text
    there = await sign_in(owner)
    page = (await here.get(URL)).text
    assert page.count("Unknown device") == 2 and page.count("this device") == 1
    async with db.reads() as session:
        hashes = (await session.scalars(select(LoginSession.token_hash))).all()
    assert len(hashes) == 3 and not any(h in page for h in hashes)
    assert (await here.post(f"{URL}/sessions")).status_code == 303
    page = (await here.get(URL)).text
    assert "1 other device is signed out." in page and page.count("Unknown device") == 1
    assert (await there.get("/admin/")).status_code == 303 and (await colleague.get("/admin/")).status_code == 200


def test_browsers_are_named_in_two_words() -> None:
    known = {
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130 Safari/537.36": "Chrome, Linux",
        "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130 Safari/537.36 Edg/130.0": "Edge, Windows",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit Version/18 Safari/604": "Safari, iPhone",
        "Mozilla/5.0 (Android 15; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0": "Firefox, Android",
        "curl/8": "Unknown device",
    }
    assert {agent: device(agent) for agent in known} == known
