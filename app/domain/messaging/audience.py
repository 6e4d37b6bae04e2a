"""Who receives a message, at which address, in which language: the one place that builds this SELECT.

The count on the confirmation page and the delivery rows come from the same `recipients()`, so they cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    SQLColumnExpression,
    String,
    Subquery,
    and_,
    case,
    cast,
    distinct,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app import filters, i18n
from app.db import BigId, choice
from app.domain.messaging.consent import NO_CONSENT, SUPPRESSED
from app.errors import Invalid
from app.i18n import _
from app.models.consent import Subscription, Suppression
from app.models.customers import Customer, CustomerStatus
from app.models.messaging import Category, Channel, Delivery, DeliveryState
from app.models.projects import Project
from app.models.users import User, UserCustomer

MAX_IDS = 10_000
SAMPLE = 10
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")

NO_ADDRESS = _("The customer has no e-mail address.")
BAD_ADDRESS = _("This is not an e-mail address.")
REASONS = {
    "no_address": NO_ADDRESS, "bad_address": BAD_ADDRESS, "suppressed": SUPPRESSED, "no_consent": NO_CONSENT,
}  # fmt: skip
"""Why a recipient is left out, as it is written into the delivery."""


@dataclass(frozen=True)
class Audience:
    """Whom a campaign addresses, and by which rule it chooses the language.

    who: ``{"ids": [...]}``, ``{"filter": {...}}`` or ``{"everyone": true}``. languages: those that have a text.
    projects: the only projects whose customers may be reached; None: all.
    """

    who: dict[str, Any]
    languages: tuple[str, ...]
    default_language: str
    matching_only: bool = False
    channels: tuple[str, ...] = (Channel.INBOX, Channel.EMAIL)
    projects: frozenset[int] | None = None
    category_id: int | None = None
    """Whose consent is asked; None: of none (the composer before a category is chosen)."""


@dataclass(frozen=True)
class LeftOut:
    """A reason for which customers or deliveries are left out, its sentence for staff, and how many."""

    reason: str
    label: str
    count: int


@dataclass(frozen=True)
class AudienceCount:
    """customers: who receive at least one delivery. deliveries: per channel, without those that are left out.
    by_language: customers per language of the text. sample: names of the first ten customers."""

    customers: int
    deliveries: Mapping[str, int]
    by_language: Mapping[str, int]
    left_out: Sequence[LeftOut] = field(default_factory=tuple)
    sample: Sequence[str] = field(default_factory=tuple)


def language_code(text: str) -> str:
    """A language code as we store it. Raises ValueError for what is no code (BCP 47, at most 12 characters)."""
    code = text.strip().replace("_", "-")
    if len(code) > 12 or not _LANGUAGE.fullmatch(code):
        raise ValueError(text)
    return code


def check_who(who: Any) -> dict[str, Any]:
    """The audience in its stored form. Raises Invalid at `audience`: nobody, a broken filter, an empty filter."""
    if not isinstance(who, dict) or len(who) != 1:
        raise Invalid(audience=_("Say who receives the message."))
    if who.get("everyone") is True:
        return {"everyone": True}
    if "ids" in who:
        ids = who["ids"]
        if not isinstance(ids, list | tuple | set | frozenset) or not all(type(i) is int for i in ids) or not ids:
            raise Invalid(audience=_("Nobody is selected."))
        if len(ids) > MAX_IDS:
            raise Invalid(audience=_("Too many are selected: use a filter instead."))
        return {"ids": sorted(i for i in set(ids) if 0 < i < 2**63)}
    if "filter" in who:
        try:
            condition = filters.parse(who["filter"], Customer)
        except filters.FilterProblem as problem:
            raise Invalid(audience=_("The filter cannot be used: %(reason)s") % {"reason": str(problem)}) from problem
        if filters.is_empty(condition):
            raise Invalid(audience=_("An empty filter chooses nobody. To write to everyone, say so."))
        # "today" is a day of the one who sends; the worker must mean the same one
        return {"filter": who["filter"], "zone": i18n.zone().key}
    if "unreached" in who:
        meant = who["unreached"]
        if (
            isinstance(meant, dict)
            and type(meant.get("campaign")) is int
            and meant.get("channel", "") in ("", *Channel)
        ):
            return {"unreached": {"campaign": meant["campaign"], "channel": str(meant.get("channel", ""))}}
    raise Invalid(audience=_("Say who receives the message."))


def _unreached(campaign: int, channel: str) -> ColumnElement[bool]:
    """Customers for whom every delivery of that campaign, or every one of that channel, has failed or was left out."""
    over = Delivery.state.in_((DeliveryState.FAILED, DeliveryState.SKIPPED))
    tried = select(Delivery.customer_id).where(Delivery.campaign_id == campaign)
    if channel:
        tried = tried.where(Delivery.channel == Channel(channel))
    without = tried.group_by(Delivery.customer_id).having(func.count() == func.count(case((over, 1))))
    return Customer.id.in_(without)


def _addressed(audience: Audience) -> list[ColumnElement[bool]]:
    """Which customers are meant, closed ones included."""
    who = audience.who
    conditions: list[ColumnElement[bool]] = []
    if "ids" in who:
        conditions.append(Customer.id.in_(who["ids"]))
    elif "filter" in who:
        with i18n.speaking(i18n.language(), who.get("zone")):
            conditions.append(filters.compile(filters.parse(who["filter"], Customer), Customer))
    elif "unreached" in who:
        conditions.append(_unreached(who["unreached"]["campaign"], who["unreached"]["channel"]))
    elif who.get("everyone") is not True:
        raise Invalid(audience=_("Say who receives the message."))
    if audience.projects is not None:
        conditions.append(Customer.project_id.in_(audience.projects))
    return conditions


def _match(wanted: SQLColumnExpression[str], languages: Sequence[str]) -> ColumnElement[str | None]:
    """The text that serves `wanted`, exact first, then by prefix (as `i18n.best`); NULL when none does."""
    code = func.lower(func.replace(wanted, "_", "-"))
    whens = [
        (or_(code == known.lower(), code.like(f"{known.lower()}-%")), literal(known))
        for known in sorted(languages, key=len, reverse=True)  # the longest that fits is the closest
    ]
    return case((wanted.in_(languages), wanted), *whens, else_=null())  # most are exact, and found by one comparison


def _language(audience: Audience, *sources: Any) -> ColumnElement[str | None]:
    wanted = func.coalesce(*[func.nullif(source, "") for source in sources], Project.default_language)
    found = _match(wanted, audience.languages)
    if not audience.matching_only:
        found = func.coalesce(
            found, _match(Project.default_language, audience.languages), literal(audience.default_language)
        )
    return case((sources[0].in_(audience.languages), sources[0]), else_=found)  # of most the first is the one, exactly


def _refuses(audience: Audience) -> ColumnElement[bool | None]:
    """Whether a recipient without a word of their own goes without this category: False for one of the service."""
    silent = case((Category.subscribable, Category.opt_in), else_=False)
    return select(silent).where(Category.id == audience.category_id).scalar_subquery()


def _said(audience: Audience, channel: Channel, user_id: Any = None) -> tuple[Any, ColumnElement[bool]]:
    """What the recipient has said of the category: the rows that hold now, and how they are joined. One for the whole
    audience instead of a question per recipient; the conditions are those of the partial indexes."""
    said = aliased(Subscription)
    whose = said.user_id.is_(None) if user_id is None else and_(said.user_id.is_not(None), said.user_id == user_id)
    return said, and_(
        said.category_id == audience.category_id, said.channel == channel, said.customer_id == Customer.id,
        said.ended_at.is_(None), whose,
    )  # fmt: skip


def _reason(audience: Audience, channel: Channel, said: Any, address: Any, blocked: Any) -> ColumnElement[str | None]:
    whens: list[Any] = []
    if channel is Channel.EMAIL:
        whens.append((blocked.id.is_not(None), literal("suppressed")))
    if audience.category_id is not None:
        wants = func.coalesce(said.wanted, not_(_refuses(audience)))
        service = select(not_(Category.subscribable)).where(Category.id == audience.category_id).scalar_subquery()
        whens.append((and_(not_(service), not_(wants)), literal("no_consent")))
    reason: ColumnElement[str | None] = case(*whens, else_=null()) if whens else cast(null(), String)
    if channel is not Channel.EMAIL:
        return reason
    none = case((address == "", literal("no_address")), else_=literal("bad_address"))
    return case((address.like("_%@_%"), reason), else_=none)  # nearly all are addresses: asked once, and first


def recipients(audience: Audience) -> Subquery:
    """customer_id, channel, address ('' for the inbox), user_id, language, reason (NULL, or why it is left out).

    The customer's own address, and those of enabled users who receive. The same address twice for one customer is
    once, the customer's own first. Closed customers are not in it, nor (matching_only) who has no text.
    """
    conditions = [*_addressed(audience), Customer.status != CustomerStatus.CLOSED]
    text = String()

    def part(channel: Channel, address: Any, user_id: Any, language: Any, *joins: tuple[Any, Any]) -> Select[Any]:
        blocked = aliased(Suppression)
        said, said_by = _said(audience, channel, user_id)
        shown = func.coalesce(address, "") if channel is Channel.EMAIL else literal("", text)
        columns = [
            Customer.id.label("customer_id"), literal(channel.value, text).label("channel"), shown.label("address"),
            cast(null() if user_id is None else user_id, BigId).label("user_id"), language.label("language"),
            _reason(audience, channel, said, shown, blocked).label("reason"),
        ]  # fmt: skip
        chosen = select(*columns).select_from(Customer).join(Project, Project.id == Customer.project_id)
        for entity, condition in joins:
            chosen = chosen.join(entity, condition)
        if audience.category_id is not None:
            chosen = chosen.outerjoin(said, said_by)
        if channel is Channel.EMAIL:
            now = and_(blocked.address == func.lower(address), blocked.lifted_at.is_(None))
            chosen = chosen.outerjoin(blocked, now)
        return chosen.where(*conditions, *([language.is_not(None)] if audience.matching_only else []))

    parts: list[Select[Any]] = []
    own_language = _language(audience, Customer.language)
    if Channel.INBOX in audience.channels:
        parts.append(part(Channel.INBOX, None, None, own_language))
    if Channel.EMAIL in audience.channels:
        own = func.trim(Customer.email)
        parts.append(part(Channel.EMAIL, own, None, own_language))
        theirs = func.trim(User.email)
        users = part(
            Channel.EMAIL, theirs, User.id, _language(audience, User.language, Customer.language),
            (UserCustomer, UserCustomer.customer_id == Customer.id), (User, User.id == UserCustomer.user_id),
        ).where(
            UserCustomer.receives.is_(True), User.enabled.is_(True), theirs != "",
            or_(func.lower(theirs) != func.lower(own), own_language.is_(None) if audience.matching_only else false()),
        )  # fmt: skip
        # numbered among the few users, not among all recipients: nothing has to be sorted for the customers' own
        nth = func.row_number().over(partition_by=(Customer.id, func.lower(theirs)), order_by=User.id)
        numbered = users.add_columns(nth.label("nth")).subquery("users")
        parts.append(select(*[c for c in numbered.c if c.name != "nth"]).where(numbered.c.nth == 1))
    found = union_all(*parts).subquery("found").c
    return select(
        found.customer_id, type_coerce(found.channel, choice(Channel)).label("channel"), found.address, found.user_id,
        found.language, found.reason,
    ).subquery("recipients")  # fmt: skip


async def count(session: AsyncSession, audience: Audience) -> AudienceCount:
    """How many would receive it now, who is left out and why. Reads only. Raises Invalid for a broken audience.

    An address that looks like one and is none (the finer rules of RFC 5321) is only found when it is its turn.
    """
    rows = recipients(audience)
    found = rows.c
    unscoped = {"unscoped": True}  # the projects stand in the audience, exactly as the worker will apply them
    deliveries: dict[str, int] = dict.fromkeys(audience.channels, 0)
    left_out: dict[str, int] = {}
    grouped = select(found.channel, found.reason, func.count()).group_by(found.channel, found.reason)
    for channel, reason, n in await session.execute(grouped, execution_options=unscoped):
        if reason is None:
            deliveries[channel] = n
        else:
            left_out[reason] = left_out.get(reason, 0) + n
    reached = found.reason.is_(None)
    totals = select(func.count(distinct(case((reached, found.customer_id)))), func.count(distinct(found.customer_id)))
    customers, considered = (await session.execute(totals, execution_options=unscoped)).one()
    by_language = select(found.language, func.count(distinct(found.customer_id))).where(reached)
    languages = (await session.execute(by_language.group_by(found.language), execution_options=unscoped)).all()
    meant = select(func.count(), func.count(case((Customer.status == CustomerStatus.CLOSED, 1))))
    addressed, closed = (
        await session.execute(
            meant.select_from(Customer).where(and_(True, *_addressed(audience))), execution_options=unscoped
        )
    ).one()
    names = (
        select(Customer.name)
        .where(Customer.id.in_(select(found.customer_id).where(reached)))
        .order_by(Customer.name_folded, Customer.id)
        .limit(SAMPLE)
    )
    sample = (await session.scalars(names, execution_options=unscoped)).all()
    reasons = [
        LeftOut("language", _("have no text in their language"), addressed - closed - considered),
        LeftOut("no_address", _("have no e-mail address"), left_out.get("no_address", 0)),
        LeftOut("bad_address", _("have an address that is none"), left_out.get("bad_address", 0)),
        LeftOut("suppressed", _("have an address to which nothing is sent"), left_out.get("suppressed", 0)),
        LeftOut("no_consent", _("do not want messages of this kind"), left_out.get("no_consent", 0)),
        LeftOut("closed", _("are closed"), closed),
    ]
    return AudienceCount(
        customers, deliveries, {str(code): n for code, n in languages}, [r for r in reasons if r.count > 0], sample
    )


async def more_than(session: AsyncSession, audience: Audience, n: int) -> bool:
    """Whether more than `n` customers are addressed; those that will be left out count, so that it is found at once."""
    return await addressed(session, audience, most=n + 1) > n


async def addressed(session: AsyncSession, audience: Audience, *, most: int | None = None) -> int:
    """How many customers are addressed, those that will be left out among them; counts up to `most`."""
    few = select(Customer.id).where(Customer.status != CustomerStatus.CLOSED, *_addressed(audience)).limit(most)
    return (
        await session.scalar(select(func.count()).select_from(few.subquery()), execution_options={"unscoped": True})
        or 0
    )


def unserved(audience: Audience) -> Select[Any]:
    """Language that customers read -> how many, for the addressed ones whose language has no text."""
    wanted = func.coalesce(func.nullif(Customer.language, ""), Project.default_language)
    code = func.lower(func.replace(wanted, "_", "-"))
    return (
        select(code, func.count())
        .select_from(Customer)
        .join(Project, Project.id == Customer.project_id)
        .where(
            Customer.status != CustomerStatus.CLOSED, _match(wanted, audience.languages).is_(None),
            *_addressed(audience),
        )
        .group_by(code)
    )  # fmt: skip
