"""Delivery under leases: claim rows, fence them right before SMTP, send, finish with the same token.

Every step is one short transaction; none is open while a mail server is spoken to. Whoever does not hold the token of
a row any more changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from sqlalchemy import and_, bindparam, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import moment, utcnow
from app.domain.messaging.audience import BAD_ADDRESS
from app.domain.messaging.campaigns import locked, move
from app.domain.messaging.content import Content
from app.domain.messaging.headers import headers
from app.domain.messaging.shell import HUES, wrap_html
from app.domain.messaging.tracking import tracked
from app.domain.messaging.values import Recipient
from app.domain.messaging.values import load as load_values
from app.i18n import _
from app.integrations.mail import Deferred, MailAttachment, Mailer, Rejected, Unsure, build_message, valid_address
from app.models.jobs import Job, JobState
from app.models.messaging import Campaign, CampaignState, Channel, Delivery, DeliveryState, Policy
from app.observe import log

BACK_OFF = (30, 120, 600, 1800)
"""Seconds until the next try of a message that the server put off."""
CUT_BACK_OFF = (3, 10, 30, 120)
"""The same when the connection broke although the server is well."""
MAX_TRIES = 5
MAX_CRASHES = 10
LONGEST_WAIT = 15.0
"""Seconds that a lane sleeps at most, so that rows that staff set due again are found soon."""

WORKER_STOPPED = _("The worker stopped while it was sending this.")


@dataclass(frozen=True)
class Row:
    """A claimed delivery, with everything that is needed to send it."""

    message_id: str
    address: str
    language: str
    attempt: int
    """Tries before this one."""
    recipient: Recipient


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


@dataclass(frozen=True)
class Outcome:
    row: Row
    end: End
    reason: str = ""
    server_is_well: bool = False
    """For UNREACHABLE: others got through meanwhile, so this one counts as a failed try."""


def _running(campaign_id: int) -> Any:
    return exists().where(Campaign.id == campaign_id, Campaign.state == CampaignState.RUNNING)


async def claim(
    session: AsyncSession, *, content: Content, n: int, token: str, lease_seconds: float
) -> tuple[int, list[Row]]:
    """Take up to `n` due rows: (how many there were, the e-mails among them, ready to send).

    Inbox rows need nobody else: they are sent with this very transaction.
    """
    picked = (
        select(Delivery.message_id)
        .where(
            Delivery.campaign_id == content.campaign_id, Delivery.state == DeliveryState.DUE,
            Delivery.next_at <= moment(), _running(content.campaign_id),
        )
        .order_by(Delivery.next_at)
        .limit(n)
        .with_for_update(skip_locked=True, of=Delivery)
        .cte("picked")  # as a CTE it is read once; a plain subquery may be run again and take more than n
    )  # fmt: skip
    statement = (
        update(Delivery)
        .where(Delivery.message_id.in_(select(picked.c.message_id)))
        .values(
            state=DeliveryState.LEASED, lease_token=token, lease_until=moment(lease_seconds), started_at=None
        )
        .returning(Delivery.message_id, Delivery.channel, Delivery.address, Delivery.language, Delivery.attempt)
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    rows = (await session.execute(statement)).all()
    if not rows:
        return 0, []
    languages = {row.message_id: row.language for row in rows}
    values = await load_values(session, macros=content.macros, rows=languages, staff_name=content.staff_name)
    mails = [
        Row(row.message_id, row.address, row.language, row.attempt, values[row.message_id])
        for row in rows
        if row.channel is Channel.EMAIL and row.message_id in values
    ]
    posts = [row.message_id for row in rows if row.channel is Channel.INBOX and row.message_id in values]
    await _mark_sent(session, token, [(message_id, values[message_id].values) for message_id in posts])
    return len(rows), mails


async def fence(
    session: AsyncSession, *, content: Content, rows: Collection[Row], token: str, lease_seconds: float
) -> set[str]:
    """Say that these go to the mail server now. Only those that are returned may be sent: the lease is still ours
    and the campaign still runs. From here on a crash leaves it open whether the message arrived."""
    statement = (
        update(Delivery)
        .where(
            Delivery.message_id.in_([row.message_id for row in rows]), Delivery.lease_token == token,
            Delivery.state == DeliveryState.LEASED, Delivery.lease_until > moment(), _running(content.campaign_id),
        )
        .values(started_at=moment(), lease_until=moment(lease_seconds), attempt=Delivery.attempt + 1)
        .returning(Delivery.message_id)
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    return set((await session.scalars(statement)).all())


async def renew(session: AsyncSession, *, token: str, lease_seconds: float) -> None:
    """Hold on to the rows of this token while a slow server takes its time."""
    await session.execute(
        update(Delivery)
        .where(Delivery.lease_token == token, Delivery.state == DeliveryState.LEASED, Delivery.lease_until > moment())
        .values(lease_until=moment(lease_seconds))
        .execution_options(synchronize_session=False)
    )


async def release(session: AsyncSession, *, token: str, message_ids: Collection[str]) -> None:
    """Give back rows that were claimed and not started."""
    if message_ids:
        await session.execute(
            update(Delivery)
            .where(
                Delivery.message_id.in_(message_ids), Delivery.lease_token == token,
                Delivery.state == DeliveryState.LEASED, Delivery.started_at.is_(None),
            )
            .values(state=DeliveryState.DUE, **_FREE)
            .execution_options(synchronize_session=False)
        )  # fmt: skip


async def send(mailer: Mailer, *, content: Content, files: Sequence[MailAttachment], row: Row) -> Outcome:
    """Build one message and hand it to the mail server. Never raises but for being cancelled."""
    sender = content.sender_email or row.recipient.values["project.sender_email"]
    if not valid_address(row.address):
        return Outcome(row, End.NO_ADDRESS, str(BAD_ADDRESS))
    try:
        message = compose(content=content, files=files, row=row, sender=sender)
    except Exception as error:
        log("messaging").exception("a message cannot be built: %s", row.message_id)
        return Outcome(row, End.REFUSED, f"The message cannot be built: {error}")
    try:
        await mailer.send(message, sender=sender, recipient=row.address)
    except Rejected as error:
        return Outcome(row, End.REFUSED, str(error))
    except Deferred as error:
        # 421 and 5xx in a Deferred speak about the session; without a code nobody answered at all
        of_message = error.code is not None and 400 <= error.code < 500 and error.code != 421
        return Outcome(row, End.LATER if of_message else End.UNREACHABLE, str(error))
    except Unsure as error:
        return Outcome(row, End.UNSURE, str(error))
    except Exception as error:
        log("messaging").exception("the mailer failed: %s", row.message_id)
        return Outcome(row, End.UNSURE, f"{type(error).__name__}: {error}")
    return Outcome(row, End.SENT)


def compose(*, content: Content, files: Sequence[MailAttachment], row: Row, sender: str) -> bytes:
    """The message of one delivery (RFC 5322). The domain of its Message-ID is the sender's."""
    rendered = content.text(row.language).render(row.recipient.values)
    frame = row.recipient.frame
    domain = sender.rpartition("@")[2].encode("idna").decode() if not sender.isascii() else sender.rpartition("@")[2]
    return build_message(
        sender=sender, sender_name=content.sender_name or row.recipient.values["project.sender_name"],
        recipient=row.address, recipient_name=row.recipient.name, subject=rendered.subject, text=rendered.text,
        html=wrap_html(
            tracked(content, row, rendered.html), project_name=frame["project.name"], site=frame["project.site"],
            language=row.language,
            title=rendered.subject, color=HUES.get(frame["project.hue"], ""),
        ),
        message_id=f"{row.message_id}@{domain or 'localhost'}",
        headers=headers(content, row, sender),
        attachments=files,
    )  # fmt: skip


