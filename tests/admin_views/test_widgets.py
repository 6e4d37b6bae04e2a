"""The first page as somebody has arranged it: pinned lists, with the grants and the scope of the moment."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import delete, select

from app import db
from app.db import utcnow
from app.domain import widgets as arranging
from app.models.customers import Customer
from app.models.projects import Project
from app.models.staff import Grant, Staff, StaffRole
from app.models.views import SavedView, ViewKind
from app.models.widgets import Widget, WidgetKind
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff
from tests.generated.routes import form_on

PIN = "/admin/{}/action/pin_widget"


@pytest.fixture
def engine_name() -> str:
    """The figures are those of the lists, which are asked on both."""
    return "sqlite"


@pytest.fixture
async def projects(database: str) -> list[Project]:
    async with db.unit() as session:
        made = [await factories.create_project(session, name=n) for n in ("Mine", "Other")]
        for project, many in zip(made, (2, 3), strict=True):
            for n in range(many):
                customer = await factories.create_customer(
                    session, project=project, name=f"{project.name} {n}", registered_at=utcnow() - timedelta(days=n)
                )
                account = await factories.create_account(session, customer=customer)
                await factories.create_payment(session, account=account, amount=1000)
    return made


async def pin(browser: httpx.AsyncClient, screen: str, query: str, **form: str) -> str:
    """Pins a list; gives the address at which its widget is shown."""
    page = await browser.get(f"{PIN.format(screen)}?all=1&{query}")
    assert page.status_code == 200, page.text
    sent = form_on(page.text, PIN.format(screen)) | {name: [value] for name, value in form.items()}
    made = await browser.post(PIN.format(screen), data=sent)
    assert made.status_code == 303, made.text
    return "/admin/widget?id=" + made.headers["location"].removeprefix("/admin/#w-")


async def order(browser: httpx.AsyncClient) -> list[str]:
    return re.findall(r'data-cell="\d+" data-title="([^"]*)"', (await browser.get("/admin/")).text)


async def test_a_list_is_pinned_as_figure_rows_chart_and_sum(desk: httpx.AsyncClient, projects: list[Project]) -> None:
    assert "/admin/customer/action/pin_widget?all=1&amp;search=Mine" in (
        await desk.get("/admin/customer/list?search=Mine")).text  # fmt: skip
    mine, own = f"project.in={projects[0].id}", {"title": "Mine only"}
    count = (await desk.get(await pin(desk, "customer", mine, kind="count", **own))).text
    assert '<p class="figure">2</p>' in count and f'href="/admin/customer/list?{mine}"' in count
    everybody = (await desk.get(await pin(desk, "customer", "", kind="count"))).text
    assert '<p class="figure">5</p>' in everybody
    rows = (await desk.get(await pin(desk, "customer", "sort=name&search=Other", kind="rows"))).text
    assert rows.index("Other 0") < rows.index("Other 2") and "Mine" not in rows and "/admin/customer/details/" in rows
    for pace, first in (("day", [1, 1, 1]), ("month", [3])):
        chart = (await desk.get(await pin(desk, "customer", "search=Other", kind="chart", dated="registered_at",
                                          pace=pace))).text  # fmt: skip
        numbers = [int(n) for n in re.findall(r'data-value="(\d+)"', chart)]
        assert len(numbers) == (30 if pace == "day" else 12) and sum(numbers) == 3
        assert pace == "month" or numbers[-3:] == first
    async with db.unit() as session:  # a saved view may go: the widget means the rows that it showed
        made = SavedView(screen="customer", name="Others", kind=ViewKind.SHARED, search="Other")
        session.add(made)
    of_view = await pin(desk, "customer", f"view={made.id}", kind="count")
    async with db.unit() as session:
        await session.delete(await session.get_one(SavedView, made.id))
    assert '<p class="figure">3</p>' in (await desk.get(of_view)).text
    total = (await desk.get(await pin(desk, "payment", "", kind="sum", added="amount"))).text
    assert "50.00" in total and "EUR" in total
    page = (await desk.get("/admin/")).text
    assert page.count("data-widget=") == 7 and "uplot" in page and "At a glance" in page


async def test_the_page_is_arranged_by_each_person_for_themselves(
    desk: httpx.AsyncClient, owner: Staff, sign_in: SignIn, projects: list[Project]
) -> None:
    assert "data-cell" not in (await desk.get("/admin/")).text
    assert (await desk.post("/admin/widgets", data={"do": "begin"})).status_code == 303
    usual = await order(desk)
    assert usual == ["At a glance", "New customers by day", "Waiting longest", "Running now", "Latest campaigns"]
    address = await pin(desk, "customer", "search=Mine", title="First <b>")
    number = address.rpartition("=")[2]
    assert await order(desk) == ["First &lt;b&gt;", *usual]

    async def do(what: str, **more: str) -> httpx.Response:
        return await desk.post("/admin/widget", data={"id": number, "do": what, **more})

    assert (await do("later")).headers["location"] == f"/admin/#w-{number}"
    assert (await order(desk))[:2] == ["At a glance", "First &lt;b&gt;"]
    await do("earlier")
    await do("earlier")  # already first: nothing happens
    assert (await order(desk))[0] == "First &lt;b&gt;"
    await do("wide")
    assert f'class="card cell wide" id="w-{number}"' in (await desk.get("/admin/")).text
    await do("rename", title="Ours")
    assert (await order(desk))[0] == "Ours" and (await do("rename", title="")).status_code == 422
    assert (await do("explode")).status_code == 422 and (await desk.post("/admin/widgets")).status_code == 422
    ids = re.findall(r'data-cell="(\d+)"', (await desk.get("/admin/")).text)
    await desk.post("/admin/widgets", data={"do": "order", "ids": ",".join([*reversed(ids), "99999"])})
    assert await order(desk) == [*reversed(usual), "Ours"]
    colleague = await sign_in(await create_staff([("*", "*")], username="colleague"))
    assert (await colleague.get(address)).status_code == 404 and "data-cell" not in (
        await colleague.get("/admin/")
    ).text
    assert (await colleague.post("/admin/widget", data={"id": number, "do": "remove"})).status_code == 404
    await colleague.post("/admin/widgets", data={"do": "order", "ids": number})
    await do("remove")
    await desk.post("/admin/widget", data={"id": ids[1], "do": "remove"})
    assert "At a glance" not in await order(desk)
    await desk.post("/admin/widgets", data={"do": "block", "name": "figures"})
    assert (await order(desk))[-1] == "At a glance"
    await desk.post("/admin/widgets", data={"do": "reset"})
    assert "data-cell" not in (await desk.get("/admin/")).text


async def test_grants_and_scope_are_those_of_the_moment(owner: Staff, sign_in: SignIn, projects: list[Project]) -> None:
    grants = [("customer", "list"), ("payment", "list")]
    staff = await create_staff(grants, username="limited", projects=(projects[0],))
    browser = await sign_in(staff)
    count = await pin(browser, "customer", "", kind="count")
    total = await pin(browser, "payment", "", kind="sum", added="amount")
    assert '<p class="figure">2</p>' in (await browser.get(count)).text
    assert "20.00" in (await browser.get(total)).text
    assert (await browser.get(PIN.format("ticket") + "?all=1")).status_code == 403
    async with db.unit() as session:
        gone = delete(Grant).where(Grant.screen == "customer").execution_options(audited=True)
        await session.execute(gone)
    told = (await browser.get(count)).text
    assert "does not let you see this any more" in told and "figure" not in told and "/admin/customer" not in told


async def test_what_is_broken_is_shown_as_broken(desk: httpx.AsyncClient, owner: Staff) -> None:
    bad = [("customer", "lost_field.in=1", ""), ("gone", "", ""), ("customer", "sort=nothing", ""),
           ("payment", "", "lost_sum")]  # fmt: skip
    async with db.unit() as session:
        await factories.create_project(session)
        for screen, query, column in bad:
            kind = WidgetKind.SUM if column else WidgetKind.COUNT
            session.add(Widget(staff_id=owner.id, kind=kind, screen=screen, query=query, column=column, title="Bad"))
    async with db.reads() as session:
        ids = (await session.scalars(select(Widget.id).order_by(Widget.id))).all()
    for number in ids:
        answer = await desk.get(f"/admin/widget?id={number}")
        assert answer.status_code == 200 and "alert-triangle" in answer.text and "figure" not in answer.text
    assert (await desk.get("/admin/")).text.count('data-title="Bad"') == 4
    for wrong in ("", "x", "-1", "9" * 30, "99999"):
        assert (await desk.get("/admin/widget", params={"id": wrong})).status_code == 404


async def test_there_is_an_end_to_widgets(desk: httpx.AsyncClient, owner: Staff) -> None:
    async with db.unit() as session:
        session.add_all(
            Widget(staff_id=owner.id, kind=WidgetKind.COUNT, screen="customer", title=str(n))
            for n in range(arranging.MOST)
        )
    refused = await desk.post(PIN.format("customer"), data={"all": "1", "query": "", "title": "More", "kind": "count"})
    assert refused.status_code == 422 and "Take one away first" in refused.text
    long = await desk.post(PIN.format("customer"), data={"pks": "1", "title": "More", "kind": "count"})
    assert long.status_code == 404
    async with db.reads() as session:
        assert await session.scalar(select(Customer.id).limit(1)) is None


async def test_new_people_start_with_the_dashboard_of_their_role(
    desk: httpx.AsyncClient, sign_in: SignIn, projects: list[Project]
) -> None:
    async with db.unit() as session:
        role = await factories.create_role(session, name="Night desk", grants=[("customer", "list")])
    press = {"pks": str(role.id)}
    await pin(desk, "customer", "", title="Everybody")
    await pin(desk, "payment", "", kind="sum", added="amount", title="Money")
    assert (await desk.post("/admin/role/action/dashboard", data=press)).status_code == 303
    card = (await desk.get(f"/admin/role/details/{role.id}")).text
    assert "Dashboard to start with" in card and "Everybody" in card and "At a glance" in card
    await desk.post("/admin/widgets", data={"do": "reset"})  # the role keeps what it was given
    person = await create_staff([], username="new", projects=(projects[0],))
    async with db.unit() as session:
        session.add(StaffRole(staff_id=person.id, role_id=role.id))
    browser = await sign_in(person)
    html = (await browser.get("/admin/")).text
    assert (await order(browser))[:2] == ["Money", "Everybody"] and "cell-menu" not in html
    addresses = re.findall(r'data-widget="([^"]+)"', html)
    money, everybody = [(await browser.get(a)).text for a in addresses]
    assert "does not let you see" in money and '<p class="figure">2</p>' in everybody  # of their project
    number = addresses[0].rpartition("=")[2]
    assert (await browser.post("/admin/widget", data={"id": number, "do": "remove"})).status_code == 404
    await browser.post("/admin/widgets", data={"do": "begin"})
    assert (await order(browser))[:2] == ["Money", "Everybody"] and "cell-menu" in (await browser.get("/admin/")).text
    assert (await desk.get(addresses[0])).status_code == 404  # not of this role
    await desk.post("/admin/role/action/dashboard", data=press)  # now the usual one
    assert "Dashboard to start with" not in (await desk.get(f"/admin/role/details/{role.id}")).text
    assert (await order(browser))[:2] == ["Money", "Everybody"]
