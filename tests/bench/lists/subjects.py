"""What is measured: the questions that all are asked, and the shape of a subject.

Nothing of Bursar is imported here: the others read this file in environments of their own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.bench.lists.data import Database

PAGE = 25
RARE, COMMON, ABSENT = "quittenbaum", "schmidt", "zzyzxq"
PROJECT, LANGUAGE = 2, "de"
"""What the filtered page filters by."""

MEASURES = (
    "page 1", "deep page", "last page", "search rare", "search common", "search absent", "filter", "card",
)  # fmt: skip
"""Pages that are short everywhere; the edit form and the export come last, for some they are heavy."""


@dataclass(frozen=True)
class Visit:
    """One request. `shows`: texts that must be in the answer, in order, and `hides`: that must not be."""

    path: str
    shows: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()
    method: str = "GET"
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def job(self) -> dict[str, Any]:
        return {"path": self.path, "method": self.method, "body": self.body, "headers": dict(self.headers)}


@dataclass(frozen=True)
class Skip:
    """Why a subject has no such measure."""

    why: str


class Subject(ABC):
    """One admin over one database."""

    name: str
    notes: tuple[str, ...] = ()

    def __init__(self, database: Database) -> None:
        self.database, self.facts = database, database.facts
        self.headers: dict[str, str] = {}

    @abstractmethod
    def command(self, port: int) -> tuple[list[str], dict[str, str]]:
        """The command that serves on this port, and its environment variables."""

    def sign_in(self, base_url: str) -> None:
        """Fill `headers` with what says who asks; the usual: nobody is asked."""
        self.headers = {}

    @abstractmethod
    def visits(self, base_url: str) -> dict[str, Visit | Skip]:
        """Every measure by its name: `MEASURES`, "edit form", "export", and what else this subject has."""