async def finish(session: AsyncSession, *, outcomes: Sequence[Outcome], token: str, policy: Policy) -> None:
    """Write down how the tries ended. Rows whose lease was lost are left alone."""
    sent = [(o.row.message_id, o.row.recipient.values) for o in outcomes if o.end is End.SENT]
    await _mark_sent(session, token, sent)
    for outcome in outcomes:
        if outcome.end is not End.SENT:
            await session.execute(
                update(Delivery)
                .where(
                    Delivery.message_id == outcome.row.message_id, Delivery.lease_token == token,
                    Delivery.state == DeliveryState.LEASED,
                )
                .values(error=outcome.reason[:500], **_after(outcome, policy), **_FREE)
                .execution_options(synchronize_session=False)
            )  # fmt: skip


def _after(outcome: Outcome, policy: Policy) -> dict[str, Any]:
    """What becomes of a row that was not sent."""
    tries = outcome.row.attempt + 1
    last = tries >= MAX_TRIES
    values = {"values": outcome.row.recipient.values}
    match outcome.end:
        case End.NO_ADDRESS:
            return {"state": DeliveryState.SKIPPED}
        case End.REFUSED:
            return {"state": DeliveryState.FAILED}
        case End.UNREACHABLE if not outcome.server_is_well:
            return {"state": DeliveryState.DUE, "next_at": moment(), "attempt": outcome.row.attempt, "started_at": None}
        case End.UNSURE if policy is Policy.REVIEW or last:
            return {"state": DeliveryState.REVIEW} | values
        case End.LATER | End.UNREACHABLE if last:
            return {"state": DeliveryState.FAILED}
    ladder = CUT_BACK_OFF if outcome.end is End.UNREACHABLE else BACK_OFF
    return {"state": DeliveryState.DUE, "next_at": moment(ladder[min(tries, len(ladder)) - 1]), "started_at": None}


