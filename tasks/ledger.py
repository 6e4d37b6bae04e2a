"""The nightly check of all money."""

from __future__ import annotations

import time

from app import db
from app.domain.ledger import invariants
from app.observe import log
from tasks.base import JobRun
from tasks.daily import daily


@daily("ledger.check", hour=3)
async def check(job: JobRun, *, day: str) -> None:
    """Ask every invariant, keep the answer for the first page of the panel, and log what is broken."""
    began = time.monotonic()
    async with db.reads() as session:
        breaches = await invariants.check(session)
    for breach in breaches:
        log("ledger").error("%s: %s rows, %s", breach.what, breach.n, breach.ids)
    async with db.unit() as session:
        await invariants.keep(session, breaches, began=began)
