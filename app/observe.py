"""Who acts, in which request, and the log lines that say so."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Kind(StrEnum):
    """What kind of person acts: staff, a user of a customer, the program itself, or nobody known."""

    STAFF = "staff"
    USER = "user"
    SYSTEM = "system"
    NOBODY = "nobody"


@dataclass(frozen=True)
class Actor:
    """The acting person of a request or a task.

    While staff have entered a customer's panel, `staff_id` and `customer_id` are both set and `kind` stays STAFF.
    `projects`: the projects that this person is limited to; None: all.
    """

    kind: Kind
    staff_id: int | None = None
    user_id: int | None = None
    customer_id: int | None = None
    projects: frozenset[int] | None = None
    session_id: int | None = None
    ip: str | None = None


SYSTEM = Actor(Kind.SYSTEM)
NOBODY = Actor(Kind.NOBODY)

actor: ContextVar[Actor] = ContextVar("actor")
"""No default on purpose: a query or a change without an actor fails."""

request_id: ContextVar[str] = ContextVar("request_id", default="")


@contextmanager
def acting(who: Actor) -> Iterator[None]:
    """Everything inside the block is done by `who`."""
    token = actor.set(who)
    try:
        yield
    finally:
        actor.reset(token)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        who = actor.get(NOBODY)
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "log": record.name,
            "message": record.getMessage(),
            "request": request_id.get() or None,
            "staff": who.staff_id,
            "user": who.user_id,
            "customer": who.customer_id,
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps({k: v for k, v in line.items() if v is not None}, ensure_ascii=False, default=str)


def set_up_logging(level: str = "INFO") -> None:
    """One JSON line per event on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("uvicorn.access", "arq.jobs", "httpx", "aiosqlite", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def log(name: str) -> logging.Logger:
    return logging.getLogger(f"bursar.{name}")
