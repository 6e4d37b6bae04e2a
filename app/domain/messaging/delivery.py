"""Delivery under leases: claim rows, send, finish with the same token.

Every step is one short transaction for many rows; none is open while a mail server is spoken to. Whoever does not hold
the token of a row any more changes nothing. The claim is the first fence: it says that the rows go out now, and what
has not gone out `FRESH` seconds later is fenced again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

import msgspec
from sqlalchemy import and_, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import moment, utcnow
from app.domain.messaging import batches, consent
from app.domain.messaging.audience import BAD_ADDRESS
from app.domain.messaging.batches import Mark
from app.domain.messaging.campaigns import locked, move
from app.domain.messaging.content import Content, load_content
from app.domain.messaging.values import Recipient
from app.domain.messaging.values import load as load_values
from app.i18n import _
from app.integrations.mail import Deferred, MailError, Rejected
from app.integrations.mail.notes import Found
from app.models.jobs import Job, JobState
from app.models.messaging import Campaign, CampaignState, Channel, Delivery, DeliveryState, Policy

BACK_OFF = (30, 120, 600, 1800)
"""Seconds until the next try of a message that the server put off."""
CUT_BACK_OFF = (3, 10, 30, 120)
"""The same when the connection broke although the server is well."""
MAX_TRIES = 5
MAX_CRASHES = 10
LONGEST_WAIT = 15.0
"""Seconds that a lane sleeps at most, so that rows that staff set due again are found soon."""
FRESH = 1.0
"""Seconds that a claim or a fence holds: so long after a pause or a stop a message may still go out."""
ELSEWHERE = 30.0
"""Seconds beyond the lease that rows of another machine wait: its own workers know more of them (see `notes`)."""

WORKER_STOPPED = _("The worker stopped while it was sending this.")


@dataclass(slots=True)
class Row:
    """A claimed delivery, with everything that is needed to send it."""

    message_id: str
    address: str
    language: str
    attempt: int
    """Tries before this one."""
    recipient: Recipient
    customer_id: int = 0


class End(Enum):
    """How one try ended."""

    SENT = auto()
    REFUSED = auto()
    NO_ADDRESS = auto()
    LATER = auto()
    """The server put this message off."""
    UNREACHABLE = auto()
    """Nothing was sent, and it is not known to be this message's fault."""
    UNSURE = auto()
    RELEASED = auto()
    """It was not this one's turn after all."""


@dataclass(slots=True)
class Outcome:
    row: Row
    end: End
    reason: str = ""
    server_is_well: bool = False
    """For UNREACHABLE: others got through meanwhile, so this one counts as a failed try."""
    delay: float = 0.0
    """For RELEASED: seconds until its turn."""
    code: int | None = None
    """For REFUSED: what the server has answered."""


async def claim(
    session: AsyncSession, *, content: Content, n: int, token: str, lease_seconds: float, after: int | None = None
) -> tuple[int, list[Row], int]:
    """Take up to `n` due rows: (how many there were, the e-mails among them, ready to send, the last customer's id).

    after: take them in the order of customers, from this one on; None: what became due first. Inbox rows need nobody
    else: they are sent with this very transaction.
    """
    found = await batches.due(
        session, campaign_id=content.campaign_id, reader=content.reader, n=n, in_turn=after is not None,
        after=_EVER if after is None else after,
    )  # fmt: skip
    return await _take(session, content, found, token, lease_seconds)


async def claim_put_off(
    session: AsyncSession, *, content: Content, n: int, token: str, lease_seconds: float
) -> list[Row]:
    """Take up to `n` of those that became due after the campaign was started: tried before, or meant for later."""
    found = await batches.due(
        session, campaign_id=content.campaign_id, reader=content.reader, n=n, in_turn=False,
        after=content.started_at or _EVER,
    )  # fmt: skip
    return (await _take(session, content, found, token, lease_seconds))[1]


_EVER = datetime(2000, 1, 1, tzinfo=UTC)


