"""Choosing the recipients, against the bare INSERT..SELECT into the same table, while the panel answers."""

from __future__ import annotations

import asyncio
import http.client
import sys
import threading
import time
from typing import Any

import httpx
from sqlalchemy import select, text

from app import db
from app.domain.messaging import campaigns, starting
from app.domain.sessions import passwords
from app.models.staff import Staff
from app.observe import SYSTEM, acting
from tests import factories as make
from tests.bench.campaign.content import TEXTS
from tests.bench.campaign.engine import Place
from tests.bench.lists.data import PASSWORD
from tests.bench.lists.places import free_port, serving

BARE = """
    INSERT INTO delivery (campaign_id, customer_id, channel, address, language, state, error, "values", message_id,
        attempt, next_at)
    SELECT :campaign, id, 'email', email, language, 'due', '', '{}', 'bare.' || id, 0, :now FROM customer"""
WHO = "reader"
PATHS = ("/admin/customer/list", "/admin/campaign/list", "/admin/customer/details/1")


class Asking(threading.Thread):
    """Asks the panel for pages, one after the other, and notes how long each took."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"sec-fetch-site": "same-origin"}) as browser:
            answer = browser.post("/login", data={"username": WHO, "password": PASSWORD})
            assert answer.status_code == 303, answer.text[:500]
            self.headers = {"cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}
        self.seconds: list[float] = []
        self.failed: list[str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            for path in PATHS:
                began = time.monotonic()
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                try:
                    connection.request("GET", path, headers=self.headers)
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status != 200:
                        self.failed.append(f"{path}: {answer.status}")
                except OSError as error:
                    self.failed.append(f"{path}: {error}")
                finally:
                    connection.close()
                self.seconds.append(time.monotonic() - began)
            time.sleep(0.05)


async def _bare(key: str) -> float:
    with acting(SYSTEM):
        async with db.unit() as session:
            campaign = await make.create_campaign(session, key=key, category_id=1)
        began = time.monotonic()
        async with db.unit() as session:
            if not db.is_sqlite():  # as PostgreSQL is shipped; without it the check of each foreign key is planned anew
                await session.execute(text("SET LOCAL plan_cache_mode = auto"))
            statement = text(BARE)
            stamp: Any = db.utcnow() if not db.is_sqlite() else "2026-01-01 00:00:00.000000"
            await session.execute(statement, {"campaign": campaign.id, "now": stamp})
        seconds = time.monotonic() - began
        await _forget(campaign.id)
    return seconds


async def _forget(campaign_id: int) -> None:
    async with db.unit() as session:
        await session.execute(text("DELETE FROM delivery WHERE campaign_id = :id"), {"id": campaign_id})
    if not db.is_sqlite():
        async with db.engine().connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM delivery"))


async def _chosen(key: str) -> tuple[float, int]:
    with acting(SYSTEM):
        async with db.unit() as session:
            campaign = await starting.start_campaign(
                session, key=key, category_id=1, default_language="en", texts=TEXTS, channels=["email"],
                audience={"everyone": True},
            )  # fmt: skip
        began = time.monotonic()
        async with db.unit() as session:
            total = (await starting.materialise(session, campaign_id=campaign.id)).total
        seconds = time.monotonic() - began
        async with db.unit() as session:
            await campaigns.stop_campaign(session, campaign_id=campaign.id)
        await _forget(campaign.id)
    return seconds, total


async def _reader() -> None:
    """Somebody who looks at the panel meanwhile."""
    hashed = await passwords.hash_password(PASSWORD)
    with acting(SYSTEM):
        async with db.unit() as session:
            if await session.scalar(select(Staff.id).where(Staff.username == WHO)) is None:
                role = await make.create_role(session)
                await make.create_staff(session, username=WHO, password_hash=hashed, role=role)


async def measure(place: Place, rounds: int = 3) -> dict[str, Any]:
    """No worker runs meanwhile: the verb is called here. The best of some rounds, in turn."""
    port = free_port()
    env = place.env(place.sink.port, None) | {"BURSAR_PORT": str(port)}
    bare, chosen, total = [], [], 0
    await _reader()
    with serving("campaign-web", [sys.executable, "-m", "app", "web"], env, port):
        asking = Asking(port)
        asking.start()
        await asyncio.sleep(2)
        quiet, asking.seconds = asking.seconds, []
        for n in range(rounds):
            bare.append(await _bare(f"bare{n}"))
            seconds, total = await _chosen(f"chosen{n}")
            chosen.append(seconds)
        asking.ended.set()
        asking.join()
    busy = sorted(asking.seconds)
    return {
        "rows": total, "bare s": round(min(bare), 2), "chosen s": round(min(chosen), 2),
        "ratio": round(min(chosen) / min(bare), 2), "panel, median ms": round(1000 * busy[len(busy) // 2], 1),
        "panel, worst ms": round(1000 * busy[-1], 1),
        "panel, before ms": round(1000 * sorted(quiet)[len(quiet) // 2], 1), "panel, pages": len(busy),
        "panel, failures": len(asking.failed), "panel, first failures": asking.failed[:3],
    }  # fmt: skip
