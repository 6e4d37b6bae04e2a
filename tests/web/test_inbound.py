"""Mail that another server posts: only with the secret, and the same mail only once."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from app import db
from app.models.inbound import InboundMail
from tests.web.helpers import Site

SECRET = "a long shared secret of two machines"
MAIL = b"From: ada@example.org\r\nSubject: Hi\r\nMessage-ID: <1@x>\r\n\r\nHello\r\n"
pytestmark = pytest.mark.usefixtures("redis")


async def mails() -> int:
    async with db.reads() as session:
        return await session.scalar(select(func.count()).select_from(InboundMail)) or 0


async def test_a_mail_is_taken_once_and_only_with_the_secret(site: Site) -> None:
    headers = {"content-type": "message/rfc822", "sec-fetch-site": "cross-site"}
    async with site.again(inbound_secret=SECRET).browser() as client:
        for given in ("", "Bearer ", "Bearer wrong", SECRET[:-1]):
            answer = await client.post("/inbound/mail", content=MAIL, headers=headers | {"authorization": given})
            assert answer.status_code == 403, given
        assert await mails() == 0
        right = headers | {"authorization": f"Bearer {SECRET}"}
        first = await client.post("/inbound/mail", content=MAIL, headers=right)
        again = await client.post("/inbound/mail", content=MAIL, headers=right)
        assert (first.status_code, first.json()) == (202, {"taken": True})
        assert (again.status_code, again.json()) == (202, {"taken": False})
        assert await mails() == 1
        assert (await client.post("/inbound/mail", content=b" ", headers=right)).status_code == 422
        large = MAIL + b"x" * 5 * 2**20
        assert (await client.post("/inbound/mail", content=large, headers=right)).status_code == 202
        assert (await client.get("/inbound/mail")).status_code == 405


async def test_without_a_secret_there_is_no_such_place(site: Site) -> None:
    async with site.browser() as client:
        headers = {"authorization": "Bearer "}
        assert (await client.post("/inbound/mail", content=MAIL, headers=headers)).status_code == 404
    assert await mails() == 0


async def test_what_is_larger_than_a_mail_is_refused(site: Site) -> None:
    async with site.again(inbound_secret=SECRET).browser() as client:
        headers = {"authorization": f"Bearer {SECRET}", "content-length": str(60 * 2**20)}
        assert (await client.post("/inbound/mail", content=b"x", headers=headers)).status_code == 413
