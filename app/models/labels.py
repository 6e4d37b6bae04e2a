"""Own names of columns and screens, per language."""

from __future__ import annotations

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, BigId, about
from app.i18n import _
from app.models.config import Live


class Label(Base, Live):
    """What the panel says in place of its own word. screen: the table; item: a column, a field of the filter,
    ``@one`` and ``@many`` for the screen itself, ``@create``, ``@button.<slug>``, ``@heading.<its English words>``; of
    the screen ``menu``: a heading of the menu."""

    __tablename__ = "label"
    __table_args__ = (UniqueConstraint("screen", "item", "language"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    screen: Mapped[str] = mapped_column(String(40), info=about(_("Screen"), listed=True, css="meta"))
    item: Mapped[str] = mapped_column(String(60), info=about(_("Original name"), listed=True))
    language: Mapped[str] = mapped_column(
        String(12), info=about(_("Language"), listed=True, widget="panel_language", css="lesser")
    )
    text: Mapped[str] = mapped_column(String(80), info=about(_("Own name"), listed=True, searched=True, css="lead"))

    def __str__(self) -> str:
        return self.text
