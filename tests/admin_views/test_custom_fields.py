"""Custom fields as staff meet them: made in the panel, and at once in form, list, card, filter, file and audit."""

from __future__ import annotations

import re

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.domain.messaging.system import compiled
from app.models.audit import Audit
from app.models.custom import CustomField
from app.models.customers import Customer
from app.models.projects import Project
from tests import factories

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
LEVEL = {
    "target": "customer", "label_en": "Level <b>", "label_de": "Stufe", "kind": "choice", "access": "staff",
    "listed": "y", "choices-0-en": "Gold", "choices-0-de": "Goldstufe", "choices-1-en": "Tin", "choices-2-en": "",
}  # fmt: skip


@pytest.fixture
async def project(database: str) -> Project:
    async with db.unit() as session:
        return await factories.create_project(session, name="Nordhost")


async def add(desk: httpx.AsyncClient, **values: str) -> httpx.AsyncClient:
    answer = await desk.post("/admin/custom_field/create", data={"listed": "y", "access": "staff", **values})
    assert answer.status_code == 303, wrong(answer)
    return desk


async def register(desk: httpx.AsyncClient, project: Project, **values: str) -> httpx.Response:
    given = {"name": "Anna", "project": str(project.id), "kind": "individual", "email": "anna@x.example"}
    return await desk.post("/admin/customer/create", data=given | values)


async def test_a_new_field_is_everywhere_at_once(desk: httpx.AsyncClient, project: Project) -> None:
    await add(desk, **LEVEL)
    assert "/admin/custom_field/create?target=customer" in (await desk.get("/admin/customer/list")).text
    assert '<option selected value="user">' in (await desk.get("/admin/custom_field/create?target=user")).text
    form = (await desk.get("/admin/customer/create")).text
    assert "/admin/custom_field/create?target=customer" in form
    assert "Level &lt;b&gt;" in form and 'name="custom_level_b"' in form and ">Gold</option>" in form
    assert (await register(desk, project, custom_level_b="lead")).status_code == 422, "not among the choices"
    made = await register(desk, project, custom_level_b="gold")
    assert made.status_code == 303, wrong(made)
    url = made.headers["location"]
    shown = (await desk.get("/admin/customer/list")).text
    assert "Level &lt;b&gt;" in shown and "<bdi>Gold</bdi>" in shown
    assert "Anna" in (await desk.get("/admin/customer/list?custom_level_b.in=gold")).text
    assert "Anna" not in (await desk.get("/admin/customer/list?custom_level_b.in=tin")).text
    assert 'name="custom_level_b.in"' in (await desk.get("/admin/customer/filter")).text
    assert "<bdi>Gold</bdi>" in (await desk.get(url)).text
    answer = await desk.post(url.replace("details", "edit"), data={
        "name": "Anna", "project": str(project.id), "kind": "individual", "email": "anna@x.example", "version": "1",
        "status": "new", "custom_level_b": "tin",
    })  # fmt: skip
    assert answer.status_code == 303, wrong(answer)
    async with db.reads() as session:
        row = await session.scalar(select(Audit.id).where(Audit.noun == "customer", Audit.action == "update"))
        assert (await session.scalars(select(Customer.custom))).all() == [{"level_b": "tin"}]
    told = (await desk.get(f"/admin/audit/details/{row}")).text
    assert re.search(r"Level &lt;b&gt;.*Gold.*Tin", told, re.DOTALL), "before and after, by the names of today"


async def test_removing_keeps_the_values_and_takes_the_field_away(desk: httpx.AsyncClient, project: Project) -> None:
    await add(desk, **LEVEL)
    await register(desk, project, custom_level_b="gold")
    asked = (await desk.get("/admin/custom_field/action/remove?pks=1")).text
    assert "has a value in 1 row" in asked
    await desk.post("/admin/custom_field/action/remove", data={"pks": "1"})
    assert "Level" not in (await desk.get("/admin/customer/list")).text
    assert (await desk.get("/admin/customer/list?custom_level_b.in=gold")).status_code == 400
    await desk.post("/admin/custom_field/action/restore", data={"pks": "1"})
    assert "<bdi>Gold</bdi>" in (await desk.get("/admin/customer/list")).text


async def test_the_form_refuses_what_cannot_be(desk: httpx.AsyncClient, project: Project) -> None:
    for values, said in (
        ({"target": "customer", "label_en": "E-mail", "key": "email"}, "they have a field of that name already"),
        ({"target": "customer", "label_en": "Where"}, "means something else to the program"),
        ({"target": "customer", "label_en": ""}, "This field is required"),
        ({"target": "customer", "label_en": "x" * 200}, "80"),
        ({"target": "customer", "label_en": "Level", "kind": "choice"}, "Please enter the choices."),
        ({"target": "customer", "label_en": "Level", "kind": "choice", "choices-0-en": "A", "choices-1-en": "a"},
         "Two choices are the same."),
        ({"target": "customer", "label_en": "Level", "kind": "choice",
          **{f"choices-{n}-en": f"c{n}" for n in range(1000)}}, "At most 200 choices"),
        ({"target": "customer", "label_en": "Rating", "kind": "number", "default": "many"}, "Not a number."),
    ):  # fmt: skip
        answer = await desk.post("/admin/custom_field/create", data={"kind": "text", "access": "staff", **values})
        assert answer.status_code == 422 and said in answer.text, values
    more = await desk.post("/admin/custom_field/create", data={
        "target": "customer", "kind": "choice", "label_en": "Level", "choices-0-en": "Gold", "more_choices": "1",
    })  # fmt: skip
    assert more.text.count('-en"') > 3 and 'value="Gold"' in more.text
    async with db.reads() as session:
        assert not (await session.scalars(select(CustomField))).all()