async def _take(
    session: AsyncSession, content: Content, found: Sequence[Any], token: str, lease_seconds: float
) -> tuple[int, list[Row], int]:
    if not found:
        return 0, [], 0
    await batches.lease(session, ids=[row[0] for row in found], token=token, seconds=lease_seconds)
    reader = content.reader
    await reader.know(session, {row[6] for row in found})
    mails: list[Row] = []
    posts: list[Row] = []
    for message_id, channel, address, language, attempt, customer_id, *values in found:
        row = Row(message_id, address, language, attempt, reader.recipient(language, values), customer_id)
        (mails if channel == _EMAIL else posts).append(row)
    await _mark_sent(session, token, posts)
    return len(found), mails, found[-1][5]


_EMAIL = Channel.EMAIL.value


async def fence(session: AsyncSession, *, rows: Collection[Row], token: str, lease_seconds: float) -> set[str]:
    """Say once more that these go to the mail server now. Only those that are returned may be sent: the lease is still
    ours and the campaign still runs. From here on a crash may leave it open whether the message arrived."""
    return await batches.fence(session, ids=[row.message_id for row in rows], token=token, seconds=lease_seconds)


async def renew(session: AsyncSession, *, token: str, lease_seconds: float) -> None:
    """Hold on to the rows of this token while a slow server takes its time."""
    await session.execute(
        update(Delivery)
        .where(Delivery.lease_token == token, Delivery.state == DeliveryState.LEASED, Delivery.lease_until > moment())
        .values(lease_until=moment(lease_seconds))
        .execution_options(synchronize_session=False)
    )


def outcome(row: Row, error: MailError | None) -> Outcome:
    """What the answer of the mail server means for this row."""
    if error is None:
        return Outcome(row, End.SENT)
    if isinstance(error, Rejected):
        return Outcome(row, End.REFUSED, str(error), code=error.code)
    if isinstance(error, Deferred):
        # 421 and 5xx in a Deferred speak about the session; without a code nobody answered at all
        of_message = error.code is not None and 400 <= error.code < 500 and error.code != 421
        return Outcome(row, End.LATER if of_message else End.UNREACHABLE, str(error))
    return Outcome(row, End.UNSURE, str(error))


def no_address(row: Row) -> Outcome:
    return Outcome(row, End.NO_ADDRESS, str(BAD_ADDRESS))


async def finish(
    session: AsyncSession, *, campaign_id: int, outcomes: Sequence[Outcome], token: str, policy: Policy
) -> None:
    """Write down how the tries ended. Rows whose lease was lost are left alone. Who has refused during the try is not
    tried again."""
    await _mark_sent(session, token, [o.row for o in outcomes if o.end is End.SENT])
    marks = [_after(o, policy) for o in outcomes if o.end is not End.SENT]
    await batches.mark(session, token, marks)
    again = [m.message_id for m in marks if m.state == DeliveryState.DUE.value]
    await consent.recheck(session, campaign_id=campaign_id, ids=again)


def failed(outcome: Outcome, policy: Policy) -> bool | None:
    """Whether this is the end of the delivery without success; None: it is no end, or none that says anything."""
    if outcome.end in (End.NO_ADDRESS, End.RELEASED):
        return None
    state = DeliveryState.SENT if outcome.end is End.SENT else DeliveryState(_after(outcome, policy).state)
    return None if state is DeliveryState.DUE else state is not DeliveryState.SENT


def _after(outcome: Outcome, policy: Policy) -> Mark:
    """What becomes of a row that was not sent."""
    row, reason = outcome.row, outcome.reason[:500]
    tries = row.attempt + 1
    last = tries >= MAX_TRIES
    match outcome.end:
        case End.NO_ADDRESS:
            return Mark(row.message_id, DeliveryState.SKIPPED.value, reason)
        case End.REFUSED:
            return Mark(row.message_id, DeliveryState.FAILED.value, reason)
        case End.RELEASED:
            return Mark(row.message_id, DeliveryState.DUE.value, None, outcome.delay or None, back=1, fresh=True)
        case End.UNREACHABLE if not outcome.server_is_well:
            return Mark(row.message_id, DeliveryState.DUE.value, reason, 0.0, back=1, fresh=True)
        case End.UNSURE if policy is Policy.REVIEW or last:
            return Mark(row.message_id, DeliveryState.REVIEW.value, reason, frozen=_frozen(row))
        case End.LATER | End.UNREACHABLE if last:
            return Mark(row.message_id, DeliveryState.FAILED.value, reason)
    ladder = CUT_BACK_OFF if outcome.end is End.UNREACHABLE else BACK_OFF
    delay = float(ladder[min(tries, len(ladder)) - 1])
    return Mark(row.message_id, DeliveryState.DUE.value, reason, delay, fresh=True)


