"""Forms: nothing typed is lost, mistakes stand at their fields, amounts and moments mean what the reader means."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import select
from starlette.datastructures import ImmutableMultiDict
from wtforms import validators

from admin_views.base.fields import AppForm, PercentField, RateField
from admin_views.base.options import choices, named
from app import db
from app.i18n import LANGUAGES, read_amount, speaking, timezones, type_amount
from app.models.attachments import Attachment
from app.models.catalog import Service
from app.models.customers import Customer
from app.models.staff import Staff
from tests import factories
from tests.admin_views.conftest import PASSWORD, SignIn
from tests.generated.routes import form_on


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


AMOUNTS = {  # typed: in English, German, Russian
    "1284.50": ("1284.50",) * 3,
    "1.284,50": ("1284.50",) * 3,
    "1,284.50": ("1284.50",) * 3,
    "1 284,50": ("1284.50",) * 3,
    "1,284": ("1284", "1.284", "1.284"),
    "1.284": ("1.284", "1284", "1.284"),
    "12,5": ("12.5",) * 3,
    "0.123": ("0.123",) * 3,
    "−3,10": ("-3.10",) * 3,
    "1.000.000": ("1000000",) * 3,
    ".5": ("0.5",) * 3,
}


@pytest.mark.parametrize("typed", AMOUNTS)
def test_an_amount_is_read_as_the_reader_writes_it(typed: str) -> None:
    for code, meant in zip(("en", "de", "ru"), AMOUNTS[typed], strict=True):
        with speaking(code):
            assert read_amount(typed) == Decimal(meant), code


@pytest.mark.parametrize("typed", ["", "abc", "1e5", ",", "1.2.3", "1,2,3", "1.284,5.0", "--1", "1-", "NaN", "0x1"])
def test_what_is_no_amount_is_refused(typed: str) -> None:
    with pytest.raises(ValueError):
        read_amount(typed)


def test_a_shown_amount_is_read_back_as_itself() -> None:
    for code in LANGUAGES:
        with speaking(code):
            for minor, currency, digits in ((128450, "EUR", 2), (-5, "EUR", 2), (1284, "JPY", 0), (1284, "KWD", 3)):
                assert read_amount(type_amount(minor, currency)) == Decimal(minor).scaleb(-digits), (code, currency)


@pytest.mark.parametrize(
    ("kind", "typed", "kept", "shown"),
    [(PercentField, "19", 1900, "19"), (PercentField, "7,5", 750, "7.5"), (PercentField, "0", 0, "0"),
     (PercentField, "7.125", None, ""), (PercentField, "100.01", None, ""), (PercentField, "-1", None, ""),
     (PercentField, "NaN", None, ""), (PercentField, "1e2", None, ""),
     (RateField, "1.1", 1_100_000_000, "1.1"), (RateField, "0.000000001", 1, "0.000000001"), (RateField, "0", None, ""),
     (RateField, "0.0000000001", None, ""), (RateField, "9" * 30, None, ""), (RateField, "", None, "")],
)  # fmt: skip
def test_percentages_and_rates_are_typed_as_decimals(
    kind: type[PercentField], typed: str, kept: int | None, shown: str
) -> None:
    class OneForm(AppForm):
        figure = kind(validators=[validators.InputRequired()])

    form = OneForm(ImmutableMultiDict([("figure", typed)]))
    assert form.validate() is (kept is not None)
    assert form.data["figure"] == kept or kept is None
    if kept is not None:
        assert OneForm(data={"figure": kept}).figure._value() == shown


def test_pickers_offer_what_people_choose_and_know_the_rest() -> None:
    zones = dict(timezones())
    assert re.fullmatch(r"Europe/Berlin \(UTC\+0[12]:00\)", zones["Europe/Berlin"])
    assert zones["UTC"] == "UTC (UTC+00:00)" and "Etc/GMT+5" not in zones
    with speaking("de"):
        assert ("DE", "Deutschland") in choices("country") and ("EUR", "EUR – Euro") in choices("currency")
    assert "DEM" not in dict(choices("currency")) and named("currency", "DEM") and not named("currency", "XQQ")
    assert named("language_or_none", "pt-BR") and not named("language_or_none", "qq-QQ")
    assert named("timezone", "CET") and not named("timezone", "Europe/Nowhere")


async def test_a_language_that_is_not_offered_survives_an_edit(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session, name="Joana", language="pt-BR", timezone="CET")
    page = (await desk.get(f"/admin/customer/edit/{customer.id}")).text
    assert re.search(r'<option selected value="pt-BR">', page) and re.search(r'<option selected value="CET">', page)
    form = {"name": "Joana Lima", "project": str(customer.project_id), "kind": "individual", "status": "new",
            "language": "pt-BR", "timezone": "CET", "email": customer.email}  # fmt: skip
    assert (await desk.post(f"/admin/customer/edit/{customer.id}", data=form)).status_code == 303
    refused = await desk.post(f"/admin/customer/edit/{customer.id}", data=form | {"language": "qq-QQ"})
    assert refused.status_code == 422
    async with db.reads() as session:
        saved = await session.get_one(Customer, customer.id)
        assert (saved.name, saved.language, saved.timezone) == ("Joana Lima", "pt-BR", "CET")


async def test_a_refused_form_keeps_everything_and_leads_to_the_first_mistake(desk: httpx.AsyncClient) -> None:
    fresh = (await desk.get("/admin/customer/create")).text
    assert re.findall(r'<[^>]* autofocus[^>]* id="(\w+)"', fresh) == ["name"]
    typed = {"name": "Anna", "kind": "individual", "email": "not an address", "phone": "030 1", "language": "de",
             "password": "a long one", "password_again": "a long one", "note": "typed <b>here</b>"}  # fmt: skip
    answer = await desk.post("/admin/customer/create", data=typed)
    page = answer.text
    assert answer.status_code == 422
    for kept in ('value="Anna"', 'value="not an address"', 'value="030 1"', "typed &lt;b&gt;here&lt;/b&gt;"):
        assert kept in page, kept
    assert "a long one" not in page and page.count("Please enter it again: a password is not kept.") >= 2
    assert '<option selected value="de">' in page
    assert re.findall(r'<input[^>]* id="(\w+)"[^>]* autofocus', page) == ["project"]
    summary = page[page.index('class="wrong"') :].partition("</ul>")[0]
    assert '<a href="#project">Project</a>' in summary
    assert 'aria-invalid="true"' in page and 'id="project-error"' in page


async def test_editing_does_not_move_the_cursor(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
    page = (await desk.get(f"/admin/customer/edit/{customer.id}")).text
    assert " autofocus" not in page.partition("<main")[2].partition("</main>")[0]


async def test_a_moment_comes_back_as_it_was_typed(owner: Staff, sign_in: SignIn) -> None:
    """In the reader's zone, also when the form is refused; no later than now where it lies in the past."""
    async with db.unit() as session:
        staff = await session.get_one(Staff, owner.id)
        staff.timezone = "Asia/Tokyo"
        customer = await factories.create_customer(session, registered_at=datetime(2025, 5, 1, 20, 30, tzinfo=UTC))
    desk = await sign_in(owner)
    url = f"/admin/customer/edit/{customer.id}"
    assert 'value="2025-05-02T05:30"' in (await desk.get(url)).text
    form = {"name": "", "project": str(customer.project_id), "kind": "individual", "status": "new",
            "registered_at": "2025-05-03T06:45"}  # fmt: skip
    answer = await desk.post(url, data=form)
    assert answer.status_code == 422 and 'value="2025-05-03T06:45"' in answer.text
    answer = await desk.post(url, data=form | {"name": "Anna", "registered_at": "2125-05-03T06:45"})
    assert answer.status_code == 422 and "This lies in the future." in answer.text and "2125-05-03T06:45" in answer.text
    assert (await desk.post(url, data=form | {"name": "Anna"})).status_code == 303
    async with db.reads() as session:
        saved = await session.get_one(Customer, customer.id)
        assert saved.registered_at == datetime(2025, 5, 2, 21, 45, tzinfo=UTC)


