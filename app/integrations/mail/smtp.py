"""Handing messages to an SMTP server (RFC 5321) over sessions that are used again."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import aiosmtplib
import idna

from app.integrations.mail.address import envelope
from app.integrations.mail.errors import Deferred, MailError
from app.integrations.mail.session import NOTHING, Letter, Session, Source

MAX_IDLE = 30.0  # seconds; an older idle connection is closed instead of used
REOPEN = 1.0  # seconds until another connection is tried while some work

_PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}


class _One(Letter):
    """A letter that somebody waits for; it is also the source that it comes from."""

    __slots__ = ("_taken", "outcome")

    def __init__(self, sender: str, recipient: str, wire: bytes, size: int) -> None:
        super().__init__(sender, recipient, wire, size)
        self._taken = False
        self.outcome: asyncio.Future[MailError | None] = asyncio.get_running_loop().create_future()

    def take(self) -> Letter | None:
        taken, self._taken = self._taken, True
        return None if taken else self

    def give_back(self, letter: Letter) -> None:
        self._taken = False
        if not self.outcome.done():
            self.outcome.set_result(_AGAIN)

    def ended(self, error: MailError | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(error)


_AGAIN = Deferred("nothing was sent")


class SmtpMailer:
    """
    Sends over a pool of SMTP connections that are opened when needed and used again.

    `url` is smtp://, smtps:// or smtp+starttls://[user:password@]host[:port], user and password percent-encoded.
    `timeout` is in seconds and counts for each step (opening, each command, each block of the message, the last
    answer). One event loop only. Raises ValueError when the URL is wrong.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 8,
        timeout: float = 20.0,
        max_per_connection: int = 1000,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._server = _parse_url(url)
        self._timeout = timeout
        self.max_per_connection = max_per_connection
        self._tls_context = tls_context
        self._local_hostname: str | None = None
        self.connections = connections
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[Session] = []
        self._closed = False
        self.carriers: set[Carrier] = set()

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """
        Send a complete message; an empty sender is the null address. Raises Rejected, Deferred or Unsure.
        Cancelling it drops its connection, and what became of the message is then as open as with Unsure.
        """
        mail_from, rcpt_to = envelope(sender, recipient)
        letter = _One(mail_from, rcpt_to, *on_the_wire(message))
        async with self._slots:
            error: MailError | None = _AGAIN
            while error is _AGAIN:
                letter.outcome = asyncio.get_running_loop().create_future()
                session = self.take_idle() or await self.open()
                session.carry(letter)
                try:
                    error = await letter.outcome
                except BaseException:
                    session.drop()
                    raise
                self.put_back(session)
        if error is not None:
            raise error

    def carry(self, source: Source) -> Carrier:
        """Send what `source` gives, over as many connections as are worth it, until it is closed."""
        carrier = Carrier(self, source)
        self.carriers.add(carrier)
        for other in self.carriers:
            other.shrink()
        return carrier

    async def close(self) -> None:
        """Say QUIT on the idle connections; those in use are closed when their message is done."""
        self._closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(session.quit() for session in idle))

    @property
    def share(self) -> int:
        """How many sessions each carrier may have."""
        return max(1, self.connections // max(1, len(self.carriers)))

    def take_idle(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if session.usable and time.monotonic() - session.idle_since < MAX_IDLE:
                return session
            session.drop()
        return None

    def put_back(self, session: Session) -> None:
        session.rested, session.most_letters = None, self.max_per_connection
        session.carry(NOTHING)
        if self._closed or not session.usable or not session.resting or session.letters >= self.max_per_connection:
            session.farewell()
            return
        session.idle_since = time.monotonic()
        self._idle.append(session)

    async def open(self) -> Session:
        """A new session, greeted and signed in. Raises Deferred."""
        if self._closed:
            raise Deferred("the mailer is closed")
        server = self._server
        try:
            async with asyncio.timeout(self._timeout):
                client = await self._client()
                try:
                    await client.connect()
                    if client.is_ehlo_or_helo_needed:
                        try:
                            await client.ehlo()
                        except aiosmtplib.SMTPHeloError:
                            await client.helo()
                    return Session(client, self._timeout, most=self.max_per_connection)
                except BaseException:
                    client.close()
                    raise
        except aiosmtplib.SMTPAuthenticationError as error:
            raise Deferred(f"sign-in refused by {server}: {error.message}", code=error.code) from error
        except aiosmtplib.SMTPResponseException as error:
            raise Deferred(
                f"{server} refuses the connection: {error.message}",
                code=error.code if 100 <= error.code <= 599 else None,
            ) from error
        except TimeoutError as error:
            raise Deferred(f"no answer from {server} within {self._timeout:g} s") from error
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise Deferred(f"no connection to {server}") from error

    async def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        if self._local_hostname is None:
            name = await asyncio.to_thread(socket.getfqdn)
            self._local_hostname = name if re.fullmatch(r"[A-Za-z0-9.-]{1,253}", name) else "localhost"
        if server.scheme != "smtp" and self._tls_context is None:
            self._tls_context = await asyncio.to_thread(ssl.create_default_context)
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            local_hostname=self._local_hostname,
            timeout=self._timeout,
            use_tls=server.scheme == "smtps",
            start_tls=server.scheme == "smtp+starttls",
            tls_context=self._tls_context,
        )


class Carrier:
    """Sends what a source gives over the sessions of a mailer, of which carriers at the same time have equal shares.

    Letters wait in the source; what a session holds is one that flies and one that is offered.
    """

    def __init__(self, mailer: SmtpMailer, source: Source) -> None:
        self._mailer = mailer
        self._source = source
        self._sessions: set[Session] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._not_before = 0.0
        self._ended = asyncio.Event()
        self._closing = False

    def kick(self, waiting: int) -> None:
        """There are letters, about so many: wake who rests, open what is missing."""
        if self._closing:
            return
        for session in list(self._sessions):
            session.resume()
        more = min(self._mailer.share - len(self._sessions), waiting) - len(self._opening)
        if more > 0 and (not self._sessions or time.monotonic() >= self._not_before):
            for _n in range(more):
                task = asyncio.create_task(self._add())
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)

    def shrink(self) -> None:
        """Somebody else sends too: sessions above the share rest once their letter has ended."""
        for session in list(self._sessions)[self._mailer.share :]:
            session.most_letters = session.letters
            if session.resting:
                self._rested(session)

    async def close(self) -> None:
        """Wait until no letter is under way, and give the sessions back. The source gives nothing more by then."""
        self._closing = True
        self._mailer.carriers.discard(self)
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for session in list(self._sessions):
            if session.resting:
                self._rested(session)
        while self._sessions:
            self._ended.clear()
            await self._ended.wait()

    def abort(self) -> None:
        """Drop every session: what flies is in doubt."""
        self._closing = True
        self._mailer.carriers.discard(self)
        for session in list(self._sessions):
            session.drop()

    async def _add(self) -> None:
        try:
            session = self._mailer.take_idle() or await self._mailer.open()
        except Deferred as error:
            self._not_before = time.monotonic() + REOPEN
            if not self._sessions and (letter := self._source.take()) is not None:
                letter.ended(error)  # nobody is there: who waits must hear of it
            return
        self._sessions.add(session)
        session.rested = self._rested
        session.carry(self._source)

    def _rested(self, session: Session) -> None:
        """It has nothing to do, or is broken, or has carried as many as it may."""
        worn = not session.usable or session.letters >= session.most_letters
        if session in self._sessions and (worn or self._closing):
            self._sessions.discard(session)
            self._mailer.put_back(session)
            self._ended.set()
            if not self._closing:
                self.kick(1)


