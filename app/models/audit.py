"""Audit: who changed what, acting for whom, in the same transaction as the change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, event, inspect
from sqlalchemy.orm import (
    InstanceState,
    Mapped,
    Mapper,
    ORMExecuteState,
    Session,
    UOWTransaction,
    foreign,
    mapped_column,
    relationship,
)

from app.db import AppSession, Base, BigId, Choice, about, choice, insert_all, insert_rows, utcnow
from app.i18n import _
from app.models.automation import BelowAmount, RuleNotice, RuleRun, Touched
from app.models.consent import DeliveryEvent
from app.models.customers import Customer
from app.models.factors import RecoveryCode
from app.models.jobs import Job
from app.models.ledger import LedgerCheck
from app.models.messaging import Delivery
from app.models.registrations import Registration
from app.models.sessions import OneUse, Throttle
from app.models.staff import Staff
from app.models.templates import TemplateVersion
from app.models.users import User
from app.models.widgets import Widget
from app.observe import actor, request_id


class ActorKind(Choice):
    STAFF = "staff", _("Staff")
    USER = "user", _("Customer's user")
    SYSTEM = "system", _("Bursar")
    NOBODY = "nobody", _("Not signed in")


class Audit(Base):
    """`customer_id` with a `staff_id` of kind staff: done by staff who had entered this customer's panel, or (action
    enter/return) the entering itself. `digest` is the SHA-256 of the detail's payload."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_noun", "noun", "noun_id", "at"), Index("ix_audit_customer", "customer_id", "at"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    at: Mapped[datetime] = mapped_column(default=utcnow, index=True, info=about(_("When"), listed=True, css="when"))
    kind: Mapped[ActorKind] = mapped_column(choice(ActorKind), info=about(_("By"), listed=True, css="lesser"))
    staff_id: Mapped[int | None] = mapped_column(
        index=True, info=about(_("Staff member"), listed=True, widget="staff", css="state")
    )
    user_id: Mapped[int | None] = mapped_column(info=about(_("User"), listed=True, widget="user", css="lesser"))
    customer_id: Mapped[int | None] = mapped_column(
        info=about(_("Acting for customer"), listed=True, widget="customer", css="lesser")
    )
    action: Mapped[str] = mapped_column(String(40), info=about(_("Action"), listed=True, css="lead"))
    noun: Mapped[str] = mapped_column(String(40), info=about(_("Of what"), listed=True, css="meta"))
    noun_id: Mapped[int | None] = mapped_column(BigId, info=about(_("Its ID")))
    note: Mapped[str] = mapped_column(String(500), default="", info=about(_("Reason"), listed=True, css="text full"))
    ip: Mapped[str | None] = mapped_column(String(45), info=about(_("IP address")))
    request: Mapped[str] = mapped_column(String(32), default="", info=about(_("Request"), filtered=False))
    digest: Mapped[str] = mapped_column(String(64), default="", info=about(_("Digest"), filtered=False))

    # no foreign keys: the audit outlives what it tells of
    staff: Mapped[Staff | None] = relationship(
        lazy="raise", viewonly=True, primaryjoin=lambda: foreign(Audit.staff_id) == Staff.id
    )
    user: Mapped[User | None] = relationship(
        lazy="raise", viewonly=True, primaryjoin=lambda: foreign(Audit.user_id) == User.id
    )
    customer: Mapped[Customer | None] = relationship(
        lazy="raise", viewonly=True, primaryjoin=lambda: foreign(Audit.customer_id) == Customer.id
    )

    def __str__(self) -> str:
        return f"{self.action} {self.noun} {self.noun_id or ''}".strip()


class AuditDetail(Base):
    """Before and after, as canonical JSON; secrets are masked. Only the privacy verbs may delete from here."""

    __tablename__ = "audit_detail"

    audit_id: Mapped[int] = mapped_column(ForeignKey("audit.id", ondelete="CASCADE"), primary_key=True)
    payload: Mapped[str] = mapped_column(Text, info=about(_("Before and after")))


UNAUDITED: tuple[type[Base], ...] = (
    Audit, AuditDetail, BelowAmount, Job, Delivery, DeliveryEvent, LedgerCheck, OneUse, RecoveryCode, Registration,
    RuleNotice, RuleRun, TemplateVersion, Throttle, Touched, Widget,
)  # fmt: skip
"""Rows of the program's own bookkeeping, and how people arrange their own first page. What people decide about the rest
is audited by the verb (`record`)."""

MASK = "***"


_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str).encode
_AS_IT_IS = frozenset({str, int, bool, float, type(None)})


def _plain(value: Any) -> Any:
    if type(value) in _AS_IT_IS:
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)


