"""The nightly check of all money."""

from __future__ import annotations

import time

from app import db
from app.domain.ledger import by_month, invariants
from app.observe import log
from tasks.base import JobRun
from tasks.daily import daily


@daily("ledger.check", hour=3)
async def check(job: JobRun, *, day: str) -> None:
    """Ask every invariant, keep the answer for the first page of the panel, and log what is broken.

    Each is asked in a transaction of its own, and the months are counted in slices: a long one would keep the database
    from tidying up.
    """
    began, breaches = time.monotonic(), []
    for what in invariants.INVARIANTS:
        async with db.reads() as session:
            if (breach := await invariants.ask(session, what)) is not None:
                breaches.append(breach)
    months: by_month.Months = {}
    until = 0
    async for counted, upto in by_month.count_all(db.reads):
        months, until = counted, upto
    for breach in breaches:
        log("ledger").error("%s: %s rows, %s", breach.what, breach.n, breach.ids)
    async with db.unit() as session:
        await invariants.keep(session, breaches, began=began, months=months, until_id=until)
