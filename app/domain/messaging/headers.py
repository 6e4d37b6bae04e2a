"""The headers of one message besides the standard ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.domain.messaging.content import Content
    from app.domain.messaging.delivery import Row


def headers(content: Content, row: Row, sender: str) -> dict[str, str]:
    """What stands beside From, To, Subject, Date and Message-ID. Called once a message: keep it quick."""
    return {"Auto-Submitted": "auto-generated"}  # RFC 3834: no out-of-office replies, please
