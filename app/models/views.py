"""Saved views of lists: columns, order, filter and page size under a name, and each person's own look of a screen."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Json, Versioned, about, choice
from app.i18n import _
from app.models.staff import Role, Staff

_LOOK = text("kind = 'look'")


class ViewKind(Choice):
    PRIVATE = "private", _("Only me")
    SHARED = "shared", _("Everybody who may see this list")
    ROLE = "role", _("One role, which opens it by itself")
    LOOK = "look", _("The list itself")


class SavedView(Base, Versioned):
    """`staff_id`: whose it is; of a shared one and that of a role nobody's. A row of kind look has no name: it says how
    one person wants the list when no view is open. columns: [[key, width]], none: those of the screen. condition: the
    filter as JSON data, empty: none. size 0: the usual."""

    __tablename__ = "saved_view"
    __table_args__ = (
        Index("ix_saved_view_screen", "screen", "position", "id"),
        Index("uq_saved_view_look", "staff_id", "screen", unique=True, sqlite_where=_LOOK, postgresql_where=_LOOK),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(
        String(80), default="", info=about(_("Name"), listed=True, searched=True, css="lead")
    )
    screen: Mapped[str] = mapped_column(String(40), info=about(_("Screen"), listed=True, css="meta"))
    kind: Mapped[ViewKind] = mapped_column(
        choice(ViewKind), default=ViewKind.PRIVATE, info=about(_("Who sees it"), listed=True, css="state")
    )
    staff_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="CASCADE"), index=True, info={"hidden": True}
    )
    role_id: Mapped[int | None] = mapped_column(
        ForeignKey("role.id", ondelete="CASCADE"), index=True, info=about(_("Role"), listed=True, css="lesser")
    )
    columns: Mapped[list[Any]] = mapped_column(Json, default=list, info={"hidden": True})
    sort: Mapped[str] = mapped_column(String(60), default="", info={"hidden": True})
    search: Mapped[str] = mapped_column(String(1000), default="", info={"hidden": True})
    condition: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, info={"hidden": True})
    size: Mapped[int] = mapped_column(default=0, info={"hidden": True})
    position: Mapped[int] = mapped_column(default=0, info={"hidden": True})

    staff: Mapped[Staff | None] = relationship(lazy="raise")
    role: Mapped[Role | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.name
