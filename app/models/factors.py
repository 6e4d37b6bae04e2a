"""The second factor of a person, of staff or a user of a customer: codes of an app, recovery codes, passkeys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, BigId, Name, Stamped, about
from app.i18n import _


class TwoFactor(Base, Stamped):
    """The secret of an authenticator app, sealed (`app.links.seal`). It counts once `confirmed_at` is set."""

    __tablename__ = "two_factor"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"), unique=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), unique=True)
    secret: Mapped[str] = mapped_column(Text, info=about(_("Secret"), sensitive=True))
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)
    """The half minute of the last code that was taken: neither it nor an older one counts again."""


class RecoveryCode(Base):
    """One of the ten codes for who has lost the device; 80 random bits, so a plain SHA-256 keeps it."""

    __tablename__ = "recovery_code"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    two_factor_id: Mapped[int] = mapped_column(ForeignKey("two_factor.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64), info=about(_("Code"), sensitive=True))
    used_at: Mapped[datetime | None]


class Passkey(Base, Stamped):
    """A key pair on a device of the person; we have the public one. It works for the host that it was made for."""

    __tablename__ = "passkey"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Name)
    credential_hash: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of its id, which may be longer than an index likes."""
    credential: Mapped[bytes] = mapped_column(LargeBinary, info=about(_("Key"), sensitive=True))
    public_key: Mapped[bytes] = mapped_column(LargeBinary, info=about(_("Key"), sensitive=True))
    sign_count: Mapped[int] = mapped_column(BigInteger, default=0)
    host: Mapped[str] = mapped_column(String(253))
    transports: Mapped[list[str]] = mapped_column(default=list)
    last_used_at: Mapped[datetime | None]
