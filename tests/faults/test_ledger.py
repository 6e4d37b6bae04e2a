"""Payments while the processes that book them are killed: each key is booked once, and the books sum to zero.

`make faults FULL=1`: 10,000 bookings with 1,000 keys; else 1,000 with 100.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
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
from tests.faults.stage import ROOT, scale

pytestmark = pytest.mark.faults

KEYS, TIMES, PROCESSES, KILLS = scale(100, 1000), 10, 4, scale(6, 30)
AMOUNT = 7


async def book_some(url: str, account_id: int, cash: int, seed: int, n: int) -> None:
    """What one process does: payments of random keys, several at once, until somebody kills it."""
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


async def _start(url: str, account_id: int, cash: int, seed: int, n: int) -> asyncio.subprocess.Process:
    call = f"t.book_some({url!r}, {account_id}, {cash}, {seed}, {n})"
    code = f"import asyncio, tests.faults.test_ledger as t; asyncio.run({call})"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment,
        cwd=ROOT,
    )  # fmt: skip


async def test_each_key_is_booked_once_whoever_is_killed(database: str, tmp_path: Path) -> None:
    async with db.unit() as session:
        account = await make.create_account(session, customer=await make.create_customer(session))
        cash = await ledger.own_account(session, project_id=account.project_id, kind=AccountKind.CASH, currency="EUR")
    began, chance, killed, seed = time.monotonic(), random.Random(4711), 0, 0
    each = KEYS * TIMES // PROCESSES
    running = [await _start(database, account.id, cash, seed := seed + 1, each) for _n in range(PROCESSES)]
    while killed < KILLS:
        booked = await _booked()
        await asyncio.sleep(chance.uniform(0.05, 0.3))
        if not booked:
            continue  # they are still starting
        at = chance.randrange(PROCESSES)
        if running[at].returncode is None:
            running[at].send_signal(signal.SIGKILL)
        await running[at].communicate()
        killed += 1
        running[at] = await _start(database, account.id, cash, seed := seed + 1, each)
    for process in running:
        out, err = await asyncio.wait_for(process.communicate(), scale(120, 900))
        assert process.returncode == 0 and b"done" in out, err.decode()[-3000:]
    last = await _start(database, account.id, cash, 0, 0)  # and after everything the books can still be written
    assert (await last.communicate())[0] == b"done\n"
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
