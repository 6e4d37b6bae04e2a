"""Where attached files lie: a Protocol, a directory on local disk, and file names that are safe to show."""

import asyncio
import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

BLOCK = 256 * 1024
MAX_NAME = 120
MAX_EXTENSION = 20

_KEY = re.compile(r"[0-9a-f]{64}")
_DRIVE = re.compile(r"^[A-Za-z]:")
_JOINERS = "\u200c\u200d"  # invisible, but part of Persian and Indic words and of emoji
_WINDOWS_ONLY = str.maketrans(dict.fromkeys('<>:"|?*', "_"))
_DEVICES = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
    + [device + digit for device in ("COM", "LPT") for digit in "0123456789\u00b9\u00b2\u00b3"]
)


class StorageError(Exception):
    """Something about a stored file went wrong; the text is one plain line."""


class FileMissing(StorageError):
    """No file is stored under this key, or the key is not one of ours."""


class FileTooLarge(StorageError):
    """The stream was longer than the limit that was given; nothing has been kept."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is safely stored: its key, its size in bytes, the SHA-256 of its content in hex."""

    key: str
    size: int
    sha256: str


Content = bytes | Iterable[bytes] | AsyncIterable[bytes]


class Storage(Protocol):
    """Keeps contents under keys that it chooses. Equal contents share a key: look for other users before deleting."""

    async def save(self, content: Content, *, limit: int | None = None) -> StoredFile:
        """Store a content. `limit` is in bytes. Raises FileTooLarge; OSError when the disk refuses."""
        ...

    async def open(self, key: str) -> AsyncIterator[bytes]:
        """Return the content in blocks. Raises FileMissing at once, before the first block."""
        ...

    async def read(self, key: str) -> bytes:
        """Return the whole content. Raises FileMissing."""
        ...

    async def delete(self, key: str) -> None:
        """Remove a content. A key that is gone already is no error."""
        ...


class DirectoryStorage:
    """Storage in a directory: `ab/cd/abcd...` by SHA-256. A file appears whole and synced to disk, or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = Path(root)

    async def save(self, content: Content, *, limit: int | None = None) -> StoredFile:
        """Store a content. `limit` is in bytes. Raises FileTooLarge; OSError when the disk refuses."""
        file, temporary = await asyncio.to_thread(self._begin)
        try:
            digest, size, pending = hashlib.sha256(), 0, bytearray()
            async for chunk in _chunks(content):
                size += len(chunk)
                if limit is not None and size > limit:
                    raise FileTooLarge(f"the file is larger than {limit} bytes")
                pending += chunk
                if len(pending) >= BLOCK:
                    await asyncio.to_thread(_write, file, digest, bytes(pending))
                    pending.clear()
            await asyncio.to_thread(_write, file, digest, bytes(pending))
            key = digest.hexdigest()
            await asyncio.to_thread(self._finish, file, temporary, key)
        except BaseException:
            file.close()
            temporary.unlink(missing_ok=True)
            raise
        return StoredFile(key=key, size=size, sha256=key)

    async def open(self, key: str) -> AsyncIterator[bytes]:
        """Return the content in blocks. Raises FileMissing at once, before the first block."""
        path = self._path(key)
        if not await asyncio.to_thread(path.is_file):
            raise FileMissing("the file is not in the store")
        return _blocks(path)

    async def read(self, key: str) -> bytes:
        """Return the whole content. Raises FileMissing."""
        path = self._path(key)
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            raise FileMissing("the file is not in the store") from None

    async def delete(self, key: str) -> None:
        """Remove a content. A key that is gone already is no error; a key that is not ours raises FileMissing."""
        path = self._path(key)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise FileMissing("that is not the key of a stored file")
        return self._root / key[:2] / key[2:4] / key

    def _begin(self) -> tuple[BinaryIO, Path]:
        self._root.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".new-", dir=self._root)
        return os.fdopen(handle, "wb"), Path(name)

    def _finish(self, file: BinaryIO, temporary: Path, key: str) -> None:
        file.flush()
        os.fsync(file.fileno())
        file.close()
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, path)
        for directory in (path.parent, path.parent.parent, self._root):
            handle = os.open(directory, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def safe_filename(name: str) -> str:
    """
    Return a file name that can be shown, stored and sent: no path, no control or direction-changing characters, not
    hidden, no device name of Windows, NFC, at most 120 characters with the extension kept. Nothing left: "file".
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/")
    name = "".join(map(_shown, name)).rstrip("/ ").rpartition("/")[2]
    name = _DRIVE.sub("", name.strip()).translate(_WINDOWS_ONLY)
    name = unicodedata.normalize("NFC", name).strip(" ." + _JOINERS)
    if name.partition(".")[0].rstrip().upper() in _DEVICES:
        name = "_" + name
    if len(name) > MAX_NAME:
        stem, dot, extension = name.rpartition(".")
        end = dot + extension if dot and stem and len(extension) <= MAX_EXTENSION else ""
        name = name[: MAX_NAME - len(end)].rstrip(" ." + _JOINERS) + end
    return name or "file"


def _shown(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in ("Cc", "Cs", "Zl", "Zp") or (kind == "Cf" and character not in _JOINERS):
        return ""
    return " " if kind == "Zs" else character


def _write(file: BinaryIO, digest: "hashlib._Hash", data: bytes) -> None:
    digest.update(data)
    file.write(data)


async def _chunks(content: Content) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, AsyncIterable):
        async for chunk in content:
            yield chunk
    else:
        for chunk in content:
            yield chunk


async def _blocks(path: Path) -> AsyncIterator[bytes]:
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except FileNotFoundError:
        raise FileMissing("the file is not in the store") from None
    try:
        while block := await asyncio.to_thread(file.read, BLOCK):
            yield block
    finally:
        file.close()
