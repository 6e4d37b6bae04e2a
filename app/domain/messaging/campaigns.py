"""Campaigns: one message to one or many customers, from the start to the last decision about a delivery."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import String, case, cast, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import i18n
from app.db import Json, choice, moment, utcnow
from app.domain.messaging import audience as audiences
from app.domain.messaging import consent, render
from app.domain.messaging.audience import Audience
from app.domain.messaging.content import load_content
from app.domain.messaging.values import load as load_values
from app.errors import Conflict, Invalid, NotFound
from app.i18n import _
from app.integrations.mail import valid_address
from app.models import audit
from app.models.attachments import Attachment
from app.models.messaging import (
    CAMPAIGN_MOVES,
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
from app.observe import actor
from app.queue import enqueue

LANES = 2
"""Deliver jobs of one campaign that may run at once, in any worker."""
MAX_SUBJECT = 300
MAX_BODY = 200_000
MAX_FILES = 20
MAX_FILE_BYTES = 25 * 1024 * 1024
STOPPED = _("The campaign was stopped before it was this one's turn.")
UNCONFIRMED = _("The mail server never confirmed it; taken as sent.")


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
    total_expected: int | None = None,
) -> Campaign:
    """Write down a campaign and let the workers send it. The same `key` again: the same campaign, never a second.

    texts: language -> (subject, body); a language with both empty counts as not there. total_expected: the number
    that the person has confirmed, shown until the recipients are chosen. Staff who are limited to projects reach only
    their customers. Raises Invalid with the fields audience, category, default_language, subject_<language>,
    body_<language>, channels, sender_name, sender_email, attachments; Conflict for a key of somebody else.
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
    written = _check_texts(texts, problems)
    fallback = _check_default(default_language, written, matching_only, problems)
    chosen = [channel for channel in Channel if channel in channels]
    if not chosen or len(chosen) != len(set(channels)):
        problems["channels"] = _("Choose at least one channel.")
    sender_name, sender_email = sender_name.strip(), sender_email.strip()
    if len(sender_name) > 200 or not sender_name.isprintable():
        problems["sender_name"] = _("At most 200 characters, without control characters.")
    if sender_email and not valid_address(sender_email):
        problems["sender_email"] = _("This is not an e-mail address.")
    files = await _check_files(session, attachment_ids, problems)
    if problems:
        raise Invalid(**problems)
    campaign = Campaign(
        key=key, subject=written[i18n.best(i18n.language(), tuple(written)) or fallback][0],
        category_id=category_id, staff_id=who.staff_id, state=CampaignState.STARTING, audience=stored,
        projects=None if who.projects is None else sorted(who.projects), assign_replies=assign_replies,
        matching_only=matching_only, default_language=fallback, channels=[c.value for c in chosen],
        sender_name=sender_name, sender_email=sender_email, policy=policy, total=max(total_expected or 0, 0),
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
    await enqueue(session, "messaging.materialise", key=f"materialise:{campaign.id}", campaign_id=campaign.id)
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


def check_texts(texts: Mapping[str, tuple[str, str]]) -> None:
    """Refuse texts that could not be sent: raises Invalid with subject_<language> and body_<language>."""
    problems: dict[str, str] = {}
    _check_texts(texts, problems)
    if problems:
        raise Invalid(**problems)


def _check_texts(texts: Mapping[str, tuple[str, str]], problems: dict[str, str]) -> dict[str, tuple[str, str]]:
    written: dict[str, tuple[str, str]] = {}
    for given, (subject, body) in texts.items():
        subject, body = subject.strip(), body.strip()
        if not subject and not body:
            continue
        try:
            language = audiences.language_code(given)
        except ValueError:
            problems["texts"] = _("%(code)s is not a language.") % {"code": given[:20]}
            continue
        written[language] = subject, body
        if not subject:
            problems[f"subject_{given}"] = _("Write a subject.")
        elif len(subject) > MAX_SUBJECT:
            problems[f"subject_{given}"] = _("At most %(n)s characters.") % {"n": MAX_SUBJECT}
        if not body:
            problems[f"body_{given}"] = _("Write a text.")
        elif len(body.encode(errors="replace")) > MAX_BODY:
            problems[f"body_{given}"] = _("At most 200 kB.")
        if f"subject_{given}" in problems or f"body_{given}" in problems:
            continue
        for field, compiled in (
            (f"subject_{given}", (subject, "")), (f"body_{given}", ("", body)), (f"body_{given}", (subject, body)),
        ):  # fmt: skip
            try:
                render.compile_message(*compiled)
            except render.TemplateProblem as problem:
                problems[field] = str(problem)
                break
    if not written and "texts" not in problems:
        problems["texts"] = _("Write the message in at least one language.")
    return written


def _check_default(
    default_language: str, written: Mapping[str, object], matching_only: bool, problems: dict[str, str]
) -> str:
    """The language for those whose own has no text; without need of one, any that there is."""
    found = i18n.best(default_language, tuple(written)) if default_language else None
    if found is None and written:
        if matching_only or len(written) == 1:
            return next(iter(written))
        problems["default_language"] = _("Choose the language for those whose own has no text.")
    return found or ""


async def _check_files(session: AsyncSession, ids: Sequence[int], problems: dict[str, str]) -> list[int]:
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return []
    # what a customer has sent to us is for their ticket only
    ours = (Attachment.id.in_(wanted), Attachment.customer_id.is_(None))
    sizes = await session.execute(select(Attachment.id, Attachment.size).where(*ours))
    found = {row.id: row.size for row in sizes}
    if len(wanted) > MAX_FILES:
        problems["attachments"] = _("At most %(n)s files.") % {"n": MAX_FILES}
    elif len(found) != len(wanted):
        problems["attachments"] = _("One of the files does not exist any more: choose again.")
    elif sum(found.values()) > MAX_FILE_BYTES:
        problems["attachments"] = _("All files together may have 25 MB.")
    return wanted


def move(campaign: Campaign, to: CampaignState) -> None:
    """Change the state. Raises Conflict for a move that is not in CAMPAIGN_MOVES."""
    if to not in CAMPAIGN_MOVES[campaign.state]:
        state = str(campaign.state.label)
        raise Conflict(_('This is not possible while the campaign is in the state "%(state)s".') % {"state": state})
    campaign.state = to


async def locked(session: AsyncSession, campaign_id: int) -> Campaign:
    """The campaign, held until the end of the unit. Raises NotFound, also for one that the person may not see."""
    campaign = await session.scalar(
        select(Campaign).where(Campaign.id == campaign_id).with_for_update()
        .execution_options(populate_existing=True)
    )  # fmt: skip
    if campaign is None:
        raise NotFound
    return campaign


async def materialise(session: AsyncSession, *, campaign_id: int) -> Campaign:
    """Choose the recipients in one snapshot and start the lanes. A second run changes nothing."""
    campaign = await locked(session, campaign_id)
    if campaign.state is not CampaignState.STARTING:
        return campaign
    languages = (
        await session.scalars(select(CampaignText.language).where(CampaignText.campaign_id == campaign.id))
    ).all()
    rows = audiences.recipients(
        Audience(
            who=campaign.audience, languages=tuple(languages), default_language=campaign.default_language,
            matching_only=campaign.matching_only, channels=tuple(campaign.channels),
            projects=None if campaign.projects is None else frozenset(int(p) for p in campaign.projects),
            category_id=campaign.category_id,
        )
    ).c  # fmt: skip
    # the Message-ID without its domain, derived from the key of the row: a second run meets the same ones
    prefix = f"c{campaign.id}.{hashlib.sha256(campaign.key.encode()).hexdigest()[:10]}."
    channel = func.substr(cast(rows.channel, String), 1, 1)
    message_id = (
        literal(prefix) + cast(rows.customer_id, String) + "." + channel
        + func.coalesce(literal(".") + cast(rows.user_id, String), "")
    )  # fmt: skip
    state = choice(DeliveryState)
    chosen = {
        "campaign_id": literal(campaign.id), "customer_id": rows.customer_id, "channel": rows.channel,
        "address": rows.address, "user_id": rows.user_id, "language": rows.language,
        "state": case((rows.reason.is_(None), literal(DeliveryState.DUE, state)),
                      else_=literal(DeliveryState.SKIPPED, state)),
        # the short form looks at the reason once, not once per word
        "error": case({r: literal(str(why)) for r, why in audiences.REASONS.items()}, value=rows.reason,
                      else_=literal("")),
        "values": cast(literal({}, Json), Json), "message_id": message_id, "attempt": literal(0), "next_at": moment(),
    }  # fmt: skip
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    await session.execute(
        # set-based on purpose: a million rows in seconds, from one snapshot; the scope stands in `recipients`
        dialect.insert(Delivery)
        .from_select(
            list(chosen),
            # SQLite takes the ON of ON CONFLICT for a join's unless there is a WHERE before it
            select(*[what.label(name) for name, what in chosen.items()]).where(rows.customer_id.is_not(None)),
        )
        .on_conflict_do_nothing()
    )
    counts = await count_by_state(session, campaign.id)
    campaign.total = sum(counts.values())
    move(campaign, CampaignState.RUNNING)
    campaign.started_at = utcnow()
    await session.flush()
    if counts.get(DeliveryState.DUE, 0):
        await _open_lanes(session, campaign)
    else:
        move(campaign, CampaignState.DONE)
        campaign.finished_at = utcnow()
        await session.flush()
    return campaign


async def count_by_state(session: AsyncSession, campaign_id: int) -> dict[DeliveryState, int]:
    rows = await session.execute(
        select(Delivery.state, func.count()).where(Delivery.campaign_id == campaign_id).group_by(Delivery.state)
    )
    return {row[0]: row[1] for row in rows}


async def _open_lanes(session: AsyncSession, campaign: Campaign) -> None:
    for lane in range(LANES):
        # the version changes whenever the campaign starts to run, so each run has lanes of its own, once
        key = f"deliver:{campaign.id}:{lane}:{campaign.version}"
        await enqueue(session, "messaging.deliver", key=key, campaign_id=campaign.id, lane=lane)


async def fail_campaign(session: AsyncSession, *, campaign_id: int, reason: str) -> None:
    """The recipients could not be chosen: nobody was written to. Does nothing once it runs."""
    campaign = await locked(session, campaign_id)
    if campaign.state is CampaignState.STARTING:
        move(campaign, CampaignState.FAILED)
        campaign.error = reason[:2000]
        campaign.finished_at = utcnow()
        await session.flush()


async def stop_campaign(session: AsyncSession, *, campaign_id: int) -> Campaign:
    """Send nothing more. What is on the wire this moment still arrives. Raises NotFound, Conflict."""
    campaign = await locked(session, campaign_id)
    move(campaign, CampaignState.CANCELLED)
    campaign.finished_at = utcnow()
    await session.flush()
    await enqueue(session, "messaging.wind_up", key=f"wind_up:{campaign.id}", campaign_id=campaign.id)
    return campaign


async def wind_up(session: AsyncSession, *, campaign_id: int) -> bool:
    """Mark what a stopped campaign did not send. True when nothing is on its way any more."""
    await _mark(
        session, campaign_id, DeliveryState.DUE,
        state=DeliveryState.SKIPPED, error=str(STOPPED), lease_token=None, lease_until=None,
    )  # fmt: skip
    return not (await count_by_state(session, campaign_id)).get(DeliveryState.LEASED, 0)


async def resend_failed(session: AsyncSession, *, campaign_id: int) -> int:
    """Try the failed deliveries once more, from the first try on. Returns how many. Raises NotFound, Conflict."""
    campaign = await locked(session, campaign_id)
    if campaign.state is not CampaignState.RUNNING and CampaignState.RUNNING not in CAMPAIGN_MOVES[campaign.state]:
        move(campaign, CampaignState.RUNNING)
    if campaign.state is CampaignState.STARTING:
        raise Conflict(_("The campaign has not started yet."))
    n = await _mark(session, campaign_id, DeliveryState.FAILED, **_FRESH)
    n = max(n - await consent.recheck(session, campaign_id=campaign.id), 0)
    if n:
        await session.run_sync(audit.write, "resend", "campaign", campaign.id, {"failed": [n, 0]})
        await _run_again(session, campaign)
    return n


async def decide_review(session: AsyncSession, *, campaign_id: int, resend: bool) -> int:
    """Decide about all deliveries of which nobody knows whether they arrived: send them again, or take them as sent.

    Returns how many there were. Raises NotFound, Conflict for a stopped campaign that should send again.
    """
    campaign = await locked(session, campaign_id)
    if resend:
        if campaign.state is not CampaignState.RUNNING and CampaignState.RUNNING not in CAMPAIGN_MOVES[campaign.state]:
            move(campaign, CampaignState.RUNNING)
        n = await _mark(session, campaign_id, DeliveryState.REVIEW, **_FRESH)
        n = max(n - await consent.recheck(session, campaign_id=campaign.id), 0)
        if n:
            await _run_again(session, campaign)
    else:
        n = await _take_as_sent(session, campaign)
    if n:
        note = "resend" if resend else "taken as sent"
        await session.run_sync(audit.write, "review", "campaign", campaign.id, {"review": [n, 0]}, note=note)
    return n


_FRESH: dict[str, Any] = {"state": DeliveryState.DUE, "attempt": 0, "error": "", "started_at": None}


async def _mark(session: AsyncSession, campaign_id: int, where: DeliveryState, **values: Any) -> int:
    result = await session.execute(
        update(Delivery)
        .where(Delivery.campaign_id == campaign_id, Delivery.state == where)
        .values(next_at=moment(), **values)
        .execution_options(synchronize_session=False)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


async def _run_again(session: AsyncSession, campaign: Campaign) -> None:
    if campaign.state is CampaignState.RUNNING:
        return  # its lanes will find the rows
    move(campaign, CampaignState.RUNNING)
    campaign.finished_at = None
    await session.flush()
    await _open_lanes(session, campaign)


async def _take_as_sent(session: AsyncSession, campaign: Campaign) -> int:
    found = await session.execute(
        select(Delivery.message_id, Delivery.language, func.coalesce(Delivery.started_at, moment())).where(
            Delivery.campaign_id == campaign.id, Delivery.state == DeliveryState.REVIEW
        )
    )
    rows = {message_id: (language, at) for message_id, language, at in found}
    if not rows:
        return 0
    content = await load_content(session, campaign.id)
    languages = {message_id: language for message_id, (language, _at) in rows.items()}
    ids = sorted(rows)
    for start in range(0, len(ids), 500):
        part = {i: languages[i] for i in ids[start : start + 500]}
        values = await load_values(session, macros=content.macros, rows=part, staff_name=content.staff_name)
        for message_id in part:
            await session.execute(
                update(Delivery)
                .where(Delivery.message_id == message_id, Delivery.state == DeliveryState.REVIEW)
                .values(
                    state=DeliveryState.SENT, sent_at=rows[message_id][1], error=str(UNCONFIRMED),
                    values=values[message_id].values if message_id in values else {},
                )
                .execution_options(synchronize_session=False)
            )  # fmt: skip
    return len(rows)
