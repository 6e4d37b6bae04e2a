"""Invoices while the processes that issue them are killed: their numbers have no gap and none comes twice."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import db
from app.domain import billing
from app.domain.billing import LineIn
from app.domain.ledger import invariants
from app.models.billing import Invoice, InvoiceKind, InvoiceStatus, NumberSeries
from app.observe import SYSTEM, acting
from tests import factories as make
from tests.faults.stage import scale
from tests.forked import Forked

pytestmark = pytest.mark.faults

PROCESSES, KILLS, ENOUGH = 3, scale(6, 40), scale(60, 1000)


def issue(url: str, customer_id: int) -> None:
    """What one process does."""
    asyncio.run(issue_some(url, customer_id))


async def issue_some(url: str, customer_id: int) -> None:
    """Draft, issue and credit, several at once, until somebody kills it."""
    db.configure(url)

    async def lane() -> None:
        while True:
            try:
                async with db.unit() as session:
                    draft = await billing.draft_invoice(session, customer_id=customer_id, lines=[LineIn("A", 100)])
                async with db.unit() as session:
                    found = (await session.scalars(select(Invoice).where(Invoice.id == draft.id))).one()
                    invoice = await billing.issue_invoice(session, invoice=found)
                    if invoice.id % 3 == 0:
                        await billing.credit_invoice(session, invoice=invoice, reason="Every third")
                    if invoice.id % 5 == 0:
                        raise NotThisTime  # a transaction that fails gives its numbers back
            except NotThisTime:
                continue
            except Exception as error:
                if "locked" not in str(error):
                    raise

    with acting(SYSTEM):
        await asyncio.gather(*(lane() for _n in range(3)))


class NotThisTime(Exception):
    pass


async def _issued() -> int:
    async with db.reads() as session:
        return await session.scalar(select(func.count()).where(Invoice.number.is_not(None))) or 0


async def test_numbers_have_no_gap_whoever_is_killed(database: str, tmp_path: Path) -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session)
    began, chance, killed = time.monotonic(), random.Random(4711), 0

    def start(n: int) -> Forked:
        return Forked(issue, database, customer.id, env=os.environ, said=tmp_path / f"{n}.log")

    running = [start(n) for n in range(PROCESSES)]
    try:
        while (made := await _issued()) < ENOUGH or killed < KILLS:
            assert time.monotonic() - began < scale(150, 900), made
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            if made < ENOUGH * (killed + 1) // (KILLS + 1):
                continue
            at = chance.randrange(PROCESSES)
            assert running[at].poll() is None, running[at].said.read_text()[-2000:]
            running[at].kill()
            await asyncio.to_thread(running[at].wait)
            killed += 1
            running[at] = start(PROCESSES + killed)
    finally:
        for process in running:
            process.kill()
            await asyncio.to_thread(process.wait)
    async with db.unit() as session:  # whatever was held by the killed ones is free
        draft = await billing.draft_invoice(session, customer_id=customer.id, lines=[LineIn("A", 100)])
        await billing.issue_invoice(session, invoice=draft)
    async with db.reads() as session:
        for kind in InvoiceKind:
            rows = select(Invoice.number).where(Invoice.kind == kind, Invoice.status != InvoiceStatus.DRAFT)
            numbers = sorted(int(number.rpartition("-")[2]) for number in await session.scalars(rows) if number)
            assert numbers == list(range(1, len(numbers) + 1)), kind
            series = select(NumberSeries.next_number).where(NumberSeries.kind == kind.value)
            assert await session.scalar(series) == len(numbers) + 1
        assert await invariants.check(session) == []
    print(f"\n{db.engine().dialect.name}: {made} numbers, {killed} processes killed, {time.monotonic() - began:.1f} s")
