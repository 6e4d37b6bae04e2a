"""What must never be shown: values of sensitive columns, wherever one looks; and files of this machine."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Column, Enum, LargeBinary, String, Table, Text, select, update

from admin_views.screens import SCREENS
from app import db
from app.db import Base
from app.models.sessions import LoginSession
from app.observe import set_up_logging
from tests.generated.conftest import House
from tests.generated.routes import Way, form_on
from tests.generated.test_no_get_writes import crawl
from tests.generated.world import FILE

MARK = "CANARY"
SENSITIVE: list[tuple[Any, str, Any]] = [
    (mapper.class_, attr.key, attr.columns[0])
    for mapper in sorted(Base.registry.mappers, key=lambda m: m.class_.__tablename__)
    for attr in mapper.column_attrs
    if attr.columns[0].info.get("sensitive")
]


def _fitting(text: str, column: Column[Any]) -> str | bytes:
    text = text[: getattr(column.type, "length", None) or 200]
    return text.encode() if isinstance(column.type, LargeBinary) else text


async def _plant(house: House) -> set[str]:
    """A value of its own in every row of every sensitive column, by the mappers, so that the audit sees it. The
    sessions in use keep their token: those texts are looked for too."""
    texts = {cookie.partition("=")[2] for cookie in house.world.cookies.values() if cookie}
    async with db.unit() as session:
        for model, key, column in SENSITIVE:
            for row in await session.scalars(select(model)):
                if isinstance(row, LoginSession):
                    texts.add(row.token_hash)
                else:
                    text = f"{MARK}-{column.table.name}-{key}-{row.id}"
                    setattr(row, key, _fitting(text, column))
    async with db.unit() as session:  # what a flush computes anew (search_text) is planted past it
        for model, key, column in SENSITIVE:
            if model is not LoginSession:
                text = f"{MARK}-{column.table.name}-{key}-again"
                await session.execute(
                    update(model).values({key: _fitting(text, column)}).execution_options(audited=True)
                )
    return {*texts, MARK, house.settings.secret_key}


async def _everywhere(house: House) -> AsyncIterator[tuple[str, bytes]]:
    """(where, what) of every answer: pages, fragments, look-ups, exports, refused forms, error pages."""
    told = {c.table.name for _m, _k, c in SENSITIVE if c.name != "search_text"} | {"audit", "job"}
    for who, client in (("owner", False), ("user", True), ("visit", True)):
        for way in house.ways:
            if way.client is not client or not way.safe or way.target == "missing":
                continue
            if house.settings.sqlite_path is None and not client and way.label.partition("/")[0] not in told:
                continue  # on PostgreSQL the screens that have most to hide
            answer = await house.ask("GET", way.url, who)
            yield f"GET {way.url}", answer.content
            if way.target == "own" and way.label.endswith("/edit") and answer.status_code == 200:
                form = form_on(answer.text, way.url)
                wrong = {k: "\x07" if k in ("name", "username", "text", "subject") else v for k, v in form.items()}
                yield f"a refused POST {way.url}", (await house.ask("POST", way.url, who, data=wrong)).content
    for view in SCREENS:
        if house.settings.sqlite_path is None and view.identity not in told:
            continue
        for kind in ("csv", "json") if not view.own else ():
            url = f"/admin/{view.identity}/action/export"
            answer = await house.ask("POST", url, "owner", data={"all": "1", "query": "", "kind": kind})
            assert answer.status_code == 200
            yield f"export of {view.identity} as {kind}", answer.content
        for term in ("cana", ""):
            answer = await house.ask("GET", f"/admin/{view.identity}/lookup?term={term}", "owner")
            yield f"lookup {view.identity}", answer.content
    for model, key, _column in SENSITIVE:
        for query in (f"{key}.contains=C", f"{key}.is_empty=1", f"sort={key}", f'filter={{"field":"{key}","op":"is"}}'):
            answer = await house.ask("GET", f"/admin/{model.__tablename__}/list?{query}", "owner")
            assert answer.status_code in (400, 404), f"{model.__tablename__}?{query}: {answer.status_code}"
            yield f"a refused filter {query}", answer.content.replace(b"lookup?term", b"")


async def test_sensitive_values_are_shown_nowhere(
    house: House, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    assert {c.table.name for _m, _k, c in SENSITIVE} >= {"user", "staff", "attachment", "login_session", "customer"}
    root = logging.getLogger()
    before = root.handlers[:], root.level
    set_up_logging()
    root.addHandler(caplog.handler)
    try:
        texts = await _plant(house)
        shown = []
        async for where, content in _everywhere(house):
            shown += [f"{where}: {t}" for t in texts if t.encode() in content]
        await house.ask("POST", "/login", "nobody", data={"username": f"{MARK}-name", "password": f"{MARK}-typed"})
        await house.ask("POST", "/client/login", "nobody", data={"username": "x", "password": f"{MARK}-typed"})
        own = house.world.own
        passwords = {"password": f"{MARK}-typed", "password_again": f"{MARK}-typed"}
        for url in (f"/admin/staff/edit/{own['staff']}", f"/admin/user/edit/{own['user']}", "/admin/customer/create"):
            form = form_on((await house.ask("GET", url, "owner")).text, url)
            answer = await house.ask("POST", url, "owner", data={**form, **passwords, "email": "nonsense"})
            assert answer.status_code == 422
            shown += [f"the refused form of {url}"] if MARK in answer.text else []
            await house.ask("POST", url, "owner", data={**form, **passwords})
        with caplog.at_level(logging.DEBUG):
            logging.getLogger("bursar.test").warning("the log is read")
    finally:
        root.handlers[:], root.level = before[0], before[1]
    written = capfd.readouterr().err
    assert '"message": "the log is read"' in written and "the log is read" in caplog.text
    shown += [f"the log: {line[:300]}" for line in written.splitlines() if any(t in line for t in texts)]
    shown += [f"caplog: {r.getMessage()[:300]}" for r in caplog.records if any(t in r.getMessage() for t in texts)]
    async with db.engine().connect() as connection:
        for name in ("audit", "audit_detail", "job"):
            for row in await connection.execute(select(Base.metadata.tables[name])):
                shown += [f"{name}: {row}" for t in texts if t in str(row)]
    assert shown == []


# ---- files of this machine ------------------------------------------------------------------------------------------

KEPT = {"login_session.token_hash", "role_grant.screen", "role_grant.action"}
"""Without these nobody could look."""


def _texts(table: Table) -> list[Column[Any]]:
    """Text columns in which a path fits."""
    return [
        c for c in table.columns
        if isinstance(c.type, String | Text) and not isinstance(c.type, Enum) and f"{table.name}.{c.name}" not in KEPT
        and not c.foreign_keys and (c.type.length is None or c.type.length >= len("/etc/passwd"))
    ]  # fmt: skip


def _alone(column: Column[Any]) -> bool:
    """Whether two rows may not have the same value there."""
    table = column.table
    assert isinstance(table, Table)
    return bool(column.primary_key or column.unique) or any(
        column.name in getattr(c, "columns", {}) and type(c).__name__ == "UniqueConstraint" for c in table.constraints
    )


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_a_path_in_a_text_column_serves_no_file(house: House) -> None:
    path = house.settings.sqlite_path
    assert path is not None
    planted = 0
    async with db.unit() as session:
        connection = await session.connection()
        for table in Base.metadata.sorted_tables:
            if table.name in ("ledger_entry", "ledger_transaction", "invoice", "invoice_line"):
                continue  # the ledger only grows, and what is issued stays
            keys = list(table.primary_key.columns)
            rows = (await connection.execute(select(*keys))).all()
            for n, row in enumerate(rows):
                for column in _texts(table):
                    slashes = "/" * (n + 1) if _alone(column) else "/"
                    text = slashes + (str(path) if n % 2 else "/etc/passwd").lstrip("/")
                    if column.primary_key or len(text) > (getattr(column.type, "length", None) or 10_000):
                        text = slashes + "etc/passwd"
                    if column.primary_key or len(text) > (getattr(column.type, "length", None) or 10_000):
                        continue
                    here = [k == v for k, v in zip(keys, row, strict=True)]
                    await connection.execute(update(table).where(*here).values({column.name: text}))
                    planted += 1
    assert planted > 150
    secrets = [b"root:x:0:0", b"SQLite format 3", FILE]
    served, seen = [], 0

    async def look(method: str, url: str, who: str, **more: Any) -> None:
        nonlocal seen
        answer = await house.ask(method, url, who, **more)
        seen += 1
        if any(s in answer.content for s in secrets):
            served.append(f"{method} {url} as {who}")
        if answer.status_code >= 500:
            served.append(f"{answer.status_code} at {method} {url} as {who}")

    for who in ("owner", "user", "acting"):
        for way in _looking(house.ways, who):
            await look("GET", way.url, who)
    for view in SCREENS:
        for kind in ("csv", "json"):
            url = f"/admin/{view.identity}/action/export"
            await look("POST", url, "owner", data={"all": "1", "query": "", "kind": kind})
    for odd in ("..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "etc/passwd", str(path)):
        for base in ("/static/", "/files/", "/client/messages/1/files/", "/admin/attachment/details/"):
            await look("GET", base + odd.lstrip("/"), "owner")
    visited = await crawl(house, "owner", ["/admin/"], ("/files",))
    assert served == [] and seen > 200 and visited


def _looking(ways: list[Way], who: str) -> list[Way]:
    return [w for w in ways if w.safe and w.client is (who != "owner") and w.target != "missing"]
