"""The sweep: hands over to arq whatever the database says is due. Losing Redis therefore loses no work."""

from __future__ import annotations

import time

from app import db, queue
from app.domain import jobs

SAME = 5.0
"""Seconds during which a job is handed over only once, however many workers sweep."""


async def hand_over() -> int:
    """Ring for every due job. Returns how many rings arq took. Raises what Redis or the database raises."""
    async with db.reads() as session:
        due = await jobs.due(session)
    if not due:
        return 0
    pool = await queue.redis()
    taken = 0
    for job in due:
        # a row whose worker died comes with another attempt, so a dead worker's arq job cannot block it
        job_id = f"job:{job.id}:{job.due_at.timestamp():.3f}:{job.attempt}:{int(time.time() / SAME)}"
        taken += await pool.enqueue_job(job.name, job.id, _job_id=job_id) is not None
    return taken
