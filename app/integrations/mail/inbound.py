"""Mailboxes that are looked into: a Maildir on disk, or a folder of an IMAP server. What was taken is put away, so
that a crash between taking and putting away only shows the same mail again."""

from __future__ import annotations

import asyncio
import imaplib
import os
import re
import ssl
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

T = TypeVar("T")
PROCESSED = "Processed"
SECONDS = 30
"""For each answer of an IMAP server."""


class MailboxError(Exception):
    """A mailbox cannot be looked into; the text is one line without secrets."""


class Mailbox(Protocol):
    """Where mail waits. A name says which mail is meant until it is put away."""

    async def waiting(self, limit: int) -> list[str]:
        """The names of mails that wait, the oldest first. Raises MailboxError."""
        ...

    async def read(self, name: str, limit: int) -> tuple[bytes, int]:
        """A mail, at most its first `limit` bytes, and how long it is. Raises MailboxError."""
        ...

    async def put_away(self, name: str) -> None:
        """It is taken: do not show it again. Raises MailboxError."""
        ...

    async def close(self) -> None: ...


def open_mailbox(url: str) -> Mailbox:
    """url: `maildir:///path`, `imap://`, `imaps://` or `imap+starttls://user:password@host:port/folder?done=folder`."""
    parts = urlsplit(url)
    if parts.scheme == "maildir":
        return Maildir(Path(unquote(parts.path)))
    done = parse_qs(parts.query).get("done", [PROCESSED])[0]
    return ImapFolder(
        parts.hostname or "", parts.port, parts.scheme, unquote(parts.username or ""), unquote(parts.password or ""),
        unquote(parts.path.strip("/")) or "INBOX", done,
    )  # fmt: skip


class Maildir:
    """New mail lies in `new`; what was taken goes to `cur` with the mark "seen", as mail programs do it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def waiting(self, limit: int) -> list[str]:
        """The names of new mails, the oldest first."""
        return await _disk(lambda: self._names()[:limit])

    def _names(self) -> list[str]:
        with os.scandir(self._root / "new") as found:
            files = [e.name for e in found if not e.name.startswith(".") and e.is_file(follow_symlinks=False)]
        return sorted(files)

    async def read(self, name: str, limit: int) -> tuple[bytes, int]:
        """A mail, and how long it is."""

        def read() -> tuple[bytes, int]:
            with (self._root / "new" / name).open("rb") as file:
                return file.read(limit), os.fstat(file.fileno()).st_size

        return await _disk(read)

    async def put_away(self, name: str) -> None:
        """Move it to `cur`."""

        def move() -> None:
            (self._root / "cur").mkdir(exist_ok=True)
            os.replace(self._root / "new" / name, self._root / "cur" / f"{name.partition(':')[0]}:2,S")

        await _disk(move)

    async def close(self) -> None:
        """Nothing is open."""


async def _disk(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise MailboxError(f"the Maildir cannot be used: {error.strerror or error}") from None


class ImapFolder:
    """A folder of an IMAP4rev1 server (RFC 3501). What was taken is moved to another folder, which is made when it is
    missing; MOVE (RFC 6851) where the server has it, else copied and deleted."""

    def __init__(
        self, host: str, port: int | None, scheme: str, user: str, password: str, folder: str, done: str
    ) -> None:
        self._place = (host, port, scheme)
        self._login = (user, password)
        self._folder, self._done = folder, done
        self._imap: imaplib.IMAP4 | None = None

    async def waiting(self, limit: int) -> list[str]:
        """The UIDs of all mails in the folder, the oldest first."""
        return await self._do(lambda: self._search()[:limit])

    async def read(self, name: str, limit: int) -> tuple[bytes, int]:
        """A mail, and how long it is; it is not marked as read."""
        return await self._do(lambda: self._fetch(name, limit))

    async def put_away(self, name: str) -> None:
        """Move it to the folder of what is done."""
        await self._do(lambda: self._move(name))

    async def close(self) -> None:
        """Leave the server."""
        imap, self._imap = self._imap, None
        if imap is not None:
            await asyncio.to_thread(_leave, imap)

    async def _do(self, work: Callable[[], T]) -> T:
        def run() -> T:
            if self._imap is None:
                self._imap = self._connect()
            return work()

        try:
            return await asyncio.to_thread(run)
        except (imaplib.IMAP4.error, OSError, ValueError) as error:
            await self.close()
            said = " ".join(str(error).split())[:200]
            for secret in filter(None, self._login[1:]):
                said = said.replace(secret, "***")
            raise MailboxError(f"the IMAP server: {type(error).__name__} {said}") from None

    def _connect(self) -> imaplib.IMAP4:
        host, port, scheme = self._place
        safe = ssl.create_default_context()
        imap: imaplib.IMAP4
        if scheme == "imaps":
            imap = imaplib.IMAP4_SSL(host, port or 993, ssl_context=safe, timeout=SECONDS)
        else:
            imap = imaplib.IMAP4(host, port or 143, timeout=SECONDS)
        try:
            if scheme == "imap+starttls":
                imap.starttls(safe)
            imap.login(*self._login)
            _ok(imap.select(_quoted(self._folder)))
        except BaseException:
            _leave(imap)
            raise
        return imap

    @property
    def _server(self) -> imaplib.IMAP4:
        assert self._imap is not None
        return self._imap

    def _search(self) -> list[str]:
        # CHECK or a new SELECT shows what came since; a SELECT is what every server understands
        _ok(self._server.select(_quoted(self._folder)))
        found = _ok(self._server.uid("SEARCH", "UNDELETED"))
        return [uid.decode() for line in found if isinstance(line, bytes) for uid in line.split()]

    def _fetch(self, uid: str, limit: int) -> tuple[bytes, int]:
        found = _ok(self._server.uid("FETCH", uid, f"(RFC822.SIZE BODY.PEEK[]<0.{limit}>)"))
        for line in found:
            if isinstance(line, tuple):
                size = re.search(rb"RFC822\.SIZE (\d+)", line[0])
                return line[1], int(size[1]) if size else len(line[1])
        raise imaplib.IMAP4.error("the mail is gone")

    def _move(self, uid: str) -> None:
        imap, to = self._server, _quoted(self._done)
        if "MOVE" in imap.capabilities:
            if imap.uid("MOVE", uid, to)[0] == "OK":
                return
            imap.create(to)
            _ok(imap.uid("MOVE", uid, to))
            return
        if imap.uid("COPY", uid, to)[0] != "OK":
            imap.create(to)
            _ok(imap.uid("COPY", uid, to))
        _ok(imap.uid("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)"))
        if "UIDPLUS" in imap.capabilities:  # without it others' deleted mails would go as well: ours stays, marked
            _ok(imap.uid("EXPUNGE", uid))


def _ok(answer: tuple[str, list[Any]]) -> list[Any]:
    kind, lines = answer
    if kind != "OK":
        raise imaplib.IMAP4.error(str(lines[0])[:200] if lines else kind)
    return lines


def _leave(imap: imaplib.IMAP4) -> None:
    try:
        imap.logout()
    except (imaplib.IMAP4.error, OSError, ValueError):
        pass


def _quoted(folder: str) -> str:
    """A folder's name as IMAP has it: in quotes, beyond ASCII in modified UTF-7 (RFC 3501, 5.1.3)."""
    coded = re.sub(r"[^\x20-\x7e]+|&", lambda m: "&-" if m[0] == "&" else "&" + _base64(m[0]) + "-", folder)
    return '"' + coded.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _base64(text: str) -> str:
    return b64encode(text.encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
