"""How fast a campaign may go, where its lanes are, and when it must stop: kept by this process from slice to slice.

Nothing of this is in Redis, so nothing is lost with it. A campaign with a limit is sent by one lane, which starts each
slice that does not follow its last one at once with an empty purse: the limit is never exceeded, whoever runs it.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Hashable
from math import inf
from typing import Any

from app.domain.messaging import delivery
from app.domain.messaging.content import Content
from app.domain.messaging.delivery import Outcome
from app.models.messaging import Policy

FOLLOWS = 0.5
"""Seconds after a slice in which the next one counts as going on with it."""
BURST = 0.02
"""Seconds that may be made up for at once."""
SOON = 0.3
"""Seconds that a claimed row may wait for the turn of its domain; longer ones wait as rows that are due later."""
LOOK_AHEAD = 600.0
MANY = 64
DOMAINS = 20_000

_kept: OrderedDict[Hashable, Any] = OrderedDict()


def _keep(key: Hashable, value: Any) -> None:
    _kept[key] = value
    _kept.move_to_end(key)
    while len(_kept) > MANY:
        _kept.popitem(last=False)


class Pace:
    """What a lane may do this moment."""

    def __init__(self, key: Hashable, per_second: int, per_domain: int) -> None:
        self._key = key
        self._per_second = per_second
        self._per_domain = per_domain
        now = time.monotonic()
        self._from = now
        """Up to this moment the allowance is used up."""
        self._slots: dict[str, float] = {}
        """Domain -> when it may have its next one."""
        self._promised: dict[str, float] = {}
        """Domain -> the last turn that was promised to one that was put back."""
        self._begun = now + (1 / per_domain if per_domain else 0.0)
        self._kept_at = 0.0
        self.after: int | None = 0
        """The customer up to which the rows were claimed in their turn; None: all were."""

    @classmethod
    def of(cls, content: Content, lane: int) -> Pace:
        key = (content.campaign_id, lane, content.run)
        pace = cls(key, content.per_second, content.per_domain_second)
        before: Pace | None = _kept.get(key)
        if before is not None:
            pace.after = before.after
            if time.monotonic() - before._kept_at < FOLLOWS:
                pace._from, pace._slots, pace._promised = before._from, before._slots, before._promised
        return pace

    def keep(self) -> None:
        """The slice is over."""
        self._kept_at = time.monotonic()
        _keep(self._key, self)

    def forget(self) -> None:
        """The campaign does not run any more."""
        _kept.pop(self._key, None)

    @property
    def limited(self) -> bool:
        return self._per_second > 0

    def tokens(self) -> int:
        """How many may go out now."""
        now = time.monotonic()
        self._from = max(self._from, now - max(BURST, 1 / self._per_second))
        return int((now - self._from) * self._per_second + 1e-6)

    def used(self, n: int) -> None:
        if self._per_second:
            self._from += n / self._per_second

    def wait(self) -> float:
        """Seconds until one more may go out."""
        if not self._per_second:
            return inf
        return max(self._from + 1 / self._per_second - time.monotonic(), 0.0)

    def domain_wait(self, address: str, *, first: bool) -> float:
        """Seconds until the turn of this address; up to `SOON` the turn is taken, beyond that it is only promised.

        first: it has not waited before, so those that were promised a turn go before it.
        """
        if not self._per_domain:
            return 0.0
        now, step = time.monotonic(), 1 / self._per_domain
        domain = address.rpartition("@")[2].lower()
        at = max(self._slots.get(domain, self._begun), now)
        promised = self._promised.get(domain, 0.0)
        if at - now <= SOON and not (first and promised > now):
            self._slots[domain] = at + step
            return at - now
        promised = self._promised[domain] = max(promised, at) + step
        for known in (self._slots, self._promised):
            if len(known) >= DOMAINS:
                for name in [name for name, slot in known.items() if slot <= now]:
                    del known[name]
        return max(promised - now, SOON + 0.01)

    @property
    def promises(self) -> bool:
        """Somebody's turn comes while this slice may still run."""
        now = time.monotonic()
        return any(now - 1 < at < now + LOOK_AHEAD for at in self._promised.values())


class Failures:
    """The last deliveries of a campaign that this process has seen ending."""

    def __init__(self, percent: int, window: int) -> None:
        self._percent = percent
        self._last: deque[bool] = deque(maxlen=max(window, 1))
        self.too_many = False
        """More of them failed than the campaign allows."""

    @classmethod
    def of(cls, content: Content) -> Failures:
        key = ("failures", content.campaign_id, content.run)
        found: Failures | None = _kept.get(key)
        if found is None:
            found = cls(content.stop_percent, content.stop_window)
            _keep(key, found)
        return found

    def count(self, outcomes: list[Outcome], policy: Policy) -> None:
        if not self._percent:
            return
        for outcome in outcomes:
            failed = delivery.failed(outcome, policy)
            if failed is not None:
                self._last.append(failed)
        full = len(self._last) == self._last.maxlen
        self.too_many = full and 100 * sum(self._last) > self._percent * len(self._last)

    @property
    def figures(self) -> dict[str, int]:
        return {"failed": sum(self._last), "n": len(self._last)}

    def __str__(self) -> str:
        return f"{sum(self._last)} of the last {len(self._last)}"
