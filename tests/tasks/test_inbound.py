"""The mailbox is looked into, and a crash at any moment neither loses nor doubles a mail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import db
from app.integrations.mail import OutboxMailer
from app.integrations.mail.inbound import Mailbox, open_mailbox
from app.integrations.storage import DirectoryStorage
from app.models.inbound import InboundMail, InboundState
from app.models.jobs import Job, JobState
from app.models.tickets import Ticket
from app.settings import Settings
from tasks import base, inbound
from tasks.base import Resources
from tests import factories as make
from tests.integrations.imap import Server, imap_server

pytestmark = pytest.mark.usefixtures("database", "redis")


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    box = tmp_path / "Maildir"
    for folder in ("new", "cur", "tmp"):
        (box / folder).mkdir(parents=True)
    return box


@pytest.fixture
def resources(tmp_path: Path, database: str, maildir: Path) -> Resources:
    settings = Settings(
        database_url=database, secret_key="x" * 32, data_dir=tmp_path, inbound_url=f"maildir://{maildir}"
    )
    return Resources(settings, OutboxMailer(tmp_path / "outbox"), DirectoryStorage(tmp_path / "attachments"))


def mail(n: int, sender: str = "ada@acme.example") -> bytes:
    head = f"From: {sender}\r\nTo: desk@example.com\r\nSubject: Question {n}\r\nMessage-ID: <{n}@client.example>\r\n"
    return f"{head}\r\nHello {n}\r\n".encode()


async def run_all(resources: Resources) -> None:
    """Everything that is due, once, the poll first."""
    async with db.reads() as session:
        ids = list(await session.scalars(select(Job.id).where(Job.state == JobState.DUE).order_by(Job.id)))
    for job_id in ids:
        await base.run_job(job_id, resources)


async def states() -> dict[str, int]:
    async with db.reads() as session:
        rows = await session.execute(select(InboundMail.state, func.count()).group_by(InboundMail.state))
        return {state.value: n for state, n in rows}


async def a_customer() -> None:
    async with db.unit() as session:
        await make.create_customer(session, email="ada@acme.example")


async def test_mail_in_the_maildir_becomes_tickets_and_is_put_away(resources: Resources, maildir: Path) -> None:
    await a_customer()
    for n in range(3):
        (maildir / "new" / f"{n}.host").write_bytes(mail(n))
    await inbound.begin(resources.settings)
    await inbound.begin(resources.settings)
    await run_all(resources)
    assert not list((maildir / "new").iterdir()) and len(list((maildir / "cur").iterdir())) == 3
    assert await states() == {"new": 3}
    await run_all(resources)
    assert await states() == {"taken": 3}
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Ticket)) == 3
        [poll] = await session.scalars(select(Job).where(Job.name == inbound.POLL))
        assert poll.state is JobState.DUE, "it comes again"
        mails = list(await session.scalars(select(InboundMail).order_by(InboundMail.id)))
    assert [await resources.storage.read(m.key) for m in mails] == [mail(n) for n in range(3)], "kept whole"


class Crashing:
    """A mailbox whose process dies at one step of the way."""

    def __init__(self, box: Mailbox, step: str) -> None:
        self.box, self.step = box, step

    async def waiting(self, limit: int) -> list[str]:
        return await self.box.waiting(limit)

    async def read(self, name: str, limit: int) -> tuple[bytes, int]:
        found = await self.box.read(name, limit)
        if self.step == "after reading":
            raise KeyboardInterrupt
        return found

    async def put_away(self, name: str) -> None:
        if self.step == "before putting away":
            raise KeyboardInterrupt
        await self.box.put_away(name)
        if self.step == "after putting away":
            raise KeyboardInterrupt

    async def close(self) -> None:
        await self.box.close()


@pytest.mark.parametrize("step", ["after reading", "before putting away", "after putting away"])
async def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(
    resources: Resources, maildir: Path, step: str
) -> None:
    for n in range(2):
        (maildir / "new" / f"{n}.host").write_bytes(mail(n))
    box = open_mailbox(str(resources.settings.inbound_url))
    for _again in range(2):
        try:
            await inbound.look(Crashing(box, step), resources.storage, "maildir")
        except KeyboardInterrupt:
            pass
    assert not await inbound.look(box, resources.storage, "maildir")
    async with db.reads() as session:
        found = list(await session.scalars(select(InboundMail.subject).order_by(InboundMail.subject)))
    assert found == ["Question 0", "Question 1"]


@pytest.fixture
def imap() -> Iterator[Server]:
    with imap_server() as server:
        yield server


async def test_mail_behind_imap_is_taken_and_moved(resources: Resources, imap: Server) -> None:
    await a_customer()
    url = f"imap://desk:s3cret%20word@127.0.0.1:{imap.port}/INBOX"
    there = replace(resources, settings=replace(resources.settings, inbound_url=url))
    for n in range(3):
        imap.add(mail(n))
    await inbound.begin(there.settings)
    imap.drop_on = "MOVE"  # the connection breaks after the first was noted
    await run_all(there)
    assert len(imap.folders["INBOX"]) == 3 and await states() == {"new": 1}
    imap.drop_on = ""
    async with db.unit() as session:
        [poll] = await session.scalars(select(Job).where(Job.name == inbound.POLL))
        assert poll.state is JobState.DUE
    box = open_mailbox(url)
    await inbound.look(box, resources.storage, "imap")
    await box.close()
    assert imap.folders["INBOX"] == {} and len(imap.folders["Processed"]) == 3
    assert await states() == {"new": 3}


async def test_poison_is_put_aside_with_the_reason(resources: Resources, maildir: Path) -> None:
    (maildir / "new" / "1").write_bytes(b"From: a@example.org\r\nX: " + b"a" * 10 * 2**20 + b"\r\n\r\nx")
    head = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1000))
    (maildir / "new" / "2").write_bytes(b"From: deep@example.org\r\n" + head)
    (maildir / "new" / "3").write_bytes(b"")
    await inbound.begin(resources.settings)
    await run_all(resources)
    await run_all(resources)
    async with db.reads() as session:
        rows = list(await session.scalars(select(InboundMail).order_by(InboundMail.id)))
    assert [r.state for r in rows] == [InboundState.ASIDE] * 3
    assert "256 kB" in rows[0].reason and "inside each other" in rows[1].reason and rows[1].sender == "deep@example.org"


async def test_a_mail_that_breaks_the_sorting_each_time_is_put_aside(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever nobody foresaw: after some tries staff see it."""
    await inbound.take(resources.storage, mail(1), source="test")

    async def broken(*_args: object, **_kw: object) -> None:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr("app.domain.inbound.sort", broken)
    for _n in range(4):
        async with db.unit() as session:
            for job in await session.scalars(select(Job).where(Job.name == "inbound.sort")):
                job.due_at = job.created_at
        await run_all(resources)
    async with db.reads() as session:
        [row] = await session.scalars(select(InboundMail))
    assert row.state is InboundState.ASIDE and "nobody foresaw this" in row.reason