_FREE: dict[str, Any] = {"lease_token": None, "lease_until": None}


async def _mark_sent(session: AsyncSession, token: str, rows: Sequence[tuple[str, dict[str, str]]]) -> None:
    if not rows:
        return
    table: Any = Delivery.__table__
    connection = await session.connection()
    await connection.execute(
        # the table itself: one statement for many rows, which the mapper only offers by primary key and not by token
        update(table)
        .where(
            table.c.message_id == bindparam("of"), table.c.lease_token == token, table.c.state == DeliveryState.LEASED
        )
        .values(
            {"state": DeliveryState.SENT, "sent_at": moment(), "error": "", "values": bindparam("frozen"), **_FREE}
        ),
        [{"of": message_id, "frozen": values} for message_id, values in rows],
    )  # fmt: skip


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


async def expired(session: AsyncSession) -> bool:
    """Whether a lease is over. Reads only, so that looking every second costs nothing."""
    found = await session.scalar(
        select(Delivery.message_id)
        .where(Delivery.state == DeliveryState.LEASED, Delivery.lease_until <= moment())
        .limit(1)
    )
    return found is not None


async def return_expired(session: AsyncSession) -> None:
    """Return the rows of workers that died. Not started: due again. Started: nobody knows whether it arrived, so the
    policy of the campaign decides; a stopped campaign and a row that died with many workers go to staff."""
    over = and_(Delivery.state == DeliveryState.LEASED, Delivery.lease_until <= moment())
    resends = exists().where(
        Campaign.id == Delivery.campaign_id, Campaign.policy == Policy.RESEND, Campaign.state == CampaignState.RUNNING
    )
    again = or_(Delivery.started_at.is_(None), and_(resends, Delivery.attempt < MAX_CRASHES))
    for which, values in (
        (again, {"state": DeliveryState.DUE, "next_at": moment(), "started_at": None}),
        (None, {"state": DeliveryState.REVIEW, "error": str(WORKER_STOPPED)}),
    ):
        statement = update(Delivery).where(over) if which is None else update(Delivery).where(over, which)
        await session.execute(statement.values(**values, **_FREE).execution_options(synchronize_session=False))


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
