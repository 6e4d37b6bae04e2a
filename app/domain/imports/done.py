"""What an import did, as the audit holds it: the rows with its tag, between the first and the last that it wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.imports import runs
from app.models.audit import Audit, AuditDetail
from app.models.imports import ImportRun


@dataclass(frozen=True)
class Deed:
    """One customer that was made ("create") or changed ("update"). changes: column -> [before, after]."""

    audit_id: int
    action: str
    customer_id: int
    changes: dict[str, Any]


async def deeds(session: AsyncSession, run: ImportRun, *, after: int, most: int) -> Sequence[Deed]:
    """The next ones behind the audit row `after`, in order."""
    first, last = run.looked.get("audit", (0, 0))
    query = (
        select(Audit.id, Audit.action, Audit.noun_id, AuditDetail.payload)
        .join(AuditDetail, AuditDetail.audit_id == Audit.id)
        .where(Audit.id > max(first, after), Audit.id <= (last or 0), Audit.request == runs.tag(run.id),
               Audit.noun == "customer", Audit.action.in_(("create", "update")))
        .order_by(Audit.id).limit(most)
    )  # fmt: skip
    return [Deed(row[0], row[1], row[2] or 0, json.loads(row[3])) for row in await session.execute(query)]


async def created_by(session: AsyncSession, run: ImportRun, *, after: int, most: int) -> tuple[int, list[int]]:
    """Where the next part ends, and the customers that were made in it; none: that was all."""
    found: list[int] = []
    while not found and (part := await deeds(session, run, after=after, most=most)):
        after = part[-1].audit_id
        found = [deed.customer_id for deed in part if deed.action == "create"]
    return after, found
