"""The configuration in the background: large files, uploads that nobody confirmed, the demo."""

from __future__ import annotations

from app import db
from app.domain import demo, longwork, rights
from app.domain.config import applying, put
from app.domain.config.planning import CONFIGURE
from app.i18n import gettext
from app.integrations.storage import DirectoryStorage
from app.models.config import DEMO_REPORT, UPLOADS
from app.observe import acting
from tasks.base import JobRun, task


def _uploads(job: JobRun) -> DirectoryStorage:
    return DirectoryStorage(job.resources.settings.data_dir / UPLOADS)


@task("config.take", timeout=3600)
async def take(job: JobRun, *, file: str, prune: bool) -> None:
    """Take over a file that somebody has looked through and confirmed, with what they may and no more."""
    data = await _uploads(job).read(file)
    async with db.reads() as session:
        who = await longwork.owner(session, job.owner_id)
    with acting(who.actor):
        async with db.reads() as session:
            await rights.need(session, [CONFIGURE], gettext("Configuration"))
        await applying.take(data, prune=prune, storage=job.resources.storage)


@task("config.forget", timeout=60)
async def forget(job: JobRun, *, file: str) -> None:
    """Delete an upload."""
    await _uploads(job).delete(file)


@task("demo.add", timeout=3600)
async def add_demo(job: JobRun) -> None:
    """Make the demo, if it is not there."""
    async with db.unit() as session:
        if not await demo.loaded(session):
            await demo.load(session)


@task("demo.remove", timeout=3600)
async def remove_demo(job: JobRun) -> None:
    """Take the demo out, and keep the report for the page that asked for it."""
    async with db.unit() as session:
        removed = await demo.remove(session)
        told = {"counts": removed.counts, "kept": removed.kept}
        await put(session, name=DEMO_REPORT, value=told)
