"""The account in the client area: profile, addresses, type, phone, users, roles, payers; and who is kept out of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app import db
from app.db import utcnow
from app.domain import confirmations
from app.domain.sessions import passwords
from app.models.billing import Payer, PayerKind
from app.models.confirmations import Confirmation, ConfirmationKind
from app.models.consent import Subscription
from app.models.customers import Customer, CustomerKind
from app.models.jobs import Job
from app.models.messaging import Channel
from app.models.projects import Project
from app.models.users import CustomerRole, User, UserCustomer, UserRole
from tests import factories
from tests.web.helpers import PASSWORD, People, Site, sign_in

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@asynccontextmanager
async def signed_in(site: Site, username: str) -> AsyncIterator[httpx.AsyncClient]:
    async with site.browser() as client:
        assert (await sign_in(client, username, area="/client")).status_code == 303
        yield client


async def colleague(people: People, username: str, **more: Any) -> User:
    hashed = await passwords.hash_password(PASSWORD)
    async with db.unit() as session:
        own = more.pop("own_role", None)
        user = await factories.create_user(
            session, customer=people.customer, username=username, password_hash=hashed, **more
        )
        if own is not None:
            link = await session.get_one(UserCustomer, (user.id, people.customer.id))
            link.role, link.own_role_id = UserRole.READ_ONLY, own.id
    return user


async def waiting(kind: ConfirmationKind) -> Confirmation:
    """The newest one that was sent."""
    async with db.reads() as session:
        query = select(Confirmation).where(Confirmation.kind == kind, Confirmation.ended_at.is_(None))
        row = await session.scalar(query.order_by(Confirmation.id.desc()).limit(1))
    assert row is not None
    return row


async def link_of(people: People, user: User) -> UserCustomer | None:
    async with db.reads() as session:
        return await session.get(UserCustomer, (user.id, people.customer.id))


def content(page: httpx.Response) -> str:
    """Without the menus, which name the other accounts."""
    return page.text.partition("<main")[2].partition("</main>")[0]


async def count(entity: type[Any], *conditions: Any) -> int:
    async with db.reads() as session:
        return await session.scalar(select(func.count()).select_from(entity).where(*conditions)) or 0


# ---- the menu -------------------------------------------------------------------------------------------------------


async def test_the_menu_of_the_profile_shows_what_the_role_opens(
    site: Site, ada: httpx.AsyncClient, people: People
) -> None:
    await colleague(people, "tess", role=UserRole.TECHNICAL)
    page = (await ada.get("/client/profile/email")).text
    menu = page[page.index('<nav class="tabs"') :].partition("</nav>")[0]
    assert re.search(r'href="/client/profile" aria-current="page"', menu)
    assert "/client/users" in menu and "/client/payers" in menu
    async with signed_in(site, "tess") as tess:
        page = (await tess.get("/client/profile")).text
        menu = page[page.index('<nav class="tabs"') :].partition("</nav>")[0]
        assert "/client/users" not in menu and "/client/payers" not in menu and "subscriptions" in menu


# ---- profile --------------------------------------------------------------------------------------------------------


async def test_a_stale_profile_is_shown_again_and_saved_at_the_second_press(
    ada: httpx.AsyncClient, people: People
) -> None:
    page = (await ada.get("/client/profile")).text
    version = re.search(r'name="version"[^>]*value="(\d+)"', page)
    assert version is not None
    async with db.unit() as session:
        (await session.get_one(Customer, people.customer.id)).note = "changed by staff"
    given = {"name": "Ada King", "country": "DE", "address": "Weg 1\n10115 Berlin", "version": version[1]}
    answer = await ada.post("/client/profile", data=given)
    assert answer.status_code == 409 and 'value="Ada King"' in answer.text
    again = re.search(r'name="version"[^>]*value="(\d+)"', answer.text)
    assert again is not None and again[1] != version[1]
    assert (await ada.post("/client/profile", data=given | {"version": again[1]})).status_code == 303
    async with db.reads() as session:
        kept = await session.get_one(Customer, people.customer.id)
        assert (kept.name, kept.country, kept.address) == ("Ada King", "DE", "Weg 1\n10115 Berlin")


async def test_a_vat_number_that_another_country_makes_wrong_is_said_at_the_country(
    ada: httpx.AsyncClient, people: People
) -> None:
    async with db.unit() as session:
        customer = await session.get_one(Customer, people.customer.id)
        customer.kind, customer.vat_number, customer.country = CustomerKind.COMPANY, "DE136695976", "DE"
    answer = await ada.post("/client/profile", data={"name": "Ada", "country": "FR"})
    assert answer.status_code == 303  # a German number stays one in France
    async with db.unit() as session:
        (await session.get_one(Customer, people.customer.id)).vat_number = "DE136695977"
    answer = await ada.post("/client/profile", data={"name": "Ada", "country": "AT"})
    assert answer.status_code == 422 and "check digits are wrong" in answer.text and 'id="country-error"' in answer.text


# ---- e-mail ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["account", "login"])
async def test_an_address_changes_when_its_owner_presses_the_link(
    site: Site, ada: httpx.AsyncClient, people: People, whose: str
) -> None:
    async with db.unit() as session:
        (await session.get_one(Project, people.project.id)).slug = "north"
    given = {"whose": whose, "email": "Ada.King@new.example", "password": PASSWORD}
    assert (await ada.post("/client/profile/email", data=given | {"password": "guess"})).status_code == 422
    assert await count(Confirmation) == 0
    assert (await ada.post("/client/profile/email", data=given)).status_code == 303
    kind = ConfirmationKind.ACCOUNT_EMAIL if whose == "account" else ConfirmationKind.LOGIN_EMAIL
    row = await waiting(kind)
    assert "Ada.King@new.example" in (await ada.get("/client/profile")).text

    async def now() -> str:
        async with db.reads() as session:
            if whose == "account":
                return (await session.get_one(Customer, people.customer.id)).email
            return (await session.get_one(User, people.user.id)).email

    before = await now()
    path = confirmations.link_of(row)
    async with site.browser() as mailbox:
        assert (await mailbox.get(path)).status_code == 200
        assert await now() == before, "looking confirms nothing"
        assert (await mailbox.post(path[:-1] + ("A" if path[-1] != "A" else "B"))).status_code == 404
        assert (await mailbox.post(path)).headers["location"] == "/client/p/north/login"
        assert await now() == "Ada.King@new.example"
        assert (await mailbox.post(path)).status_code == 404, "a link works once"
    async with db.reads() as session:
        told = (await session.scalars(select(Job.args).where(Job.name == "messaging.mail"))).all()
    assert [args["to"] for args in told] == [before]


async def test_a_new_request_a_withdrawn_one_and_time_end_a_link(ada: httpx.AsyncClient) -> None:
    given = {"whose": "login", "email": "wrong@new.example", "password": PASSWORD}
    await ada.post("/client/profile/email", data=given)
    first = confirmations.link_of(await waiting(ConfirmationKind.LOGIN_EMAIL))
    await ada.post("/client/profile/email", data=given | {"email": "right@new.example"})
    row = await waiting(ConfirmationKind.LOGIN_EMAIL)
    assert (await ada.post(first)).status_code == 404
    async with db.unit() as session:
        (await session.get_one(Confirmation, row.id)).expires_at = utcnow() - timedelta(seconds=1)
    assert (await ada.get(confirmations.link_of(row))).status_code == 404
    await ada.post("/client/profile/email", data=given | {"email": "third@new.example"})
    third = confirmations.link_of(await waiting(ConfirmationKind.LOGIN_EMAIL))
    assert (await ada.post("/client/profile/email/cancel")).status_code == 303
    assert (await ada.post(third)).status_code == 404


async def test_the_address_of_the_account_is_for_those_who_may_change_the_profile(site: Site, people: People) -> None:
    await colleague(people, "tess", role=UserRole.TECHNICAL)
    async with signed_in(site, "tess") as tess:
        assert 'value="account"' not in (await tess.get("/client/profile/email")).text
        given = {"whose": "account", "email": "mine@new.example", "password": PASSWORD}
        assert (await tess.post("/client/profile/email", data=given)).status_code == 422
        assert await count(Confirmation) == 0


# ---- type -----------------------------------------------------------------------------------------------------------

COMPANY = {
    "kind": "company", "legal_name": "Lovelace Engines Ltd", "registration_number": "HRB 7", "director": "Ada King",
    "country": "DE", "address": "Weg 1\n10115 Berlin", "vat_number": "DE136695976", "payer": "y",
}  # fmt: skip


async def test_a_company_brings_its_data_and_becomes_the_usual_payer_once(
    ada: httpx.AsyncClient, people: People
) -> None:
    for missing in ("legal_name", "registration_number", "director", "address"):
        answer = await ada.post("/client/profile/type", data=COMPANY | {missing: " "})
        assert answer.status_code == 422 and f'id="{missing}-error"' in answer.text
    answer = await ada.post("/client/profile/type", data=COMPANY | {"vat_number": "DE136695977"})
    assert answer.status_code == 422 and 'id="vat_number-error"' in answer.text
    for _double_click in range(2):
        assert (await ada.post("/client/profile/type", data=COMPANY)).status_code == 303
    async with db.reads() as session:
        customer = await session.get_one(Customer, people.customer.id)
        assert (customer.kind, customer.legal_name, customer.director) == (
            CustomerKind.COMPANY, "Lovelace Engines Ltd", "Ada King",
        )  # fmt: skip
        payers = (await session.scalars(select(Payer))).all()
    assert [(p.name, p.kind, p.usual, p.vat_number) for p in payers] == [
        ("Lovelace Engines Ltd", PayerKind.COMPANY, True, "DE136695976")
    ]
    assert (await ada.post("/client/profile/type", data={**COMPANY, "kind": "individual"})).status_code == 303
    async with db.reads() as session:
        customer = await session.get_one(Customer, people.customer.id)
        assert (customer.legal_name, customer.vat_number, customer.director) == ("", "", "")


# ---- phone ----------------------------------------------------------------------------------------------------------


async def with_phone(people: People, phone: str = "+49 30 1234567") -> None:
    async with db.unit() as session:
        (await session.get_one(Customer, people.customer.id)).phone = phone


async def test_a_code_verifies_the_number_and_another_number_is_not_verified(
    ada: httpx.AsyncClient, people: People
) -> None:
    assert (await ada.post("/client/profile/phone")).status_code == 409  # no number
    await with_phone(people)
    assert (await ada.post("/client/profile/phone")).status_code == 303
    assert (await ada.post("/client/profile/phone")).status_code == 409, "a double click sends one"
    row = await waiting(ConfirmationKind.PHONE)
    code = confirmations.code_of(row)
    assert re.fullmatch(r"\d{6}", code)
    wrong = str((int(code) + 1) % 10**6).zfill(6)
    refused = await ada.post("/client/profile/phone/check", data={"code": wrong})
    assert refused.status_code == 422 and "Tries left: 4" in refused.text
    assert (await ada.post("/client/profile/phone/check", data={"code": f"{code[:3]} {code[3:]}"})).status_code == 303
    async with db.reads() as session:
        customer = await session.get_one(Customer, people.customer.id)
        assert customer.verified_phone == "+49 30 1234567" and customer.phone_verified_at is not None
        assert customer.phone_verified_by == "SMS"
    assert "Verified" in (await ada.get("/client/profile")).text
    assert (await ada.post("/client/profile/phone/check", data={"code": code})).status_code == 422, "works once"
    await ada.post("/client/profile", data={"name": "Ada", "phone": "+49 30 7654321"})
    async with db.reads() as session:
        customer = await session.get_one(Customer, people.customer.id)
        assert (customer.verified_phone, customer.phone_verified_at, customer.phone_verified_by) == ("", None, "")


async def test_five_wrong_codes_a_changed_number_and_ten_minutes_end_a_code(
    ada: httpx.AsyncClient, people: People
) -> None:
    await with_phone(people)
    await ada.post("/client/profile/phone")
    row = await waiting(ConfirmationKind.PHONE)
    code = confirmations.code_of(row)
    wrong = str((int(code) + 1) % 10**6).zfill(6)
    for _try in range(5):
        assert (await ada.post("/client/profile/phone/check", data={"code": wrong})).status_code == 422
    assert (await ada.post("/client/profile/phone/check", data={"code": code})).status_code == 422
    async with db.unit() as session:
        (await session.get_one(Confirmation, row.id)).tries = 0
    await with_phone(people, "+49 30 7654321")
    assert (await ada.post("/client/profile/phone/check", data={"code": code})).status_code == 422
    await with_phone(people)
    async with db.unit() as session:
        (await session.get_one(Confirmation, row.id)).expires_at = utcnow() - timedelta(seconds=1)
    assert (await ada.post("/client/profile/phone/check", data={"code": code})).status_code == 422
    async with db.reads() as session:
        assert (await session.get_one(Customer, people.customer.id)).phone_verified_at is None


async def test_only_so_many_codes_go_out_within_an_hour(ada: httpx.AsyncClient, people: People) -> None:
    await with_phone(people)
    for n in range(6):
        answer = await ada.post("/client/profile/phone")
        assert answer.status_code == (303 if n < 5 else 429)
        async with db.unit() as session:
            for row in await session.scalars(select(Confirmation)):
                row.created_at = utcnow() - timedelta(minutes=2)


# ---- users ----------------------------------------------------------------------------------------------------------


async def test_an_invited_user_chooses_a_password_and_has_the_role(
    site: Site, ada: httpx.AsyncClient, people: People
) -> None:
    given = {"email": "Ben@New.example", "role": "read_only", "receives": "y"}
    assert (await ada.post("/client/users/new", data=given | {"role": "admin"})).status_code == 422
    assert (await ada.post("/client/users/new", data=given | {"email": "nobody"})).status_code == 422
    for _double_click in range(2):
        assert (await ada.post("/client/users/new", data=given)).status_code == 303
    assert await count(Confirmation, Confirmation.ended_at.is_(None)) == 1
    assert "ben@new.example" in (await ada.get("/client/users")).text
    path = confirmations.link_of(await waiting(ConfirmationKind.JOIN))
    async with site.browser() as ben:
        page = await ben.get(path)
        assert page.status_code == 200 and "Ada Lovelace" in page.text and "Read-only" in page.text
        chosen = {"full_name": "<b>Ben</b>", "password": "a long password", "again": "a long password"}
        assert (await ben.post(path, data=chosen | {"password": "short", "again": "short"})).status_code == 422
        assert (await ben.post(path, data=chosen | {"again": "another"})).status_code == 422
        assert (await ben.post(path, data=chosen)).status_code == 303
        assert (await ben.post(path, data=chosen)).status_code == 404
        assert (await sign_in(ben, "ben@new.example", "a long password", area="/client")).status_code == 303
        assert (await ben.get("/client/invoices")).status_code == 200
        assert (await ben.post("/client/profile", data={"name": "x"})).status_code == 403
        assert (await ben.get("/client/users")).status_code == 403
    page = (await ada.get("/client/users")).text
    assert "&lt;b&gt;Ben&lt;/b&gt;" in page and "<b>Ben" not in page
    async with db.reads() as session:
        ben_user = (await session.scalars(select(User).where(User.username == "ben@new.example"))).one()
    made = await link_of(people, ben_user)
    assert made is not None and made.role is UserRole.READ_ONLY and made.receives


async def test_somebody_who_is_a_user_already_is_asked_and_gets_no_second_login(
    site: Site, ada: httpx.AsyncClient, people: People
) -> None:
    async with db.unit() as session:
        (await session.get_one(User, people.stranger.id)).email = "charles@example.net"
    users = await count(User)
    given = {"email": "Charles@example.net", "role": "finance"}
    new = await ada.post("/client/users/new", data={"email": "new@example.net", "role": "finance"})
    known = await ada.post("/client/users/new", data=given)
    assert (new.status_code, new.headers["location"]) == (known.status_code, known.headers["location"])
    row = await waiting(ConfirmationKind.JOIN)
    assert await link_of(people, people.stranger) is None, "nobody serves before they agree"
    path = confirmations.link_of(row)
    async with signed_in(site, "charles") as charles:
        assert 'name="password"' not in (await charles.get(path)).text
        assert (await charles.post(path)).headers["location"] == "/client/accounts"
        assert "Ada Lovelace" in (await charles.get("/client/accounts")).text
        before = content(await charles.get("/client/users"))
        assert "Ada" not in before and (await charles.get(f"/client/users/{people.user.id}")).status_code == 404
        picked = await charles.post("/client/accounts", data={"customer": people.customer.id})
        assert picked.status_code == 303
        for path in ("/client", "/client/profile", "/client/profile/type"):
            page = await charles.get(path)
            assert "Charles Babbage" not in content(page), path
        assert (await charles.get("/client/users")).status_code == 403, "finance here, owner there"
        assert (await charles.get("/client/payers")).status_code == 200
        own = await charles.post("/client/accounts", data={"customer": people.other.id})
        assert own.status_code == 303 and (await charles.get("/client/users")).status_code == 200
    assert await count(User) == users
    # and Ada cannot lock him out of his own account
    assert (await ada.post(f"/client/users/{people.stranger.id}/disable")).status_code == 409
    assert (await ada.post(f"/client/users/{people.stranger.id}/remove")).status_code == 303
    async with db.reads() as session:
        assert (await session.get_one(User, people.stranger.id)).enabled
    assert await link_of(people, people.stranger) is None


async def test_an_invitation_is_sent_again_and_withdrawn(site: Site, ada: httpx.AsyncClient) -> None:
    await ada.post("/client/users/new", data={"email": "ben@new.example", "role": "read_only"})
    first = await waiting(ConfirmationKind.JOIN)
    assert (await ada.post(f"/client/users/invitations/{first.id}/resend")).status_code == 303
    second = await waiting(ConfirmationKind.JOIN)
    async with site.browser() as ben, signed_in(site, "charles") as charles:
        assert (await ben.get(confirmations.link_of(first))).status_code == 404
        assert (await ben.get(confirmations.link_of(second))).status_code == 200
        assert (await charles.post(f"/client/users/invitations/{second.id}/withdraw")).status_code == 404
        assert (await ada.post(f"/client/users/invitations/{second.id}/withdraw")).status_code == 303
        assert (await ben.get(confirmations.link_of(second))).status_code == 404


async def test_roles_change_at_once_and_the_last_owner_stays(
    site: Site, ada: httpx.AsyncClient, people: People
) -> None:
    ben = await colleague(people, "ben", role=UserRole.READ_ONLY)
    async with signed_in(site, "ben") as browser:
        assert (await browser.get("/client/users")).status_code == 403
        page = (await ada.get(f"/client/users/{ben.id}")).text
        assert 'value="read_only" checked' in page
        given = {"role": "owner", "seen": "read_only", "receives": "y"}
        assert (await ada.post(f"/client/users/{ben.id}", data=given)).status_code == 303
        assert (await browser.get("/client/users")).status_code == 200
        # two owners at work: what the second one saw is not so any more
        stale = await ada.post(f"/client/users/{ben.id}", data=given | {"role": "finance"})
        assert stale.status_code == 409 and "Owner" in stale.text
        # nobody changes the own role, or takes themself out
        for act in ("disable", "remove"):
            assert (await ada.post(f"/client/users/{people.user.id}/{act}")).status_code == 403
        await ada.post(f"/client/users/{people.user.id}", data={"role": "read_only", "seen": "owner", "receives": "y"})
        mine = await link_of(people, people.user)
        assert mine is not None and mine.role is UserRole.OWNER and mine.receives
        assert (await browser.post(f"/client/users/{people.user.id}/remove")).status_code == 303
        assert (await ada.get("/client/users")).status_code == 303, "signed out"
        assert await count(User, User.id == people.user.id) == 0, "a login that serves nobody goes"


async def test_a_disabled_user_is_out_at_once_and_can_come_back(
    site: Site, ada: httpx.AsyncClient, people: People
) -> None:
    ben = await colleague(people, "ben", role=UserRole.FINANCE)
    async with signed_in(site, "ben") as browser:
        assert (await ada.post(f"/client/users/{ben.id}/disable")).status_code == 303
        assert (await browser.get("/client")).status_code == 303
        assert (await sign_in(browser, "ben", area="/client")).status_code == 422
        assert (await ada.post(f"/client/users/{ben.id}/enable")).status_code == 303
        assert (await sign_in(browser, "ben", area="/client")).status_code == 303


async def test_a_user_whom_staff_registered_gets_a_link_for_a_password(ada: httpx.AsyncClient, people: People) -> None:
    async with db.unit() as session:
        ben = await factories.create_user(session, customer=people.customer, role=UserRole.FINANCE)
    assert (await ada.post(f"/client/users/{ben.id}/link")).status_code == 303
    assert await count(Job, Job.name == "sessions.link") == 1
    assert (await ada.post(f"/client/users/{people.stranger.id}/link")).status_code == 404
    eve = await colleague(people, "eve", role=UserRole.FINANCE)
    assert (await ada.post(f"/client/users/{eve.id}/link")).status_code == 409


# ---- roles of their own ---------------------------------------------------------------------------------------------


async def test_a_role_of_their_own_gives_what_it_says(site: Site, ada: httpx.AsyncClient, people: People) -> None:
    given = {"name": "Bookkeeper", "rights": ["see_money", "payers"]}
    assert (await ada.post("/client/users/roles/new", data=given)).status_code == 303
    assert (await ada.post("/client/users/roles/new", data=given)).status_code == 422, "a double click"
    assert (await ada.post("/client/users/roles/new", data=given | {"name": "owner"})).status_code == 422
    assert (await ada.post("/client/users/roles/new", data=given | {"name": "X", "rights": ["*"]})).status_code == 422
    async with db.reads() as session:
        role = (await session.scalars(select(CustomerRole))).one()
    ben = await colleague(people, "ben", role=UserRole.READ_ONLY)
    changed = await ada.post(f"/client/users/{ben.id}", data={"role": f"own-{role.id}", "seen": "read_only"})
    assert changed.status_code == 303
    async with signed_in(site, "ben") as browser:
        assert (await browser.get("/client/payers")).status_code == 200
        assert (await browser.get("/client/users")).status_code == 403
        refused = await ada.post(f"/client/users/roles/{role.id}/delete")
        assert refused.status_code == 409
        saved = await ada.post(
            f"/client/users/roles/{role.id}", data={"name": "Bookkeeper", "rights": ["write"], "version": "1"}
        )
        assert saved.status_code == 303
        stale = await ada.post(
            f"/client/users/roles/{role.id}", data={"name": "Bookkeeper", "rights": ["pay"], "version": "1"}
        )
        assert stale.status_code == 409
        assert (await browser.get("/client/payers")).status_code == 403
    await ada.post(f"/client/users/{ben.id}", data={"role": "read_only", "seen": f"own-{role.id}"})
    assert (await ada.post(f"/client/users/roles/{role.id}/delete")).status_code == 303


async def test_nobody_reaches_beyond_the_own_rights(site: Site, ada: httpx.AsyncClient, people: People) -> None:
    async with db.unit() as session:
        keeper = await factories.create_customer_role(
            session, customer=people.customer, name="Keeper", rights=["users", "write"]
        )
        strong = await factories.create_customer_role(
            session, customer=people.customer, name="Strong", rights=["pay", "users"]
        )
        foreign = await factories.create_customer_role(session, customer=people.other, name="Foreign", rights=[])
    ben = await colleague(people, "ben", own_role=keeper)
    eve = await colleague(people, "eve", own_role=keeper)
    async with signed_in(site, "ben") as browser:
        for word in ("owner", "finance", "read_only", f"own-{strong.id}", f"own-{foreign.id}", "own-999"):
            invited = await browser.post("/client/users/new", data={"email": "x@new.example", "role": word})
            assert invited.status_code == 422, word
            changed = await browser.post(f"/client/users/{eve.id}", data={"role": word})
            assert changed.status_code == 422, word
        for role, rights in ((None, ["pay"]), (strong, ["users"]), (keeper, ["users"])):
            path = "new" if role is None else str(role.id)
            got = await browser.post(f"/client/users/roles/{path}", data={"name": "Mine", "rights": rights})
            assert got.status_code in (403, 422), (path, got.status_code)
        assert (await browser.post(f"/client/users/roles/{strong.id}/delete")).status_code == 403
        for act in ("", "/disable", "/remove"):
            got = await browser.post(f"/client/users/{people.user.id}{act}", data={"role": f"own-{keeper.id}"})
            assert got.status_code in (303, 403)
        owner = await link_of(people, people.user)
        assert owner is not None and owner.role is UserRole.OWNER and owner.own_role_id is None
        assert (await browser.get(f"/client/users/roles/{foreign.id}")).status_code == 404
        assert (await browser.post(f"/client/users/{ben.id}", data={"role": "owner"})).status_code in (303, 422)
    mine = await link_of(people, ben)
    assert mine is not None and mine.own_role_id == keeper.id
    assert await count(Confirmation) == 0


# ---- payers ---------------------------------------------------------------------------------------------------------


async def test_payers_are_added_once_changed_archived_and_kept_for_their_invoices(
    ada: httpx.AsyncClient, people: People
) -> None:
    given = {"kind": "company", "name": "Engines GmbH", "country": "DE", "vat_number": "136695976", "usual": "y"}
    wrong = await ada.post("/client/payers/new", data=given | {"vat_number": "136695977"})
    assert wrong.status_code == 422 and 'id="vat_number-error"' in wrong.text and 'value="Engines GmbH"' in wrong.text
    assert (await ada.post("/client/payers/new", data=given)).status_code == 303
    assert (await ada.post("/client/payers/new", data=given)).status_code == 409, "a double click"
    async with db.reads() as session:
        payer = (await session.scalars(select(Payer))).one()
    assert (payer.vat_number, payer.usual, payer.customer_id) == ("DE136695976", True, people.customer.id)
    base = f"/client/payers/{payer.id}"
    stale = {**given, "name": "Engines AG", "version": str(payer.version - 1 or 99)}
    assert (await ada.post(base, data=stale)).status_code == 409
    assert (await ada.post(base, data=stale | {"version": str(payer.version)})).status_code == 303
    await ada.post("/client/payers/new", data={"kind": "individual", "name": "Ada herself", "usual": "y"})
    async with db.unit() as session:
        rows = {p.name: p for p in await session.scalars(select(Payer))}
        assert (rows["Engines AG"].usual, rows["Ada herself"].usual) == (False, True)
        account = await factories.create_account(session, customer=people.customer)
        await factories.create_invoice(session, account=account, payer_id=payer.id)
    refused = await ada.post(f"{base}/delete")
    assert refused.status_code == 409 and "Invoices" in refused.text
    assert (await ada.post(f"{base}/archive")).status_code == 303
    assert (await ada.post(f"{base}/usual")).status_code == 409
    assert (await ada.post(f"{base}/restore")).status_code == 303
    assert (await ada.post(f"/client/payers/{rows['Ada herself'].id}/delete")).status_code == 303
    assert await count(Payer) == 1


async def test_another_customers_payer_is_not_found_and_no_form_moves_one(
    site: Site, ada: httpx.AsyncClient, people: People
) -> None:
    async with db.unit() as session:
        theirs = await factories.create_payer(session, customer=people.other, name="Theirs")
        mine = await factories.create_payer(session, customer=people.customer, name="Mine")
    for act in ("", "/usual", "/archive", "/restore", "/delete"):
        assert (await ada.post(f"/client/payers/{theirs.id}{act}", data={"name": "x"})).status_code == 404
    given = {"kind": "individual", "name": "Moved", "customer_id": str(people.other.id), "id": str(theirs.id)}
    assert (await ada.post(f"/client/payers/{mine.id}", data=given)).status_code == 303
    async with db.reads() as session:
        assert (await session.get_one(Payer, mine.id)).customer_id == people.customer.id
        assert (await session.get_one(Payer, theirs.id)).name == "Theirs"


# ---- notifications --------------------------------------------------------------------------------------------------


async def test_only_who_may_change_the_profile_chooses_for_the_address_of_the_account(
    site: Site, ada: httpx.AsyncClient, people: People
) -> None:
    async with db.unit() as session:
        news = await factories.create_category(session, name="News", subscribable=True, opt_in=False)
    tess = await colleague(people, "tess", role=UserRole.TECHNICAL, receives=True)
    url = "/client/profile/subscriptions"
    async with signed_in(site, "tess") as browser:
        page = (await browser.get(url)).text
        assert f'name="c{tess.id}_{news.id}"' in page and f'name="c0_{news.id}"' not in page
        got = await browser.post(url, data={f"c0_{news.id}": ["email"], f"c{tess.id}_{news.id}": ["inbox"]})
        assert got.status_code == 303
    async with db.reads() as session:
        rows = (await session.scalars(select(Subscription))).all()
    assert {(r.user_id, r.channel, r.wanted, r.by_user_id) for r in rows} == {(tess.id, Channel.EMAIL, False, tess.id)}
    assert (await ada.post(url, data={f"c0_{news.id}": []} | {"x": "y"})).status_code == 303
    page = (await ada.get(url)).text
    assert "What was chosen before" in page and "refused" in page
    assert f'name="c{tess.id}_{news.id}"' not in page, "what others get is theirs to choose"