async def test_fields_of_an_account_type_are_asked_of_that_type(desk: httpx.AsyncClient, project: Project) -> None:
    await add(desk, target="customer", label_en="Trade register", kind="text", required="y", account_types="company")
    assert (await register(desk, project)).status_code == 303, "an individual has none"
    answer = await register(desk, project, kind="company", email="b@x.example")
    assert answer.status_code == 422 and "Please fill this in." in answer.text
    answer = await register(desk, project, kind="company", email="b@x.example", custom_trade_register="=HRB 7")
    assert answer.status_code == 303
    answer = await desk.post(
        "/admin/customer/action/export?all=1",
        data={"all": "1", "query": "", "kind": "csv", "listed": "custom_trade_register"},
    )
    assert "Trade register" in answer.text and "'=HRB 7" in answer.text, "a column, its formula without effect"


@pytest.mark.parametrize("target", ["payer", "user", "service"])
async def test_payers_users_and_services_have_them_too(desk: httpx.AsyncClient, project: Project, target: str) -> None:
    await add(desk, target=target, label_en="Cost centre", kind="number", required="y", digits="1")
    async with db.unit() as session:
        customer = await factories.create_customer(session, project=project)
        product = await factories.create_product(session)
    given = {
        "payer": {"customer": str(customer.id), "kind": "individual", "name": "P"},
        "user": {"project": str(project.id), "username": "u", "email": "u@x.example", "customer": str(customer.id),
                 "role": "owner", "enabled": "y"},
        "service": {"name": "S", "customer": str(customer.id), "product": str(product.id), "status": "ordered",
                    "currency": "EUR"},
    }[target]  # fmt: skip
    answer = await desk.post(f"/admin/{target}/create", data={**given, "custom_cost_centre": ""})
    assert answer.status_code == 422 and "Please fill this in." in answer.text
    answer = await desk.post(f"/admin/{target}/create", data={**given, "custom_cost_centre": "12.5"})
    assert answer.status_code == 303, wrong(answer)
    assert "12.5" in (await desk.get(f"/admin/{target}/list?custom_cost_centre.at_least=12.5")).text
    assert "12.5" in (await desk.get(answer.headers["location"])).text


def wrong(answer: httpx.Response) -> list[str]:
    return re.findall(r'class="error"[^>]*>.*?<span>(.*?)</span>', answer.text)


async def test_a_text_of_several_lines_keeps_them(desk: httpx.AsyncClient, project: Project) -> None:
    await add(desk, target="customer", label_en="Access", kind="long")
    form = (await desk.get("/admin/customer/create")).text
    assert re.search(r'<textarea[^>]*maxlength="5000"[^>]*name="custom_access"', form)
    typed = "Ring twice.\r\nThen <b>wait</b>.\r\n\r\n" + "x" * 200
    made = await register(desk, project, custom_access=typed)
    assert made.status_code == 303, wrong(made)
    text = typed.replace("\r\n", "\n")
    async with db.reads() as session:
        assert (await session.scalars(select(Customer.custom))).all() == [{"access": text}]
    shown = (await desk.get("/admin/customer/list?custom_access.contains=wait")).text
    assert "<bdi>Ring twice. …</bdi>" in shown and "xxxx" not in shown and "sort=custom_access" not in shown
    card = (await desk.get(made.headers["location"])).text
    assert '<bdi class="prewrap">Ring twice.\nThen &lt;b&gt;wait&lt;/b&gt;.\n\nxxx' in card
    again = made.headers["location"].replace("details", "edit")
    assert "Ring twice.\nThen &lt;b&gt;wait" in (await desk.get(again)).text.replace("\r\n", "\n")
    sent = {"all": "1", "query": "columns=custom_access", "kind": "csv"}
    sheet = await desk.post("/admin/customer/action/export", data=sent)
    assert f'"{text}"' in sheet.text.replace("\r\n", "\n")
    for wrong_one, said in (("x\r\n" * 2501, "5000"), ("a\u0007b", "character")):
        refused = await register(desk, project, email="b@x.example", custom_access=wrong_one)
        assert refused.status_code == 422 and said in " ".join(wrong(refused)), wrong_one[:9]
    body = "At you:\n{{ customer.custom.access|default('-') }}"
    mail = compiled("Dear {{ customer.name }}", body, None)
    values = {"customer.name": "Anna", "customer.custom.access": text}
    assert "Ring twice.<br>\nThen &lt;b&gt;wait&lt;/b&gt;.<br>\n<br>\nxxx" in mail.render(values).html
    assert "Ring twice.\nThen <b>wait" in mail.render(values).text
