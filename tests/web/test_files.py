"""Files for staff: only as downloads, only with a grant, only within the scope."""

from __future__ import annotations

import httpx
import pytest

from app import db
from app.domain.attachments import add_attachment
from app.domain.sessions import passwords
from app.integrations.storage import DirectoryStorage
from tests import factories
from tests.web.helpers import PASSWORD, Site


async def sign_in(browser: httpx.AsyncClient, grants: list[tuple[str, str]], projects: tuple[object, ...] = ()) -> int:
    hashed = await passwords.hash_password(PASSWORD)
    async with db.unit() as session:
        staff = await factories.create_staff(session, grants=grants, projects=projects, password_hash=hashed)
    answer = await browser.post("/login", data={"username": staff.username, "password": PASSWORD})
    assert answer.status_code == 303
    return int(staff.id)


async def store(site: Site, **owner: int) -> int:
    storage = DirectoryStorage(site.settings.data_dir / "attachments")
    async with db.unit() as session:
        file = await add_attachment(session, storage, name="../../évil.html", chunks=b"<b>x</b>", max_bytes=99, **owner)
        return int(file.id)


async def test_a_file_comes_as_a_download_that_nothing_opens(site: Site, browser: httpx.AsyncClient) -> None:
    staff = await sign_in(browser, [("attachment", "list")])
    answer = await browser.get(f"/files/{await store(site, staff_id=staff)}")
    assert answer.content == b"<b>x</b>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (
        answer.headers["content-disposition"].startswith("attachment;")
        and ".." not in answer.headers["content-disposition"]
    )
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_without_a_grant_or_a_session_there_is_no_file(site: Site, browser: httpx.AsyncClient) -> None:
    key = await store(site)
    assert (await browser.get(f"/files/{key}")).status_code in (303, 401)
    await sign_in(browser, [("customer", "list")])
    assert (await browser.get(f"/files/{key}")).status_code == 403


async def test_files_of_another_project_are_not_there(site: Site, browser: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        mine, foreign = [await factories.create_project(session) for _n in range(2)]
        other = await factories.create_customer(session, project=foreign)
    await sign_in(browser, [("*", "*")], (mine,))
    assert (await browser.get(f"/files/{await store(site, customer_id=other.id)}")).status_code == 404


@pytest.mark.parametrize("key", ["0", "abc", "9" * 30, "-1", "1.txt"])
async def test_ids_that_are_none_are_not_found(browser: httpx.AsyncClient, key: str) -> None:
    await sign_in(browser, [("*", "*")])
    assert (await browser.get(f"/files/{key}")).status_code == 404
