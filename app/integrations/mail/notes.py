"""What a sending process notes as it goes, so that of a crash only the letters in the air stay in doubt.

A lane has a file of small slots, mapped into memory: before the text of a letter goes out, its slot gets the letter's
Message-ID and `BEGUN`; with the server's answer one byte becomes `TAKEN` or `REFUSED`. That is some hundred nanoseconds
a letter, no system call, and it outlives the process (SIGKILL, out of memory): the pages belong to the kernel. After
the rows are marked in the database the slots are used again.

So a lane may hold hundreds of rows and mark them hundreds at a time, and after a crash of the process no more are in
doubt than it has connections. After a crash of the machine the notes are worth nothing: the boot id in the file is
another one then, and all rows that a lane held count as in doubt, as they do for machines that cannot see the file.

Who finds an expired lease seals the file before reading it, and a lane looks at the seal between noting and sending:
one of the two always sees the other.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

HEAD = 64
SLOT = 128
FREE, BEGUN, TAKEN, REFUSED = 0, 1, 2, 3
_SEAL = 63
MARK = 8
"""Letters of a lease token that say which machine and folder its notes are on."""


@lru_cache(maxsize=1)
def _boot() -> bytes:
    """The same for all processes that share this kernel's memory, until it starts anew."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()[:36]
    except OSError:
        return f"{socket.gethostname()[:36]}".encode()


def mark(folder: Path) -> str:
    """What the tokens of lanes that note in this folder begin with."""
    return hashlib.sha256(_boot() + str(folder.resolve()).encode()).hexdigest()[:MARK]


class Notes:
    """The notes of one lane for as long as it has its token; `slots` is the most letters at once."""

    def __init__(self, folder: Path, token: str, slots: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / token
        with self._path.open("w+b") as file:
            file.truncate(HEAD + slots * SLOT)
            self._map = mmap.mmap(file.fileno(), HEAD + slots * SLOT)
        boot = _boot()
        self._map[: len(boot)] = boot
        self._free = list(range(HEAD, HEAD + slots * SLOT, SLOT))

    @property
    def sealed(self) -> bool:
        """Somebody has taken this lane for dead and read its notes: nothing more may be sent."""
        return self._map[_SEAL] != 0

    def begin(self, message_id: str) -> int:
        """Note that the text of this letter goes out now. Returns its slot; -1: it may not."""
        slot = self._free.pop()
        note = message_id.encode()
        self._map[slot + 1 : slot + 2 + len(note)] = b"%c%b" % (len(note), note)
        self._map[slot] = BEGUN
        if self._map[_SEAL]:
            return -1
        return slot

    def end(self, slot: int, how: int) -> None:
        self._map[slot] = how

    def free(self, slots: list[int]) -> None:
        """The rows of these are marked."""
        for slot in slots:
            self._map[slot] = FREE
        self._free += slots

    def close(self) -> None:
        """All that it held is marked or given back: the notes are not needed any more."""
        self._map.close()
        with suppress(OSError):
            self._path.unlink()

    def leave(self) -> None:
        """Something could not be marked: who finds the expired lease needs the notes."""
        self._map.close()


@dataclass(frozen=True)
class Found:
    """The notes of a lane that is taken for dead: all that it began and that is not in either was refused or marked."""

    taken: frozenset[str]
    doubtful: frozenset[str]


SETTLE = 0.02
"""Seconds between the seal and the reading: what was noted before the seal was seen is there by then."""


@contextmanager
def sealed(folder: Path, token: str) -> Iterator[Found | None]:
    """The notes of a token, sealed; None: there are none here that can be trusted. At a good end they are removed."""
    path = folder / token
    try:
        with path.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            whole = mmap.mmap(file.fileno(), size) if size >= HEAD else None
    except OSError:
        yield None
        return
    if whole is None:
        yield None
        return
    try:
        boot = _boot()
        whole[_SEAL] = 1
        if whole[: len(boot)] != boot:
            found = None
        else:
            time.sleep(SETTLE)
            found = _read(whole)
    finally:
        whole.close()
    yield found
    with suppress(OSError):
        path.unlink()


def _read(whole: mmap.mmap) -> Found:
    by_state: dict[int, set[str]] = {BEGUN: set(), TAKEN: set()}
    for slot in range(HEAD, len(whole), SLOT):
        if (state := whole[slot]) in by_state:
            length = whole[slot + 1]
            by_state[state].add(whole[slot + 2 : slot + 2 + length].decode("ascii", "replace"))
    return Found(frozenset(by_state[TAKEN]), frozenset(by_state[BEGUN]))