async def test_a_mail_beyond_every_limit_is_put_aside_and_only_its_beginning_kept(resources: Resources) -> None:
    await inbound.take(resources.storage, mail(1), source="test", size=inbound.MAX_MAIL + 1)
    async with db.reads() as session:
        [row] = await session.scalars(select(InboundMail))
        assert await session.scalar(select(func.count()).select_from(Job)) == 0
    assert (row.state, row.size) == (InboundState.ASIDE, inbound.MAX_MAIL + 1) and "50 MB" in row.reason


async def test_a_mail_that_comes_by_two_ways_at_once_is_taken_once(resources: Resources) -> None:
    taken = await asyncio.gather(*(inbound.take(resources.storage, mail(1), source="test") for _ in range(5)))
    assert sorted(taken) == [False] * 4 + [True]
    assert await states() == {"new": 1}


async def test_a_mailbox_that_cannot_be_reached_is_tried_again(resources: Resources) -> None:
    there = replace(resources, settings=replace(resources.settings, inbound_url="maildir:///nowhere/at/all"))
    await inbound.begin(there.settings)
    await run_all(there)
    async with db.reads() as session:
        [poll] = await session.scalars(select(Job).where(Job.name == inbound.POLL))
    assert (poll.state, poll.attempt) == (JobState.DUE, 0)


async def test_without_a_mailbox_nothing_is_begun(resources: Resources) -> None:
    await inbound.begin(replace(resources.settings, inbound_url=None))
    async with db.reads() as session:
        assert list(await session.scalars(select(Job.name))) == [inbound.FORGET]
