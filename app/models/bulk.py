"""Work on many rows at once: changing them, closing them, writing them into a file. Who began it, and how far it is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Json, Stamped, about, choice
from app.i18n import _
from app.models.staff import Staff


class BulkKind(Choice):
    EDIT = "edit", _("Bulk change")
    EXPORT = "export", _("Export")


class BulkState(Choice):
    CHOOSING = "choosing", _("Choosing the rows")
    CHECKING = "checking", _("Being checked")
    CHECKED = "checked", _("Checked")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    STOPPED = "cancelled", _("Stopped")
    FAILED = "failed", _("Failed")
    UNDOING = "undoing", _("Being undone")
    UNDONE = "undone", _("Undone")


class BulkRun(Base, Stamped):
    """The rows of a change are chosen first (`BulkRow`) and stay the same, whatever happens to the filter meanwhile. It
    is checked, which changes nothing; then its staff member starts it, or it goes after a week. Nobody else sees it.

    wanted: what is to be done, and which rows are meant. looked: what the check has found, and between which audit rows
    it has worked. An export: its file lies in the store under `key` until `expires_at`."""

    __tablename__ = "bulk_run"
    __table_args__ = (Index("ix_bulk_run_staff", "staff_id", "id"), Index("ix_bulk_run_expires", "expires_at"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(String(200), info=about(_("What is done"), listed=True, css="lead"))
    kind: Mapped[BulkKind] = mapped_column(choice(BulkKind), info=about(_("Kind"), listed=True, css="lesser"))
    noun: Mapped[str] = mapped_column(String(40), info={"hidden": True})
    state: Mapped[BulkState] = mapped_column(choice(BulkState), info=about(_("State"), listed=True, css="state"))
    total: Mapped[int] = mapped_column(default=0, info=about(_("Rows"), listed=True, css="num"))
    done: Mapped[int] = mapped_column(default=0, info=about(_("Rows done")))
    changed: Mapped[int] = mapped_column(default=0, info=about(_("Changed"), listed=True, css="num"))
    unchanged: Mapped[int] = mapped_column(default=0, info=about(_("Unchanged")))
    refused: Mapped[int] = mapped_column(default=0, info=about(_("Refused"), listed=True, css="num"))
    undone: Mapped[int] = mapped_column(default=0, info=about(_("Undone")))
    kept: Mapped[int] = mapped_column(default=0, info=about(_("Not undone")))
    wanted: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, info={"hidden": True})
    looked: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, info={"hidden": True})
    query: Mapped[str] = mapped_column(Text, default="", info={"hidden": True})
    key: Mapped[str] = mapped_column(
        String(64), default="", index=True, info=about(_("Place in the store"), sensitive=True)
    )
    size: Mapped[int] = mapped_column(BigInteger, default=0, info=about(_("Size"), widget="bytes"))
    error: Mapped[str] = mapped_column(Text, default="", info=about(_("Error")))
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"), info={"hidden": True})
    started_at: Mapped[datetime | None] = mapped_column(info=about(_("Started"), listed=True, css="when"))
    finished_at: Mapped[datetime | None] = mapped_column(info=about(_("Finished"), css="when"))
    expires_at: Mapped[datetime | None] = mapped_column(info=about(_("Kept until"), css="when"))

    staff: Mapped[Staff | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.name


class BulkRow(Base):
    """One of the chosen rows, the newest first. reason: why it was refused; kept: why it was not put back."""

    __tablename__ = "bulk_row"

    run_id: Mapped[int] = mapped_column(ForeignKey("bulk_run.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    row_id: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    kept: Mapped[str] = mapped_column(Text, default="", server_default="")
