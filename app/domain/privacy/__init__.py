"""What customers may ask about their data: a copy of all of it, and that it is deleted."""

from app.domain.privacy.making import make
from app.domain.privacy.requests import (
    KEPT_DAYS,
    ask_deletion,
    ask_export,
    deletion,
    exports,
    fail,
    file_of,
    forget,
    withdraw,
)

__all__ = [
    "KEPT_DAYS", "ask_deletion", "ask_export", "deletion", "exports", "fail", "file_of", "forget", "make", "withdraw",
]  # fmt: skip
