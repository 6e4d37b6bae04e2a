"""What the search of the inbox finds: every word stands in the subject, the text or the name of a file."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_

from app.db import fold, like
from app.models.attachments import Attachment
from app.models.messaging import CampaignAttachment, CampaignText, Delivery
from app.models.tickets import Ticket, TicketAttachment, TicketMessage

LONGEST, MOST_WORDS = 200, 8


def _parts(text: str) -> list[str]:
    """What is looked for; one or two characters must begin a word, as in the lists of the panel."""
    words = list(dict.fromkeys(fold(text[:LONGEST].replace("\0", "")).split()))[:MOST_WORDS]
    return [f"  {word}" if len(word) < 3 else word for word in words]


def _has(column: Any, part: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = column.like(f"%{like(part)}%", escape="\\")
    return found


def in_message(text: str) -> ColumnElement[bool] | None:
    """A condition on Delivery: its text as it stood in the language in which it was sent. None: nothing is asked."""
    tests = []
    for part in _parts(text):
        words = exists().where(
            CampaignText.campaign_id == Delivery.campaign_id, CampaignText.language == Delivery.language,
            _has(CampaignText.words_folded, part),
        )  # fmt: skip
        named = exists().where(
            CampaignAttachment.campaign_id == Delivery.campaign_id,
            Attachment.id == CampaignAttachment.attachment_id, _has(Attachment.search_text, part),
        )  # fmt: skip
        tests.append(or_(words, named))
    return and_(*tests) if tests else None


def in_ticket(text: str) -> ColumnElement[bool] | None:
    """A condition on Ticket, for what the customer may read of it. None: nothing is asked."""
    tests = []
    for part in _parts(text):
        shown = (TicketMessage.ticket_id == Ticket.id, TicketMessage.internal.is_(False))
        words = exists().where(*shown, _has(TicketMessage.text_folded, part))
        named = exists().where(
            *shown, TicketAttachment.message_id == TicketMessage.id,
            Attachment.id == TicketAttachment.attachment_id, _has(Attachment.search_text, part),
        )  # fmt: skip
        tests.append(or_(_has(Ticket.search_text, part), words, named))
    return and_(*tests) if tests else None
