"""Custom fields: making, changing, removing and purging them; their values in rows, messages and the audit."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app import db
from app.domain import custom, customers
from app.domain.billing import documents
from app.domain.config import live
from app.domain.messaging import render, values
from app.errors import Conflict, Invalid
from app.i18n import speaking
from app.models.billing import DocumentKind
from app.models.custom import CustomField
from app.models.customers import Customer
from tests.factories import create_customer, create_payer, create_project

pytestmark = [pytest.mark.usefixtures("database"), pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)]
LEVEL: dict[str, Any] = {
    "target": "customer", "kind": "choice", "labels": {"en": "Level", "de": "Stufe"},
    "choices": [{"labels": {"en": "Gold", "de": "Goldstufe"}}, {"labels": {"en": "Tin"}}],
}  # fmt: skip


async def make(**given: Any) -> CustomField:
    async with db.unit() as session:
        field = await custom.create(session, **{"target": "customer", **given})
    await live.keep_up(every=0)
    return field


async def change(field_id: int, **given: Any) -> None:
    async with db.unit() as session:
        await custom.change(session, field=await session.get_one(CustomField, field_id), **given)
    await live.keep_up(every=0)


async def register(name: str = "Anna", **more: Any) -> int:
    async with db.unit() as session:
        project = await create_project(session)
        email = f"{name.lower()}@x.example"
        made = await customers.register_customer(session, project_id=project.id, email=email, name=name, **more)
        return made.id


async def held(pk: int) -> dict[str, Any]:
    async with db.reads() as session:
        return (await session.get_one(Customer, pk)).custom


async def test_the_key_is_made_of_the_name() -> None:
    for label, key in (
        ("Größe (cm)", "groesse_cm"), ("Номер договора", "nomer_dogovora"), ("2nd <b>", "nd_b"), ("Año", "ano"),
    ):  # fmt: skip
        assert (await make(labels={"en": label})).key == key


async def test_what_cannot_be_is_refused_at_its_field() -> None:
    fine = {"labels": {"en": "Fine"}}
    for given, at in (
        ({"labels": {"en": "Email"}}, "key"),
        ({"labels": {"en": "Group"}}, "key"),
        ({"labels": {"en": "Filter"}}, "key"),
        ({"labels": {"en": "Class"}}, "key"),
        ({"labels": {"en": "数"}}, "key"),
        (fine | {"key": "x'); DROP TABLE customer"}, "key"),
        ({"labels": {"xx": "Fine"}}, "labels"),
        ({"labels": {"en": "y" * 81}}, "labels"),
        ({"labels": {"en": "A\nB"}}, "labels"),
        (fine | {"kind": "choice"}, "choices"),
        (fine | {"kind": "choice", "choices": [{"labels": {"en": f"{n}"}} for n in range(1000)]}, "choices"),
        (fine | {"kind": "date", "default": "soon"}, "default"),
        (fine | {"at_registration": True}, "access"),
    ):
        with pytest.raises(Invalid) as refused:
            await make(**given)
        assert at in refused.value.fields, given


async def test_each_kind_refuses_what_it_cannot_hold() -> None:
    await make(**LEVEL)
    for kind in ("text", "number", "money", "date", "yes_no", "link", "phone"):
        await make(kind=kind, labels={"en": f"A {kind}"})
    for key, value in (
        ("level", "lead"), ("level", ["gold"]), ("a_text", "x" * 1001), ("a_text", "a\0b"), ("a_text", 7),
        ("a_number", 2**70), ("a_number", "7"), ("a_number", True), ("a_money", 1.5), ("a_date", "2026-02-30"),
        ("a_yes_no", "yes"), ("a_link", "javascript:alert(1)"), ("a_link", "https://user:pass@x.example"),
        ("a_link", 'https://x.example/"><script>'), ("nothing", "x"),
    ):  # fmt: skip
        with pytest.raises(Invalid) as refused:
            await register(custom={key: value})
        assert list(refused.value.fields) == [f"custom_{key}"], (key, value)
    pk = await register(custom={"a_link": "x.example/a", "a_phone": "+4930 23125000", "a_date": "2026-05-31",
                                "a_yes_no": False, "a_text": " Zoë ", "a_number": 0})  # fmt: skip
    assert await held(pk) == {"a_link": "https://x.example/a", "a_phone": "+49 30 23125000", "a_date": "2026-05-31",
                              "a_text": "Zoë", "a_number": 0}  # fmt: skip


async def test_renaming_keeps_the_values_and_a_choice_that_is_taken_out_stays_where_it_is() -> None:
    field = await make(**LEVEL)
    pk = await register(custom={"level": "tin"})
    [gold, _tin] = field.choices
    await change(field.id, labels={"en": "Rank", "ru": "Ранг"}, choices=[gold, {"labels": {"en": "Steel"}}])
    [spec] = custom.fields(Customer)
    assert str(spec.label) == "Rank" and custom.say(spec, "tin") == "Tin"
    with speaking("ru"):
        assert str(spec.label) == "Ранг" and custom.say(spec, "gold") == "Gold", "falls back"
    with speaking("de"):
        assert str(spec.label) == "Rank" and custom.say(spec, "gold") == "Goldstufe"
    async with db.unit() as session:
        row = await session.get_one(Customer, pk)
        await customers.change_customer(session, customer=row, values={"custom": {"level": "tin"}})
    with pytest.raises(Invalid):
        await register("Bea", custom={"level": "tin"})
    await register("Cem", custom={"level": "steel"})


async def test_the_kind_changes_only_where_the_values_stay_valid() -> None:
    field = await make(labels={"en": "Term"})
    await register(custom={"term": "2026-05-31"})
    await register("Bea", custom={"term": "later"})
    with pytest.raises(Invalid) as refused:
        await change(field.id, kind="date")
    assert "1 values" in refused.value.fields["kind"] and "later (#2)" in refused.value.fields["kind"]
    async with db.unit() as session:
        row = await session.get_one(Customer, 2)
        await customers.change_customer(session, customer=row, values={"custom": {"term": None}})
    await change(field.id, kind="date")
    assert custom.fields(Customer)[0].kind == "date"
    with pytest.raises(Invalid):
        await change(field.id, target="user")


async def test_required_and_default_count_for_new_rows() -> None:
    await make(labels={"en": "Contract"}, required=True)
    await make(labels={"en": "Source"}, default="web")
    pk = await register()
    assert await held(pk) == {"source": "web"}, "required is for those who are asked: forms name it"
    with pytest.raises(Invalid) as refused:
        await register("Bea", custom={"contract": ""})
    assert list(refused.value.fields) == ["custom_contract"]
    with pytest.raises(Invalid):
        await register("Bea", custom_of=custom.Asked(all=True))


async def test_customers_change_only_what_they_may() -> None:
    for access in ("staff", "read", "edit"):
        await make(labels={"en": f"For {access}"}, access=access)
    pk = await register(custom={"for_staff": "a", "for_read": "b"})
    async with db.unit() as session:
        row = await session.get_one(Customer, pk)
        for key in ("for_staff", "for_read"):
            with pytest.raises(Invalid):
                await customers.change_customer(
                    session, customer=row, values={"custom": {key: "x"}}, custom_of=custom.CUSTOMER
                )
        await customers.change_customer(
            session, customer=row, values={"custom": {"for_edit": "c"}}, custom_of=custom.CUSTOMER
        )
    assert await held(pk) == {"for_staff": "a", "for_read": "b", "for_edit": "c"}


async def test_a_message_says_it_in_its_language() -> None:
    field = await make(**LEVEL)
    await make(kind="money", currency="EUR", labels={"en": "Deposit"})
    pk = await register(custom={"level": "gold", "deposit": 125_050}, language="de")
    text = "{{ customer.custom.level }}: {{ customer.custom.deposit }}"
    async with db.reads() as session:
        _more, known = await values.of_customer(session, pk)
    assert render.parse(text).render(known) == "Goldstufe: 1.250,50\N{NO-BREAK SPACE}EUR"
    async with db.unit() as session:
        await custom.archive(session, field=await session.get_one(CustomField, field.id))
    await live.keep_up(every=0)
    with pytest.raises(render.TemplateProblem):
        render.parse(text)


async def test_purging_takes_the_values_out_in_slices_and_then_the_field() -> None:
    field = await make(labels={"en": "Contract"})
    pks = [await register(name, custom={"contract": f"Zeta {name}"}) for name in ("A1", "B2", "C3")]
    async with db.unit() as session:
        row = await session.get_one(CustomField, field.id)
        assert await custom.count(session, row) == 3
        with pytest.raises(Conflict):
            await custom.purge(session, field=row)
        await custom.archive(session, field=row)
    assert await held(pks[0]) == {"contract": "Zeta A1"}, "removing keeps it"
    async with db.unit() as session:
        row = await session.get_one(CustomField, field.id)
        await custom.purge(session, field=row)
        with pytest.raises(Conflict):
            await custom.restore(session, field=row)
    slices = []
    for _n in range(2):
        async with db.unit() as session:
            slices.append(await custom.purge_some(session, field_id=field.id, most=2))
    assert slices == [True, False] and [await held(pk) for pk in pks] == [{}, {}, {}]
    async with db.reads() as session:
        assert not (await session.scalars(select(CustomField))).all()
        assert not any("zeta" in text for text in await session.scalars(select(Customer.search_text)))


async def test_documents_may_use_those_of_the_payer() -> None:
    await make(target="payer", labels={"en": "Cost centre"}, kind="number", digits=1)
    text: dict[str, Any] = {"kind": "act", "language": "en", "title": "Act"}
    async with db.unit() as session:
        customer = await create_customer(session)
        await create_payer(session, customer_id=customer.id, custom={"cost_centre": 705})
        body = "Centre {{ payer.custom.cost_centre }} of {{ payer.name }}"
        await documents.save_document_template(session, values={**text, "body": body})
        with pytest.raises(Invalid, match="unknown field"):
            await documents.save_document_template(session, values={**text, "body": "{{ payer.custom.gone }}"})
    async with db.unit() as session:
        made = await documents.make_document(session, customer_id=customer.id, kind=DocumentKind.ACT)
        assert made.body.startswith("Centre 70.5 of ")