def _changes(action: str, state: InstanceState[Any]) -> dict[str, list[Any]] | None:
    """Column -> [before, after]; None when nothing that counts has changed."""
    changed: dict[str, list[Any]] = {}
    for attr in state.mapper.column_attrs:
        info = attr.columns[0].info
        if "folds" in info or "derived" in info or attr.key in {"search_text", "version"}:
            continue
        history = state.attrs[attr.key].history
        if action == "delete":
            before, after = state.dict.get(attr.key), None
        elif action == "create":
            before, after = None, state.dict.get(attr.key)
        elif history.has_changes():
            before = history.deleted[0] if history.deleted else None
            after = history.added[0] if history.added else None
        else:
            continue
        if before == after:
            continue
        if info.get("sensitive"):
            before, after = before and MASK, after and MASK
        changed[attr.key] = [_plain(before), _plain(after)]
    return changed if changed or action != "update" else None


def made(values: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The changes of a row that is inserted with these values, none of them secret."""
    return {key: [None, _plain(value)] for key, value in values.items() if value is not None}


def gone(row: Base) -> dict[str, list[Any]]:
    """The changes of a row that is deleted without the ORM."""
    return _changes("delete", inspect(row)) or {}


def plain(value: Any) -> Any:
    """A value as changes hold it."""
    return _plain(value)


@dataclass(frozen=True)
class Line:
    """One row to write: what was done to which row of which table. changes: column -> [before, after]."""

    action: str
    noun: str
    noun_id: int | None
    changes: Mapping[str, Any]
    customer_id: int | None = None
    note: str = ""


def write(
    session: Session,
    action: str,
    noun: str,
    noun_id: int | None,
    changes: dict[str, Any],
    *,
    customer_id: int | None = None,
    note: str = "",
) -> None:
    """Add one audit row to the running transaction."""  # fmt: skip
    write_all(session, [Line(action, noun, noun_id, changes, customer_id, note)])


LISTENERS: list[Callable[[Session, Sequence[Line], Sequence[int]], None]] = []
"""Called with what is written down and its ids, in the same transaction."""


def write_all(session: Session, lines: Sequence[Line]) -> None:
    """Add audit rows to the running transaction, in this order."""
    if not lines:
        return
    who, now, request = actor.get(), utcnow(), request_id.get()
    rows, payloads = [], []
    for line in lines:
        payload = _canonical(line.changes)
        payloads.append(payload)
        rows.append({
            "at": now, "kind": ActorKind(who.kind.value), "staff_id": who.staff_id, "user_id": who.user_id,
            "customer_id": line.customer_id or who.customer_id, "action": line.action, "noun": line.noun,
            "noun_id": line.noun_id, "note": line.note[:500], "ip": who.ip, "request": request,
            "digest": hashlib.sha256(payload.encode()).hexdigest(),
        })  # fmt: skip
    ids = insert_all(session, Audit.__table__, rows)
    details = [{"audit_id": i, "payload": payload} for i, payload in zip(ids, payloads, strict=True)]
    insert_rows(session, AuditDetail.metadata.tables["audit_detail"], details)
    for listen in LISTENERS:
        listen(session, lines, ids)


@event.listens_for(Base, "before_mapper_configured", propagate=True)
def _keep_before(mapper: Mapper[Any], _cls: type) -> None:
    for attr in mapper.column_attrs:
        attr.active_history = True  # else "before" is missing for a column that was not loaded


@event.listens_for(AppSession, "after_flush")
def _audit_flush(session: Session, _context: UOWTransaction) -> None:
    lines = []
    for action, objects in (("create", session.new), ("update", session.dirty), ("delete", session.deleted)):
        for obj in objects:
            if isinstance(obj, UNAUDITED):
                continue
            state = inspect(obj)
            if action == "update" and not session.is_modified(obj):
                continue
            changes = _changes(action, state)
            if changes is None:
                continue
            noun_id = obj.id if hasattr(obj, "id") else None
            if changes.keys() <= {"last_seen_at"} and action == "update":
                continue
            lines.append(Line(action, state.mapper.local_table.name, noun_id, changes))
    write_all(session, lines)


@event.listens_for(AppSession, "do_orm_execute")
def _no_silent_bulk(state: ORMExecuteState) -> None:
    if not (state.is_update or state.is_delete or state.is_insert):
        return
    if state.execution_options.get("audited"):
        return
    mapper = state.bind_mapper
    if mapper is None or not issubclass(mapper.class_, UNAUDITED):
        raise RuntimeError("bulk changes bypass the audit: write a row (audit.write) and pass audited=True")
