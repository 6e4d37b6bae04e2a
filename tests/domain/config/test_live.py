"""Live configuration: a process that is behind reads it again, and not otherwise."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain import config
from app.domain.config import live

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The versions at which the configuration was read."""
    found: list[int] = []

    async def note(session: AsyncSession) -> None:
        found.append(await live.version(session))

    monkeypatch.setattr(live, "_loaders", [*live._loaders, note])
    return found


async def test_a_change_is_read_by_whoever_is_behind(reads: list[int]) -> None:
    await live.keep_up(every=0)
    assert config.setting("modules", "all") == "all"
    async with db.unit() as session:
        await config.put(session, name="modules", value=["tickets"])
    assert config.setting("modules", "all") == "all"
    await live.keep_up(every=0)
    assert config.setting("modules") == ["tickets"]
    await live.keep_up(every=0)
    await live.keep_up(1)  # the version that came with the session
    assert reads == [0, 1]
    await live.keep_up(2)  # a read that is older than the session's is repeated by the next request
    assert reads == [0, 1, 1]


async def test_what_is_rolled_back_changes_nothing(reads: list[int]) -> None:
    before = live.stamp()
    with pytest.raises(LookupError):
        async with db.unit() as session:
            await config.put(session, name="modules", value=[])
            raise LookupError
    await live.keep_up(every=0)
    assert config.setting("modules") is None
    assert reads == [0]
    assert live.stamp() != before, "another database is another configuration, whatever its number"


async def test_each_change_counts(reads: list[int]) -> None:
    for value in ("a", "b", "b"):
        async with db.unit() as session:
            await config.put(session, name="x", value=value)
    await live.keep_up(every=0)
    assert reads == [2], "the same value again is no change"
