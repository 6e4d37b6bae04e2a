"""Customers in the background."""

from __future__ import annotations

from app import db
from app.domain.customers.welcome import send_welcome
from tasks.base import JobRun, task


@task("customers.welcome", timeout=60)
async def welcome(job: JobRun, *, customer_id: int) -> None:
    """Write to a customer whom staff have registered."""
    async with db.unit() as session:
        await send_welcome(session, customer_id=customer_id)
