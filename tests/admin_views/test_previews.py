"""The panel as a role sees it: its grants and no more, nothing can be done, and it ends."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.domain import previews
from app.domain.sessions import granted
from app.models.audit import Audit
from app.models.staff import Role, Staff
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

BEGIN, END = "/admin/role/action/preview", "/admin/preview/end"


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


@pytest.fixture
async def role(database: str) -> Role:
    async with db.unit() as session:
        pairs = [("customer", "list"), ("customer", "details"), ("ticket", "*"), ("*", "action:enter")]
        return await factories.create_role(session, name="Night desk", grants=pairs)


async def begin(browser: httpx.AsyncClient, role: Role, **form: str) -> httpx.Response:
    return await browser.post(BEGIN, data={"pks": str(role.id), **form})


async def done() -> list[str]:
    async with db.reads() as session:
        rows = await session.scalars(select(Audit.action).where(Audit.noun == "role").order_by(Audit.id))
        return [a for a in rows if a.startswith("preview")]


def test_only_what_both_hold() -> None:
    one = frozenset({("customer", "*"), ("*", "list"), ("ticket", "edit")})
    other = frozenset({("*", "edit"), ("customer", "list"), ("payment", "*")})
    shown = previews.within(one, other)
    for screen in ("customer", "ticket", "payment", "job"):
        for action in ("list", "edit", "delete", "action:x"):
            assert granted(shown, screen, action) is (granted(one, screen, action) and granted(other, screen, action))
    assert previews.within(frozenset({("*", "*")}), other) == other and not previews.within(one, frozenset())


async def test_a_preview_shows_what_the_role_sees_and_changes_nothing(desk: httpx.AsyncClient, role: Role) -> None:
    async with db.unit() as session:
        mine, other = [await factories.create_project(session, name=n) for n in ("Mine", "Other")]
        for project in (mine, other):
            await factories.create_customer(session, project=project, name=f"Somebody of {project.name}")
    assert "as-role" not in (await desk.get("/admin/")).text
    assert (await begin(desk, role)).status_code == 303
    page = (await desk.get("/admin/customer/list")).text
    assert 'class="as-role"' in page and "Night desk" in page and "30 minutes left" in page
    assert "Somebody of Other" in page and "/admin/customer/create" not in page and "/admin/payment/list" not in page
    for url in ("/admin/payment/list", "/admin/customer/create", "/admin/role/list", BEGIN):
        assert (await desk.get(url)).status_code == 403, url
    async with db.reads() as session:
        before = (await session.scalars(select(Audit.id))).all()
    for url in ("/admin/ticket/action/take", "/admin/customer/create", "/admin/profile", "/language", BEGIN):
        refused = await desk.post(url, data={"language": "de", "pks": "1"})
        assert refused.status_code == 403 and "nothing can be changed" in refused.text, url
    async with db.reads() as session:
        assert (await session.scalars(select(Audit.id))).all() == before
    back = await desk.post(END)
    assert back.headers["location"] == f"/admin/role/details/{role.id}"
    assert "as-role" not in (await desk.get("/admin/payment/list")).text
    assert await done() == ["preview", "preview_end"]
    await begin(desk, role, project=str(mine.id))
    page = (await desk.get("/admin/customer/list")).text
    assert "limited to <bdi>Mine</bdi>" in page and "Somebody of Mine" in page and "Somebody of Other" not in page


async def test_a_preview_gives_nobody_more_than_they_hold(owner: Staff, sign_in: SignIn, role: Role) -> None:
    async with db.unit() as session:
        mine, other = [await factories.create_project(session, name=n) for n in ("Mine", "Other")]
    small = await create_staff([("role", "*"), ("customer", "list")], username="small", projects=(mine,))
    browser = await sign_in(small)
    assert (await begin(browser, role, project=str(other.id))).status_code in (404, 422)
    assert (await begin(browser, role)).status_code == 303
    page = (await browser.get("/admin/customer/list")).text
    assert "what you do not hold yourself is left out" in page
    assert (await browser.get("/admin/ticket/list")).status_code == 403
    without = await create_staff([("role", "list"), ("role", "details"), ("role", "edit")], username="without")
    assert (await begin(await sign_in(without), role)).status_code == 403


async def test_a_preview_ends_by_itself(
    desk: httpx.AsyncClient, owner: Staff, sign_in: SignIn, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "LIFE", timedelta(seconds=-1))
    await begin(desk, role)
    stale = desk.cookies.get("bursar_preview")
    refused = await desk.post("/admin/notices/seen", data={"until": "2026-01-01T00:00:00+00:00"})
    assert refused.status_code == 403 and "preview is over" in refused.text
    assert "bursar_preview" not in desk.cookies and (await desk.get("/admin/payment/list")).status_code == 200
    monkeypatch.undo()
    await begin(desk, role)
    token = desk.cookies["bursar_preview"]
    async with db.unit() as session:
        await session.delete(await session.get_one(Role, role.id, options=[db_grants()]))
    assert "as-role" not in (await desk.get("/admin/payment/list")).text
    another = await sign_in(owner)  # a token is worth nothing in another session, nor is one that was changed
    for given in (token, token[:-1] + ("A" if token[-1] != "A" else "B"), "1 2 3 4", str(stale)):
        another.cookies.set("bursar_preview", given)
        assert (await another.get("/admin/payment/list")).status_code == 200


def db_grants() -> object:
    from sqlalchemy.orm import selectinload

    return selectinload(Role.grants)
