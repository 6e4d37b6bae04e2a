"""The welcome message: an ordinary message to one customer, in their language, in the inbox and by e-mail."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.messaging import system
from app.domain.messaging.starting import start_campaign
from app.errors import NotFound
from app.i18n import SOURCE
from app.models.customers import Customer
from app.models.messaging import Campaign, Category, MailKind

CATEGORY = "Service"


async def send_welcome(session: AsyncSession, *, customer_id: int) -> Campaign:
    """Write the welcome message; a second call for the same customer finds the first. Raises NotFound."""
    customer = await session.get(Customer, customer_id)
    if customer is None:
        raise NotFound
    texts = await system.texts_for(session, kind=MailKind.WELCOME, project_id=customer.project_id)
    return await start_campaign(
        session, key=f"welcome:{customer_id}", category_id=await _category(session), audience={"ids": [customer_id]},
        texts=texts, default_language=SOURCE,
    )  # fmt: skip


async def _category(session: AsyncSession) -> int:
    """A category that customers cannot refuse; made when there is none."""
    query = select(Category.id).where(Category.enabled, Category.subscribable.is_(False))
    found = await session.scalar(query.order_by(Category.priority.desc(), Category.id).limit(1))
    if found is not None:
        return found
    category = Category(name=CATEGORY)
    session.add(category)
    await session.flush()
    return category.id
