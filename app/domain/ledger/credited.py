"""Money has come: what waited for it is charged."""

from __future__ import annotations

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.catalog import Service, ServiceStatus
from app.models.ledger import Account
from app.queue import enqueue


async def account_credited(session: AsyncSession, account_id: int) -> None:
    """Whenever money has come to an account, or its credit was raised: services that could not be charged are charged
    by a job after this transaction."""
    unpaid = (
        select(Service.id)
        .join(Account, and_(Account.customer_id == Service.customer_id, Account.currency == Service.currency))
        .where(
            Account.id == account_id, Service.unpaid_since.is_not(None),
            Service.status.in_((ServiceStatus.ACTIVE, ServiceStatus.SUSPENDED, ServiceStatus.ORDERED)),
        )
        .limit(1)
        .execution_options(unscoped=True)
    )  # fmt: skip
    if await session.scalar(unpaid) is not None:
        await enqueue(session, "charging.account", account_id=account_id)
