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

CUSTOMER = "customer"


class ImportState(Choice):
    READING = "reading", _("Being read")
    READ = "read", _("Columns to be looked at")
    CHECKING = "checking", _("Being checked")
    CHECKED = "checked", _("Checked")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    STOPPED = "cancelled", _("Stopped")
    FAILED = "failed", _("Failed")
    UNDOING = "undoing", _("Being undone")
    UNDONE = "undone", _("Undone")


class ImportRun(Base, Stamped):
    """One file: customers of a project, or rows of another table (`noun`), which go by the names of its columns. It is
    read, staff say what its columns are (`plan`), it is checked, which changes nothing; then they start it. `report`
    holds the first errors and notes by line, the columns that were understood and those that were not. The file is
    forgotten when it is over. What it did can be undone later, by what the audit holds of it.

    looked: what stands in the file, and how far its invitations and its undoing are. header: files with the same
    columns have the same one."""

    __tablename__ = "import_run"
    __table_args__ = (Index("ix_import_run_state", "state", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(String(120), info=about(_("File"), listed=True, css="lead"))
    state: Mapped[ImportState] = mapped_column(
        choice(ImportState), default=ImportState.CHECKING, info=about(_("State"), listed=True, css="state")
    )
    noun: Mapped[str] = mapped_column(
        String(40), default=CUSTOMER, server_default=CUSTOMER, info=about(_("Of what"), listed=True, css="meta")
    )
    project_id: Mapped[int | None] = mapped_column(
        ForeignKey("project.id", ondelete="CASCADE"), index=True, info=about(_("Project"), listed=True)
    )
    source: Mapped[str] = mapped_column(String(60), default="csv", info=about(_("Source")))
    size: Mapped[int] = mapped_column(BigInteger, default=0, info=about(_("Size"), widget="bytes"))
    key: Mapped[str] = mapped_column(String(64), default="", info={"hidden": True})
    total: Mapped[int] = mapped_column(default=0, info=about(_("Rows"), listed=True, css="num"))
    done: Mapped[int] = mapped_column(default=0, info=about(_("Rows done")))
    created: Mapped[int] = mapped_column(default=0, info=about(_("New"), listed=True, css="num"))
    updated: Mapped[int] = mapped_column(default=0, info=about(_("Changed"), listed=True, css="num"))
    unchanged: Mapped[int] = mapped_column(default=0, info=about(_("Unchanged")))
    failed: Mapped[int] = mapped_column(default=0, info=about(_("Left out"), listed=True, css="num"))
    undone: Mapped[int] = mapped_column(default=0, server_default="0", info=about(_("Undone")))
    kept: Mapped[int] = mapped_column(default=0, server_default="0", info=about(_("Not undone")))
    header: Mapped[str] = mapped_column(String(64), default="", server_default="", index=True, info={"hidden": True})
    looked: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, server_default="{}", info={"hidden": True})
    plan: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, server_default="{}", info={"hidden": True})
    report: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, info={"hidden": True})
    staff_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="SET NULL"), index=True, info=about(_("Started by"), listed=True)
    )
    error: Mapped[str] = mapped_column(Text, default="", info=about(_("Error")))
    started_at: Mapped[datetime | None] = mapped_column(info=about(_("Started"), listed=True, css="when"))
    finished_at: Mapped[datetime | None] = mapped_column(info=about(_("Finished"), css="when"))

    project: Mapped[Project | None] = relationship(lazy="raise")
    staff: Mapped[Staff | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.name


class ImportRow(Base):
    """A row that was left out, or (undo) one whose doing could not be undone: where it stands, and why."""

    __tablename__ = "import_row"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("import_run.id", ondelete="CASCADE"), index=True)
    undo: Mapped[bool] = mapped_column(default=False)
    line: Mapped[int]
    column: Mapped[str] = mapped_column(String(200), default="")
    reason: Mapped[str] = mapped_column(Text)
    cells: Mapped[list[str]] = mapped_column(Json, default=list)
