"""Roles: the matrix offers every grant that is asked for, and nobody gives more than they hold."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from admin_views import grants
from admin_views.screens import SCREENS
from app import db
from app.i18n import speaking
from app.models.staff import Grant, Role
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


def asked_for() -> set[tuple[str, str]]:
    """Every grant that the code asks for by name: (screen, action), (..., "action:x") with an unknown screen."""
    found = set()
    for path in [*(ROOT / "admin_views").rglob("*.py"), *(ROOT / "app").rglob("*.py")]:
        if {"demo", "config"} & set(path.parts) or path.name in ("staff.py", "presets.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            words = [getattr(a, "value", None) for a in node.args] if isinstance(node, ast.Call) else []
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
                "may",
                "need",
            ):
                texts = [w for w in words if isinstance(w, str)]
                if len(texts) == 2 and "." not in texts[0]:
                    found.add((texts[0], texts[1]))
            elif isinstance(node, ast.Constant) and re.fullmatch(r"action:\w+", str(node.value)):
                found.add(("...", str(node.value)))
    return found


def test_every_grant_that_is_asked_for_is_offered() -> None:
    with speaking("en"):
        offered = set(grants.known())
    assert len(asked_for()) > 30
    anywhere = {action for _screen, action in offered}
    missing = {p for p in asked_for() if p not in offered and not (p[0] == "..." and p[1] in anywhere)}
    assert not missing
    for view in (v for v in SCREENS if not v.own):  # one's own needs no grant
        for button in view.all_buttons(view):  # type: ignore[arg-type]
            assert {(view.identity, a) for a in (button.action, button.grant_all) if a} <= offered, view.identity


def test_what_takes_trust_is_offered_and_named() -> None:
    with speaking("en"):
        assert {p for t in grants.TRUST for p in t.pairs} <= set(grants.known())
        assert [t.label for t in grants.trusted(frozenset({("payment", "export"), ("customer", "action:enter")}))] == [
            "Enters customers’ accounts", "Takes data out as a file",
        ]  # fmt: skip
        assert len(grants.trusted(frozenset({("*", "*")}))) == len(grants.TRUST)
        assert grants.trusted(frozenset({("*", "list"), ("ticket", "edit")})) == []


def box(html: str, value: str) -> str:
    return next(tag for tag in re.findall(r"<input[^>]*>", html) if f'value="{value}"' in tag)


async def test_a_role_is_made_in_the_matrix_and_shown_in_it(desk: httpx.AsyncClient) -> None:
    form = (await desk.get("/admin/role/create")).text
    assert 'aria-label="Tickets: Edit"' in form and "data-tick-row" in form and "disabled" not in box(form, "* *")
    values = {"name": "Night", "description": "", "grants": ["ticket list", "* details", "customer action:enter"]}
    made = await desk.post("/admin/role/create", data=values)
    assert made.status_code == 303, made.text
    async with db.reads() as session:
        role = (await session.scalars(select(Role).where(Role.name == "Night"))).one()
        pairs = {(g.screen, g.action) for g in await session.scalars(select(Grant).where(Grant.role_id == role.id))}
    assert pairs == {("ticket", "list"), ("*", "details"), ("customer", "action:enter")}
    card = (await desk.get(f"/admin/role/details/{role.id}")).text
    assert "Enters customers’ accounts" in card and "Writes to many" not in card
    assert card.count("By “Everywhere” or “Everything”") > 20  # whatever can be opened
    edit = (await desk.get(f"/admin/role/edit/{role.id}")).text
    assert "checked" in box(edit, "customer action:enter") and "checked" not in box(edit, "customer action:act")


async def test_what_one_does_not_hold_cannot_be_ticked(owner: object, sign_in: SignIn) -> None:
    manager = await create_staff([("role", "*"), ("customer", "list")], username="mona")
    browser = await sign_in(manager)
    form = (await browser.get("/admin/role/create")).text
    assert "disabled" in box(form, "customer edit") and "disabled" in box(form, "* *")
    assert "disabled" not in box(form, "customer list") and "cannot be ticked" in form
    for value in ("customer edit", "* *", "* list"):
        refused = await browser.post("/admin/role/create", data={"name": "More", "grants": [value]})
        assert refused.status_code == 422 and "cannot give more" in refused.text
    unknown = await browser.post("/admin/role/create", data={"name": "More", "grants": ["payroll list"]})
    assert unknown.status_code == 422
    made = await browser.post("/admin/role/create", data={"name": "Same", "grants": ["customer list"]})
    assert made.status_code == 303


async def test_a_grant_that_no_screen_offers_any_more_stays_until_it_is_unticked(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        role = await factories.create_role(session, name="Old", grants=[("customer", "action:fax"), ("job", "*")])
    form = (await desk.get(f"/admin/role/edit/{role.id}")).text
    assert "checked" in box(form, "customer action:fax") and "checked" in box(form, "job *")
    kept = {"name": "Old", "description": "", "version": str(role.version), "grants": ["customer action:fax", "job *"]}
    assert (await desk.post(f"/admin/role/edit/{role.id}", data=kept)).status_code == 303
    async with db.reads() as session:
        rows = await session.scalars(select(Grant.action).where(Grant.role_id == role.id))
        assert set(rows) == {"action:fax", "*"}
