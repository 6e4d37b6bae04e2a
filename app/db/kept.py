"""What is kept for seconds or minutes, per database of the process: compiled statements, counts of long lists."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")

MOST = 500


class Kept:
    """Values that serve until a time; the oldest go first when there are too many."""

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[float, Any]] = {}
        self._asked: dict[Hashable, float] = {}

    def get(self, key: Hashable) -> Any:
        """The value; None when there is none or its time is over."""
        found = self._values.get(key)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    async def of(self, key: Hashable, make: Callable[[], Awaitable[T]], seconds: float, share: int = 0) -> T:
        """What `make` gave so many seconds ago at most, or `share` times as long as it took. It may not give None."""
        found: T | None = self.get(key)
        if found is None:
            begin = time.monotonic()
            found = await make()
            self.put(key, found, max(seconds, share * (time.monotonic() - begin)))
        return found

    def first(self, key: Hashable, seconds: float) -> bool:
        """Whether `key` is asked for the first time in so many seconds."""
        now = time.monotonic()
        before = self._asked.pop(key, 0.0)
        _shorten(self._asked)
        self._asked[key] = now + seconds
        return before <= now

    def put(self, key: Hashable, value: Any, seconds: float) -> None:
        self._values.pop(key, None)
        _shorten(self._values)
        self._values[key] = (time.monotonic() + seconds, value)


def _shorten(kept: dict[Hashable, Any]) -> None:
    if len(kept) >= MOST:
        del kept[next(iter(kept))]
