"""Mail going out: building one message, and handing it to an SMTP server or to a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from app.integrations.mail.address import valid_address
from app.integrations.mail.errors import Deferred, MailError, Rejected, Unsure
from app.integrations.mail.message import MailAttachment, build_message
from app.integrations.mail.outbox import OutboxMailer
from app.integrations.mail.smtp import SmtpMailer

__all__ = [
    "Deferred",
    "MailAttachment",
    "MailError",
    "Mailer",
    "OnlyTo",
    "OutboxMailer",
    "Rejected",
    "SmtpMailer",
    "Unsure",
    "build_message",
    "make_mailer",
    "valid_address",
]


class Mailer(Protocol):
    """Hands over one message to one recipient."""

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """Send a complete message (RFC 5322) in an envelope. Raises Rejected, Deferred or Unsure."""
        ...

    async def close(self) -> None:
        """Close what is open. Sends that are under way are left to end."""
        ...


def make_mailer(mail_url: str | None, data_dir: Path, only_to: Sequence[str]) -> Mailer:
    """
    Return the mailer that the settings ask for: SMTP when there is a URL, else the folder `outbox` in `data_dir`.
    A non-empty `only_to` limits the recipients. Raises ValueError with one line when the URL is wrong.
    """
    mailer: Mailer = SmtpMailer(mail_url) if mail_url else OutboxMailer(data_dir / "outbox")
    return OnlyTo(mailer, only_to) if only_to else mailer


class OnlyTo:
    """Lets through mail to the allowed addresses (`name@host`, or `@host` for all of a domain), refuses the rest."""

    def __init__(self, mailer: Mailer, allowed: Sequence[str]) -> None:
        self._mailer = mailer
        self._allowed = frozenset(entry.strip().casefold() for entry in allowed if entry.strip())

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """Send to an allowed recipient. Raises Rejected for any other."""
        address = recipient.strip().casefold()
        _name, at, host = address.rpartition("@")
        if not at or (address not in self._allowed and at + host not in self._allowed):
            raise Rejected("not in BURSAR_MAIL_ONLY_TO")
        await self._mailer.send(message, sender=sender, recipient=recipient)

    async def close(self) -> None:
        """Close the mailer behind."""
        await self._mailer.close()
