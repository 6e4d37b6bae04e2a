"""Passkeys: added, used to sign in and as the second step, removed; and answers that prove nothing."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from app import db
from app.domain.sessions import passkeys
from app.models.audit import Audit
from app.models.factors import Passkey, TwoFactor
from app.models.users import User
from tests import factories
from tests.web.authenticator import Device
from tests.web.helpers import PASSWORD, People, Site, sign_in
from tests.web.test_second_factor import switched_on

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
BASE = "http://localhost"
URL = "/client/security"


@pytest.fixture
async def browser(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.browser(base=BASE) as client:
        yield client


@pytest.fixture
async def ada(site: Site, people: People) -> AsyncIterator[httpx.AsyncClient]:
    async with site.browser(base=BASE) as client:
        assert (await sign_in(client, "ada", area="/client")).status_code == 303
        yield client


def question_on(page: httpx.Response) -> dict[str, Any]:
    found = re.search(r'data-passkey="([^"]+)"', page.text)
    assert found, page.text
    asked: dict[str, Any] = json.loads(html.unescape(found[1]))
    return asked


async def added(client: httpx.AsyncClient, name: str = "Phone", **kw: Any) -> Device:
    device = Device(**kw)
    answer = device.make(question_on(await client.get(URL)))
    done = await client.post(URL, data={"what": "add", "name": name, "proof": PASSWORD, "credential": answer})
    assert done.status_code == 303, done.text
    return device


async def enter(client: httpx.AsyncClient, answer: str, area: str = "/client", **more: str) -> httpx.Response:
    return await client.post(f"{area}/login/passkey", data={"credential": answer, **more})


async def asked(client: httpx.AsyncClient, area: str = "/client") -> dict[str, Any]:
    return question_on(await client.get(f"{area}/login"))


async def test_a_passkey_signs_in_without_a_password(
    site: Site, people: People, ada: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    phone, stick = await added(ada), await added(ada, "Stick <b>")
    page = (await ada.get(URL)).text
    assert "Phone" in page and "Stick &lt;b&gt;" in page and "never used" in page
    for device in (phone, stick):
        browser.cookies.clear()
        question = await asked(browser)
        assert question["rpId"] == "localhost" and question.get("allowCredentials", []) == []  # tells nobody
        done = await enter(browser, device.sign(question), next="/client/services")
        assert done.headers["location"] == "/client/services"
        assert (await browser.get("/client/")).status_code == 200
    async with db.reads() as session:
        notes = (await session.scalars(select(Audit.note).where(Audit.action == "sign_in"))).all()
        first = await session.scalar(select(Passkey.id).order_by(Passkey.id))
    assert notes[-1] == "passkey"
    assert (await ada.post(URL, data={"what": "remove", "id": str(first)})).status_code == 303
    browser.cookies.clear()
    assert (await enter(browser, phone.sign(await asked(browser)))).status_code == 422
    assert (await enter(browser, stick.sign(await asked(browser)))).status_code == 303


async def test_it_is_both_factors_at_the_sign_in_and_one_at_the_second_step(
    site: Site, people: People, ada: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    phone = await added(ada)
    await switched_on(user_id=people.user.id)
    assert (await enter(browser, phone.sign(await asked(browser)))).headers["location"] == "/client/"
    browser.cookies.clear()
    await sign_in(browser, "ada", area="/client")
    question = question_on(await browser.get("/client/login/second"))
    assert len(question["allowCredentials"]) == 1
    phone.verified = False  # its presence is enough: the password was given
    answer = phone.sign(question)
    done = await browser.post("/client/login/second", data={"credential": answer})
    assert done.headers["location"] == "/client/"
    browser.cookies.clear()
    await sign_in(browser, "ada", area="/client")
    assert (await browser.post("/client/login/second", data={"credential": answer})).status_code == 422  # once
    async with db.unit() as session:
        await session.execute(update(TwoFactor).values(last_step=0).execution_options(audited=True))
    assert (await enter(browser, phone.sign(await asked(browser)))).status_code == 422  # no PIN, no finger


async def test_staff_have_passkeys_too_and_no_door_takes_the_others(
    site: Site, people: People, ada: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    of_ada = await added(ada)
    assert (await enter(browser, of_ada.sign(await asked(browser, "")), "")).status_code == 422
    async with db.unit() as session:
        person = passkeys.Person(staff_id=people.staff.id)
        place = passkeys.Place(BASE)
        question = await passkeys.to_add(session, person, place, site="Bursar", name="grace")
        assert question is not None
        device = Device()
        await passkeys.add(session, person=person, name="Key", answer=device.make(question), place=place)
    assert (await enter(browser, device.sign(await asked(browser)))).status_code == 422
    assert "bursar_client" not in browser.cookies
    assert (await enter(browser, device.sign(await asked(browser, "")), "")).headers["location"] == "/admin/"
    assert (await browser.get("/admin/")).status_code == 200


async def test_answers_that_prove_nothing(
    site: Site, people: People, ada: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    phone = await added(ada)
    good = phone.sign(await asked(browser))
    assert (await enter(browser, good)).status_code == 303
    browser.cookies.clear()
    stranger = Device(id=phone.id, handle=phone.handle)  # the name of Ada's key, and another key
    elsewhere = Device(origin="http://evil.test", id=phone.id, key=phone.key, count=50)
    other_host = Device(host="evil.test", id=phone.id, key=phone.key, count=60)
    other_port = Device(origin="http://localhost:8080", id=phone.id, key=phone.key, count=70)
    security = question_on(await ada.get(URL))  # a question for adding one
    for answer in (
        good, "", "{}", "[]", "null", "x" * 30_000, '{"response": {}}',
        '{"rawId": "AA", "response": {"clientDataJSON": 7}}',
        json.dumps({**json.loads(good), "rawId": "AAAA"}),
        stranger.sign(await asked(browser)),
        elsewhere.sign(await asked(browser)), other_host.sign(await asked(browser)),
        other_port.sign(await asked(browser)), phone.sign({"challenge": "AAAA"}), phone.sign(security),
        phone.sign({**security, "challenge": (await asked(browser))["challenge"][:-4] + "AAAA"}),
        Device().sign(await asked(browser)),
    ):  # fmt: skip
        async with db.unit() as session:
            from app.models.sessions import Throttle

            await session.execute(update(Throttle).values(failures=0))
        refused = await enter(browser, answer)
        assert refused.status_code == 422 and "bursar_client" not in browser.cookies, answer[:200]
    fresh = phone.sign(await asked(browser))
    answers = await asyncio.gather(enter(browser, fresh), enter(browser, fresh))
    assert sorted(a.status_code for a in answers) == [303, 422]


async def test_a_counter_that_goes_back_is_a_copy(
    site: Site, people: People, ada: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    phone = await added(ada)
    copy = Device(id=phone.id, key=phone.key, count=phone.count)
    for _n in range(3):
        assert (await enter(browser, phone.sign(await asked(browser)))).status_code == 303
        browser.cookies.clear()
    assert (await enter(browser, copy.sign(await asked(browser)))).status_code == 422
    silent = await added(ada, counts=False)  # many devices do not count at all
    for _n in range(2):
        assert (await enter(browser, silent.sign(await asked(browser)))).status_code == 303
        browser.cookies.clear()


async def test_questions_end_and_are_for_one_person(
    site: Site, people: People, ada: httpx.AsyncClient, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = await added(ada)
    with monkeypatch.context() as patch:
        patch.setattr(passkeys, "LIFE", timedelta(seconds=-1))
        old = await asked(browser)
    assert (await enter(browser, phone.sign(old))).status_code == 422
    await switched_on(user_id=people.user.id)
    await switched_on(user_id=people.stranger.id)
    await sign_in(browser, "ada", area="/client")
    of_ada = question_on(await browser.get("/client/login/second"))
    browser.cookies.clear()
    await sign_in(browser, "charles", area="/client")  # the second step of somebody else
    assert "data-passkey" not in (await browser.get("/client/login/second")).text
    answer = await browser.post("/client/login/second", data={"credential": phone.sign(of_ada)})
    assert answer.status_code == 422 and "bursar_client" not in browser.cookies


async def test_adding_asks_for_a_proof_and_a_name_and_its_own_question(
    site: Site, people: People, ada: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    async def add(**changes: str) -> int:
        answer = Device().make(question_on(await ada.get(URL)))
        data = {"what": "add", "name": "Phone", "proof": PASSWORD, "credential": answer} | changes
        return (await ada.post(URL, data=data)).status_code

    async with site.browser(base=BASE) as charles:
        await sign_in(charles, "charles", area="/client")
        of_charles = Device().make(question_on(await charles.get(URL)))
        mine = await added(charles)
    without_pin = Device(verified=False).make(question_on(await ada.get(URL)))
    question = question_on(await ada.get(URL))
    same_id = Device(id=mine.id).make(question)
    for changes in (
        {"proof": ""}, {"name": ""}, {"name": "x" * 101}, {"credential": ""}, {"credential": of_charles},
        {"credential": without_pin},
    ):  # fmt: skip
        assert await add(**changes) == 422, changes
    assert await add(credential=same_id) == 409
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Passkey)) == 1
        of_charles_id = await session.scalar(select(Passkey.id))
    assert (await ada.post(URL, data={"what": "remove", "id": str(of_charles_id)})).status_code == 404


async def test_a_passkey_of_somebody_who_may_not_sign_in_opens_nothing(
    site: Site, people: People, ada: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    phone = await added(ada)
    async with db.unit() as session:
        other = await factories.create_project(session, name="Southwind", slug="south")
        assert other.id != people.project.id
    question = question_on(await browser.get("/client/p/south/login"))
    assert (await enter(browser, phone.sign(question), "/client/p/south")).status_code == 422  # another brand
    async with db.unit() as session:
        (await session.get_one(User, people.user.id)).enabled = False
    assert (await enter(browser, phone.sign(await asked(browser)))).status_code == 422


async def test_by_an_ip_address_there_are_none(site: Site, people: People) -> None:
    async with site.browser(base="http://192.0.2.1") as client:
        assert "data-passkey" not in (await client.get("/client/login")).text
        await sign_in(client, "ada", area="/client")
        assert "Browsers offer passkeys only" in (await client.get(URL)).text