_FREE: dict[str, Any] = {"lease_token": None, "lease_until": None}
_encode = msgspec.json.Encoder().encode


def _frozen(row: Row) -> str:
    return _encode(row.recipient.values).decode()


async def _mark_sent(session: AsyncSession, token: str, rows: Sequence[Row]) -> None:
    await batches.mark_sent(session, token, [row.message_id for row in rows], [_frozen(row) for row in rows])


async def settle(session: AsyncSession, *, campaign_id: int) -> float | None:
    """Close the campaign when nothing is left to do. Seconds until there is something to do again; None: it is over.

    Whichever lane comes last finds every row final: each has committed its own rows before.
    """
    campaign = await locked(session, campaign_id)
    if campaign.state is not CampaignState.RUNNING:
        return None
    first = select(func.min(Delivery.next_at), moment()).where(
        Delivery.campaign_id == campaign_id, Delivery.state == DeliveryState.DUE
    )
    found = (await session.execute(first)).one()
    next_at: datetime | None = found[0]
    now: datetime = found[1]
    leased = await session.scalar(
        select(Delivery.message_id).where(
            Delivery.campaign_id == campaign_id, Delivery.state == DeliveryState.LEASED
        ).limit(1)
    )  # fmt: skip
    if next_at is None and leased is None:
        move(campaign, CampaignState.DONE)
        campaign.finished_at = utcnow()
        await session.flush()
        return None
    wait = LONGEST_WAIT if next_at is None else (next_at - now).total_seconds()
    return min(max(wait, 0.2), LONGEST_WAIT if leased is None else 1.0)


async def give_up(session: AsyncSession, *, campaign_id: int, reason: str) -> None:
    """Nothing more of this campaign can be sent: its waiting rows fail with the reason, and staff may resend them."""
    await session.execute(
        update(Delivery)
        .where(Delivery.campaign_id == campaign_id, Delivery.state == DeliveryState.DUE)
        .values(state=DeliveryState.FAILED, error=reason[:500])
        .execution_options(synchronize_session=False)
    )


async def other_lanes(session: AsyncSession, *, campaign_id: int, job_id: int) -> bool:
    """Whether another deliver job of this campaign still lives."""
    alive = select(Job.args).where(
        Job.name == "messaging.deliver", Job.id != job_id, Job.state.in_((JobState.DUE, JobState.RUNNING))
    )
    return any(args.get("campaign_id") == campaign_id for args in await session.scalars(alive))


@dataclass(frozen=True)
class Abandoned:
    """The rows of one token whose lease is over."""

    token: str
    campaign_id: int


async def expired(session: AsyncSession, *, mark: str = "") -> list[Abandoned]:
    """Whose leases are over. Reads only, so that looking every second costs nothing. mark: what the tokens begin with
    of which the notes can be read here; those of other machines are given more time."""
    token = Delivery.lease_token
    late = Delivery.lease_until <= moment(-ELSEWHERE)
    found = await session.execute(
        select(token, Delivery.campaign_id)
        .where(
            Delivery.state == DeliveryState.LEASED, Delivery.lease_until <= moment(),
            or_(late, token.is_(None), token.not_like("________-%"), token.like(f"{mark}-%")),
        )
        .group_by(token, Delivery.campaign_id).limit(100)
    )  # fmt: skip
    return [Abandoned(token or "", campaign_id) for token, campaign_id in found]


