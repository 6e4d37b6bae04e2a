"""Imports that staff have started in the panel: the file, how far it is, and what became of its rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Json, Stamped, about, choice
from app.i18n import _
from app.models.projects import Project
from app.models.staff import Staff


class ImportState(Choice):
    CHECKING = "checking", _("Being checked")
    CHECKED = "checked", _("Checked")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    STOPPED = "cancelled", _("Stopped")
    FAILED = "failed", _("Failed")


class ImportRun(Base, Stamped):
    """One file. It is checked first, which changes nothing; then staff start it. `report` holds the errors and notes by
    line, the columns that were understood and those that were not. The file is forgotten when it is over."""

    __tablename__ = "import_run"
    __table_args__ = (Index("ix_import_run_state", "state", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(String(120), info=about(_("File"), listed=True, css="lead"))
    state: Mapped[ImportState] = mapped_column(
        choice(ImportState), default=ImportState.CHECKING, info=about(_("State"), listed=True, css="state")
    )
    project_id: Mapped[int] = mapped_column(
        ForeignKey("project.id", ondelete="CASCADE"), index=True, info=about(_("Project"), listed=True)
    )
    source: Mapped[str] = mapped_column(String(60), default="csv", info=about(_("Source")))
    size: Mapped[int] = mapped_column(BigInteger, default=0, info=about(_("Size"), widget="bytes"))
    key: Mapped[str] = mapped_column(String(64), default="", info={"hidden": True})
    total: Mapped[int] = mapped_column(default=0, info=about(_("Rows"), listed=True, css="num"))
    done: Mapped[int] = mapped_column(default=0, info=about(_("Rows done")))
    created: Mapped[int] = mapped_column(default=0, info=about(_("New customers"), listed=True, css="num"))
    updated: Mapped[int] = mapped_column(default=0, info=about(_("Changed"), listed=True, css="num"))
    unchanged: Mapped[int] = mapped_column(default=0, info=about(_("Unchanged")))
    failed: Mapped[int] = mapped_column(default=0, info=about(_("Left out"), listed=True, css="num"))
    report: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, info={"hidden": True})
    staff_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="SET NULL"), index=True, info=about(_("Started by"), listed=True)
    )
    error: Mapped[str] = mapped_column(Text, default="", info=about(_("Error")))
    started_at: Mapped[datetime | None] = mapped_column(info=about(_("Started"), listed=True, css="when"))
    finished_at: Mapped[datetime | None] = mapped_column(info=about(_("Finished"), css="when"))

    project: Mapped[Project] = relationship(lazy="raise")
    staff: Mapped[Staff | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.name