@dataclass(frozen=True, slots=True)
class _Server:
    scheme: str
    host: str
    port: int
    username: str | None
    password: str | None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def _parse_url(url: str) -> _Server:
    """Read the address of a mail server. The ValueError never repeats the URL: it may hold a password."""
    if any(c <= " " for c in url):  # urlsplit would take some of them out without a word
        raise ValueError("the mail URL has a space or a line break in it")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("the mail URL cannot be read: write smtp://host:port") from None
    if parts.scheme not in _PORTS:
        raise ValueError("the mail URL must begin with smtp://, smtps:// or smtp+starttls://")
    if not host or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("the mail URL must be a scheme, a host and a port: smtp://host:port")
    if ":" not in host:
        try:
            host = idna.encode(host, uts46=True).decode("ascii") if not host.isascii() else host
        except idna.IDNAError:
            host = ""
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", host):
            raise ValueError("the host in the mail URL is not a host name")
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password is not None and username else None
    if any(c < " " for c in (username or "") + (password or "")):
        raise ValueError("the user or password in the mail URL has control characters")
    return _Server(parts.scheme, host, _PORTS[parts.scheme] if port is None else port, username, password)


_BARE_BREAK = re.compile(rb"\r\n|\r|\n")


def on_the_wire(message: bytes) -> tuple[bytes, int]:
    """
    Return the message with CRLF line ends only, dots doubled at line starts, and the end mark (RFC 5321 4.5.2); and its
    size in bytes before dots and end mark (RFC 1870 3).
    """
    lines = _BARE_BREAK.sub(b"\r\n", message)
    if not lines.endswith(b"\r\n"):
        lines += b"\r\n"
    wire = lines.replace(b"\r\n.", b"\r\n..")
    return (b"." if wire.startswith(b".") else b"") + wire + b".\r\n", len(lines)
