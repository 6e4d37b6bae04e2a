"""An address whose filter cannot be used: the list says what is wrong, finds nobody, and shows it to be mended."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from app import db
from app.domain import custom
from app.domain.config import live
from tests import factories

LIST = "/admin/customer/list"
NESTED: dict[str, Any] = {"field": "name", "op": "contains", "value": "a"}
for _level in range(12):
    NESTED = {"not": NESTED}
MANY = {"any": [{"field": "id", "op": "is", "value": n} for n in range(250)]}

BROKEN = {
    "unknown field": ({"nothing.contains": "a"}, "There is no field “nothing” here", '"field": "nothing"'),
    "unknown comparison": ({"name.nope": "a"}, "“name” takes:", '"op": "nope"'),
    "wrong type": ({"filter": '{"field": "id", "op": "is", "value": "x"}'}, "A whole number is needed", '"value": "x"'),
    "wrong type in a field": ({"id.is": "abc"}, "A whole number is needed", 'value="abc"'),
    "too deep": ({"filter": json.dumps(NESTED)}, "Nested too deeply", json.dumps(NESTED)),
    "too many": ({"filter": json.dumps(MANY)}, "Too many conditions", '"value": 249'),
    "not JSON": ({"filter": '{"field": '}, "This is not JSON", '{"field": '),
    "beside a good one": ({"name.starts_with": "A", "gone.in": "1,2"}, "There is no field “gone” here",
                          '{"all": [{"field": "name", "op": "starts_with", "value": "A"}, '
                          '{"field": "gone", "op": "in", "value": ["1", "2"]}]}'),
}  # fmt: skip


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


@pytest.fixture(autouse=True)
async def somebody(database: str) -> None:
    async with db.unit() as session:
        await factories.create_customer(session, name="Must not be shown")


async def test_the_list_says_what_is_wrong_and_finds_nobody(desk: httpx.AsyncClient) -> None:
    for params, said, draft in BROKEN.values():
        page = await desk.get(LIST, params=params)
        assert page.status_code == 400, "programs see that nothing was answered; people get the page"
        banners = r'<div class="banner bad" role="alert">(.*?)</div><a href="([^"]*)">Remove filter'
        [(banner, clear)] = re.findall(banners, page.text)
        assert "cannot be used, so it finds nothing" in banner and said in unescape(banner)
        assert clear == LIST and 'data-load="/admin/customer/filter?' in page.text and "data-open" in page.text
        assert "Must not be shown" not in page.text and "Customers</h1>" in page.text
        drawer = await desk.get("/admin/customer/filter", params=params)
        assert drawer.status_code == 200 and said in unescape(drawer.text) and draft in unescape(drawer.text)
        for part in ("list", "count"):
            answer = await desk.get(LIST, params=params, headers={"x-fragment": part})
            assert answer.status_code == 400 and "Must not be shown" not in answer.text


async def test_what_is_meant_for_all_that_match_refuses_with_the_same_words(desk: httpx.AsyncClient) -> None:
    params, said, _draft = BROKEN["beside a good one"]
    query = urlencode(params)
    for slug, more in (("export", {"kind": "csv"}), ("edit_several", {"how_language": ""}), ("message", {})):
        url = f"/admin/customer/action/{slug}"
        for refused in (
            await desk.get(url, params={"all": "1", **params}),
            await desk.post(url, data={"all": "1", "query": query, **more}),
        ):
            assert refused.status_code == 400 and said in unescape(refused.text), slug
            assert "cannot be used, so it finds nothing" in refused.text
    view = await desk.post("/admin/customer/view", data={"name": "Mine", "query": query})
    assert view.status_code == 422 and said in unescape(view.text)


async def test_a_field_that_is_removed_while_a_list_is_open(desk: httpx.AsyncClient) -> None:
    """The statements and figures of a list are kept: those of the field must not answer for it when it is gone."""
    async with db.unit() as session:
        field = await custom.create(session, target="customer", labels={"en": "Tier"})
        customer = await factories.create_customer(session, name="Of the first tier")
        customer.custom = {"tier": "first"}
    await live.keep_up(every=0)
    url = f"{LIST}?custom_tier.contains=first&custom_tier.is_not_empty=yes"
    assert "Of the first tier" in (await desk.get(url)).text
    async with db.unit() as session:
        await custom.archive(session, field=await session.get_one(custom.CustomField, field.id))
    await live.keep_up(every=0)
    page = await desk.get(url)
    assert page.status_code == 400 and "Of the first tier" not in page.text and "custom_tier" in page.text
    assert "Must not be shown" in (await desk.get(f"{LIST}?custom_tier.contains=")).text, "nothing was asked"
