"""Handing messages to an SMTP server (RFC 5321) over connections that are used again."""

import asyncio
import contextlib
import re
import socket
import ssl
import time
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote, urlsplit

import aiosmtplib
import idna
from aiosmtplib.protocol import SMTPProtocol

from app.integrations.mail.address import envelope
from app.integrations.mail.errors import Deferred, Gone, MailError, Rejected, Unsure

MAX_IDLE = 30.0  # seconds; an older idle connection is closed instead of used
RESET_TIMEOUT = 5.0
BLOCK = 64 * 1024  # a message up to this size, end mark included, leaves in one write

_PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
# 5xx answers that speak about the session and not about this message (RFC 5321 4.2.3, RFC 4954 6, RFC 3207 4).
_SESSION_CODES = frozenset({503, 530, 534, 535, 538})


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
        max_per_connection: int = 100,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._server = _parse_url(url)
        self._timeout = timeout
        self._max_per_connection = max_per_connection
        self._tls_context = tls_context
        self._local_hostname: str | None = None
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []
        self._closed = False

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """
        Send a complete message; an empty sender is the null address. Raises Rejected, Deferred or Unsure.
        Cancelling it drops its connection, and what became of the message is then as open as with Unsure.
        """
        mail_from, rcpt_to = envelope(sender, recipient)
        wire, size = _on_the_wire(message)
        async with self._slots:
            connection = self._take_idle()
            if connection is not None:
                try:
                    return await self._use(connection, wire, size, mail_from, rcpt_to)
                except Gone:
                    pass  # the server had closed it while it was idle: not a failure, nothing was sent
            connection = await self._open()
            try:
                await self._use(connection, wire, size, mail_from, rcpt_to)
            except Gone as error:
                raise Deferred(error.reason, code=error.code) from error

    async def close(self) -> None:
        """Say QUIT on the idle connections; those in use are closed when their message is done."""
        self._closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle))

    async def _use(self, connection: "_Connection", wire: bytes, size: int, mail_from: str, rcpt_to: str) -> None:
        try:
            try:
                await connection.transmit(wire, size, mail_from, rcpt_to)
            except MailError:
                await connection.reset()
                raise
        except BaseException as error:
            if not isinstance(error, MailError):
                connection.drop()
            raise
        finally:
            self._put_back(connection)

    def _take_idle(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and time.monotonic() - connection.idle_since < MAX_IDLE:
                return connection
            connection.drop()
        return None

    def _put_back(self, connection: "_Connection") -> None:
        if self._closed or not connection.usable or connection.messages >= self._max_per_connection:
            connection.farewell()
            return
        connection.idle_since = time.monotonic()
        self._idle.append(connection)

    async def _open(self) -> "_Connection":
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
                    return _Connection(client, self._timeout)
                except BaseException:
                    client.close()
                    raise
        except aiosmtplib.SMTPAuthenticationError as error:
            raise Deferred(f"sign-in refused by {server}: {error.message}", code=error.code) from error
        except aiosmtplib.SMTPResponseException as error:
            raise Deferred(f"{server} refuses the connection: {error.message}", code=_code(error.code)) from error
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


class _Connection:
    """One SMTP session. It speaks MAIL, RCPT and DATA itself, because it must know what has been sent when it fails."""

    def __init__(self, client: aiosmtplib.SMTP, timeout: float) -> None:
        protocol = client.protocol
        if protocol is None or client.transport is None:
            raise Deferred("the mail server closed the connection at once")
        transport = cast(asyncio.WriteTransport, client.transport)  # uvloop's is one, but not by inheritance
        # so that drain() waits until all has left; with high=0 the TLS transport never says so
        transport.set_write_buffer_limits(high=1, low=0)
        self._client = client
        self._protocol: SMTPProtocol = protocol
        self._transport = transport
        self._writer = asyncio.StreamWriter(transport, protocol, None, asyncio.get_running_loop())
        self._timeout = timeout
        self._in_sync = True
        self.messages = 0
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        return self._in_sync and self._client.is_connected

    def drop(self) -> None:
        """End the connection now. What is still in the buffer is thrown away, so it cannot arrive later."""
        self._in_sync = False
        self._transport.abort()

    def farewell(self) -> None:
        """Say QUIT without waiting for the answer; a broken session is dropped."""
        if not self.usable:
            self.drop()
            return
        self._in_sync = False
        self._transport.write(b"QUIT\r\n")
        self._transport.close()

    async def quit(self) -> None:
        """Say QUIT and wait a moment for the answer."""
        if self.usable:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await self._client.quit(timeout=2.0)
        self.drop()

    async def reset(self) -> None:
        """Bring a session in which a message failed back to its start; when it cannot be, drop it."""
        if self.usable:
            try:
                reply = await self._client.execute_command(b"RSET", timeout=min(self._timeout, RESET_TIMEOUT))
                if reply.code == 250:
                    return
            except (aiosmtplib.SMTPException, OSError):
                pass
        self.drop()

    async def transmit(self, wire: bytes, size: int, mail_from: str, rcpt_to: str) -> None:
        """Send one message that is ready for the wire. Raises Rejected, Deferred (also Gone) or Unsure."""
        client = self._client
        options: list[bytes] = []
        if not (mail_from + rcpt_to).isascii():
            if not client.supports_extension("smtputf8"):
                raise Rejected("the mail server does not take addresses with letters beyond ASCII (SMTPUTF8)")
            options.append(b"SMTPUTF8")
        if not wire.isascii() and client.supports_extension("8bitmime"):
            options.append(b"BODY=8BITMIME")
        if client.supports_extension("size"):
            most = client.esmtp_extensions["size"].strip()
            if most.isdecimal() and 0 < int(most) < size:
                raise Rejected(f"the message has {size} bytes, the mail server takes {int(most)}", code=552)
            options.append(b"SIZE=%d" % size)
        self.messages += 1
        await self._command(b"MAIL", b"FROM:<" + mail_from.encode() + b">", *options)
        await self._command(b"RCPT", b"TO:<" + rcpt_to.encode() + b">")
        await self._command(b"DATA", expected=3)
        await self._body(wire)

    async def _command(self, *words: bytes, expected: int = 2) -> None:
        try:
            reply = await self._client.execute_command(*words)
        except aiosmtplib.SMTPTimeoutError as error:
            self._in_sync = False
            raise Deferred(f"no answer to {words[0].decode()} within {self._timeout:g} s") from error
        except aiosmtplib.SMTPResponseException as error:
            self._in_sync = False
            raise Deferred(f"an answer that is not SMTP: {error.message}") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            self._in_sync = False
            raise Gone("the mail server closed the connection") from error
        if reply.code // 100 != expected:
            raise self._refusal(reply)

    async def _body(self, wire: bytes) -> None:
        """Send the text and its end mark. Until the end mark is handed to the transport, a failure is certain."""
        self._in_sync = False  # until the last answer is here
        head, tail = (b"", wire) if len(wire) <= BLOCK else (wire[:-5], wire[-5:])  # the tail is CRLF . CRLF
        try:
            for start in range(0, len(head), BLOCK):
                self._protocol.write(head[start : start + BLOCK])
                await asyncio.wait_for(self._writer.drain(), self._timeout)
            self._protocol.write(tail)
        except TimeoutError as error:
            raise Deferred(f"the mail server stopped taking the message for {self._timeout:g} s") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Deferred("the connection was cut while the message was being sent") from error
        try:
            reply = await self._protocol.read_response(timeout=self._timeout)
        except aiosmtplib.SMTPTimeoutError as error:
            if self._transport.get_write_buffer_size():  # the end mark is still here, and drop() throws it away
                raise Deferred(f"the mail server stopped taking the message for {self._timeout:g} s") from error
            raise Unsure(f"no answer within {self._timeout:g} s after the message was sent") from error
        except aiosmtplib.SMTPResponseException as error:
            raise Unsure(f"after the message was sent, an answer that is not SMTP: {error.message}") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Unsure("the connection was cut after the message was sent, before the answer") from error
        if reply.code // 100 not in (2, 4, 5):
            raise Unsure(f"after the message was sent, an unexpected answer: {reply.message}", code=_code(reply.code))
        self._in_sync = True
        if reply.code // 100 != 2:
            raise self._refusal(reply, gone=Deferred)

    def _refusal(self, reply: aiosmtplib.SMTPResponse, gone: type[Deferred] = Gone) -> MailError:
        code, text = reply.code, reply.message
        if code == 421:  # the server closes the session with this answer (RFC 5321 3.8)
            self._in_sync = False
            return gone(text, code=code)
        if code // 100 == 5:
            return (Deferred if code in _SESSION_CODES else Rejected)(text, code=code)
        if code // 100 != 4:
            self._in_sync = False
            return Deferred(f"an unexpected answer: {text}", code=_code(code))
        return Deferred(text, code=code)


def _code(code: int) -> int | None:
    return code if 100 <= code <= 599 else None


_BARE_BREAK = re.compile(rb"\r\n|\r|\n")


def _on_the_wire(message: bytes) -> tuple[bytes, int]:
    """
    Return the message with CRLF line ends only, dots doubled at line starts, and the end mark (RFC 5321 4.5.2); and its
    size in bytes before dots and end mark (RFC 1870 3).
    """
    lines = _BARE_BREAK.sub(b"\r\n", message)
    if not lines.endswith(b"\r\n"):
        lines += b"\r\n"
    wire = lines.replace(b"\r\n.", b"\r\n..")
    return (b"." if wire.startswith(b".") else b"") + wire + b".\r\n", len(lines)
