"""How a campaign begins: written down, planned, approved, its recipients chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import i18n
from app.db import utcnow
from app.domain.messaging import audience as audiences
from app.domain.messaging import choosing, plans
from app.domain.messaging.audience import Audience
from app.domain.messaging.campaigns import locked, move, open_lanes, refusal
from app.domain.messaging.checking import check_pace, check_plan, collect_texts, default_of, files_of
from app.domain.messaging.plans import AT_ONCE, FULL_SPEED, Pace, Plan
from app.errors import Conflict, Forbidden, Invalid
from app.i18n import _
from app.integrations.mail import valid_address
from app.models.messaging import (
    Campaign,
    CampaignAttachment,
    CampaignState,
    CampaignText,
    Category,
    Channel,
    Delivery,
    DeliveryState,
    Policy,
)
from app.models.staff import Staff
from app.observe import actor
from app.queue import enqueue


async def start_campaign(
    session: AsyncSession,
    *,
    key: str,
    category_id: int | None,
    audience: dict[str, Any],
    texts: Mapping[str, tuple[str, str]],
    default_language: str,
    matching_only: bool = False,
    assign_replies: bool = False,
    channels: Sequence[str] = (Channel.INBOX, Channel.EMAIL),
    sender_name: str = "",
    sender_email: str = "",
    attachment_ids: Sequence[int] = (),
    policy: Policy = Policy.RESEND,
    plan: Plan = AT_ONCE,
    pace: Pace = FULL_SPEED,
    total_expected: int | None = None,
) -> Campaign:
    """Write down a campaign and let the workers send it. The same `key` again: the same campaign, never a second.

    texts: language -> (subject, body); a language with both empty counts as not there. total_expected: the number
    that the person has confirmed, shown until the recipients are chosen. Staff who are limited to projects reach only
    their customers. Raises Invalid with the fields audience, category, default_language, subject_<language>,
    body_<language>, channels, sender_name, sender_email, attachments and those of `plan` and `pace`; Conflict for a key
    of somebody else.
    """  # fmt: skip
    who = actor.get()
    if (present := await _with_key(session, key)) is not None:
        await _refuse_another(session, present, audience, texts)
        return present
    problems: dict[str, str] = {}
    stored: dict[str, Any] = {}
    try:
        stored = audiences.check_who(audience)
    except Invalid as invalid:
        problems |= invalid.fields
    category = await session.get(Category, category_id) if category_id is not None else None
    if category is None or not category.enabled:
        problems["category"] = _("Choose a category that is in use.")
    written = collect_texts(texts, problems)
    fallback = default_of(default_language, written, matching_only, problems)
    chosen = [channel for channel in Channel if channel in channels]
    if not chosen or len(chosen) != len(set(channels)):
        problems["channels"] = _("Choose at least one channel.")
    sender_name, sender_email = sender_name.strip(), sender_email.strip()
    if len(sender_name) > 200 or not sender_name.isprintable():
        problems["sender_name"] = _("At most 200 characters, without control characters.")
    if sender_email and not valid_address(sender_email):
        problems["sender_email"] = _("This is not an e-mail address.")
    files = await files_of(session, attachment_ids, problems)
    check_plan(plan, problems)
    check_pace(pace, problems)
    if "unreached" in stored and not await _exists(session, stored["unreached"]["campaign"]):
        problems["audience"] = _("The campaign whose recipients were meant does not exist.")
    if problems:
        raise Invalid(**problems)
    starts_at = plan.starts_at
    campaign = Campaign(
        key=key, subject=written[i18n.best(i18n.language(), tuple(written)) or fallback][0],
        category_id=category_id, staff_id=who.staff_id, audience=stored,
        state=CampaignState.STARTING if starts_at is None else CampaignState.SCHEDULED,
        projects=None if who.projects is None else sorted(who.projects), assign_replies=assign_replies,
        matching_only=matching_only, default_language=fallback, channels=[c.value for c in chosen],
        sender_name=sender_name, sender_email=sender_email, policy=policy, total=max(total_expected or 0, 0),
        send_at=starts_at, local_at=plan.local_at, grace_minutes=plan.grace_minutes,
        quiet_from=plan.quiet_from, quiet_until=plan.quiet_until, per_second=pace.per_second,
        per_domain_second=pace.per_domain_second, stop_percent=pace.stop_percent,
    )  # fmt: skip
    try:
        async with session.begin_nested():
            session.add(campaign)
            await session.flush()
    except IntegrityError:  # the same form, sent twice at once: the other one was first
        if (present := await _with_key(session, key)) is not None:
            return present
        raise
    session.add_all(
        CampaignText(campaign_id=campaign.id, language=language, subject=subject, body=body)
        for language, (subject, body) in written.items()
    )
    session.add_all(CampaignAttachment(campaign_id=campaign.id, attachment_id=file) for file in files)
    await session.flush()
    if await _needs_approval(session, campaign, tuple(written)):
        move(campaign, CampaignState.APPROVAL)
        await session.flush()
    else:
        await _set_off(session, campaign)
    return campaign


async def _exists(session: AsyncSession, campaign_id: int) -> bool:
    """Whether the acting person sees it."""
    return await session.scalar(select(Campaign.id).where(Campaign.id == campaign_id)) is not None


async def _needs_approval(session: AsyncSession, campaign: Campaign, languages: tuple[str, ...]) -> bool:
    """Whether more are addressed than the category lets one person write to, and than were approved."""
    limit = await session.scalar(select(Category.approval_above).where(Category.id == campaign.category_id))
    if not limit:
        return False
    most = limit if campaign.approved_at is None else max(limit, campaign.total)
    return await audiences.more_than(session, _audience(campaign, languages), most)


async def _languages(session: AsyncSession, campaign: Campaign) -> tuple[str, ...]:
    return tuple(await session.scalars(select(CampaignText.language).where(CampaignText.campaign_id == campaign.id)))


async def _set_off(session: AsyncSession, campaign: Campaign) -> None:
    """Start it now or at its time; when that is over by more than its grace, staff are asked again."""
    now = await plans.clock(session)
    if campaign.send_at is None or campaign.send_at <= now <= _latest(campaign):
        to, due = CampaignState.STARTING, None
    else:
        to = CampaignState.MISSED if campaign.send_at <= now else CampaignState.SCHEDULED
        due = campaign.send_at
    if campaign.state is not to:
        move(campaign, to)
    await session.flush()
    if to is not CampaignState.MISSED:
        # the version is new with every change of the plan, so each plan has a job of its own
        key = f"materialise:{campaign.id}:{campaign.version}"
        await enqueue(session, "messaging.materialise", key=key, due_at=due, campaign_id=campaign.id)


def _latest(campaign: Campaign) -> datetime:
    """Until when it may start without being asked about again."""
    assert campaign.send_at is not None
    return campaign.send_at + timedelta(minutes=campaign.grace_minutes)


async def plan_campaign(
    session: AsyncSession, *, campaign_id: int, send_at: datetime | None, local_time: bool | None = None
) -> Campaign:
    """Send a campaign that waits at another time; None: now. local_time: see `Plan`; None leaves that as it is. Raises
    NotFound, Conflict, Invalid at `send_at`."""
    campaign = await locked(session, campaign_id)
    if campaign.state not in (CampaignState.SCHEDULED, CampaignState.MISSED, CampaignState.APPROVAL):
        raise refusal(campaign)
    if send_at is not None and send_at <= utcnow():
        raise Invalid(send_at=_("This lies in the past."))
    plan = Plan(send_at=send_at, local_time=bool(campaign.local_at) if local_time is None else local_time)
    campaign.send_at, campaign.local_at = plan.starts_at, plan.local_at
    if campaign.state is CampaignState.APPROVAL:
        await session.flush()
    else:
        await _set_off(session, campaign)
    return campaign


async def approve_campaign(session: AsyncSession, *, campaign_id: int) -> Campaign:
    """A second staff member lets a large campaign go, to as many as are addressed now (`total`).

    Raises NotFound, Conflict, Forbidden for the one who wrote it.
    """
    campaign, who = await locked(session, campaign_id), actor.get()
    if campaign.state is not CampaignState.APPROVAL:
        raise refusal(campaign)
    if who.staff_id is None or who.staff_id == campaign.staff_id:
        raise Forbidden(_("You have written this message: somebody else has to approve it."))
    colleague = await session.get(Staff, who.staff_id, execution_options={"unscoped": True})
    campaign.approved_at, campaign.approved_by = utcnow(), str(colleague or "")
    campaign.total = await audiences.addressed(session, _audience(campaign, await _languages(session, campaign)))
    await _set_off(session, campaign)
    return campaign


async def _with_key(session: AsyncSession, key: str) -> Campaign | None:
    if not key or len(key) > 64 or not key.isprintable():
        raise Invalid(_("This form is broken: open it again."))
    present = await session.scalar(select(Campaign).where(Campaign.key == key), execution_options={"unscoped": True})
    if present is not None and present.staff_id != actor.get().staff_id:
        raise Conflict(_("This form was already used by somebody else: open it again."))
    return present


async def _refuse_another(
    session: AsyncSession, present: Campaign, audience: dict[str, Any], texts: Mapping[str, tuple[str, str]]
) -> None:
    """The same form again is the same campaign; a changed one (the browser's Back) would silently not be sent."""
    rows = await session.execute(
        select(CampaignText.language, CampaignText.subject, CampaignText.body).where(
            CampaignText.campaign_id == present.id
        )
    )
    sent = {language: (subject, body) for language, subject, body in rows}
    now = {code: (s.strip(), b.strip()) for code, (s, b) in texts.items() if s.strip() or b.strip()}
    if sent != now or present.audience != audiences.check_who(audience):
        raise Conflict(_("This form was already sent with other words or to others. Open it anew to send again."))


async def materialise(session: AsyncSession, *, campaign_id: int) -> Campaign:
    """Choose the recipients in one snapshot and start the lanes. A second run changes nothing."""
    campaign = await locked(session, campaign_id)
    if campaign.state is CampaignState.SCHEDULED:
        await _begin_as_planned(session, campaign)
    if campaign.state is not CampaignState.STARTING:
        return campaign
    languages = await _languages(session, campaign)
    if await _needs_approval(session, campaign, languages):  # so many only since it was planned or approved
        move(campaign, CampaignState.APPROVAL)
        campaign.approved_at, campaign.approved_by = None, ""
        await session.flush()
        return campaign
    campaign.total = await choosing.write_deliveries(session, campaign, _audience(campaign, languages))
    move(campaign, CampaignState.RUNNING)
    campaign.started_at = utcnow()
    due = select(Delivery.campaign_id).where(
        Delivery.campaign_id == campaign.id, Delivery.state == literal(DeliveryState.DUE.value, literal_execute=True)
    )
    if await session.scalar(due.limit(1)) is not None:
        await open_lanes(session, campaign)
    else:
        move(campaign, CampaignState.DONE)
        campaign.finished_at = utcnow()
        await session.flush()
    return campaign


async def _begin_as_planned(session: AsyncSession, campaign: Campaign) -> None:
    """The time has come; or it has long passed, because nobody worked: then staff say whether it still makes sense."""
    now = await plans.clock(session)
    if campaign.send_at is not None and campaign.send_at > now:
        return  # the job of a plan that was changed since
    late = campaign.send_at is not None and now > _latest(campaign)
    move(campaign, CampaignState.MISSED if late else CampaignState.STARTING)
    await session.flush()


def _audience(campaign: Campaign, languages: tuple[str, ...]) -> Audience:
    return Audience(
        who=campaign.audience, languages=languages, default_language=campaign.default_language,
        matching_only=campaign.matching_only, channels=tuple(campaign.channels),
        projects=None if campaign.projects is None else frozenset(int(p) for p in campaign.projects),
        category_id=campaign.category_id,
    )  # fmt: skip


async def fail_campaign(session: AsyncSession, *, campaign_id: int, reason: str) -> None:
    """The recipients could not be chosen: nobody was written to. Does nothing once it runs."""
    campaign = await locked(session, campaign_id)
    if campaign.state in (CampaignState.STARTING, CampaignState.SCHEDULED):
        move(campaign, CampaignState.FAILED)
        campaign.error = reason[:2000]
        campaign.finished_at = utcnow()
        await session.flush()
