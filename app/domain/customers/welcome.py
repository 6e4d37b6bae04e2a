"""The welcome message: an ordinary message to one customer, in their language, in the inbox and by e-mail."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app.domain.messaging.campaigns import start_campaign
from app.errors import NotFound
from app.i18n import LANGUAGES, SOURCE, gettext, speaking
from app.models.customers import Customer
from app.models.messaging import Campaign, Category, Template

TEMPLATE = "Welcome"
"""A message template of this name, in use, replaces the built-in text."""
CATEGORY = "Service"


def built_in() -> dict[str, tuple[str, str]]:
    """Language -> (subject, text), for a provider who has not written a template yet."""
    texts = {}
    for code in LANGUAGES:
        with speaking(code):
            body = gettext(
                "Hello {% if customer.contact_person %}{{ customer.contact_person }}"
                "{% else %}{{ customer.name }}{% endif %},\n\n"
                "your account at {{ project.name }} is ready. You can sign in with your e-mail address.\n\n"
                "If you have a question, just answer this message."
            )
            texts[code] = (gettext("Welcome to {{ project.name }}"), body)
    return texts


async def send_welcome(session: AsyncSession, *, customer_id: int) -> Campaign:
    """Write the welcome message; a second call for the same customer finds the first. Raises NotFound."""
    customer = await session.get(Customer, customer_id)
    if customer is None:
        raise NotFound
    query = select(Template).where(Template.name == TEMPLATE, Template.enabled).options(selectinload(Template.texts))
    template = await session.scalar(query)
    texts = {t.language: (t.subject, t.body) for t in template.texts} if template is not None else {}
    texts = texts or built_in()
    return await start_campaign(
        session, key=f"welcome:{customer_id}", category_id=await _category(session), audience={"ids": [customer_id]},
        texts=texts, default_language=SOURCE if SOURCE in texts else next(iter(texts)),
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
