"""Mails that come back (RFC 3464): which message it was, whether for good, and what follows.

Only a report that holds our signed reference to the message counts: nobody can have an address suppressed by writing
one up. An address that does not exist is suppressed at once; one that refuses for other reasons after `SOFT_MOST`
messages within `SOFT_DAYS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from email.message import Message

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.messaging import tracking
from app.domain.messaging.consent import UNSCOPED
from app.domain.messaging.headers import message_in
from app.domain.messaging.suppression import normal, suppress
from app.integrations.mail import valid_address
from app.integrations.mail.reading import decoded
from app.models.consent import DeliveryEvent, EventKind, Why
from app.models.messaging import Channel, Delivery, DeliveryState

SOFT_MOST = 5
SOFT_DAYS = 30
LONGEST = 200_000
"""Characters of each part that are looked at."""
LONGEST_HEADER = 4000
MOST_PARTS = 40

_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_REPLY = re.compile(r"(?<![\d.])([45]\d\d)[ -]")
_FULL = re.compile(r"quota|mailbox (is )?full|over ?quota|insufficient storage|too large|size limit", re.IGNORECASE)
_POLICY = re.compile(
    r"spam|policy|blocked|blacklist|blocklist|reputation|denied|greylist|rate limit|too many|dmarc|\bspf\b|dkim|"
    r"rejected for|content|banned|relay",
    re.IGNORECASE,
)
_GONE = re.compile(
    r"user unknown|unknown user|no such (user|mailbox|recipient|address)|does not exist|doesn.t exist|not exist|"
    r"unrouteable address|recipient (address )?(rejected|not found|unknown)|address rejected|invalid recipient|"
    r"mailbox (unavailable|not found)|account (has been )?(disabled|deleted|closed)|domain not found|"
    r"host or domain name not found|no mailbox|unknown (local[- ]part|recipient)|wurde nicht gefunden|not found",
    re.IGNORECASE,
)
_SENDER = re.compile(r"sender|mail from|message|helo", re.IGNORECASE)
_DEAD = frozenset({"1.1", "1.2", "1.3", "1.4", "1.6", "1.9", "1.10", "2.1", "4.4"})
"""Subject and detail of a permanent status (RFC 3463, 7505) that speak of the address itself."""
_ADDRESS = re.compile(r"[^\s<>;,\"()]{1,64}@[^\s<>;,\"()]{1,190}")


@dataclass(frozen=True)
class Report:
    """What one mail server says of one recipient. hard: there is no such mailbox; else it may go well next time."""

    address: str
    hard: bool
    reason: str


async def take_bounce(session: AsyncSession, message: Message) -> bool:
    """Take in a mail that reports that another could not be delivered. True: it was such a report about a message of
    ours, whatever followed from it; False: it is something else."""
    reports = read(message)
    if reports is None:
        return False
    message_id = reference(message)
    if message_id is None:
        return False
    found = await session.execute(
        select(Delivery.campaign_id, Delivery.customer_id, Delivery.address, Delivery.state).where(
            Delivery.message_id == message_id, Delivery.channel == Channel.EMAIL
        ),
        execution_options=UNSCOPED,
    )
    delivery = found.one_or_none()
    if delivery is None:
        return False
    report = about(reports, delivery.address)
    if report is None:  # delayed, relayed, delivered: nothing is lost
        return True
    of = (delivery.campaign_id, delivery.customer_id)
    kind = EventKind.HARD_BOUNCE if report.hard else EventKind.SOFT_BOUNCE
    await tracking.note(session, kind=kind, message_id=message_id, of=of, detail=report.reason)
    await session.execute(
        update(Delivery)
        .where(
            Delivery.message_id == message_id, Delivery.state.in_((DeliveryState.SENT, DeliveryState.REVIEW))
        )
        .values(state=DeliveryState.FAILED, error=report.reason[:500])
        .execution_options(synchronize_session=False, **UNSCOPED)
    )  # fmt: skip
    if report.hard:
        await suppress(session, address=delivery.address, why=Why.HARD, detail=report.reason)
    elif await _soft(session, delivery.customer_id, delivery.address) >= SOFT_MOST:
        await suppress(session, address=delivery.address, why=Why.SOFT, detail=report.reason)
    return True


def reference(message: Message) -> str | None:
    """Which mail of ours a report is about, by the signed reference that it holds."""
    return message_in(_everything(message))


async def take_refusal(session: AsyncSession, *, address: str, code: int | None, reason: str) -> bool:
    """What a mail server has answered for good to a mail to this address. True: there is no such address, so nothing is
    sent to it any more. code: None where it was not the server that refused."""
    if code is None or not missing(reason):
        return False
    await suppress(session, address=address, why=Why.HARD, detail=_plain(reason))
    return True


def missing(said: str) -> bool:
    """Whether a server that refuses for good says that the address itself is the reason. Stricter than with a report,
    because the answer may as well be to the sender or to the text."""
    found = _STATUS.search(said)
    if found is not None and f"{int(found[2])}.{int(found[3])}" not in ("0.0", "1.0"):
        return found[1] == "5" and f"{int(found[2])}.{int(found[3])}" in _DEAD
    return _GONE.search(said) is not None and not any(p.search(said) for p in (_FULL, _POLICY, _SENDER))


async def _soft(session: AsyncSession, customer_id: int, address: str) -> int:
    """How many messages to this address came back lately although it may exist."""
    n = await session.scalar(
        select(func.count())
        .select_from(DeliveryEvent)
        .join(Delivery, Delivery.message_id == DeliveryEvent.message_id)
        .where(
            DeliveryEvent.customer_id == customer_id, DeliveryEvent.kind == EventKind.SOFT_BOUNCE,
            DeliveryEvent.last_at > utcnow() - timedelta(days=SOFT_DAYS),
            func.lower(Delivery.address) == normal(address),
        ),
        execution_options=UNSCOPED,
    )  # fmt: skip
    return n or 0


def about(reports: list[Report], address: str) -> Report | None:
    """The report about the address that we wrote to. One that names another is about a forwarding: the address we know
    is not what is missing, so it counts as not for good."""
    own = [r for r in reports if normal(r.address) == normal(address) or not r.address]
    if own:
        return next((r for r in own if r.hard), own[0])
    return Report(address, False, reports[0].reason) if reports else None


# ---- reading --------------------------------------------------------------------------------------------------------


def read(message: Message) -> list[Report] | None:
    """The failures that a report speaks of; an empty list for one of delays and successes; None: it is no report."""
    for part in _parts(message):
        if part.get_content_type() in ("message/delivery-status", "message/global-delivery-status"):
            return _of_status(part)
    failed = _header(message, "X-Failed-Recipients")  # Exim before reports, and others in its manner
    if failed and not _header(message, "List-Unsubscribe"):
        said = _text(message)
        return [_report(address, "", said) for address in _ADDRESS.findall(failed)[:10]] or None
    return None


def complaint(message: Message) -> str | None:
    """What kind of complaint a report is (RFC 5965: abuse, fraud, not-spam, ...); None: it is none."""
    for part in _parts(message):
        if part.get_content_type() == "message/feedback-report":
            blocks = [_header(block, "Feedback-Type").lower() for block in _blocks(part)]
            found = re.search(r"(?im)^feedback-type:\s*([a-z-]{1,40})", _decoded(part))
            return (next(filter(None, blocks), "") or (found[1].lower() if found else "other"))[:40]
    return None


def _of_status(part: Message) -> list[Report]:
    reports = []
    for fields in _blocks(part):
        if _header(fields, "Action").lower() != "failed":
            continue
        address = _address(_header(fields, "Original-Recipient")) or _address(_header(fields, "Final-Recipient"))
        reports.append(_report(address, _header(fields, "Status"), _header(fields, "Diagnostic-Code")))
    return reports[:10]


def _blocks(part: Message) -> Iterator[Message]:
    """The groups of fields of a status part, however the parser has left it."""
    payload = part.get_payload()
    if isinstance(payload, list):
        yield from (block for block in payload[:50] if isinstance(block, Message))


def _report(address: str, status: str, diagnostic: str) -> Report:
    diagnostic = _plain(diagnostic)
    reason = (f"{_plain(status)} {diagnostic}".strip() or "5.0.0")[:500]
    codes = [m.groups() for m in _STATUS.finditer(diagnostic[:1000])]
    stated = _STATUS.match(status.strip())
    if stated is not None and (stated[2], stated[3]) != ("0", "0"):
        codes.insert(0, stated.groups())  # 5.0.0 says nothing: what the other server said says more
    elif stated is not None:
        codes.append(stated.groups())
    code = next((c for c in codes if (c[1], c[2]) != ("0", "0")), codes[0] if codes else None)
    if code is None:
        reply = _REPLY.search(diagnostic)
        code = (reply[1][0], "0", "0") if reply else ("5", "0", "0")
    return Report(address, _hard(code[0], f"{int(code[1])}.{int(code[2])}", diagnostic), reason)


def _plain(text: str) -> str:
    """On one line, without what no database takes: control characters and halves of others."""
    kept = text.encode("utf-8", "replace").decode()
    return " ".join("".join(c if c.isprintable() else " " for c in kept).split())


def _hard(kind: str, detail: str, text: str) -> bool:
    """Whether the address is gone. Full mailboxes, policies and spam filters are no reason never to write again."""
    if kind != "5":
        return False
    if detail == "0.0" or detail == "1.0":
        return _FULL.search(text) is None and (_GONE.search(text) is not None or _POLICY.search(text) is None)
    return detail in _DEAD


def _address(field: str) -> str:
    """`rfc822; ada@example.org` -> the address; empty for another kind."""
    kind, _semicolon, address = field.partition(";")
    address = address.strip().strip("<>")
    if kind.strip().lower() not in ("rfc822", "utf-8"):
        return ""
    return address if valid_address(address) else ""


def _header(message: Message, name: str) -> str:
    try:
        return _plain(decoded(str(message.get(name, ""))[:LONGEST_HEADER]))
    except (ValueError, LookupError, AttributeError, TypeError, IndexError):  # written by anybody
        return ""


def _parts(message: Message) -> Iterator[Message]:
    for number, part in enumerate(message.walk()):
        if number >= MOST_PARTS:
            return
        yield part


def _text(message: Message) -> str:
    for part in _parts(message):
        if part.get_content_type() == "text/plain":
            return _decoded(part)
    return ""


def _decoded(part: Message) -> str:
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        return str(part.get_payload())[:LONGEST]
    return raw[:LONGEST].decode("utf-8", "replace")


def _everything(message: Message) -> str:
    """What may hold the headers of the message that came back: parts that are one, and texts that quote it."""
    found = []
    for part in _parts(message):
        if part is not message:
            found += [f"{name}: {_header(part, name)}" for name in ("X-Delivery-Ref", "List-Unsubscribe")]
        if not part.is_multipart():
            found.append(_decoded(part))
    return "\n".join(found)[: 4 * LONGEST]
