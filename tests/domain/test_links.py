"""Links that work once and for a while."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from app import db
from app.domain.sessions import links
from app.domain.sessions.links import Gone
from app.models.sessions import OneUse, OneUseKind
from tests import factories

RESET, OTHER = OneUseKind.RESET, OneUseKind.STEP


async def _made(kind: OneUseKind = RESET, **kw: timedelta) -> tuple[str, int]:
    async with db.unit() as session:
        user = await factories.create_user(session)
        path = await links.make(session, kind=kind, user_id=user.id, **kw)  # type: ignore[arg-type]
    assert path.startswith("/client/link/")
    return path.rpartition("/")[2], user.id


async def _take(token: str, *kinds: OneUseKind) -> int | None:
    async with db.unit() as session:
        return (await links.take(session, token, *kinds)).user_id


async def test_a_link_works_once_and_looking_does_not_use_it(database: str) -> None:
    token, user_id = await _made()
    async with db.reads() as session:
        assert (await links.look(session, token, RESET)).user_id == user_id
        assert token not in str((await session.execute(select(OneUse.token_hash))).all())
    assert await _take(token, OTHER, RESET) == user_id
    for again in (RESET, OTHER):
        with pytest.raises(Gone):
            await _take(token, again)


async def test_two_requests_with_one_link_at_once(database: str) -> None:
    token, user_id = await _made()
    answers = await asyncio.gather(*(_take(token, RESET) for _n in range(6)), return_exceptions=True)
    assert [a for a in answers if not isinstance(a, Gone)] == [user_id]


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_what_is_over_made_up_or_for_something_else_is_refused(database: str) -> None:
    over, _user = await _made(life=timedelta(seconds=-1))
    living, _other = await _made()
    changed = living[:5] + ("A" if living[5] != "A" else "B") + living[6:]
    for token in (over, changed, living.rpartition(".")[0], "", "x" * 5000, "a.b", "é" * 30):
        with pytest.raises(Gone):
            await _take(token, RESET)
    with pytest.raises(Gone):
        await _take(living, OTHER)
    assert await _take(living, RESET)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_using_one_ends_the_others_of_its_kind_of_the_same_person(database: str) -> None:
    token, user_id = await _made()
    async with db.unit() as session:
        other = (await links.make(session, kind=RESET, user_id=user_id)).rpartition("/")[2]
        other_kind = (await links.make(session, kind=OTHER, user_id=user_id)).rpartition("/")[2]
    stranger, _id = await _made()
    await _take(token, RESET)
    with pytest.raises(Gone):
        await _take(other, RESET)
    assert await _take(other_kind, OTHER) == user_id
    assert await _take(stranger, RESET) != user_id
