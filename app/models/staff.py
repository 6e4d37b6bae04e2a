"""Staff, their roles, and the grants that roles give."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Email, Name, Searchable, Stamped, Versioned, about, choice
from app.i18n import _
from app.models.projects import Project


class Theme(Choice):
    SYSTEM = "system", _("As the device")
    LIGHT = "light", _("Light")
    DARK = "dark", _("Dark")


class Density(Choice):
    COMPACT = "compact", _("Compact")
    NORMAL = "normal", _("Normal")
    ROOMY = "roomy", _("Roomy")


class Staff(Base, Versioned, Stamped, Searchable):
    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    username: Mapped[str] = mapped_column(
        String(64), unique=True, info=about(_("User name"), listed=True, searched=True, css="lead")
    )
    full_name: Mapped[str] = mapped_column(Name, info=about(_("Full name"), listed=True, searched=True, css="meta"))
    email: Mapped[str] = mapped_column(
        Email, info=about(_("E-mail"), listed=True, searched=True, widget="email", css="text")
    )
    language: Mapped[str] = mapped_column(
        String(12), default="en", info=about(_("Language"), listed=True, widget="panel_language", css="lesser")
    )
    timezone: Mapped[str] = mapped_column(
        String(64), default="UTC", info=about(_("Time zone"), widget="timezone", filtered=False)
    )
    enabled: Mapped[bool] = mapped_column(default=True, info=about(_("May sign in"), listed=True, css="lesser"))
    password_hash: Mapped[str | None] = mapped_column(String(200), info=about(_("Password"), sensitive=True))
    last_sign_in_at: Mapped[datetime | None] = mapped_column(info=about(_("Last sign-in"), listed=True, css="when"))

    # how the panel looks for this person, and up to when they have seen what the bell tells: kept here and not in a
    # cookie, so that it is the same in each of their browsers
    theme: Mapped[Theme] = mapped_column(
        choice(Theme), default=Theme.SYSTEM, server_default=Theme.SYSTEM.value, info={"hidden": True}
    )
    density: Mapped[Density] = mapped_column(
        choice(Density), default=Density.NORMAL, server_default=Density.NORMAL.value, info={"hidden": True}
    )
    shortcuts: Mapped[bool] = mapped_column(default=True, server_default=true(), info={"hidden": True})
    seen_at: Mapped[datetime | None] = mapped_column(info={"hidden": True})

    roles: Mapped[list[StaffRole]] = relationship(lazy="raise", cascade="all, delete-orphan", back_populates="staff")
    projects: Mapped[list[StaffProject]] = relationship(lazy="raise", cascade="all, delete-orphan")

    def __str__(self) -> str:
        return self.full_name or self.username


class Role(Base, Versioned):
    __tablename__ = "role"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(Name, unique=True, info=about(_("Name"), listed=True, searched=True, css="lead"))
    description: Mapped[str] = mapped_column(
        Text, default="", info=about(_("Description"), listed=True, widget="area", css="text full")
    )

    grants: Mapped[list[Grant]] = relationship(lazy="raise", cascade="all, delete-orphan")

    def __str__(self) -> str:
        return self.name


class Grant(Base):
    """A role may do `action` on `screen`; ``*`` stands for every one."""

    __tablename__ = "role_grant"

    role_id: Mapped[int] = mapped_column(ForeignKey("role.id", ondelete="CASCADE"), primary_key=True)
    screen: Mapped[str] = mapped_column(String(40), primary_key=True)
    action: Mapped[str] = mapped_column(String(60), primary_key=True)


class StaffRole(Base):
    __tablename__ = "staff_role"

    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"), primary_key=True)
    role_id: Mapped[int] = mapped_column(ForeignKey("role.id", ondelete="RESTRICT"), primary_key=True, index=True)

    staff: Mapped[Staff] = relationship(lazy="raise", back_populates="roles")
    role: Mapped[Role] = relationship(lazy="raise")


class StaffProject(Base):
    """A staff member with such rows sees only these projects and what belongs to them; without any, all."""

    __tablename__ = "staff_project"

    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True, index=True)

    project: Mapped[Project] = relationship(lazy="raise")
