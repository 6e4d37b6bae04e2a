"""A file of the store goes with the last row that needs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain import keeping
from app.integrations.storage import DirectoryStorage, FileMissing
from app.models.customers import Customer
from app.models.jobs import Job, JobState
from app.observe import Actor, Kind, acting
from tests import factories as make

pytestmark = pytest.mark.usefixtures("database", "redis")
Hold = Callable[[AsyncSession, Customer, str], Awaitable[Any]]


async def _of_project(session: AsyncSession, customer: Customer, key: str) -> Any:
    return await make.create_project(session, logo=key)


HOLD: dict[str, Hold] = {
    "attachment": lambda s, c, key: make.create_attachment(s, key=key),
    "import": lambda s, c, key: make.create_import(s, key=key, project_id=c.project_id),
    "workbook": lambda s, c, key: make.create_import(s, looked={"workbook": key}, project_id=c.project_id),
    "mail": lambda s, c, key: make.create_inbound(s, key=key),
    "copy": lambda s, c, key: make.create_data_request(s, customer=c, key=key),
    "logo": _of_project,
    "waiting job": lambda s, c, key: make.create_job(s, args={"file": key}),
    "running job": lambda s, c, key: make.create_job(s, args={"file": key}, state=JobState.RUNNING),
}


async def test_whatever_holds_a_file_keeps_it(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    keys = {name: (await storage.save(name.encode())).key for name in (*HOLD, "nobody", "over")}
    async with db.unit() as session:
        customer = await make.create_customer(session)
        rows = {name: await hold(session, customer, keys[name]) for name, hold in HOLD.items()}
        await make.create_job(session, args={"file": keys["over"]}, state=JobState.DONE)
        await make.create_job(session, args={"nothing": 1})
    limited = Actor(Kind.STAFF, 1, projects=frozenset({customer.project_id + 99}))
    with acting(limited):  # what somebody does not see is kept all the same
        async with db.reads() as session:
            assert await keeping.held(session, keys.values()) == {keys[name] for name in HOLD}
            await keeping.forget(storage, session, ["", *keys.values()], aside={Job: [rows["running job"].id]})
    for name, key in keys.items():
        if name in ("nobody", "over", "running job"):
            with pytest.raises(FileMissing):
                await storage.read(key)
        else:
            assert await storage.read(key) == name.encode()