async def return_expired(session: AsyncSession, *, of: Abandoned, notes: Found | None) -> None:
    """Return the rows of a worker that died. What its notes say was taken is sent, what they do not name was not begun.
    For the rest (all, without notes) nobody knows whether it arrived, so the policy of the campaign decides; a stopped
    campaign and a row that died with many workers go to staff.

    Sealed notes end the lane, so with them all of its rows are returned, also those whose lease is not over yet. Who
    has refused meanwhile is not tried again.
    """
    mine = and_(
        func.coalesce(Delivery.lease_token, "") == of.token, Delivery.campaign_id == of.campaign_id,
        Delivery.state == DeliveryState.LEASED,
    )  # fmt: skip
    if notes is None:
        mine = and_(mine, Delivery.lease_until <= moment())
    due: dict[str, Any] = {"state": DeliveryState.DUE, "next_at": moment(), "started_at": None, **_FREE}
    again: list[str] = []
    if notes is not None:
        await _taken(session, of, mine, notes.taken)
        not_begun = Delivery.message_id.not_in(notes.doubtful)
        again += await _set(session, and_(mine, not_begun), due | {"attempt": Delivery.attempt - 1})
    resends = exists().where(
        Campaign.id == Delivery.campaign_id, Campaign.policy == Policy.RESEND, Campaign.state == CampaignState.RUNNING
    )
    again += await _set(session, and_(mine, resends, Delivery.attempt < MAX_CRASHES), due)
    await _set(session, mine, {"state": DeliveryState.REVIEW, "error": str(WORKER_STOPPED), **_FREE})
    await consent.recheck(session, campaign_id=of.campaign_id, ids=again)


async def _set(session: AsyncSession, which: Any, values: dict[str, Any]) -> Sequence[str]:
    """Change rows of a dead worker. Returns which."""
    change = update(Delivery).where(which).values(**values).returning(Delivery.message_id)
    return (await session.scalars(change, execution_options={"synchronize_session": False})).all()


async def _taken(session: AsyncSession, of: Abandoned, mine: Any, ids: Collection[str]) -> None:
    """The server has answered that it has these; only the marks were lost."""
    if not ids:
        return
    found = await session.execute(
        select(Delivery.message_id, Delivery.language).where(mine, Delivery.message_id.in_(ids))
    )
    languages: dict[str, str] = {row[0]: row[1] for row in found}
    content = await load_content(session, of.campaign_id)
    values = await load_values(session, macros=content.macros, rows=languages, staff_name=content.staff_name)
    held = [i for i in languages if i in values]
    await batches.mark_sent(session, of.token, held, [json.dumps(values[i].values) for i in held])


@dataclass(frozen=True)
class Progress:
    """counts: deliveries by state. total: all of them. rate: messages per second lately. seconds_left: None when it
    cannot be told. trouble: why messages wait, empty when none does."""

    counts: dict[DeliveryState, int]
    total: int
    rate: float
    seconds_left: int | None
    trouble: str

    @property
    def done(self) -> int:
        """Deliveries that wait for nobody any more."""
        return self.total - self.counts.get(DeliveryState.DUE, 0) - self.counts.get(DeliveryState.LEASED, 0)


WINDOW = 20.0


async def progress(session: AsyncSession, *, campaign_id: int) -> Progress:
    """How far a campaign is. Reads only."""
    of_campaign = select(Campaign.state, Campaign.total, Campaign.started_at).where(Campaign.id == campaign_id)
    campaign = (await session.execute(of_campaign)).one_or_none()
    rows = await session.execute(
        select(Delivery.state, func.count()).where(Delivery.campaign_id == campaign_id).group_by(Delivery.state)
    )
    counts: dict[DeliveryState, int] = {row[0]: row[1] for row in rows}
    total = sum(counts.values())
    if campaign is None or campaign.state is not CampaignState.RUNNING:
        expected = campaign.total if campaign is not None and campaign.state is CampaignState.STARTING else total
        return Progress(counts, expected, 0.0, None, "")
    left = counts.get(DeliveryState.DUE, 0) + counts.get(DeliveryState.LEASED, 0)
    lately, now = (
        await session.execute(
            select(func.count(), moment()).where(
                Delivery.campaign_id == campaign_id, Delivery.state == DeliveryState.SENT,
                Delivery.sent_at > moment(-WINDOW),
            )
        )
    ).one()  # fmt: skip
    since: datetime | None = campaign.started_at
    seconds = min(WINDOW, max((now - since).total_seconds(), 1.0)) if since is not None else WINDOW
    rate = lately / seconds
    trouble = await session.scalar(
        select(Delivery.error)
        .where(Delivery.campaign_id == campaign_id, Delivery.state == DeliveryState.DUE, Delivery.error != "")
        .limit(1)
    )
    return Progress(counts, total, rate, int(left / rate) + 1 if rate and left else None, trouble or "")
