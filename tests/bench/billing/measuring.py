"""A provider with many services, and a day on which all of them are due, run by the real task."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import String, insert, literal, select, text
from sqlalchemy import cast as cast_

from app import db, queue
from app.domain.catalog import next_period
from app.models.catalog import Period, Product, Service, ServiceStatus
from app.models.customers import Customer
from app.models.discounts import DiscountScope
from app.models.jobs import Job, JobState
from app.models.ledger import Account, AccountKind
from app.observe import SYSTEM, acting
from app.settings import Settings
from tasks import base
from tasks.base import Resources
from tests import factories as make

SERVICES_EACH = 2
FIRST = date(2026, 1, 31)
AUDITED = {"audited": True}


async def furnish(services: int) -> None:
    """Half as many customers as services, with credit enough, and a tax rate."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    async with db.unit() as session:
        project = await make.create_project(session, country="DE")
        product = await make.create_product(session)
        await make.create_tax_rate(session)
        n = select(literal(1).label("i")).cte("n", recursive=True)
        n = n.union_all(select(n.c.i + 1).where(n.c.i < services // SERVICES_EACH))
        number = cast_(n.c.i, String)
        await session.execute(insert(Customer).from_select(
            ["id", "name", "project_id", "email", "country", "registered_at", "language"],
            select(n.c.i, "Customer " + number, literal(project.id), "c" + number + "@example.org", literal("DE"),
                   literal(now, Customer.registered_at.type), literal("en")),
        ), execution_options=AUDITED)  # fmt: skip
        await session.execute(insert(Account).from_select(
            ["customer_id", "project_id", "kind", "currency", "credit_limit"],
            select(Customer.id, literal(project.id), literal(AccountKind.CUSTOMER, Account.kind.type), literal("EUR"),
                   literal(10**9)),
        ), execution_options=AUDITED)  # fmt: skip
        for one in range(SERVICES_EACH):
            await session.execute(insert(Service).from_select(
                ["customer_id", "product_id", "name", "currency", "status", "price", "period", "next_charge_on",
                 "charge_day"],
                select(Customer.id, literal(product.id), f"host{one}.c" + cast_(Customer.id, String), literal("EUR"),
                       literal(ServiceStatus.ACTIVE, Service.status.type), literal(490 + one),
                       literal(Period.MONTH, Service.period.type), literal(FIRST, Service.next_charge_on.type),
                       literal(31)),
            ), execution_options=AUDITED)  # fmt: skip
    if not db.is_sqlite():
        async with db.engine().connect() as connection:
            raw = await connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in ("customer", "account", "service"):
                await raw.execute(text(f"VACUUM ANALYZE {table}"))


async def with_discounts() -> None:
    """Three that reach every service."""
    async with db.unit() as session:
        product = (await session.scalars(select(Product))).one()
        await make.create_discount(session, percent=1000)
        await make.create_discount(session, percent=500, priority=2, condition={
            "field": "country", "op": "in", "value": ["DE"]})  # fmt: skip
        await make.create_discount(session, percent=2000, scope=DiscountScope.PRODUCT, product_id=product.id)


def _database_cpu() -> float:
    """Seconds of processor that the connections to our database have used so far: they are kept, so none is missing."""
    ticks, total = os.sysconf("SC_CLK_TCK"), 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if " billing_bench " in (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " "):
                total += sum(map(int, (folder / "stat").read_text().rpartition(")")[2].split()[11:15]))
        except OSError:
            continue
    return total / ticks


async def run(day: date, services: int) -> dict[str, Any]:
    """Charge the day by the task, slice after slice, as a worker does. Gives the figures."""
    settings = Settings(database_url=str(db.engine().url), secret_key="k" * 40, data_dir=Path("var/bench"))
    resources = Resources(settings, cast(Any, None), cast(Any, None))
    async with db.unit() as session:
        job = await queue.enqueue(session, "charging.daily", key=f"bench:{day}", due_at=db.utcnow(), day=str(day))
    wall, cpu, theirs = time.monotonic(), time.process_time(), _database_cpu()
    while True:
        await base.run_job(job.id, resources)
        async with db.reads() as session:
            found = (await session.scalars(select(Job).where(Job.id == job.id))).one()
        assert found.state is not JobState.FAILED, found.error
        if found.state is JobState.DONE:
            break
        await asyncio.sleep(0.05)
    seconds = time.monotonic() - wall
    own, database = time.process_time() - cpu, _database_cpu() - theirs  # on SQLite all of it is our own
    assert found.done == services, (found.done, services)
    return {
        "services": services, "seconds": round(seconds, 2), "per second": round(services / seconds),
        "cpu us": round(1e6 * own / services, 1),
        "database cpu us": None if db.is_sqlite() else round(1e6 * database / services, 1),
        "per second of two free cores": round(services / max(own, (own + database) / 2)),
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip


async def measure(services: int) -> dict[str, Any]:
    """Both ways on the configured, empty database."""
    with acting(SYSTEM):
        await furnish(services)
        second = next_period(FIRST, Period.MONTH, 31)
        assert second is not None
        found = {"set-based": await run(FIRST, services)}
        await with_discounts()
        found["with discounts"] = await run(second, services)
    return found
