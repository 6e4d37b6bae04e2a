"""Letters handed over one by one, for mailers that know no sessions."""

from __future__ import annotations

import asyncio
from typing import Protocol

from app.integrations.mail.errors import MailError, Unsure
from app.integrations.mail.session import Letter, Source
from app.observe import log

AT_ONCE = 8


class _Sends(Protocol):
    async def send(self, message: bytes, *, sender: str, recipient: str) -> None: ...


class OneByOne:
    """Takes letters from a source and calls `send` for each, a few at once."""

    def __init__(self, mailer: _Sends, source: Source) -> None:
        self._mailer = mailer
        self._source = source
        self._running: set[asyncio.Task[None]] = set()
        self._closing = False

    def kick(self, waiting: int) -> None:
        """There are letters, about so many."""
        if not self._closing:
            for _n in range(min(AT_ONCE, waiting) - len(self._running)):
                task = asyncio.create_task(self._work())
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Wait until nothing is under way."""
        self._closing = True
        await asyncio.gather(*self._running)

    def abort(self) -> None:
        """Give up at once: what is under way is in doubt."""
        self._closing = True
        for task in self._running:
            task.cancel()

    async def _work(self) -> None:
        while (letter := self._source.take()) is not None:
            if letter.begin():
                letter.ended(await self._send(letter))

    async def _send(self, letter: Letter) -> MailError | None:
        try:
            message = letter.wire[:-3].replace(b"\r\n..", b"\r\n.")
            message = message[1:] if message.startswith(b"..") else message
            await self._mailer.send(message, sender=letter.sender, recipient=letter.recipient)
        except MailError as error:
            return error
        except asyncio.CancelledError:
            return Unsure("it was given up while it was sent")
        except Exception as error:
            log("mail").exception("the mailer failed")
            return Unsure(f"{type(error).__name__}: {error}")
        return None
