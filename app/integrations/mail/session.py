"""One SMTP session that carries letters as they come: one round trip each where the server offers PIPELINING.

It speaks by itself because it must know what has been sent when it fails. With the text of one letter go MAIL, RCPT
and DATA of the next (RFC 2920 3.1), so of the letters of a session never more than one is in doubt.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Protocol, cast

import aiosmtplib

from app.integrations.mail.errors import Deferred, Gone, MailError, Rejected, Unsure

BLOCK = 64 * 1024
"""A letter up to this size, end mark included, leaves in one write, and the next one's commands with it."""
MAX_REPLY = 64 * 1024
SESSION_CODES = frozenset({503, 530, 534, 535, 538})
"""5xx answers that speak about the session and not about this message (RFC 5321 4.2.3, RFC 4954 6, RFC 3207 4)."""


class Letter:
    """One message for one recipient, ready for the wire: CRLF line ends, dots doubled, the end mark behind.

    `size` is what it has before that (RFC 1870). The addresses are checked (`envelope`).
    """

    __slots__ = ("failed_opens", "recipient", "refusal", "sender", "size", "wire")

    def __init__(self, sender: str, recipient: str, wire: bytes, size: int) -> None:
        self.sender = sender
        self.recipient = recipient
        self.wire = wire
        self.size = size
        self.refusal: MailError | None = None
        self.failed_opens = 0

    def begin(self) -> bool:
        """Its text goes out now. False: it may not be sent any more."""
        return True

    def ended(self, error: MailError | None) -> None:
        """How it went; None: the server has taken it."""


class Source(Protocol):
    """Where letters come from. All three are called from the event loop and must not wait."""

    def take(self) -> Letter | None:
        """The next letter. None: nothing now; the carrier asks again after `kick`."""
        ...

    def give_back(self, letter: Letter) -> None:
        """Nothing of this letter was sent: it is the next one again."""
        ...


class Nothing:
    """A source that is empty: what a session has while it is idle."""

    def take(self) -> Letter | None:
        return None

    def give_back(self, letter: Letter) -> None:
        letter.ended(Deferred("the mail server closed the connection"))


NOTHING = Nothing()
_IDLE, _RSET, _MAIL, _RCPT, _DATA, _TEXT, _DOT = range(7)
_COMMANDS = {_RSET: "RSET", _MAIL: "MAIL", _RCPT: "RCPT", _DATA: "DATA"}
_ONE = {b"%d " % code: code for code in range(100, 1000)}
"""How an answer of one line begins."""
_LINE = re.compile(rb"(\d{3})(?:([ -])(.*))?", re.DOTALL)


