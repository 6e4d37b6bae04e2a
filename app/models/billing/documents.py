"""Finance documents: made from a template of the project and kept as they were, or attached as a file."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Name, Searchable, Stamped, Versioned, about, choice
from app.i18n import _

if TYPE_CHECKING:
    from app.models.attachments import Attachment
    from app.models.customers import Customer
    from app.models.projects import Project


class DocumentKind(Choice):
    ACT = "act", _("Act of completed work")
    CONTRACT = "contract", _("Contract")
    RECONCILIATION = "reconciliation", _("Reconciliation report")
    OTHER = "other", _("Other")


class DocumentTemplate(Base, Versioned, Stamped):
    __tablename__ = "document_template"
    __table_args__ = (UniqueConstraint("project_id", "kind", "language"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    kind: Mapped[DocumentKind] = mapped_column(choice(DocumentKind), info=about(_("Kind"), listed=True, css="lead"))
    project_id: Mapped[int | None] = mapped_column(
        ForeignKey("project.id", ondelete="CASCADE"),
        info=about(_("Project"), listed=True, css="meta", help=_("Empty: for all.")),
    )  # fmt: skip
    language: Mapped[str] = mapped_column(
        String(12), default="en", info=about(_("Language"), listed=True, widget="language", css="lesser")
    )
    title: Mapped[str] = mapped_column(Name, info=about(_("Title"), listed=True))
    body: Mapped[str] = mapped_column(Text, default="", info=about(_("Text"), widget="area", filtered=False))

    project: Mapped[Project | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.title


class Document(Base, Versioned, Stamped, Searchable):
    __tablename__ = "finance_document"
    __table_args__ = (
        UniqueConstraint("project_id", "kind", "number"),
        Index("ix_finance_document_customer", "customer_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    kind: Mapped[DocumentKind] = mapped_column(choice(DocumentKind), info=about(_("Kind"), listed=True, css="lesser"))
    number: Mapped[str] = mapped_column(String(60), info=about(_("Number"), listed=True, searched=True, copy=True))
    title: Mapped[str] = mapped_column(Name, info=about(_("Title"), listed=True, searched=True, css="lead"))
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="RESTRICT"), info=about(_("Customer"), listed=True, css="meta")
    )
    project_id: Mapped[int] = mapped_column(
        ForeignKey("project.id", ondelete="RESTRICT"), info=about(_("Project"), listed=True, css="lesser")
    )
    on_day: Mapped[date] = mapped_column(info=about(_("Date"), listed=True, css="when"))
    body: Mapped[str] = mapped_column(
        Text, default="", server_default="", info=about(_("Text"), widget="area", filtered=False)
    )
    attachment_id: Mapped[int | None] = mapped_column(
        ForeignKey("attachment.id", ondelete="RESTRICT"), index=True, info=about(_("File"))
    )

    customer: Mapped[Customer] = relationship(lazy="raise")
    project: Mapped[Project] = relationship(lazy="raise")
    attachment: Mapped[Attachment | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.title
