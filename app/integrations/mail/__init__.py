"""Mail going out: building one message, and handing it to an SMTP server or to a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from app.integrations.mail.address import valid_address
from app.integrations.mail.errors import Deferred, MailError, Rejected, Unsure
from app.integrations.mail.message import MailAttachment, build_message
from app.integrations.mail.outbox import OutboxMailer
from app.integrations.mail.session import Letter, Source
from app.integrations.mail.single import OneByOne
from app.integrations.mail.smtp import SmtpMailer

__all__ = [
    "Carrying",
    "Deferred",
    "Letter",
    "MailAttachment",
    "MailError",
    "Mailer",
    "OnlyTo",
    "OutboxMailer",
    "Rejected",
    "SmtpMailer",
    "Source",
    "Unsure",
    "build_message",
    "carry",
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


class Carrying(Protocol):
    """Sends what a source gives."""

    def kick(self, waiting: int) -> None:
        """There are letters in the source, about so many."""
        ...

    async def close(self) -> None:
        """Wait until no letter is under way. The source gives nothing more by then."""
        ...

    def abort(self) -> None:
        """Give up at once: what is under way is in doubt."""
        ...


def carry(mailer: Mailer, source: Source) -> Carrying:
    """Let this mailer send what `source` gives: many over each connection where it can, else one by one."""
    own = getattr(mailer, "carry", None)
    carrying: Carrying = own(source) if own is not None else OneByOne(mailer, source)
    return carrying


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
        if not self.allows(recipient):
            raise Rejected(NOT_ALLOWED)
        await self._mailer.send(message, sender=sender, recipient=recipient)

    def allows(self, recipient: str) -> bool:
        address = recipient.strip().casefold()
        _name, at, host = address.rpartition("@")
        return bool(at) and (address in self._allowed or at + host in self._allowed)

    def carry(self, source: Source) -> Carrying:
        return carry(self._mailer, _Allowed(source, self))

    async def close(self) -> None:
        """Close the mailer behind."""
        await self._mailer.close()


NOT_ALLOWED = "not in BURSAR_MAIL_ONLY_TO"


class _Allowed:
    """A source without the letters that may not be sent."""

    def __init__(self, source: Source, only_to: OnlyTo) -> None:
        self._source = source
        self._only_to = only_to
        self.give_back = source.give_back

    def take(self) -> Letter | None:
        while (letter := self._source.take()) is not None:
            if self._only_to.allows(letter.recipient):
                return letter
            letter.ended(Rejected(NOT_ALLOWED))
        return None