async def test_an_amount_is_typed_and_shown_in_german(owner: Staff, sign_in: SignIn) -> None:
    async with db.unit() as session:
        staff = await session.get_one(Staff, owner.id)
        staff.language = "de"
        customer = await factories.create_customer(session)
        service = await factories.create_service(session, customer=customer, price=100, currency="EUR")
    desk = await sign_in(owner)
    url = f"/admin/service/edit/{service.id}"
    page = (await desk.get(url)).text
    assert re.search(r'inputmode="decimal"[^>]* value="1,00"', page) and 'data-currency-of="currency">EUR<' in page
    form = {k: v[0] for k, v in form_on(page, url).items() if v}
    answer = await desk.post(url, data=form | {"price": "1.284,505"})
    assert answer.status_code == 422 and 'value="1.284,505"' in answer.text
    assert (await desk.post(url, data=form | {"price": "1.284,50"})).status_code == 303
    async with db.reads() as session:
        assert (await session.get_one(Service, service.id)).price == 128450


async def test_a_file_is_kept_when_the_form_has_mistakes(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session, email="anna@example.org")
    url, files = "/admin/customer/action/message", [("files", ("plan.txt", b"the plan"))]
    answer = await desk.post(url, data={"pks": str(customer.id), "subject_en": "Hello"}, files=files)
    assert answer.status_code == 422
    async with db.reads() as session:
        stored = (await session.scalars(select(Attachment))).one()
    assert f'name="used_files" value="{stored.id}"' in answer.text and "plan.txt" in answer.text
    assert PASSWORD not in answer.text
