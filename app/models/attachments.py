"""Attachments: files that staff or customers send. The bytes lie in the store, under their SHA-256."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Searchable, Stamped, about
from app.i18n import _
from app.models.staff import Staff


class Attachment(Base, Stamped, Searchable):
    __tablename__ = "attachment"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(String(120), info=about(_("File name"), listed=True, searched=True, css="lead"))
    size: Mapped[int] = mapped_column(BigInteger, info=about(_("Size"), listed=True, widget="bytes", css="num"))
    content_type: Mapped[str] = mapped_column(String(120), info=about(_("Kind of file"), listed=True, css="lesser"))
    key: Mapped[str] = mapped_column(String(64), index=True, info=about(_("Place in the store"), sensitive=True))
    staff_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="SET NULL"), info=about(_("Uploaded by"), listed=True, css="meta")
    )
    customer_id: Mapped[int | None] = mapped_column(
        ForeignKey("customer.id", ondelete="CASCADE"), index=True, info=about(_("Customer"))
    )

    staff: Mapped[Staff | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.name
