"""What customers ask about their data: a copy of all of it, or that it is deleted."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Stamped, Versioned, about, choice
from app.i18n import _
from app.models.customers import Customer
from app.models.jobs import Job
from app.models.tickets import Ticket
from app.models.users import User


class DataKind(Choice):
    EXPORT = "export", _("A copy of the data")
    DELETION = "deletion", _("Deletion of the data")


class DataState(Choice):
    WAITING = "waiting", _("Waiting")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")
    EXPIRED = "expired", _("Deleted, because it was kept long enough")
    WITHDRAWN = "withdrawn", _("Withdrawn")
    DONE = "done", _("Done")


_WAITS = text("state = 'waiting'")


class DataRequest(Base, Versioned, Stamped):
    """An export: its ZIP lies in the store under `key` until `expires_at`. A deletion: it waits for staff, in `ticket`.
    Of each kind one waits at a time."""

    __tablename__ = "data_request"
    __table_args__ = (
        Index("ix_data_request_customer", "customer_id", "kind", "id"),
        Index("ix_data_request_waiting", "customer_id", "kind", unique=True,
              sqlite_where=_WAITS, postgresql_where=_WAITS),
        Index("ix_data_request_expires", "expires_at"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id", ondelete="CASCADE"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"), index=True)
    kind: Mapped[DataKind] = mapped_column(choice(DataKind))
    state: Mapped[DataState] = mapped_column(choice(DataState), default=DataState.WAITING)
    reason: Mapped[str] = mapped_column(String(2000), default="", server_default="")
    ticket_id: Mapped[int | None] = mapped_column(ForeignKey("ticket.id", ondelete="SET NULL"), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id", ondelete="SET NULL"), index=True)
    key: Mapped[str] = mapped_column(
        String(64), default="", server_default="", info=about(_("Place in the store"), sensitive=True)
    )
    size: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]

    customer: Mapped[Customer] = relationship(lazy="raise")
    user: Mapped[User | None] = relationship(lazy="raise")
    ticket: Mapped[Ticket | None] = relationship(lazy="raise")
    job: Mapped[Job | None] = relationship(lazy="raise")
