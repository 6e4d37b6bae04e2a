"""What an import did, row by row, as far as it can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.i18n import gettext

KEPT = 1000
"""Errors and notes that a report spells out; the rest it only counts."""


@dataclass(frozen=True)
class RowError:
    """Why the row that begins at `line` of the file was left out. column: its name, or empty for the whole row."""

    line: int
    column: str
    reason: str


@dataclass(frozen=True)
class RowNote:
    """Something to know about a row that was taken."""

    line: int
    text: str


@dataclass
class ImportReport:
    """What an import did. `mapping`: column -> field as used; `unused`: columns that were not read."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    errors: list[RowError] = field(default_factory=list)
    notes: list[RowNote] = field(default_factory=list)
    mapping: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    project: str = ""
    dry_run: bool = False
    left_out: list[tuple[RowError, list[str]]] = field(default_factory=list)
    """Each reason with the cells of its row, since the last batch."""
    done: int = 0
    """Rows of the file that were looked at, also by the run that this one goes on from."""
    ended: bool = False
    """Whether that were all."""

    def leave_out(self, line: int, reasons: Mapping[str, str], cells: list[str]) -> None:
        """reasons: column -> why the row was left out because of it."""
        self.failed += 1
        for column, reason in reasons.items():
            error = RowError(line, column, str(reason))
            self.left_out.append((error, cells))
            if len(self.errors) < KEPT:
                self.errors.append(error)

    def lines(self) -> list[str]:
        """The report for a terminal."""
        shown = [
            gettext("Project: %(name)s") % {"name": self.project},
            gettext("Columns: %(list)s") % {"list": ", ".join(f"{c} = {f}" for c, f in self.mapping.items())},
        ]
        if self.unused:
            shown.append(gettext("Not used: %(list)s") % {"list": ", ".join(self.unused)})
        counts = {"created": self.created, "updated": self.updated, "unchanged": self.unchanged, "failed": self.failed}
        said = gettext("%(created)d created, %(updated)d updated, %(unchanged)d unchanged, %(failed)d rows left out")
        shown.append(said % counts)
        for error in self.errors:
            where = f"{error.column}: " if error.column else ""
            shown.append(gettext("Line %(line)d: %(text)s") % {"line": error.line, "text": where + error.reason})
        shown += [gettext("Line %(line)d: %(text)s") % {"line": note.line, "text": note.text} for note in self.notes]
        if self.dry_run:
            shown.append(gettext("This was a dry run: nothing was changed."))
        return shown
