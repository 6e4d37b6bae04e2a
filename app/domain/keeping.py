"""Files in the store lie under the digest of their content: one file may serve many rows, and goes with the last."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Base
from app.integrations.storage import Storage
from app.models.attachments import Attachment
from app.models.bulk import BulkRun
from app.models.imports import ImportRun
from app.models.inbound import InboundMail
from app.models.jobs import Job, JobState
from app.models.privacy import DataRequest
from app.models.projects import Project

_WAITS: ColumnElement[bool] = Job.state.in_((JobState.DUE, JobState.RUNNING))
HOLDERS: tuple[tuple[Any, Any, ColumnElement[bool]], ...] = (
    (Attachment, Attachment.key, true()),
    (ImportRun, ImportRun.key, true()),
    (ImportRun, ImportRun.looked["workbook"].as_string(), true()),
    (InboundMail, InboundMail.key, true()),
    (DataRequest, DataRequest.key, true()),
    (Project, Project.logo, true()),
    (BulkRun, BulkRun.key, true()),
    (Job, Job.args["file"].as_string(), _WAITS),
)
"""Model, what names the place in the store, and which of its rows need the file."""

Aside = Mapping[type[Base], Collection[int]]


async def held(session: AsyncSession, keys: Collection[str], *, aside: Aside | None = None) -> set[str]:
    """Those of these places in the store that some row needs, whoever may see it. aside: ids of rows that do not
    count."""
    found: set[str] = set()
    for model, place, needed in HOLDERS:
        rows = select(place).where(place.in_(set(keys)), needed)
        if ids := (aside or {}).get(model):
            rows = rows.where(model.id.not_in(ids))
        found.update(await session.scalars(rows.execution_options(unscoped=True)))
    return found


async def forget(storage: Storage, session: AsyncSession, keys: Collection[str], *, aside: Aside | None = None) -> None:
    """Delete these files, but for those that some row needs."""
    wanted = {key for key in keys if key}
    for key in wanted - await held(session, wanted, aside=aside) if wanted else ():
        await storage.delete(key)
