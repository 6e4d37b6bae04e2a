"""What is kept for seconds or minutes, per database of the process: compiled statements, counts of long lists."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Any

MOST = 1000


class Kept:
    """Values that serve until a time; the oldest go first when there are too many."""

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[float, Any]] = {}

    def get(self, key: Hashable) -> Any:
        """The value; None when there is none or its time is over."""
        found = self._values.get(key)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def put(self, key: Hashable, value: Any, seconds: float) -> None:
        self._values.pop(key, None)
        if len(self._values) >= MOST:
            del self._values[next(iter(self._values))]
        self._values[key] = (time.monotonic() + seconds, value)
