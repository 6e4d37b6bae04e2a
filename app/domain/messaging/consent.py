"""Who wants which messages: choices per category and channel, each kept with who made it, when and how.

A service category cannot be refused. Any other that says "only with consent" is sent to those who have agreed, the
rest to everybody who has not refused. A refusal counts at once, also for what a running campaign has not sent yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.errors import Conflict, NotFound
from app.i18n import _
from app.models import audit
from app.models.consent import How, Subscription, Suppression
from app.models.customers import Customer
from app.models.messaging import Campaign, Category, Channel, Delivery, DeliveryState
from app.models.users import User, UserCustomer
from app.observe import actor

NO_CONSENT = _("The customer does not want messages of this kind.")
SUPPRESSED = _("Nothing is sent to this address.")
SERVICE = _("Messages of this kind belong to the service and cannot be refused.")

UNSCOPED = {"unscoped": True}
Key = tuple[int, Channel]
"""A category and a channel."""


@dataclass(frozen=True)
class Recipient:
    """Who chooses: the customer's own address, or a user who receives for this customer."""

    user_id: int | None
    name: str
    address: str


@dataclass(frozen=True)
class Chosen:
    """Whether a recipient gets one category by one channel; `since` and `how` when they have said so themselves."""

    category: Category
    channel: Channel
    wanted: bool
    since: datetime | None = None
    how: How | None = None


async def offered(session: AsyncSession) -> Sequence[Category]:
    """The categories in use that customers choose."""
    found = await session.scalars(
        select(Category)
        .where(Category.enabled, Category.subscribable)
        .order_by(Category.priority.desc(), Category.name, Category.id)
    )
    return found.all()


async def recipients(session: AsyncSession, customer: Customer) -> list[Recipient]:
    """The customer's own address, then the users who receive besides it."""
    found = await session.execute(
        select(User.id, User.full_name, User.username, User.email)
        .join(UserCustomer, UserCustomer.user_id == User.id)
        .where(UserCustomer.customer_id == customer.id, UserCustomer.receives, User.enabled)
        .order_by(User.id)
        .limit(50)
    )
    users = [Recipient(row.id, row.full_name or row.username, row.email) for row in found]
    return [Recipient(None, customer.name, customer.email), *users]


async def chosen(session: AsyncSession, *, customer_id: int, user_id: int | None) -> list[Chosen]:
    """What this recipient gets now: one line per category in use and channel."""
    now = {(s.category_id, s.channel): s for s in await _current(session, customer_id, user_id)}
    lines = []
    for category in await offered(session):
        for channel in Channel:
            said = now.get((category.id, channel))
            if said is None:
                lines.append(Chosen(category, channel, not category.opt_in))
            else:
                lines.append(Chosen(category, channel, said.wanted, said.since, said.how))
    return lines


def _of(user_id: int | None) -> ColumnElement[bool]:
    return Subscription.user_id.is_(None) if user_id is None else Subscription.user_id == user_id


async def _current(session: AsyncSession, customer_id: int, user_id: int | None) -> Sequence[Subscription]:
    found = await session.scalars(
        select(Subscription).where(
            Subscription.customer_id == customer_id, _of(user_id), Subscription.ended_at.is_(None)
        )
    )
    return found.all()


async def choose(
    session: AsyncSession,
    *,
    customer_id: int,
    user_id: int | None = None,
    wanted: Mapping[Key, bool],
    how: How,
    note: str = "",
    at: datetime | None = None,
) -> list[Chosen]:
    """Write down what a recipient has said, and leave out what is not sent yet of what they refuse. Returns what has
    changed. at: when it was said, now if None; what was said later than that stays.

    Raises NotFound for a customer outside the scope, Conflict for a category that cannot be refused."""
    # two choices at once: one after the other
    held = select(Customer.id).where(Customer.id == customer_id).with_for_update()
    if await session.scalar(held) is None:
        raise NotFound
    categories = {c.id: c for c in await offered(session)}
    if not {category_id for category_id, _channel in wanted} <= categories.keys():
        raise Conflict(SERVICE)
    now = {(s.category_id, s.channel): s for s in await _current(session, customer_id, user_id)}
    earlier, at, who = at is not None, at or utcnow(), actor.get()
    changed = []
    for (category_id, channel), value in wanted.items():
        said, category = now.get((category_id, channel)), categories[category_id]
        if value == (said.wanted if said is not None else not category.opt_in):
            continue
        if said is not None:
            if earlier and said.since >= at:
                continue
            said.ended_at = at
            await session.flush()  # before the new one: only one may hold
        session.add(
            Subscription(
                customer_id=customer_id, user_id=user_id, category_id=category_id, channel=channel, wanted=value,
                since=at, how=how, staff_id=who.staff_id, by_user_id=who.user_id, note=note[:500], ip=who.ip,
            )
        )  # fmt: skip
        changed.append(Chosen(category, channel, value, at, how))
        if not value:
            await _withhold(session, customer_id, user_id, category_id, channel)
    await session.flush()
    return changed


def unsent() -> ColumnElement[bool]:
    """Deliveries that nobody has begun to hand to a mail server."""
    return or_(
        Delivery.state == DeliveryState.DUE, and_(Delivery.state == DeliveryState.LEASED, Delivery.started_at.is_(None))
    )


def left_out(reason: str) -> dict[str, Any]:
    """The columns of a delivery that is left out; the fence refuses one whose token is gone."""
    return {"state": DeliveryState.SKIPPED, "error": str.__str__(reason), "lease_token": None, "lease_until": None}


