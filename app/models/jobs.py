"""Jobs: work to be done later. The row is the truth; arq and Redis only distribute it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Json, Stamped, about, choice
from app.i18n import _
from app.models.staff import Staff


class JobState(Choice):
    DUE = "due", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class Job(Base, Stamped):
    __tablename__ = "job"
    __table_args__ = (Index("ix_job_due", "state", "due_at"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(String(60), info=about(_("Task"), listed=True, css="lead"))
    args: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, info={"hidden": True})
    key: Mapped[str | None] = mapped_column(String(120), unique=True, info={"hidden": True})
    state: Mapped[JobState] = mapped_column(
        choice(JobState), default=JobState.DUE, info=about(_("State"), listed=True, css="state")
    )
    due_at: Mapped[datetime] = mapped_column(info=about(_("Due"), listed=True, css="when"))
    attempt: Mapped[int] = mapped_column(default=0, info=about(_("Tries"), listed=True, css="lesser num"))
    lease_token: Mapped[str | None] = mapped_column(String(32), info={"hidden": True})
    lease_until: Mapped[datetime | None] = mapped_column(info={"hidden": True})
    done: Mapped[int] = mapped_column(default=0, info=about(_("Done"), listed=True, css="lesser num"))
    total: Mapped[int] = mapped_column(default=0, info=about(_("Of"), listed=True, css="lesser num"))
    started_at: Mapped[datetime | None] = mapped_column(info=about(_("Started"), css="when"))
    finished_at: Mapped[datetime | None] = mapped_column(info=about(_("Finished"), css="when"))
    error: Mapped[str] = mapped_column(Text, default="", info=about(_("Error"), listed=True, css="text full"))
    owner_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="SET NULL"), info=about(_("Started by"), listed=True, css="meta")
    )

    visited_id: Mapped[int | None] = mapped_column(BigId, info={"hidden": True})
    """The customer inside whose account staff began it. No foreign key: what is told of them outlives them."""

    owner: Mapped[Staff | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.name
