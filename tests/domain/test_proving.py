"""Proving once more that it is they: one counter, however and wherever it is asked."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from app import db
from app.domain.sessions import change_own_password, hash_password
from app.domain.sessions.person import Person
from app.domain.sessions.proving import prove, prove_password
from app.domain.sessions.throttle import PER_ACCOUNT
from app.errors import Invalid, SignInNeeded, TooMany
from app.models.audit import Audit
from tests import factories as make

pytestmark = pytest.mark.usefixtures("database", "redis")
RIGHT = "correct horse battery"


async def test_wrong_tries_count_together_and_a_right_one_begins_anew() -> None:
    hashed = await hash_password(RIGHT)
    async with db.unit() as session:
        staff = await make.create_staff(session, password_hash=hashed)
        user = await make.create_user(
            session, customer=await make.create_customer(session), password_hash=hashed, enabled=False
        )
    person = Person(staff_id=staff.id)
    for n in range(PER_ACCOUNT - 1):
        with pytest.raises(Invalid) as wrong:
            await (prove_password(person, "no", field="old") if n % 2 else prove(person, "no", field="old"))
        assert set(wrong.value.fields) == {"old"}
    await prove_password(person, RIGHT)
    for n in range(PER_ACCOUNT):
        with pytest.raises(Invalid):
            await (prove(person, "no") if n % 2 else change_own_password(
                staff_id=staff.id, session_id=0, old="no", new="another long one"))  # fmt: skip
    for guess in (prove_password(person, RIGHT), prove(person, RIGHT)):
        with pytest.raises(TooMany):
            await guess
    with pytest.raises(SignInNeeded):
        await prove_password(Person(user_id=user.id), RIGHT)
    async with db.reads() as session:
        said = select(func.count()).where(Audit.action == "sign_in_refused", Audit.note == "proof")
        assert await session.scalar(said) == 2 * PER_ACCOUNT - 1