async def _withhold(
    session: AsyncSession, customer_id: int, user_id: int | None, category_id: int, channel: Channel
) -> None:
    of_category = select(Campaign.id).where(Campaign.category_id == category_id)
    await session.execute(
        update(Delivery)
        .where(
            Delivery.customer_id == customer_id, Delivery.channel == channel,
            Delivery.user_id.is_(None) if user_id is None else Delivery.user_id == user_id,
            unsent(), Delivery.campaign_id.in_(of_category),
        )
        .values(left_out(NO_CONSENT))
        .execution_options(synchronize_session=False, **UNSCOPED)
    )  # fmt: skip


async def recheck(
    session: AsyncSession, *, campaign_id: int, since: datetime | None = None, ids: Sequence[str] | None = None
) -> int:
    """Leave out what is due to recipients who have refused meanwhile, and to addresses that are suppressed by now.

    since: look only at what was said after this moment, for right after the recipients were chosen. Without it
    everything counts, for deliveries that are set due again. ids: only these messages. Returns how many were left out.
    """
    if ids is not None and not ids:
        return 0
    due = [Delivery.campaign_id == campaign_id, Delivery.state == DeliveryState.DUE]
    if ids is not None:
        due.append(Delivery.message_id.in_(ids))
    refused: list[ColumnElement[bool]] = [Subscription.ended_at.is_(None), Subscription.wanted.is_(False)]
    blocked: list[ColumnElement[bool]] = [Suppression.lifted_at.is_(None)]
    if since is not None:
        refused.append(Subscription.since >= since)
        blocked.append(Suppression.since >= since)
    category = select(Campaign.category_id).where(Campaign.id == campaign_id).scalar_subquery()
    n = 0
    if since is None or await _any(session, Subscription, refused):
        said_no = exists().where(
            *refused, Subscription.category_id == category, Subscription.channel == Delivery.channel,
            Subscription.customer_id == Delivery.customer_id,
            func.coalesce(Subscription.user_id, 0) == func.coalesce(Delivery.user_id, 0),
        )  # fmt: skip
        n += await _leave_out(session, NO_CONSENT, *due, said_no)
    if since is None or await _any(session, Suppression, blocked):
        dead = exists().where(*blocked, Suppression.address == func.lower(Delivery.address))
        n += await _leave_out(session, SUPPRESSED, *due, Delivery.channel == Channel.EMAIL, dead)
    return n


async def _any(session: AsyncSession, entity: Any, conditions: list[ColumnElement[bool]]) -> bool:
    found = await session.scalar(select(entity.id).where(*conditions).limit(1), execution_options=UNSCOPED)
    return found is not None


async def _leave_out(session: AsyncSession, reason: str, *where: ColumnElement[bool]) -> int:
    result = await session.execute(
        update(Delivery).where(*where).values(left_out(reason)).execution_options(synchronize_session=False, **UNSCOPED)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


# ---- by the link in a mail ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Addressee:
    """Whom a mail went to, found by what is signed in its links."""

    customer: Customer
    user: User | None
    address: str
    language: str
    category: Category
    campaign_id: int
    same_address: tuple[int | None, ...]
    """All recipients of this customer with that address: whoever reads it speaks for them."""


async def addressee(session: AsyncSession, message_id: str) -> Addressee:
    """The recipient of a message. Raises NotFound when the message, its customer or its user is gone."""
    found = (
        await session.execute(
            select(Delivery, Customer, User, Category)
            .join(Customer, Customer.id == Delivery.customer_id)
            .join(Campaign, Campaign.id == Delivery.campaign_id)
            .join(Category, Category.id == Campaign.category_id)
            .outerjoin(User, User.id == Delivery.user_id)
            .where(Delivery.message_id == message_id),
            execution_options=UNSCOPED,
        )
    ).one_or_none()
    if found is None:
        raise NotFound
    delivery, customer, user, category = found
    address = delivery.address.strip().lower()
    same = {delivery.user_id} | {
        r.user_id for r in await recipients(session, customer) if r.address.strip().lower() == address
    }
    return Addressee(
        customer, user, delivery.address, delivery.language, category, delivery.campaign_id,
        tuple(sorted(same, key=lambda i: i or 0)),
    )  # fmt: skip


async def unsubscribe(
    session: AsyncSession, *, to: Addressee, wanted: Mapping[int, bool] | None = None
) -> list[Chosen]:
    """What the reader of a mail says by its link: category -> whether they want it by e-mail; None: no more of the
    category that the mail was of. Returns what has changed for the recipient of that mail. Raises Conflict for a
    category that cannot be refused."""
    said = {to.category.id: False} if wanted is None else wanted
    by_mail = {(category_id, Channel.EMAIL): value for category_id, value in said.items()}
    changed: list[Chosen] = []
    for user_id in to.same_address:
        made = await choose(
            session, customer_id=to.customer.id, user_id=user_id, wanted=by_mail, how=How.LINK,
            note=f"campaign {to.campaign_id}",
        )  # fmt: skip
        changed = changed or made
    if changed:
        words = {c.category.name: [not c.wanted, c.wanted] for c in changed}
        await session.run_sync(
            audit.write, "unsubscribe" if wanted is None else "choose", "customer", to.customer.id, words,
            customer_id=to.customer.id,
        )  # fmt: skip
    return changed
