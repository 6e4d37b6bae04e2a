"""Custom fields in the client area: who sees and changes which, at registration, and in the copy of the data."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.domain import custom, signup
from app.domain.config import live
from app.domain.privacy import contents
from app.models.audit import Audit, AuditDetail
from app.models.billing import Payer
from app.models.catalog import Service, ServiceStatus
from app.models.customers import Customer
from app.models.projects import Project
from app.models.registrations import Registration
from app.models.users import User, UserCustomer, UserRole
from tests import factories
from tests.web.helpers import People, Site
from tests.web.test_register import NEW, link_in, sent

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


async def make(*fields: dict[str, Any]) -> None:
    async with db.unit() as session:
        for given in fields:
            await custom.create(session, **given)
    await live.keep_up(every=0)


async def held(model: Any, pk: int) -> dict[str, Any]:
    async with db.reads() as session:
        found: dict[str, Any] = (await session.get_one(model, pk)).custom
        return found


async def test_a_customer_sees_and_changes_what_is_theirs_to(
    site: Site, ada: httpx.AsyncClient, people: People
) -> None:
    await make(
        {"target": "customer", "labels": {"en": "Credit score"}, "default": "low"},
        {"target": "customer", "labels": {"en": "Your advisor"}, "access": "read"},
        {"target": "customer", "labels": {"en": "Birthday"}, "kind": "date", "access": "edit"},
        {"target": "customer", "labels": {"en": "Budget"}, "kind": "money", "access": "edit", "required": True},
        {"target": "customer", "labels": {"en": "Of companies"}, "access": "edit", "account_types": ["company"]},
    )
    async with db.unit() as session:
        row = await session.get_one(Customer, people.customer.id)
        row.custom = {"credit_score": "poor", "your_advisor": "<i>Jo</i>"}
    page = (await ada.get("/client/profile")).text
    assert "Your advisor" in page and "&lt;i&gt;Jo" in page and 'name="custom_birthday"' in page
    assert "Credit score" not in page and "poor" not in page and "Of companies" not in page
    profile = {"name": "Ada", "version": "", "country": "", "language": "", "timezone": ""}
    refused = await ada.post("/client/profile", data=profile | {"custom_birthday": "soon", "custom_budget": ""})
    assert refused.status_code == 422 and "A date, please." in refused.text and "Please fill this in." in refused.text
    assert 'value="soon"' in refused.text
    saved = await ada.post("/client/profile", data=profile | {
        "custom_birthday": "1815-12-10", "custom_budget": "12.50", "custom_credit_score": "best",
        "custom_your_advisor": "Me",
    })  # fmt: skip
    assert saved.status_code == 303
    assert await held(Customer, people.customer.id) == {
        "credit_score": "poor", "your_advisor": "<i>Jo</i>", "birthday": "1815-12-10", "budget": 1250,
    }  # fmt: skip
    [copy] = [row async for row in contents.profile(contents.Source(people.customer.id))]
    assert (copy["custom_budget"], copy["custom_your_advisor"]) == ("12.50", "<i>Jo</i>")
    assert "custom_credit_score" not in copy


async def test_payers_users_and_services_have_their_own(site: Site, ada: httpx.AsyncClient, people: People) -> None:
    choices = [{"labels": {"en": "Left"}}, {"labels": {"en": "Right"}}]
    await make(
        {"target": "payer", "labels": {"en": "Cost centre"}, "kind": "number", "access": "edit", "required": True},
        {"target": "user", "labels": {"en": "Desk"}, "kind": "choice", "choices": choices, "access": "edit"},
        {"target": "service", "labels": {"en": "Rack"}, "access": "edit"},
    )
    async with db.unit() as session:
        service = await factories.create_service(session, customer_id=people.customer.id, custom={"rack": "7b"})
    new = {"kind": "individual", "name": "Ada", "country": ""}
    refused = await ada.post("/client/payers/new", data=new | {"custom_cost_centre": ""})
    assert refused.status_code == 422 and "Please fill this in." in refused.text
    assert (await ada.post("/client/payers/new", data=new | {"custom_cost_centre": "70"})).status_code == 303
    async with db.reads() as session:
        payer = (await session.scalars(select(Payer).where(Payer.customer_id == people.customer.id))).one()
    assert payer.custom == {"cost_centre": 70}
    assert 'value="70"' in (await ada.get(f"/client/payers/{payer.id}")).text
    url = f"/client/users/{people.user.id}"
    assert "Left" in (await ada.get(url)).text
    assert (await ada.post(url, data={"custom_desk": "right", "receives": "y"})).status_code == 303
    assert await held(User, people.user.id) == {"desk": "right"}
    page = await ada.get(f"/client/services/{service.id}")
    assert re.search(r'<input[^>]*name="custom_rack"[^>]*value="7b"', page.text)


async def test_what_is_theirs_to_change_of_a_service(site: Site, ada: httpx.AsyncClient, people: People) -> None:
    await make(
        {"target": "service", "labels": {"en": "Rack"}, "access": "read"},
        {"target": "service", "labels": {"en": "Server name"}, "access": "edit", "required": True},
        {"target": "service", "labels": {"en": "How to come in"}, "key": "way", "kind": "long", "access": "edit"},
        {"target": "service", "labels": {"en": "Margin"}},
    )
    async with db.unit() as session:
        service = await factories.create_service(
            session, customer_id=people.customer.id, status="active", custom={"rack": "7b", "margin": "9"}
        )
        foreign = await factories.create_service(session, customer_id=people.other.id, status="active")
    url = f"/client/services/{service.id}"
    page = (await ada.get(url)).text
    assert "7b" in page and 'name="custom_server_name"' in page and "<textarea" in page and "custom_rack" not in page
    assert "Margin" not in page
    typed = {"version": str(service.version), "custom_server_name": "ns1", "custom_way": "Ring.\r\n<b>Wait</b>."}
    refused = await ada.post(url, data=typed | {"custom_server_name": " "})
    assert refused.status_code == 422 and "Please fill this in." in refused.text and "Wait" in refused.text
    assert (await ada.post(url, data=typed | {"custom_rack": "1", "custom_margin": "0"})).status_code == 303
    now = {"rack": "7b", "margin": "9", "server_name": "ns1", "way": "Ring.\n<b>Wait</b>."}
    assert await held(Service, service.id) == now
    async with db.reads() as session:
        query = select(Audit).where(Audit.noun == "service", Audit.action == "update").order_by(Audit.id.desc())
        told = (await session.scalars(query.limit(1))).one()
        details = await session.get_one(AuditDetail, told.id)
        assert told.user_id == people.user.id and "server_name" in details.payload
    stale = await ada.post(url, data=typed | {"custom_server_name": "ns2"})
    assert stale.status_code == 409 and "Somebody else has changed this" in stale.text
    assert (await ada.post(f"/client/services/{foreign.id}", data=typed)).status_code == 404
    async with db.unit() as session:
        link = await session.get_one(UserCustomer, (people.user.id, people.customer.id))
        link.role = UserRole.READ_ONLY
    page = (await ada.get(url)).text
    assert "Ring.\n&lt;b&gt;Wait" in page and 'class="prewrap"' in page and 'name="custom_server_name"' not in page
    assert (await ada.post(url, data=typed | {"version": ""})).status_code == 403
    async with db.unit() as session:
        link = await session.get_one(UserCustomer, (people.user.id, people.customer.id))
        link.role = UserRole.OWNER
        (await session.get_one(Service, service.id)).status = ServiceStatus.CLOSED
    assert 'name="custom_server_name"' not in (await ada.get(url)).text
    assert (await ada.post(url, data=typed | {"version": ""})).status_code == 409
    assert await held(Service, service.id) == now


async def test_who_registers_is_asked(site: Site, people: People, browser: httpx.AsyncClient) -> None:
    await make(
        {"target": "customer", "labels": {"en": "How did you hear of us"}, "key": "heard", "access": "edit",
         "required": True, "at_registration": True},
        {"target": "customer", "labels": {"en": "Trade"}, "access": "edit", "at_registration": True,
         "account_types": ["company"]},
        {"target": "customer", "labels": {"en": "Later"}, "access": "edit", "required": True},
    )  # fmt: skip
    async with db.unit() as session:
        project = await session.get_one(Project, people.project.id)
        await signup.configure(
            session, project=project, open=True, kinds=["individual", "company"],
            asked=["contact_person", "legal_name", "country"], required=["contact_person"], groups=[],
        )  # fmt: skip
    page = (await browser.get("/client/register")).text
    assert 'name="custom_heard"' in page and 'data-when="kind=company"' in page and "custom_later" not in page
    refused = await browser.post("/client/register", data=NEW | {"custom_heard": " "})
    assert refused.status_code == 422 and "Please fill this in." in refused.text
    done = await browser.post("/client/register", data=NEW | {
        "custom_heard": "A friend", "custom_trade": "Ships", "custom_later": "x",
    })  # fmt: skip
    assert done.status_code == 303
    async with db.reads() as session:
        waiting = (await session.scalars(select(Registration))).one()
    assert waiting.fields["custom"] == {"heard": "A friend", "trade": "Ships"}
    [mail] = await sent(site)
    assert (await browser.post(link_in(mail))).status_code == 303
    async with db.reads() as session:
        made = (await session.scalars(select(Customer).order_by(Customer.id.desc()).limit(1))).one()
    assert made.custom == {"heard": "A friend", "trade": "Ships"}
