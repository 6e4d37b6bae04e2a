"""Registrations that wait for their address to be confirmed. No customer and no user exists before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, BigId, Email, about, utcnow
from app.i18n import _


class Registration(Base):
    __tablename__ = "registration"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), index=True)
    email: Mapped[str] = mapped_column(Email)
    password_hash: Mapped[str] = mapped_column(String(200), info=about(_("Password"), sensitive=True))
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Fields of the customer to be."""
    terms_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
