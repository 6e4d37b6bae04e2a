"""Files that a job takes in some rows at a time: `Job.args` names the file, and holds what became of it so far."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain import keeping
from app.domain.imports.runs import count_rows
from app.i18n import gettext
from app.integrations.storage import Storage, StoredFile, safe_filename
from app.models.jobs import Job
from app.observe import Kind, acting, actor
from app.queue import enqueue

MOST_TOLD = 100


@dataclass
class RowsReport:
    """same: rows that say what is known, or less than that."""

    created: int = 0
    changed: int = 0
    same: int = 0
    wrong: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)
    done: int = 0
    """Rows of the file that were looked at."""

    def lines(self) -> list[str]:
        """The report for people."""
        counts = gettext("%(changed)s changed, %(same)s as before, %(wrong)s rows that cannot be taken.") % {
            "changed": self.changed + self.created, "same": self.same, "wrong": self.wrong,
        }  # fmt: skip
        return [counts, *(gettext("Line %(n)s: %(why)s") % {"n": n, "why": why} for n, why in self.problems)]

    def refuse(self, line: int, why: str) -> None:
        self.wrong += 1
        if len(self.problems) < MOST_TOLD:
            self.problems.append((line, why))


Keep = Callable[[RowsReport], Awaitable[bool]]


async def add_file(
    session: AsyncSession, *, task: str, stored: StoredFile, name: str, dry_run: bool, **args: Any
) -> int:
    """Have a stored file taken in the background, by the rights of the acting person. Returns the id of the job."""
    who = actor.get()
    projects = None if who.projects is None else sorted(who.projects)
    job = await enqueue(
        session, task, file=stored.key, shown=safe_filename(name), dry_run=dry_run, projects=projects, **args
    )
    return job.id


@asynccontextmanager
async def taken_out(storage: Storage, *, key: str, projects: Sequence[int] | None) -> AsyncIterator[tuple[Path, int]]:
    """A stored file on the disk, and how many rows it has; what is done with it sees only `projects`."""
    with tempfile.TemporaryDirectory(prefix="bursar-import-") as folder:
        path = Path(folder) / "import.csv"
        path.write_bytes(await storage.read(key))
        total = await asyncio.to_thread(count_rows, path)
        who = actor.get()
        if projects is not None:
            who = replace(who, kind=Kind.STAFF, projects=frozenset(projects))
        with acting(who):
            yield path, total


async def forget(storage: Storage, *, key: str, job_id: int) -> None:
    """Delete the file of an import that is over, unless the same content is needed for something else."""
    async with db.reads() as session:
        await keeping.forget(storage, session, [key], aside={Job: [job_id]})
