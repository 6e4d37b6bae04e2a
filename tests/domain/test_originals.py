"""The originals of mails that came in go after a while, and only those that nobody needs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app import db
from app.db import utcnow
from app.domain import inbound, originals
from app.errors import Conflict
from app.integrations.storage import DirectoryStorage, FileMissing
from app.models.inbound import InboundMail, InboundState
from app.models.jobs import Job, JobState
from app.settings import Settings
from tasks import base
from tasks import inbound as tasks
from tests import factories as make

pytestmark = pytest.mark.usefixtures("database", "redis")


@pytest.fixture
def storage(tmp_path: Path) -> DirectoryStorage:
    return DirectoryStorage(tmp_path / "attachments")


async def came(storage: DirectoryStorage, state: InboundState, days: int, content: str = "") -> InboundMail:
    text = content or f"{state} {days}"
    stored = await storage.save(text.encode())
    async with db.unit() as session:
        mail = InboundMail(
            fingerprint=f"{state} {days}", key=stored.key, size=1, state=state,
            received_at=utcnow() - timedelta(days=days),
        )  # fmt: skip
        session.add(mail)
    return mail


async def kept(storage: DirectoryStorage, mail: InboundMail) -> tuple[bool, bool]:
    """Whether the row names its file, and whether the file is there."""
    async with db.reads() as session:
        row = await session.get_one(InboundMail, mail.id)
    try:
        await storage.read(mail.key)
    except FileMissing:
        return bool(row.key), False
    return bool(row.key), True


async def test_only_what_is_old_and_sorted_goes(storage: DirectoryStorage) -> None:
    old = {state: await came(storage, state, 31) for state in InboundState}
    young = [await came(storage, state, 29) for state in InboundState]
    assert not await originals.forget(storage, days=30)
    for state, mail in old.items():
        stays = state in (InboundState.NEW, InboundState.ASIDE)
        assert await kept(storage, mail) == (stays, stays), state
    assert [await kept(storage, mail) for mail in young] == [(True, True)] * len(young)
    with pytest.raises(Conflict, match="not kept"):
        async with db.unit() as session:
            await inbound.sort_again(session, mail_id=old[InboundState.DROPPED].id)


async def test_a_file_that_something_else_needs_stays(storage: DirectoryStorage) -> None:
    twin = await came(storage, InboundState.TAKEN, 40, "the same")
    young = await came(storage, InboundState.TAKEN, 1, "the same")
    attached = await came(storage, InboundState.TAKEN, 41)
    async with db.unit() as session:
        await make.create_attachment(session, key=attached.key)
    await originals.forget(storage, days=30)
    assert await kept(storage, twin) == await kept(storage, attached) == (False, True)
    assert await kept(storage, young) == (True, True)


async def test_a_crash_between_file_and_row_is_made_good(storage: DirectoryStorage) -> None:
    mail = await came(storage, InboundState.TAKEN, 40)
    await storage.delete(mail.key)
    await originals.forget(storage, days=30)
    assert await kept(storage, mail) == (False, False)


async def test_every_night_in_slices(
    storage: DirectoryStorage, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(originals, "AT_ONCE", 2)
    mails = [await came(storage, InboundState.IGNORED, 400 + n) for n in range(5)]
    settings = Settings(database_url=database, secret_key="x" * 32, data_dir=tmp_path)
    for _worker in range(2):
        await tasks.begin(settings)
    async with db.reads() as session:
        [job] = await session.scalars(select(Job))
    assert await base.run_job(job.id, base.Resources(settings, None, storage))  # type: ignore[arg-type]
    assert [await kept(storage, mail) for mail in mails] == [(False, False)] * 5
    async with db.reads() as session:
        row = await session.get_one(Job, job.id)
        assert row.state is JobState.DUE and row.error == ""
        assert timedelta(0) < row.due_at - utcnow() <= timedelta(days=1, seconds=5) and row.due_at.hour in (2, 3)
