"""What the engine promises for every screen: paging, sorting, bad addresses, nothing changed by GET, scope, grants."""

from __future__ import annotations

import re

import httpx
import pytest

from admin_views.screens import SCREENS
from app import db
from app.models.customers import Customer
from app.models.staff import Staff
from tests import factories
from tests.admin_views.conftest import PASSWORD, SignIn, create_staff

NAMES = re.compile(r'<td class="lead"><a href="/admin/customer/details/\d+"><bdi>([^<]+)</bdi>')


async def test_pages_forward_and_back_by_keyset_without_gap_or_repetition(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session)
        for n in range(60):
            await factories.create_customer(session, project=project, name=f"Same {n % 7} {n:02}")
    for sort in ("", "?sort=name", "?sort=-name", "?sort=country"):
        seen: list[str] = []
        url: str | None = f"/admin/customer/list{sort}"
        pages = []
        while url:
            page = (await desk.get(url)).text
            pages.append(NAMES.findall(page))
            seen += pages[-1]
            following = re.search(r'rel="next" href="([^"]+)"', page)
            url = following.group(1).replace("&amp;", "&") if following else None
        assert len(seen) == len(set(seen)) == 60, sort
        back = re.search(r'rel="prev" href="([^"]+)"', page)
        assert back is not None
        assert NAMES.findall((await desk.get(back.group(1).replace("&amp;", "&"))).text) == pages[-2]
        last = (await desk.get(f"/admin/customer/list{sort}{'&' if sort else '?'}last=1")).text
        assert NAMES.findall(last)[-1] == seen[-1]


BAD = [
    "sort=nothing", "sort=search_text", "size=7", "size=-1", "after=%%%", "after=bm8", "after=WzEsMiwzLDRd",
    "before=W10",
    "nothing.is=1", "name.nope=1", "id.is=abc", "id.is=99999999999999999999", "filter={", "filter=[]",
    'filter={"field":"password_hash","op":"is","value":"x"}', "registered_at.after=never", "pin=abc",
    "pin=" + "1," * 1500,
    "name.contains=a%00b", "search=a%00b", "search=" + "x" * 60_000, "filter=" + '{"not":' * 50 + "{}" + "}" * 50,
]  # fmt: skip


