"""What people configure while everything runs: its version, and settings by name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String, event, insert, update
from sqlalchemy.orm import Mapped, Session, UOWTransaction, mapped_column

from app.db import AppSession, Base, BigId, Json, about
from app.i18n import _


class Live:
    """Rows that configure the screens: when one is saved, every process reads its configuration again
    (`app.domain.config.live`). Whoever changes them past the session calls `moved`."""


class ConfigVersion(Base):
    """One row, or none before the first change."""

    __tablename__ = "config_version"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(default=0)


class Setting(Base, Live):
    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(String(60), primary_key=True, info=about(_("Name")))
    value: Mapped[Any] = mapped_column(Json, info={"hidden": True})


UPLOADS = "configuration"
"""The folder under the data directory in which uploaded configurations lie until they are confirmed."""
DEMO_REPORT = "demo_report"
"""The setting with what became of the demo when it was taken out: {counts: table -> rows, kept: sentences}."""


def moved(session: Session) -> None:
    """The configuration has changed, in this transaction."""
    found = session.execute(
        update(ConfigVersion).values(version=ConfigVersion.version + 1).execution_options(audited=True)
    )
    if not found.rowcount:  # type: ignore[attr-defined]
        session.execute(insert(ConfigVersion).values(id=1, version=1).execution_options(audited=True))


@event.listens_for(AppSession, "after_flush")
def _note_change(session: Session, _context: UOWTransaction) -> None:
    changed = (obj for obj in session.dirty if isinstance(obj, Live) and session.is_modified(obj))
    if any(isinstance(obj, Live) for obj in (*session.new, *session.deleted)) or any(changed):
        moved(session)
