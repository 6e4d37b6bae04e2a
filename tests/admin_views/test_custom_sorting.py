"""Lists sorted by custom fields: every kind in its order, page by page, in files, and how many are too many."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text, tuple_

from admin_views.base import listing
from app import db
from app.domain import custom
from app.domain.config import live
from app.models.customers import Customer
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

LIST = "/admin/customer/list"
NAMES = re.compile(r'<td class="lead"><a href="/admin/customer/details/\d+"><bdi>([^<]+)</bdi>')
LEVELS = ["tin", "gold", "ash"]
KINDS: dict[str, dict[str, Any]] = {
    "bulk": {"kind": "number", "digits": 1},
    "fee": {"kind": "money"},
    "since": {"kind": "date"},
    "town": {"kind": "text"},
    "level": {"kind": "choice", "choices": [{"key": k, "labels": {"en": k}} for k in LEVELS]},
    "trade": {"kind": "yes_no"},
    "site": {"kind": "link"},
}
VALUES: dict[str, list[Any]] = {
    "bulk": [None, -30, 7, 100, 20],
    "fee": [10**12, None, 0, -5],
    "since": ["2024-02-29", None, "1999-12-31", "2024-03-01"],
    "town": ["Zagreb", "Ähtäri", None, "Aachen", "z" * 300],
    "level": ["gold", None, "tin", "ash", "of old"],
    "trade": [True, None, True],
    "site": ["https://b.example", None, "https://a.example"],
}
ROWS = 55


def place(key: str, value: Any) -> Any:
    """Where a value belongs."""
    if key in ("bulk", "fee"):
        return value or 0
    if key == "level":
        return LEVELS.index(value) + 1 if value in LEVELS else 0
    if key == "trade":
        return bool(value)
    return {"Ähtäri": "ahtari"}.get(value, (value or "").lower()[:100])


async def make(**more: Any) -> dict[str, list[str]]:
    """The fields, and the customers. Gives their names as each field sorts them."""
    async with db.unit() as session:
        for key, given in KINDS.items():
            await custom.create(session, target="customer", key=key, labels={"en": key.title()}, **given, **more)
        for n in range(ROWS):
            held = {k: values[n % len(values)] for k, values in VALUES.items()}
            customer = await factories.create_customer(session, name=f"Nr {n:02}")
            customer.custom = {k: v for k, v in held.items() if v is not None}
    await live.keep_up(every=0)
    numbers = range(ROWS)
    return {
        key: [f"Nr {n:02}" for n in sorted(numbers, key=lambda n, k=key: (place(k, VALUES[k][n % len(VALUES[k])]), n))]
        for key in KINDS
    }


def shown(page: httpx.Response) -> list[str]:
    return NAMES.findall(page.text)


async def test_every_kind_is_sorted_page_by_page(desk: httpx.AsyncClient) -> None:
    orders = await make()
    for key, wanted in orders.items():
        for sort, order in ((key, wanted), (f"-custom_{key}", wanted[::-1])):
            url: str | None = f"{LIST}?sort={sort if sort.startswith('-') else f'custom_{key}'}"
            pages: list[list[str]] = []
            while url:
                page = await desk.get(url)
                pages.append(shown(page))
                following = re.search(r'rel="next" href="([^"]+)"', page.text)
                url = unescape(following[1]) if following else None
            assert [name for names in pages for name in names] == order, sort
            back = re.search(r'rel="prev" href="([^"]+)"', page.text)
            assert back is not None and shown(await desk.get(unescape(back[1]))) == pages[-2], sort
    head = (await desk.get(f"{LIST}?sort=-custom_bulk")).text
    assert re.search(r'aria-sort="descending"[^>]*>.{0,200}Bulk', head, re.DOTALL)
    assert '<option value="custom_town">' in (await desk.get("/admin/customer/columns")).text
    for query in ("sort=custom_bulk&after=WyJhIiwxXQ", "sort=custom_level&after=W3RydWUsMV0", "sort=custom_gone"):
        assert (await desk.get(f"{LIST}?{query}")).status_code == 400, query


async def test_a_file_has_the_order_of_the_list(desk: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = await make(indexed=True)
    monkeypatch.setattr("app.domain.bulk.reading.CHUNK", 7)
    for key, order in orders.items():
        sent = {"all": "1", "query": f"sort=custom_{key}&columns=name", "kind": "csv"}
        sheet = await desk.post("/admin/customer/action/export", data=sent)
        assert sheet.text.split()[1:] == " ".join(order).split(), key


async def test_too_many_are_sorted_only_by_an_index(
    desk: httpx.AsyncClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = await make()
    monkeypatch.setattr(listing, "COUNTED", 50)
    marker = re.search(r"after=([\w-]+)", (await desk.get(f"{LIST}?sort=custom_bulk&id.at_most=50")).text)
    assert marker is not None
    for query in ("", f"&after={marker[1]}"):
        page = await desk.get(f"{LIST}?sort=custom_bulk{query}")
        assert shown(page)[:2] == [f"Nr {ROWS - 1}", f"Nr {ROWS - 2}"], "the usual order"
        assert "too many to be sorted by “Bulk”" in page.text and "/admin/custom_field/edit/1" in page.text
        assert 'aria-sort="ascending"' not in page.text and "sort=custom_bulk" in page.text
    blind = await sign_in(await create_staff([("customer", "list")], username="blind"))
    page = await blind.get(f"{LIST}?sort=custom_bulk")
    assert "too many to be sorted" in page.text and "/admin/custom_field/edit/1" not in page.text
    few = await desk.get(f"{LIST}?sort=custom_bulk&id.at_most=50")
    assert "too many" not in few.text and shown(few)[0] in orders["bulk"][:11]
    sent = {"all": "1", "query": "sort=custom_bulk&columns=name", "kind": "csv"}
    sheet = await desk.post("/admin/customer/action/export", data=sent)
    assert sheet.text.splitlines()[1] == f"Nr {ROWS - 1}"
    async with db.unit() as session:
        field = await session.get_one(custom.CustomField, 1)
        await custom.change(session, field=field, indexed=True)
    await live.keep_up(every=0)
    page = await desk.get(f"{LIST}?sort=custom_bulk")
    assert shown(page) == orders["bulk"][:25] and "too many" not in page.text


async def test_the_index_serves_the_order(desk: httpx.AsyncClient) -> None:
    await make(indexed=True)
    for field_id in range(1, len(KINDS) + 1):
        await custom.index(field_id=field_id)
    async with db.reads() as session:
        # a plan is made with the schema that the connection knows
        for setting in ("SELECT * FROM sqlite_master",) if db.is_sqlite() else ("SET enable_sort = off",):
            await session.execute(text(setting))
        for key in KINDS:
            spec = custom.named(Customer, f"custom_{key}")
            assert spec is not None
            order = custom.order(spec, Customer)
            behind = tuple_(order, Customer.id) > tuple_(db.given("a", order.type), db.given("b", Customer.id.type))
            statement = select(Customer.id).where(behind).order_by(order, Customer.id).limit(26)
            asked = db.Prepared(statement, session.get_bind().dialect)
            empty: Any = 0 if key in ("bulk", "fee", "level") else False if key == "trade" else ""
            explain = "EXPLAIN QUERY PLAN" if db.is_sqlite() else "EXPLAIN"
            connection = await session.connection()
            rows = await connection.exec_driver_sql(f"{explain} {asked.sql}", asked.parameters({"a": empty, "b": 0}))
            plan = "\n".join(str(row) for row in rows)
            assert f"cf_customer__{key}" in plan and "Sort" not in plan and "TEMP B-TREE" not in plan, (key, plan)
    names = "sqlite_master WHERE name" if db.is_sqlite() else "pg_indexes WHERE indexname"

    async def left() -> list[str]:
        column = "name" if db.is_sqlite() else "indexname"
        async with db.reads() as session:
            found = await session.scalars(text(f"SELECT {column} FROM {names} LIKE 'cf_customer%' ORDER BY 1"))
            return [name for name in found if "_level" in name or "_town" in name]

    async with db.unit() as session:
        level = await session.get_one(custom.CustomField, 5)
        await custom.change(session, field=level, choices=[*level.choices[::-1]])
    before = await left()
    await custom.index(field_id=5)
    assert await left() == before and "cf_customer__level" in before
    async with db.unit() as session:
        level = await session.get_one(custom.CustomField, 5)
        await custom.change(session, field=level, indexed=False)
        town = await session.get_one(custom.CustomField, 4)
        await session.delete(town)
    await custom.index(field_id=5)
    assert before != await left() and not any("_level" in name for name in await left())
    await custom.index_all()
    assert await left() == [], "nor of a field that is gone"
