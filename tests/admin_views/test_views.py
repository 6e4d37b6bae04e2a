"""Columns that are chosen, views that are saved, and who sees which of them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.models.staff import Role, StaffRole
from app.models.views import SavedView, ViewKind
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff
from tests.generated.routes import form_on

LIST = "/admin/customer/list"
COLUMNS = "/admin/customer/columns"
VIEW = "/admin/customer/view"
USUAL = ["ID", "Name", "Project", "Account type"]
"""The first columns of the list of customers."""


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


@pytest.fixture(autouse=True)
async def customers(database: str) -> None:
    async with db.unit() as session:
        for name, language in (("A", "de"), ("B", "de"), ("C", "es")):
            await factories.create_customer(session, name=f"Customer {name}", language=language, country="DE")


def heads(page: str) -> list[str]:
    """The names of the columns that a list shows."""
    cells = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', page)
    return [unescape(re.sub(r"<[^>]+>", "", cell)) for cell in cells]


def names(page: str) -> list[str]:
    return re.findall(r"<bdi>Customer (\w)</bdi></a>", re.sub("</?mark>", "", page))


def tabs(page: str) -> dict[str, bool]:
    """Label of each tab, and whether it is open."""
    row = re.search(r'<nav class="tabs" aria-label="Saved views">(.*?)</nav>', page, re.DOTALL)
    found = re.findall(r"<a([^>]*)><bdi>(.*?)</bdi>", row[1]) if row else []
    return {unescape(label): "aria-current" in attributes for attributes, label in found}


async def made(**values: Any) -> int:
    async with db.unit() as session:
        return (await factories.create_view(session, **values)).id


async def stored() -> list[SavedView]:
    async with db.reads() as session:
        return list(await session.scalars(select(SavedView).order_by(SavedView.id)))


# ---- columns --------------------------------------------------------------------------------------------------------


async def test_columns_are_chosen_moved_and_reset_without_scripts(desk: httpx.AsyncClient, sign_in: SignIn) -> None:
    usual = heads((await desk.get(LIST)).text)
    assert usual[:4] == USUAL and "E-mail" not in usual
    page = await desk.get(COLUMNS)
    form = form_on(page.text, COLUMNS)
    assert form["order"][: len(usual)] == form["show"] and len(form["order"]) > 25
    form |= {"show": ["name", "email", "id"], "width:email": ["wide"], "sort": ["email"], "direction": ["down"]}
    moved = await desk.post(COLUMNS, data={**form, "op": "earlier:email"})
    assert moved.status_code == 200 and heads((await desk.get(LIST)).text) == usual, "nothing is kept yet"
    order = form_on(moved.text, COLUMNS)["order"]
    assert order.index("email") == form["order"].index("email") - 1
    done = await desk.post(COLUMNS, data={**form, "order": ["email", "name", "id"], "op": "apply"})
    assert (done.status_code, done.headers["location"]) == (303, LIST)
    page = await desk.get(LIST)
    assert heads(page.text) == ["E-mail", "Name", "ID"] and 'class="col-more w-wide" data-label="E-mail">' in page.text
    emails = re.findall(r'data-copy-text="(customer\d+@)', page.text)
    assert emails == sorted(emails, reverse=True) and len(emails) == 3
    assert 'href="/admin/customer/list?sort=email"' in page.text
    colleague = await sign_in(await create_staff([("customer", "list")]))
    assert heads((await colleague.get(LIST)).text)[:4] == USUAL, "it is each person's own"
    assert (await desk.post(COLUMNS, data={**form, "show": [], "op": "apply"})).status_code == 422
    await desk.post(COLUMNS, data={"op": "reset"})
    assert heads((await desk.get(LIST)).text) == usual
    assert len(await stored()) == 1, "one row of each person and screen"


async def test_an_address_that_names_columns_shows_and_exports_them(desk: httpx.AsyncClient) -> None:
    page = await desk.get(f"{LIST}?columns=name,contact_person&language.in=de&sort=name")
    assert heads(page.text) == ["Name", "Contact person"] and names(page.text) == ["A", "B"]
    export = re.search(r'href="(/admin/customer/action/export\?all=1[^"]*)"', page.text)
    assert export is not None
    url = unescape(export[1])
    form = form_on((await desk.get(url)).text, url)
    sheet = await desk.post("/admin/customer/action/export", data={**form, "kind": "csv"})
    assert sheet.text.splitlines() == ["\ufeffName,Contact person", "Customer A,", "Customer B,"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("columns=password", "unknown column"),
        ("columns=" + ",".join(f"c{n}" for n in range(10_000)), "more than 100 columns"),
        ("columns=name:huge", "unknown width"),
        ("sort=-nothing", "unknown sort column"),
        ("view=99999", "does not exist any more"),
        ("view=1'--", "does not exist any more"),
    ],
)
async def test_an_address_that_cannot_be_shown_says_why(desk: httpx.AsyncClient, query: str, said: str) -> None:
    answer = await desk.get(f"{LIST}?{query}")
    assert answer.status_code in (400, 404) and said in answer.text
    for value in ("nothing", ["name"] * 3 + ["password_hash"]):
        sent = await desk.post(COLUMNS, data={"order": value, "show": value, "op": "apply"})
        assert sent.status_code == 400 and await stored() == []


# ---- views ----------------------------------------------------------------------------------------------------------


async def test_a_list_is_saved_as_a_view_changed_renamed_and_deleted(desk: httpx.AsyncClient) -> None:
    query = "search=customer&language.in=de&sort=-name&columns=name,email:wide"
    page = await desk.get(f"{LIST}?{query}")
    assert tabs(page.text) == {}
    url = unescape(re.search(r'id="view-save" href="([^"]+)"', page.text)[1])  # type: ignore[index]
    form = form_on((await desk.get(url)).text, url)
    saved = await desk.post(VIEW, data={**form, "name": "Germans"})
    assert saved.status_code == 303
    at = saved.headers["location"]
    assert re.fullmatch(rf"{LIST}\?view=\d+", at)
    page = await desk.get(at)
    assert tabs(page.text) == {"All": False, "Germans": True} and "view-undo" not in page.text
    assert names(page.text) == ["B", "A"] and heads(page.text) == ["Name", "E-mail"]
    view = at.partition("view=")[2]
    assert (await desk.get("/admin/customer/views")).json() == {view: "2"}
    assert f'data-count="{view}">2</span>' in (await desk.get(at)).text, "the figure is kept for a while"

    # something else is shown: said, and saved or not
    hidden = dict(re.findall(r'<input type="hidden" name="([\w.]+)" value="([^"]*)">', page.text.split("data-find")[0]))
    assert hidden["view"] == view and hidden["changed"] == "1" and hidden["columns"] == "name,email:wide"
    other = f"{LIST}?view={view}&changed=1&language.in=es&sort=name"
    page = await desk.get(other)
    assert names(page.text) == ["C"] and tabs(page.text)["Germans"]
    assert "Changed: search, filter, order, columns" in page.text
    assert f'id="view-undo" href="{at}"' in page.text
    same = await desk.get(f"{LIST}?view={view}&changed=1&{query}")
    assert "Changed:" not in same.text
    everything = await desk.get(f"{LIST}?view={view}&changed=1")
    assert names(everything.text) == ["C", "B", "A"], "the filter of a view can be taken away"
    update = form_on(page.text, VIEW)
    assert (await desk.post(VIEW, data=update)).headers["location"] == at
    page = await desk.get(at)
    assert names(page.text) == ["C"] and heads(page.text)[:4] == USUAL

    edit = f"{VIEW}?edit={view}"
    form = form_on((await desk.get(edit)).text, edit)
    assert form["name"] == ["Germans"] and form["kind"] == ["private"]
    assert (await desk.post(VIEW, data={**form, "name": " "})).status_code == 422
    await desk.post(VIEW, data={**form, "name": "Spaniards <b>"})
    assert "Spaniards <b>" in tabs((await desk.get(at)).text)
    gone = await desk.post(VIEW, data={**form, "op": "delete"})
    assert gone.headers["location"] == f"{LIST}?view=all" and await stored() == []
    assert (await desk.get(at)).status_code == 404


async def test_tabs_are_put_in_order(desk: httpx.AsyncClient) -> None:
    ids = []
    for name in ("One", "Two", "Three"):
        await desk.post(VIEW, data={"query": "language.in=de", "name": name})
        ids.append((await stored())[-1].id)
    await desk.post(VIEW, data={"edit": ids[2], "op": "earlier"})
    await desk.post(VIEW, data={"edit": ids[0], "op": "later"})
    assert list(tabs((await desk.get(LIST)).text)) == ["All", "Three", "One", "Two"]


async def test_columns_chosen_inside_a_view_change_only_what_is_shown(desk: httpx.AsyncClient) -> None:
    view = await made(condition={"field": "language", "op": "in", "value": ["de"]})
    form = form_on((await desk.get(f"{COLUMNS}?view={view}")).text, COLUMNS)
    sent = await desk.post(COLUMNS, data={**form, "show": ["name"], "op": "apply"})
    page = await desk.get(sent.headers["location"])
    assert heads(page.text) == ["Name"] and names(page.text) == ["B", "A"] and "Changed: columns" in page.text
    assert heads((await desk.get(f"{LIST}?view=all")).text)[:4] == USUAL


async def test_the_view_of_a_role_opens_by_itself_and_all_stays(desk: httpx.AsyncClient, sign_in: SignIn) -> None:
    seller = await create_staff([("customer", "*")], username="seller")
    async with db.unit() as session:
        role = await session.scalar(select(StaffRole.role_id).where(StaffRole.staff_id == seller.id))
        session.add(Role(name="Others"))
    condition = {"field": "language", "op": "in", "value": ["es"]}
    view = await made(name="Mine to call", kind=ViewKind.ROLE, role_id=role, condition=condition)
    other = await sign_in(seller)
    page = await other.get(LIST)
    assert names(page.text) == ["C"] and tabs(page.text) == {"All": False, "Mine to call": True}
    assert "view-edit" not in page.text, "only who may share changes it"
    page = await other.get(f"{LIST}?view=all")
    assert names(page.text) == ["C", "B", "A"] and tabs(page.text) == {"All": True, "Mine to call": False}
    assert f'href="{LIST}?view=all"' in page.text
    assert names((await other.get(f"{LIST}?sort=name")).text) == ["A", "B", "C"]
    # what is done with all that the list shows means these rows, in a form that is sent later too
    for query, rows in (("", ["C"]), ("&view=all", ["C", "B", "A"]), (f"&view={view}", ["C"])):
        url = f"/admin/customer/action/export?all=1{query}"
        form = form_on((await other.get(url)).text, url)
        assert "view=all" in form["query"][0]
        sheet = await other.post("/admin/customer/action/export", data={**form, "kind": "csv"})
        assert re.findall(r"Customer (\w)", sheet.text) == rows, query
    assert tabs((await desk.get(LIST)).text) == {}, "those of other roles have no tab"
    assert names((await desk.get(f"{LIST}?view={view}")).text) == ["C"], "but their address can be sent"


# ---- who sees what --------------------------------------------------------------------------------------------------


async def test_sharing_needs_its_grant_and_what_is_private_stays_so(desk: httpx.AsyncClient, sign_in: SignIn) -> None:
    one = await sign_in(await create_staff([("customer", "*"), ("user", "list")], username="one"))
    await one.post(VIEW, data={"query": "language.in=de", "name": "Own", "kind": "shared"})
    [own] = await stored()
    assert own.kind is ViewKind.PRIVATE
    assert tabs((await desk.get(LIST)).text) == {}
    for answer in (
        await desk.get(f"{LIST}?view={own.id}"),
        await desk.get(f"{VIEW}?edit={own.id}"),
        await desk.post(VIEW, data={"edit": own.id, "op": "delete"}),
        await desk.get(f"/admin/saved_view/details/{own.id}"),
        await desk.get(f"/admin/saved_view/action/delete?pks={own.id}"),
        await desk.post(VIEW, data={"op": "update", "query": "", "name": "x"}),
        await one.get(f"/admin/user/list?view={own.id}"),
    ):
        assert answer.status_code in (404, 422), answer.url
    await desk.post(VIEW, data={"query": "language.in=es", "name": "Everybody's", "kind": "shared"})
    shared = (await stored())[-1]
    assert shared.kind is ViewKind.SHARED and shared.staff_id is None
    assert list(tabs((await one.get(LIST)).text)) == ["All", "Everybody's", "Own"]
    for op in ("update", "delete", "later"):
        assert (await one.post(VIEW, data={"edit": shared.id, "op": op})).status_code == 403
    assert (await one.get("/admin/saved_view/list")).status_code == 403
    page = (await desk.get("/admin/saved_view/list")).text
    assert "Everybody's" in unescape(page) and ">Own<" not in page and ">Customers</td>" in page
    async with db.unit() as session:
        mine = await factories.create_project(session, name="Mine")
    limited = await sign_in(await create_staff([("*", "*")], projects=(mine,)))
    await limited.post(VIEW, data={"query": "", "name": "For all", "kind": "shared"})
    assert (await stored())[-1].kind is ViewKind.PRIVATE
    assert names((await limited.get(f"{LIST}?view={shared.id}")).text) == []


async def test_a_view_shows_nothing_beyond_the_grants_of_who_looks(desk: httpx.AsyncClient, sign_in: SignIn) -> None:
    services = {"field": "services", "op": "has_none"}
    view = await made(condition=services, columns=[["name", ""], ["balance", ""], ["gone", "wide"]])
    page = await desk.get(f"{LIST}?view={view}")
    assert names(page.text) == ["C", "B", "A"] and heads(page.text) == ["Name", "Balance"]
    assert "1 of its columns are gone" in page.text
    plain = await sign_in(await create_staff([("customer", "list")], username="plain"))
    page = await plain.get(f"{LIST}?view={view}")
    assert names(page.text) == [] and "rows that you may not see" in page.text
    assert (await plain.get("/admin/customer/views")).json() == {str(view): ""}
    assert heads((await plain.get(f"{LIST}?view={view}&changed=1&columns=name")).text) == ["Name"]
    assert (await plain.get(f"{LIST}?columns=balance")).status_code == 400
    assert "Balance" not in (await plain.get(COLUMNS)).text


async def test_a_broken_view_matches_nobody_and_can_be_mended(desk: httpx.AsyncClient) -> None:
    view = await made(condition={"any": [{"field": "was_removed", "op": "is", "value": 1}]}, sort="was_removed")
    page = await desk.get(f"{LIST}?view={view}")
    assert names(page.text) == [] and "cannot be used any more" in page.text and "was_removed" in page.text
    assert "data-open" in page.text and "was_removed" in (await desk.get(f"/admin/customer/filter?view={view}")).text
    for query in (f"view={view}", f"view={view}&changed=1&sort=-name&filter=%7B%22any%22%3A%5B%5D%7D"):
        assert names((await desk.get(f"{LIST}?{query}")).text) == []
        url = f"/admin/customer/action/export?all=1&{query}"
        assert "cannot be used any more" in (await desk.get(url)).text
        sent = {"all": "1", "query": query, "kind": "csv"}
        assert (await desk.post("/admin/customer/action/export", data=sent)).status_code == 400
    kept = await desk.post(VIEW, data={"edit": str(view), "op": "update", "query": f"view={view}&changed=1&sort=-name"
                                       "&filter=%7B%22any%22%3A%5B%5D%7D"})  # fmt: skip
    assert kept.status_code == 422 and "was_removed" in kept.text, "what it asked is not lost"
    page = await desk.get(f"{LIST}?view={view}&changed=1&language.in=es")
    assert names(page.text) == ["C"] and "Changed:" in page.text
    await desk.post(VIEW, data=form_on(page.text, VIEW))
    page = await desk.get(f"{LIST}?view={view}")
    assert names(page.text) == ["C"] and "cannot be used" not in page.text


async def test_views_stand_beside_the_tabs_of_the_screen_itself(desk: httpx.AsyncClient) -> None:
    view = await made(screen="ticket", name="Urgent", condition={"field": "status", "op": "in", "value": ["open"]})
    page = await desk.get("/admin/ticket/list")
    assert list(tabs(page.text)) == ["Mine", "Nobody&#39;s", "Wait for us", "Wait for customers", "All", "Urgent"] or (
        list(tabs(page.text))[-2:] == ["All", "Urgent"]
    )
    assert tabs(page.text)["All"] and not tabs((await desk.get(f"/admin/ticket/list?view={view}")).text)["All"]
