"""What a message template said before: one row per change, kept for ever."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, Json, about
from app.i18n import _
from app.models.messaging import Template
from app.models.staff import Staff


class TemplateVersion(Base):
    """The texts that a template had from `at` on, until the next version. texts: language -> [subject, text]. changed:
    language -> lines [added, removed] since the version before. `at` is empty for what was there before versions
    were kept."""

    __tablename__ = "message_template_version"

    template_id: Mapped[int] = mapped_column(
        ForeignKey("message_template.id", ondelete="CASCADE"), primary_key=True, info=about(_("Message template"))
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=about(_("Version")))
    at: Mapped[datetime | None] = mapped_column(info=about(_("When")))
    staff_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="SET NULL"), index=True, info=about(_("By"))
    )
    restored: Mapped[int | None] = mapped_column(info=about(_("Restored version")))
    texts: Mapped[dict[str, Any]] = mapped_column(Json, info={"hidden": True})
    changed: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, info={"hidden": True})

    template: Mapped[Template] = relationship(lazy="raise")
    staff: Mapped[Staff | None] = relationship(lazy="raise")
