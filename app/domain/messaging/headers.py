"""Headers of what we send: that a program wrote it, which list it is of, how to be left alone, where answers go.

`headers()` runs for each of a million messages: all but one signature is made once per campaign, sender and host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app import links
from app.domain.messaging.content import Content
from app.domain.messaging.replies import reply_address
from app.integrations.mail.address import host_of

if TYPE_CHECKING:
    from app.domain.messaging.delivery import Row

REFERENCE = "X-Delivery-Ref"
"""Which message it is, signed: mail servers send it back with a bounce, and nobody else can make one up."""
PATH = "/unsubscribe/"

_signer = links.Signer("delivery")
_LABEL = re.compile(r"[^a-z0-9-]+")
_TOKEN = re.compile(rf"(?:{REFERENCE}:|{PATH})\s*([\w.-]{{3,120}}\.[\w-]{{{links.MAC_LENGTH}}})(?![\w-])", re.ASCII)


def token_of(message_id: str) -> str:
    """What stands for a message in links and bounces."""
    return _signer.sign(message_id)


def message_of(token: str) -> str | None:
    """The message of a token that we have signed; None for any other."""
    return _signer.read(token)


def message_in(text: str) -> str | None:
    """The message whose headers stand somewhere in this text."""
    for found in _TOKEN.finditer(text):
        if (message_id := _signer.read(found[1])) is not None:
            return message_id
    return None


@dataclass(frozen=True)
class Prepared:
    """What all messages of a campaign from one sender and host have in common."""

    fixed: dict[str, str]
    unsubscribe: str
    """What stands before the token; empty for a category that cannot be refused."""


def headers(content: Content, row: Row, sender: str) -> dict[str, str]:
    """The headers of one message beside those of every mail. sender: the address that it comes from."""
    host = content.hosts.get(row.recipient.frame["project.name"], "")
    prepared = content.prepared.get((sender, host))
    if prepared is None:
        prepared = content.prepared[sender, host] = _prepare(content, sender, host)
    token = _signer.sign(row.message_id)
    if prepared.unsubscribe:
        made = {**prepared.fixed, "List-Unsubscribe": f"<{prepared.unsubscribe}{token}>"}
    else:
        made = {**prepared.fixed, REFERENCE: token}
    if answers := reply_address(campaign_id=content.campaign_id, customer_id=row.customer_id):
        made["Reply-To"] = answers
    return made


def _prepare(content: Content, sender: str, host: str) -> Prepared:
    category = content.category
    fixed = {"Auto-Submitted": "auto-generated"}  # RFC 3834: no out-of-office replies, please
    if category is None:
        return Prepared(fixed, "")
    label = _LABEL.sub("-", category.name.lower()).strip("-")[:40]
    fixed["List-Id"] = f"<{label + '-' if label else ''}{category.id}.{host_of(sender)}>"  # RFC 2919
    if not category.subscribable:
        return Prepared(fixed, "")
    place = links.url(PATH, host=host)
    if place.startswith("https:"):  # RFC 8058 asks for https
        fixed["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return Prepared(fixed, place)
