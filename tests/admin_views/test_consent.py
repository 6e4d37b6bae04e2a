"""Choices on the customer's card, and the screen of suppressed addresses."""

from __future__ import annotations

import httpx
from sqlalchemy import select

from app import db
from app.models.consent import How, Subscription, Suppression, Why
from app.models.messaging import Channel
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

URL = "/admin/customer/action/consent"


async def test_staff_write_down_what_a_customer_has_said(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session, name="Ada")
        user = await factories.create_user(session, customer=customer, full_name="Grete", receives=True)
        news = await factories.create_category(session, name="News", subscribable=True)
        await factories.create_category(session, name="Bills")
    page = (await desk.get(f"{URL}?pks={customer.id}")).text
    assert "Grete" in page and "News" in page and "Bills" not in page
    both = {f"c0_{news.id}": ["email", "inbox"], f"c{user.id}_{news.id}": ["email"]}
    refused = await desk.post(URL, data={"pks": str(customer.id), **both})
    assert refused.status_code == 422, "without saying how they told it, nothing is kept"
    saved = await desk.post(URL, data={"pks": str(customer.id), "note": "by phone", **both})
    assert saved.status_code == 303
    async with db.reads() as session:
        rows = (await session.scalars(select(Subscription).order_by(Subscription.user_id, Subscription.channel))).all()
    assert {(r.user_id, r.channel, r.wanted, r.how, r.note) for r in rows} == {
        (None, Channel.EMAIL, True, How.STAFF, "by phone"), (None, Channel.INBOX, True, How.STAFF, "by phone"),
        (user.id, Channel.EMAIL, True, How.STAFF, "by phone"),
    }  # fmt: skip
    assert all(r.staff_id for r in rows)
    tab = (await desk.get(f"/admin/customer/details/{customer.id}?tab=subscription")).text
    assert "by phone" in tab and "Grete" in tab and "own address" in tab


async def test_an_address_is_suppressed_and_lifted_with_a_reason(desk: httpx.AsyncClient) -> None:
    wrong = await desk.post("/admin/suppressed_address/create", data={"address": "nobody", "detail": ""})
    assert wrong.status_code == 422 and "This is not an e-mail address." in wrong.text
    made = await desk.post("/admin/suppressed_address/create", data={"address": "Ada@Example.org", "detail": "asked"})
    assert made.status_code == 303
    async with db.reads() as session:
        row = (await session.scalars(select(Suppression))).one()
    assert (row.address, row.why, row.detail) == ("ada@example.org", Why.STAFF, "asked")
    assert "ada@example.org" in (await desk.get("/admin/suppressed_address/list?q=ada")).text
    lift = "/admin/suppressed_address/action/lift"
    assert "Why do mails go there again?" in (await desk.get(f"{lift}?pks={row.id}")).text
    assert (await desk.post(lift, data={"pks": str(row.id), "reason": " "})).status_code == 422
    assert (await desk.post(lift, data={"pks": str(row.id), "reason": "New mailbox"})).status_code == 303
    async with db.reads() as session:
        row = (await session.scalars(select(Suppression))).one()
    assert row.lifted_at is not None and row.lifted_by_id and row.lift_reason == "New mailbox"
    card = (await desk.get(f"/admin/suppressed_address/details/{row.id}")).text
    assert "New mailbox" in card and "action/lift" not in card


async def test_who_may_only_look_changes_nothing(sign_in: SignIn) -> None:
    async with db.unit() as session:
        row = await factories.create_suppression(session)
        customer = await factories.create_customer(session)
    look = [(s, a) for s in ("customer", "suppressed_address", "subscription") for a in ("list", "details")]
    desk = await sign_in(await create_staff(look))
    page = (await desk.get(f"/admin/suppressed_address/details/{row.id}")).text
    assert row.address in page and "action/lift" not in page
    for url, body in (
        ("/admin/suppressed_address/action/lift", {"pks": str(row.id), "reason": "x"}),
        ("/admin/suppressed_address/create", {"address": "a@example.org"}),
        (URL, {"pks": str(customer.id), "note": "x"}),
    ):
        assert (await desk.post(url, data=body)).status_code == 403, url