async def test_bad_addresses_get_a_sentence_and_never_a_full_list(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        await factories.create_customer(session, name="Must not be shown")
    for query in BAD:
        answer = await desk.get(f"/admin/customer/list?{query}")
        assert answer.status_code in (400, 414), (query[:60], answer.status_code)
        assert "Must not be shown" not in answer.text, query[:60]


@pytest.mark.parametrize("pk", ["abc", "0", "-1", "999999", "9" * 40, "1;2", "%00", "1/2", "..", "١"])
async def test_unknown_and_malformed_ids_are_404(desk: httpx.AsyncClient, pk: str) -> None:
    for where in ("details", "edit"):
        assert (await desk.get(f"/admin/customer/{where}/{pk}")).status_code in (400, 404)
    assert (await desk.get(f"/admin/customer/action/note?pks={pk}")).status_code in (400, 404)


async def test_sqladmins_own_dangerous_routes_are_gone(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session, name="/etc/passwd")
    for path in (
        f"/admin/customer/{customer.id}/name/download/", f"/admin/customer/{customer.id}/name/preview/",
        "/admin/customer/export/csv", "/admin/customer/import", "/admin/logout", "/admin/login", "/adminfoo",
        "/admin/statics/js/main.js", "/admin/customer/ajax/lookup?name=project&term=a", "/admin/nothing/list",
    ):  # fmt: skip
        assert (await desk.get(path)).status_code in (404, 405), path
    gone = await desk.request("DELETE", f"/admin/customer/delete?pks={customer.id}")
    assert gone.status_code in (404, 405)


async def test_foreign_sites_and_missing_origins_are_refused(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
    for headers in (
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "", "origin": "https://evil.example"},
        {"sec-fetch-site": ""}, {"sec-fetch-site": "", "origin": "null"},
    ):  # fmt: skip
        for path in (
            "/admin/customer/create", f"/admin/customer/edit/{customer.id}", "/admin/customer/action/delete",
            "/admin/customer/action/enter", "/admin/customer/action/message", "/admin/unpin", "/logout",
        ):  # fmt: skip
            answer = await desk.post(path, data={"pks": str(customer.id)}, headers=headers)
            assert answer.status_code == 403, (path, headers)
    async with db.reads() as session:
        assert await session.get(Customer, customer.id) is not None


async def test_staff_limited_to_a_project_meet_nothing_of_another(sign_in: SignIn, database: str) -> None:
    async with db.unit() as session:
        mine, foreign = [await factories.create_project(session, name=name) for name in ("Mine AG", "Foreign AG")]
        own = await factories.create_customer(session, project=mine, name="Own Customer")
        other = await factories.create_customer(session, project=foreign, name="Foreign Customer")
        await factories.create_service(session, customer=other, name="foreign-service")
        await factories.create_user(session, customer=other, username="foreign-user")
        await factories.create_ticket(session, customer=other, subject="Foreign ticket")
    browser = await sign_in(await create_staff([("*", "*")], projects=(mine,)))
    for view in SCREENS:
        page = (await browser.get(f"/admin/{view.identity}/list")).text
        assert "Foreign" not in page and "foreign-" not in page, view.identity
        found = await browser.get(f"/admin/{view.identity}/lookup?term=foreign")
        assert found.status_code == 404 or "oreign" not in found.text, view.identity
    for path in (
        f"details/{other.id}",
        f"edit/{other.id}",
        f"action/delete?pks={other.id}",
        f"action/enter?pks={other.id}",
    ):
        assert (await browser.get(f"/admin/customer/{path}")).status_code == 404, path
    posted = await browser.post("/admin/customer/action/note", data={"pks": str(other.id), "text": "hello there"})
    assert posted.status_code == 404
    moved = await browser.post(
        f"/admin/customer/edit/{own.id}",
        data={
            "name": "Own Customer",
            "project": str(foreign.id),
            "kind": "individual",
            "email": own.email,
            "version": "1",
        },
    )
    assert moved.status_code == 422 and "from the list" in moved.text
    assert "Foreign" not in (await browser.get(f"/admin/customer/list?pin={other.id}")).text


async def test_a_role_opens_only_what_it_grants(sign_in: SignIn, database: str) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
    browser = await sign_in(
        await create_staff([("customer", "list"), ("customer", "details"), ("customer", "action:message")])
    )
    open_to_me = [
        "/admin/", "/admin/customer/list", f"/admin/customer/details/{customer.id}",
        f"/admin/customer/action/message?pks={customer.id}",
    ]  # fmt: skip
    for path in open_to_me:
        assert (await browser.get(path)).status_code == 200, path
    closed = [
        "/admin/customer/create", f"/admin/customer/edit/{customer.id}",
        f"/admin/customer/action/delete?pks={customer.id}",
        f"/admin/customer/action/enter?pks={customer.id}", "/admin/customer/action/message?all=1", "/admin/staff/list",
        "/admin/role/list", "/admin/audit/list", "/admin/role/lookup?term=a", "/admin/job/list",
    ]  # fmt: skip
    for path in closed:
        assert (await browser.get(path)).status_code == 403, path
    page = (await browser.get(f"/admin/customer/details/{customer.id}")).text
    assert "/admin/customer/edit/" not in page and "action/enter" not in page and "action/delete" not in page


async def test_secrets_never_reach_a_page(desk: httpx.AsyncClient, owner: Staff) -> None:
    canary = "CANARY-7f3a9c"
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        user = await factories.create_user(session, customer=customer, password_hash=canary)
        staff = await factories.create_staff(session, password_hash=canary)
        attachment = await factories.create_attachment(session, key=canary)
        user.password_hash = canary + "2"
    for path in (
        "/admin/user/list", f"/admin/user/details/{user.id}", f"/admin/user/edit/{user.id}", "/admin/staff/list",
        f"/admin/staff/details/{staff.id}", f"/admin/staff/edit/{staff.id}", "/admin/audit/list",
        f"/admin/attachment/details/{attachment.id}", *(f"/admin/audit/details/{n}" for n in range(1, 12)),
    ):  # fmt: skip
        assert "CANARY" not in (await desk.get(path)).text, path


async def test_without_a_session_everything_leads_to_the_sign_in(app: object, desk: httpx.AsyncClient) -> None:
    await desk.post("/logout")
    for view in SCREENS:
        answer = await desk.get(f"/admin/{view.identity}/list")
        assert answer.status_code in (303, 401), view.identity
        assert (await desk.post(f"/admin/{view.identity}/create", data={})).status_code in (303, 401)


async def test_money_columns_are_summed_per_currency_over_the_filtered_list(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        for price, currency in ((1050, "EUR"), (200, "EUR"), (70, "JPY"), (999, "EUR")):
            await factories.create_service(session, customer=customer, price=price, currency=currency, status="active")
        await factories.create_service(session, customer=customer, price=100_00, currency="EUR", status="closed")
    page = (await desk.get("/admin/service/list?status.in=active")).text
    assert "22.49<span" in page and "70<span" in page and "122.49<span" not in page


async def test_a_form_sent_after_the_session_ended_is_recovered_after_signing_in(
    desk: httpx.AsyncClient, owner: Staff
) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
    url = f"/admin/customer/action/note?pks={customer.id}"
    desk.cookies.clear()
    late = await desk.post(url, data={"pks": str(customer.id), "text": "Typed for an hour", "password": "hidden"})
    assert late.status_code == 401 and "not lost" in late.text
    kept = re.search(r'name="kept" value="([^"]+)"', late.text)
    assert kept is not None
    entries = {"username": owner.username, "password": "wrong", "kept": kept.group(1)}
    assert kept.group(1) in (await desk.post("/login", data=entries)).text, "a mistyped password loses nothing either"
    back = await desk.post("/login", data=entries | {"password": PASSWORD})
    assert back.status_code == 200 and "Typed for an hour" in back.text
    fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', back.text))
    assert "password" not in fields
    sent = await desk.post(url, data=fields)
    assert sent.status_code == 303
    forged = await desk.post("/login", data=entries | {"password": PASSWORD, "kept": "forged"})
    assert forged.status_code == 303


@pytest.mark.usefixtures("settled")
async def test_what_nobody_foresaw_is_a_page_with_a_number_and_without_secrets(
    desk: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_args: object) -> None:
        raise RuntimeError("SELECT secret FROM nowhere")

    monkeypatch.setattr("admin_views.dashboard.context", breaks)
    answer = await desk.get("/admin/")
    assert answer.status_code == 500 and "noted under the number" in answer.text and "secret" not in answer.text
