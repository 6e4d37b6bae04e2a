"""Payments while the processes that book them are killed: each key is booked once, and the books sum to zero.

`make faults FULL=1`: 10,000 bookings with 1,000 keys; else 1,000 with 100.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import db
from app.domain import ledger
from app.domain.ledger import Move, invariants
from app.models.ledger import Account, AccountKind, Entry, Transaction, TransactionKind
from app.observe import SYSTEM, acting
from tests import factories as make
from tests.faults.stage import scale
from tests.forked import Forked

pytestmark = pytest.mark.faults

KEYS, TIMES, PROCESSES, KILLS = scale(100, 1000), 10, 4, scale(6, 30)
AMOUNT = 7


def book(url: str, account_id: int, cash: int, seed: int, n: int) -> None:
    """What one process does."""
    asyncio.run(book_some(url, account_id, cash, seed, n))


async def book_some(url: str, account_id: int, cash: int, seed: int, n: int) -> None:
    """Payments of random keys, several at once, until somebody kills it."""
    db.configure(url)
    chance = random.Random(seed)
    together = asyncio.Semaphore(4)

    async def one(key: str) -> None:
        async with together:
            while True:
                try:
                    async with db.unit() as session:
                        moves = [Move(account_id, AMOUNT), Move(cash, -AMOUNT)]
                        await ledger.post(session, key=key, kind=TransactionKind.PAYMENT, moves=moves)
                    return
                except Exception as error:
                    if "locked" not in str(error):
                        raise

    with acting(SYSTEM):
        await asyncio.gather(*(one(f"payment:{chance.randrange(KEYS)}") for _n in range(n)))
        print("done", flush=True)
        await db.dispose()


async def test_each_key_is_booked_once_whoever_is_killed(database: str, tmp_path: Path) -> None:
    async with db.unit() as session:
        account = await make.create_account(session, customer=await make.create_customer(session))
        cash = await ledger.own_account(session, project_id=account.project_id, kind=AccountKind.CASH, currency="EUR")
    began, chance, killed, seed = time.monotonic(), random.Random(4711), 0, 0
    each = KEYS * TIMES // PROCESSES

    def start(seed: int, n: int) -> Forked:
        return Forked(book, database, account.id, cash, seed, n, env=os.environ, said=tmp_path / f"{seed}.log")

    running = [start(seed := seed + 1, each) for _n in range(PROCESSES)]
    while killed < KILLS:
        booked = await _booked()
        await asyncio.sleep(chance.uniform(0.05, 0.3))
        if not booked:
            continue  # they are still starting
        at = chance.randrange(PROCESSES)
        running[at].kill()
        await asyncio.to_thread(running[at].wait)
        killed += 1
        running[at] = start(seed := seed + 1, each)
    for process in running:
        code, said = await asyncio.to_thread(process.wait, scale(120, 900)), process.said.read_text()
        assert code == 0 and "done" in said, said[-3000:]
    last = start(0, 0)  # and after everything the books can still be written
    assert (await asyncio.to_thread(last.wait), last.said.read_text()) == (0, "done\n")
    async with db.reads() as session:
        keys = (await session.scalars(select(Transaction.key))).all()
        assert len(keys) == len(set(keys)) and set(keys) <= {f"payment:{n}" for n in range(KEYS)}
        assert len(keys) > KEYS * 0.9, "nearly every key was drawn"
        assert await session.scalar(select(func.sum(Entry.amount))) == 0
        assert await session.scalar(select(func.count()).select_from(Entry)) == 2 * len(keys)
        balance = await session.scalar(select(Account.balance).where(Account.id == account.id))
        assert balance == AMOUNT * len(keys)
        assert await invariants.check(session) == []
    print(
        f"\n{db.engine().dialect.name}: {(PROCESSES + killed) * each} payments with {KEYS} keys, {killed} processes "
        f"killed, {time.monotonic() - began:.1f} s"
    )


async def _booked() -> int:
    async with db.reads() as session:
        return await session.scalar(select(func.count()).select_from(Transaction)) or 0
