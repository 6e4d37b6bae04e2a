"""Two-factor sign-in: codes of an app, recovery codes, and who tries to get round them."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import httpx
import pyotp
import pytest
from sqlalchemy import select, update

from app import db
from app.db import utcnow
from app.domain import sessions
from app.domain.sessions import Person, totp
from app.domain.sessions.throttle import PER_ACCOUNT
from app.links import unseal
from app.models.audit import Audit
from app.models.factors import RecoveryCode, TwoFactor
from app.models.jobs import Job
from app.models.sessions import LoginSession, OneUse, SessionKind
from app.models.users import UserCustomer, UserRole
from tests import factories
from tests.web.helpers import PASSWORD, People, Site, sign_in

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
URL = "/client/security"


def code(secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).generate_otp(int(utcnow().timestamp()) // totp.STEP + steps)


async def secret_of(**whose: int) -> str:
    async with db.reads() as session:
        row = (await session.scalars(select(TwoFactor).filter_by(**whose))).one()
    found = unseal(row.secret, totp.PURPOSE)
    assert found and found not in row.secret
    return found


async def switched_on(**whose: int) -> tuple[str, list[str]]:
    """The secret and the recovery codes. The code of the half minute before now is spent."""
    person = Person(**whose)
    async with db.unit() as session:
        await totp.begin(session, person=person)
    secret = await secret_of(**whose)
    async with db.unit() as session:
        return secret, await totp.confirm(session, person=person, code=code(secret, -1))


async def to_second(client: httpx.AsyncClient, name: str = "ada", area: str = "/client") -> None:
    answer = await sign_in(client, name, area=area)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{area}/login/second")
    assert not {f"bursar_{n}" for n in ("client", "staff")} & set(client.cookies)


async def second(client: httpx.AsyncClient, given: str, area: str = "/client", **more: str) -> httpx.Response:
    return await client.post(f"{area}/login/second", data={"code": given, **more})


async def test_a_user_sets_it_up_and_signs_in_with_it(
    site: Site, people: People, ada: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    assert "Set up" in (await ada.get(URL)).text
    refused = await ada.post(URL, data={"what": "begin", "proof": "wrong"})
    assert refused.status_code == 422 and "neither your password" in refused.text
    assert (await ada.get(f"{URL}/app")).headers["location"] == URL  # nothing waits
    begun = await ada.post(URL, data={"what": "begin", "proof": PASSWORD})
    assert begun.headers["location"] == f"{URL}/app"
    secret = await secret_of(user_id=people.user.id)
    page = (await ada.get(f"{URL}/app")).text
    assert "data:image/svg+xml" in page and secret[:4] in page
    assert (await sign_in(browser, "ada", area="/client")).headers[
        "location"
    ] == "/client/"  # not before it is confirmed

    assert (await ada.post(URL, data={"what": "confirm", "code": "000000x"})).status_code == 422
    shown = await ada.post(URL, data={"what": "confirm", "code": code(secret, -1)})
    codes = re.findall(r"<li>([A-Z0-9]{4}(?:-[A-Z0-9]{4}){3})</li>", shown.text)
    assert shown.status_code == 200 and len(set(codes)) == 10
    page = (await ada.get(URL)).text
    assert "10 recovery codes are left" in page and codes[0] not in page
    async with db.reads() as session:
        kept = str((await session.execute(select(RecoveryCode.code_hash))).all())
        changes = (await session.scalars(select(Audit.action))).all()
        told = (await session.scalars(select(Job.args).where(Job.name == "sessions.notice"))).all()
    assert codes[0] not in kept and "two_factor_on" in changes and told[-1]["what"] == "two_factor_on"

    browser.cookies.clear()
    answer = await browser.post(
        "/client/login", data={"username": "ada", "password": PASSWORD, "next": "/client/services"}
    )
    assert answer.headers["location"] == "/client/login/second?next=%2Fclient%2Fservices"
    assert (await browser.get("/client/")).status_code == 303  # the half is no session
    assert 'value="/client/services"' in (await browser.get(answer.headers["location"])).text
    done = await second(browser, f" {code(secret)[:3]} {code(secret)[3:]} ", next="/client/services")
    assert done.headers["location"] == "/client/services"
    assert "bursar_step" not in browser.cookies
    assert (await browser.get("/client/")).status_code == 200


async def test_staff_have_it_too(site: Site, people: People, browser: httpx.AsyncClient) -> None:
    secret, codes = await switched_on(staff_id=people.staff.id)
    await to_second(browser, "grace", "")
    assert (await browser.get("/admin/")).status_code == 303
    client = await second(browser, code(secret), "/client")  # the other area's door
    assert client.headers["location"] == "/client/login" and "bursar_client" not in browser.cookies
    await to_second(browser, "grace", "")
    done = await second(browser, codes[3].lower().replace("-", " "), "")
    assert done.headers["location"] == "/admin/"
    assert (await browser.get("/admin/")).status_code == 200


async def test_what_was_typed_before_the_session_ended_goes_through_both_steps(
    site: Site, people: People, browser: httpx.AsyncClient
) -> None:
    secret, _codes = await switched_on(staff_id=people.staff.id)
    form = await browser.post("/admin/customer/edit/1", data={"name": "typed"})
    kept = re.search(r'name="kept" value="([^"]+)"', form.text)
    assert kept
    data = {"username": "grace", "password": PASSWORD, "kept": kept[1]}
    page = await browser.post("/login", data=data)
    assert page.status_code == 200 and kept[1] in page.text
    done = await second(browser, code(secret), "", kept=kept[1])
    assert done.status_code == 200 and 'value="typed"' in done.text


async def test_a_code_counts_once_and_a_recovery_code_too(
    site: Site, people: People, browser: httpx.AsyncClient
) -> None:
    secret, codes = await switched_on(user_id=people.user.id)
    for given in (code(secret), codes[0]):
        await to_second(browser)
        assert (await second(browser, given)).headers["location"] == "/client/"
        browser.cookies.clear()
        await to_second(browser)
        again = await second(browser, given)
        assert again.status_code == 422 and "used already" in again.text
    await to_second(browser)
    older = await second(browser, code(secret, -1))
    assert older.status_code == 422  # older than one that was taken
    for wrong in ("", "0", "x" * 5000, code(secret, 9), "123 456", "AAAA-AAAA-AAAA-AAAA", "１２３４５６"):
        async with db.unit() as session:
            await session.execute(update(TwoFactor).values(last_step=0).execution_options(audited=True))
        answer = await second(browser, wrong)
        assert answer.status_code in (422, 429), wrong


async def test_two_requests_with_one_code_at_once(site: Site, people: People) -> None:
    """Each from a browser that knows the password; and one way to the second step used twice with two codes."""
    secret, codes = await switched_on(user_id=people.user.id)
    async with site.browser() as one, site.browser() as two:
        for client in (one, two):
            await to_second(client)
        answers = await asyncio.gather(second(one, code(secret)), second(two, code(secret)))
        assert sorted(a.status_code for a in answers) == [303, 422]
    async with site.browser() as one:
        await to_second(one)
        answers = await asyncio.gather(second(one, codes[0]), second(one, codes[1]))
        locations = sorted(a.headers.get("location", "") for a in answers)
        assert locations == ["/client/", "/client/login"]
    async with db.reads() as session:
        query = select(LoginSession).where(LoginSession.kind == SessionKind.CLIENT)
        assert len((await session.scalars(query)).all()) == 2
        left = await totp.state(session, Person(user_id=people.user.id))
    assert left.codes_left == 9  # what the refused one had spent is given back


async def test_guessing_is_stopped_for_the_account_wherever_it_comes_from(site: Site, people: People) -> None:
    secret, _codes = await switched_on(user_id=people.user.id)
    async with site.browser() as one, site.browser(ip="198.51.100.9") as two:
        await to_second(one)
        await to_second(two)
        for n in range(PER_ACCOUNT):
            answer = await second((one, two)[n % 2], f"00000{n}")
            assert answer.status_code == 422, answer.headers
        answer = await second(two, code(secret))
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0
        await to_second(one)  # the password again does not set the counter back
        assert (await second(one, code(secret))).status_code == 429


async def test_the_way_between_the_steps_ends(site: Site, people: People, browser: httpx.AsyncClient) -> None:
    secret, codes = await switched_on(user_id=people.user.id)
    other, _codes = await switched_on(user_id=people.stranger.id)
    assert (await second(browser, code(secret))).headers["location"] == "/client/login"  # without the first step
    await to_second(browser)
    assert (await second(browser, code(other))).status_code == 422  # somebody else's code
    step = browser.cookies["bursar_step"]
    assert await sessions.session_of(step) is None
    browser.cookies.set("bursar_client", step, domain="desk.test", path="/")  # it is no session
    assert (await browser.get("/client/")).status_code == 303
    await to_second(browser, "charles")  # somebody else began in this browser: the first way is forgotten here
    assert (await second(browser, codes[0])).status_code == 422

    async with site.browser() as client:  # a new password ends it
        await to_second(client)
        async with db.unit() as session:
            user = await session.get_one(type(people.user), people.user.id)
            await sessions.set_password(session, user=user, password="a new password")
        assert (await second(client, codes[1])).headers["location"] == "/client/login"
        answer = await sign_in(client, "ada", "a new password", area="/client")
        assert answer.headers["location"] == "/client/login/second"
        async with db.unit() as session:  # and time
            await session.execute(update(OneUse).values(expires_at=utcnow() - timedelta(seconds=1)))
        assert (await client.get("/client/login/second")).headers["location"] == "/client/login"
        assert (await second(client, codes[1])).headers["location"] == "/client/login"


@pytest.mark.parametrize("target", ["https://evil.test/", "//evil.test", "/\\evil.test", "/client/login/second"])
async def test_the_second_step_sends_nobody_to_another_site(
    site: Site, people: People, browser: httpx.AsyncClient, target: str
) -> None:
    secret, _codes = await switched_on(user_id=people.user.id)
    await to_second(browser)
    assert (await second(browser, code(secret), next=target)).headers["location"] == "/client/"


async def test_switching_off_and_new_codes_ask_for_a_proof(
    site: Site, people: People, ada: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    secret, codes = await switched_on(user_id=people.user.id)
    for what in ("off", "codes"):
        assert (await ada.post(URL, data={"what": what})).status_code == 422
        assert (await ada.post(URL, data={"what": what, "proof": "wrong"})).status_code == 422
    assert (await ada.post(URL, data={"what": "begin", "proof": PASSWORD})).status_code == 409
    shown = await ada.post(URL, data={"what": "codes", "proof": code(secret)})  # a code proves too
    fresh = re.findall(r"<li>([A-Z0-9-]{19})</li>", shown.text)
    assert len(fresh) == 10 and not set(fresh) & set(codes)
    await to_second(browser)
    assert (await second(browser, codes[0])).status_code == 422
    assert (await second(browser, fresh[0])).status_code == 303
    assert (await ada.post(URL, data={"what": "off", "proof": PASSWORD})).headers["location"] == URL
    browser.cookies.clear()
    assert (await sign_in(browser, "ada", area="/client")).headers["location"] == "/client/"


async def test_proofs_are_counted(site: Site, people: People, ada: httpx.AsyncClient) -> None:
    for _n in range(PER_ACCOUNT):
        assert (await ada.post(URL, data={"what": "begin", "proof": "wrong"})).status_code == 422
    assert (await ada.post(URL, data={"what": "begin", "proof": PASSWORD})).status_code == 429


async def test_devices_are_listed_and_signed_out(
    site: Site, people: People, ada: httpx.AsyncClient, grace: httpx.AsyncClient
) -> None:
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
    async with site.browser(headers={"user-agent": firefox}, ip="198.51.100.4") as phone, site.browser() as third:
        for client in (phone, third):
            assert (await sign_in(client, "ada", area="/client")).status_code == 303
        page = (await ada.get(URL)).text
        assert "Firefox, Linux" in page and "198.51.100.4" in page and page.count("this device") == 1
        async with db.reads() as session:
            of_phone = await session.scalar(select(LoginSession.id).where(LoginSession.agent == firefox))
            staff = await session.scalar(select(LoginSession.id).where(LoginSession.staff_id.is_not(None)))
        for foreign in (staff, 999_999, "x", "", "9" * 30, "-1"):
            assert (await ada.post(URL, data={"what": "end", "id": str(foreign)})).status_code == 404
        assert (await grace.get("/admin/")).status_code == 200
        assert (await ada.post(URL, data={"what": "end", "id": str(of_phone)})).status_code == 303
        assert (await phone.get("/client/")).status_code == 303
        assert (await third.get("/client/")).status_code == 200
        assert (await ada.post(URL, data={"what": "end_others"})).status_code == 303
        assert (await third.get("/client/")).status_code == 303
        assert (await ada.get("/client/")).status_code == 200
    assert (await ada.post(URL, data={"what": "nothing"})).status_code == 404


async def test_where_it_is_required_staff_see_nothing_else_before(site: Site, people: People) -> None:
    strict = site.again(staff_two_factor=True)
    async with strict.browser() as client:
        assert (await sign_in(client, "grace")).status_code == 303
        for path in ("/admin/", "/admin/customer/list", "/admin/profile", "/admin/profile/securityX"):
            assert (await client.get(path)).headers["location"] == "/admin/profile/security", path
        assert (await client.post("/admin/customer/action/enter?pks=1")).status_code == 303
        assert (await client.get("/files/1")).status_code == 403
        assert (await client.get("/admin/profile/security/app")).status_code == 200
        await switched_on(staff_id=people.staff.id)
        assert (await client.get("/admin/customer/list")).status_code == 200
        await sign_in(client, "ada", area="/client")  # users of customers are not meant
        assert (await client.get("/client/")).status_code == 200


async def test_other_accounts_stand_in_the_menu_of_the_person(
    site: Site, people: People, ada: httpx.AsyncClient
) -> None:
    assert "Another account" not in (await ada.get("/client/")).text
    async with db.unit() as session:
        second_one = await factories.create_customer(session, name="Analytical Engines", project=people.project)
        session.add(UserCustomer(user_id=people.user.id, customer_id=second_one.id, role=UserRole.FINANCE))
    page = (await ada.get("/client/")).text
    assert "Another account" in page and f'value="{second_one.id}"' in page and people.other.name not in page
    assert (await ada.post("/client/accounts", data={"customer": str(second_one.id)})).status_code == 303
    assert people.customer.name in (await ada.get("/client/")).text