class Session(asyncio.Protocol):
    """Takes over the connection that aiosmtplib has opened. `rested` is called when it has nothing more to carry, also
    when it broke: look at `usable` then."""

    def __init__(self, client: aiosmtplib.SMTP, timeout: float, *, most: int = 0) -> None:
        if client.protocol is None or client.transport is None:
            raise Deferred("the mail server closed the connection at once")
        transport = cast(asyncio.Transport, client.transport)  # uvloop's is one, but not by inheritance
        # so that `_room` is there when all has left; with high=0 the TLS transport never says so
        transport.set_write_buffer_limits(high=1, low=0)
        transport.set_protocol(self)
        self._client = client
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._pipelining = client.supports_extension("pipelining")
        self._utf8 = client.supports_extension("smtputf8")
        self._eight_bit = client.supports_extension("8bitmime")
        size = client.esmtp_extensions.get("size", "").strip() if client.supports_extension("size") else None
        self._says_size = size is not None
        self._most = int(size) if size and size.isdecimal() else 0
        self._source: Source = NOTHING
        self._step = _IDLE
        self._offered: Letter | None = None
        """Its commands are on their way, or wait for the end of the one before."""
        self._flying: Letter | None = None
        """Its text is on its way: nobody knows whether it arrives until the answer is here."""
        self._pending: list[bytes] = []
        """Commands of the offered letter that wait for their turn, where the server wants one at a time."""
        self._dirty = False
        self._rest = b""
        self._text: list[bytes] = []
        self._since = 0.0
        self._behind = 0
        """Bytes that were handed over behind the end mark of the one that flies."""
        self._timer: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._writing: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()
        self.usable = True
        self.most_letters = most
        self.letters = 0
        self.idle_since = 0.0
        self.rested: Callable[[Session], None] | None = None

    # ---- what its owner calls ---------------------------------------------------------------------------------------

    def carry(self, source: Source) -> None:
        """Take letters from this source from now on."""
        self._source = source
        self.resume()

    def resume(self) -> None:
        """Ask the source again, if there is nothing under way."""
        if self._step == _IDLE and self.usable:
            self._offer()

    @property
    def resting(self) -> bool:
        return self._step == _IDLE

    def drop(self) -> None:
        """End the connection now. What is still in the buffer is thrown away, so it cannot arrive later."""
        if self.usable:
            self._break(Gone("the connection was given up"), "the connection was given up before the answer")
        else:
            self._transport.abort()

    def farewell(self) -> None:
        """Say QUIT without waiting for the answer; a broken session is dropped."""
        if not self.usable or self._step != _IDLE:
            self.drop()
            return
        self._end()
        self._transport.write(b"QUIT\r\n")
        self._transport.close()

    async def quit(self) -> None:
        """Say QUIT and wait a moment for the answer."""
        if self.usable and self._step == _IDLE:
            self._end()
            self._transport.write(b"QUIT\r\n")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), 2.0)
        self.drop()

    # ---- the next letter --------------------------------------------------------------------------------------------

    def _next(self) -> Letter | None:
        """The next letter that this server can take at all."""
        while not self.most_letters or self.letters < self.most_letters:
            letter = self._source.take()
            if letter is None:
                return None
            if self._most and letter.size > self._most:
                reason = f"the message has {letter.size} bytes, the mail server takes {self._most}"
                letter.ended(Rejected(reason, code=552))
            elif not self._utf8 and not (letter.sender.isascii() and letter.recipient.isascii()):
                reason = "the mail server does not take addresses with letters beyond ASCII (SMTPUTF8)"
                letter.ended(Rejected(reason))
            else:
                letter.refusal = None
                self.letters += 1
                return letter
        return None

    def _commands(self, letter: Letter) -> list[bytes]:
        options = b" SIZE=%d" % letter.size if self._says_size else b""
        if self._eight_bit and not letter.wire.isascii():
            options = b" BODY=8BITMIME" + options
        if not (letter.sender.isascii() and letter.recipient.isascii()):
            options = b" SMTPUTF8" + options
        mail = b"MAIL FROM:<%b>%b\r\n" % (letter.sender.encode(), options)
        return [mail, b"RCPT TO:<%b>\r\n" % letter.recipient.encode(), b"DATA\r\n"]

    def _offer(self) -> None:
        """Begin with the next letter; without one the session rests."""
        letter = self._offered = self._next()
        if letter is None:
            self._step = _IDLE
            if self.rested is not None:
                self.rested(self)
            return
        commands = self._commands(letter)
        if self._dirty:
            commands.insert(0, b"RSET\r\n")
        self._step = _RSET if self._dirty else _MAIL
        self._dirty = False
        self._since = self._loop.time()
        if self._pipelining:
            self._transport.write(b"".join(commands))
        else:
            self._pending = commands
            self._transport.write(commands.pop(0))
        self._watch()

    def _send_text(self, letter: Letter) -> None:
        """Send the text and its end mark, and with it the commands of the next letter."""
        if not letter.begin():
            self._offered, self._flying = None, None
            self._break(Gone("no longer to be sent"), "")
            return
        self._flying, self._offered, self._step = letter, None, _TEXT
        self._watch()
        if len(letter.wire) > BLOCK:
            self._writing = self._loop.create_task(self._write_blocks(letter.wire))
            return
        if self._pipelining:
            following = self._offered = self._next()
            if following is not None:
                group = b"".join(self._commands(following))
                self._behind = len(group)
                self._transport.write(letter.wire + group)
                return
        self._behind = 0
        self._transport.write(letter.wire)

    async def _write_blocks(self, wire: bytes) -> None:
        """The end mark leaves last and alone, so a failure before that is certain."""
        head, tail = wire[:-5], wire[-5:]  # the tail is CRLF . CRLF
        self._behind = -1
        for start in range(0, len(head), BLOCK):
            await self._room.wait()
            if not self.usable:
                return
            self._since = self._loop.time()
            self._transport.write(head[start : start + BLOCK])
        await self._room.wait()
        if self.usable:
            self._behind = 0
            self._since = self._loop.time()
            self._transport.write(tail)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    # ---- answers ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        lines = data.split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if not self.usable:
                return
            code = _ONE.get(line[:4])
            if code is not None and not self._text:
                # the usual one, of every letter three times: nothing has to be looked at
                if code == 250 and self._pipelining and (self._step == _MAIL or self._step == _RCPT):
                    self._step += 1
                else:
                    self._answer(code, line[4:].rstrip(b"\r"))
                continue
            found = _LINE.fullmatch(line.rstrip(b"\r"))
            if found is None:
                text = line[:200].decode("utf-8", "replace")
                self._break(Deferred(f"an answer that is not SMTP: {text}"), f"an answer that is not SMTP: {text}")
                return
            self._text.append(found[3] or b"")
            if found[2] != b"-":
                said, self._text = b" ".join(self._text), []
                self._answer(int(found[1]), said)
        if len(self._rest) + sum(map(len, self._text)) > MAX_REPLY:
            self._break(Deferred("an answer without end"), "an answer without end")

    def _answer(self, code: int, said: bytes) -> None:
        self._since = self._loop.time()
        step, kind = self._step, code // 100
        if step == _TEXT:
            self._text_answered(code, said)
        elif step == _DATA:
            self._data_answered(code, said)
        elif step == _IDLE:
            self._break(Gone("the mail server closed the connection"), "")  # 421 while nothing was asked
        elif step == _DOT:
            self._dirty = True
            self._offer()
        elif code == 421 or (step == _RSET and code != 250):
            self._break(Gone(_said(said), code=_code(code)), "the mail server closed the connection")
        else:
            letter = self._offered
            if letter is not None and kind != 2 and letter.refusal is None:
                letter.refusal = self._refusal(code, said)
                if not self.usable:
                    return
            self._step = step + 1
            if not self._pipelining:
                self._lockstep(letter)

    def _lockstep(self, letter: Letter | None) -> None:
        if letter is not None and letter.refusal is not None:
            self._refused(letter)
        else:
            self._transport.write(self._pending.pop(0))

    def _data_answered(self, code: int, said: bytes) -> None:
        letter = self._offered
        if letter is None:
            self._break(Gone("the mail server answers what was not asked"), "")
        elif letter.refusal is not None:
            if code // 100 == 3:  # RFC 2920 3.1: an empty text to nobody
                refused, self._offered, self._step = letter, None, _DOT
                self._transport.write(b".\r\n")
                refused.ended(refused.refusal)
            elif code == 421:
                refusal, self._offered = letter.refusal, None
                letter.ended(refusal)
                self._break(Gone(_said(said), code=code), "")
            else:
                self._refused(letter)
        elif code // 100 == 3:
            self._send_text(letter)
        elif code == 421:
            self._break(Gone(_said(said), code=421), "")
        else:
            letter.refusal = self._refusal(code, said)
            if self.usable:
                self._refused(letter)

    def _refused(self, letter: Letter) -> None:
        self._offered, self._dirty, self._pending = None, True, []
        letter.ended(letter.refusal)
        if self.usable:
            self._offer()

    def _text_answered(self, code: int, said: bytes) -> None:
        letter, self._flying = self._flying, None
        kind = code // 100
        if letter is None or self._behind < 0 or kind not in (2, 4, 5):
            if letter is not None:
                doubt = f"after the message was sent, an unexpected answer: {_said(said)}"
                letter.ended(Deferred(_said(said)) if self._behind < 0 else Unsure(doubt, code=_code(code)))
            self._break(Gone("the mail server closed the connection"), "")
            return
        if kind == 2:
            letter.ended(None)
        else:
            self._dirty = self._offered is None
            error: MailError = Rejected(_said(said), code=code) if kind == 5 else Deferred(_said(said), code=code)
            letter.ended(Deferred(_said(said), code=code) if code in SESSION_CODES else error)
            if code == 421:  # the server closes the session with this answer (RFC 5321 3.8)
                self._break(Gone(_said(said), code=421), "")
        if not self.usable:
            return
        if self._offered is not None:
            self._step = _MAIL
        else:
            self._offer()

    def _refusal(self, code: int, said: bytes) -> MailError:
        text = _said(said)
        if code // 100 == 5:
            return (Deferred if code in SESSION_CODES else Rejected)(text, code=code)
        if code // 100 == 4:
            return Deferred(text, code=code)
        error = Deferred(f"an unexpected answer: {text}", code=_code(code))
        self._break(error, "")
        return error

    # ---- endings ----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """The server has its time to answer, from `_since` on."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._step == _IDLE or not self.usable:
            return
        left = self._since + self._timeout - self._loop.time()
        if left > 0.001:
            self._timer = self._loop.call_later(left, self._look)
            return
        seconds = f"{self._timeout:g} s"
        if self._flying is not None:
            unsent = self._behind < 0 or self._transport.get_write_buffer_size() > self._behind
            if unsent:  # the end mark is still here, and drop() throws it away
                letter, self._flying = self._flying, None
                letter.ended(Deferred(f"the mail server stopped taking the message for {seconds}"))
            self._break(Gone("no answer"), f"no answer within {seconds} after the message was sent")
        else:
            command = _COMMANDS.get(self._step, "the message")
            self._break(Deferred(f"no answer to {command} within {seconds}"), "")

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()
        if self.usable:
            self._break(
                Gone("the mail server closed the connection"),
                "the connection was cut after the message was sent, before the answer",
            )

    def eof_received(self) -> bool:
        return False

    def _break(self, offered: MailError, flying: str) -> None:
        """The session is over. A letter that flies is in doubt, one that was offered has not been sent."""
        self._end()
        self._transport.abort()
        self._room.set()
        if (letter := self._flying) is not None:
            self._flying = None
            if self._behind < 0:
                letter.ended(Deferred("the connection was cut while the message was being sent"))
            else:
                letter.ended(Unsure(flying or offered.reason))
        if (letter := self._offered) is not None:
            self._offered = None
            letter.failed_opens += 1
            # a server may close a session that it has had for a while; one that does so at once means it
            if isinstance(offered, Gone) and self.letters > 1 and letter.failed_opens < 3:
                self._source.give_back(letter)
            else:
                letter.ended(Deferred(offered.reason, code=offered.code) if isinstance(offered, Gone) else offered)
        if self.rested is not None:
            self.rested(self)

    def _end(self) -> None:
        self.usable = False
        self._step = _IDLE
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _said(said: bytes) -> str:
    return said.decode("utf-8", "replace")


def _code(code: int) -> int | None:
    return code if 100 <= code <= 599 else None
