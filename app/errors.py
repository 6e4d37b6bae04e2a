"""What can go wrong in a way that a person should be told. Each error carries its HTTP status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from app.i18n import _

T = TypeVar("T")


class AppError(Exception):
    """A refusal with a sentence for the person who caused it: what is wrong, and what to do next."""

    status = 400

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status

    def __str__(self) -> str:
        return str(self.message)


def only(outcomes: Sequence[T | AppError]) -> T:
    """What came of the one that a verb for many was given. Raises its refusal."""
    [outcome] = outcomes
    if isinstance(outcome, AppError):
        raise outcome
    return outcome


class Invalid(AppError):
    """What was entered cannot be taken. `fields`: name of the field -> message; ``""`` is the form as a whole."""

    status = 422

    def __init__(self, message: str = "", **fields: str) -> None:
        self.fields = {**({"": message} if message else {}), **fields}
        super().__init__(next(iter(self.fields.values())))


class SignInNeeded(AppError):
    status = 401

    def __init__(self, message: str = _("Please sign in.")) -> None:
        super().__init__(message)


class Forbidden(AppError):
    status = 403

    def __init__(self, message: str = _("Your role does not allow this.")) -> None:
        super().__init__(message)


class NotFound(AppError):
    status = 404

    def __init__(self, message: str = _("This does not exist, or not any more.")) -> None:
        super().__init__(message)


class Conflict(AppError):
    """The state of the thing does not allow the step."""

    status = 409


class TooLarge(AppError):
    status = 413


class TooMany(AppError):
    """Too many tries; `seconds` until the next is allowed."""

    status = 429

    def __init__(self, message: str, seconds: int = 60) -> None:
        super().__init__(message)
        self.seconds = seconds
