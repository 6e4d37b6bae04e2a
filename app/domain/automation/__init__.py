"""Rules that staff make: when something happens to a customer, if a filter fits, something is done."""

from app.domain.automation.calling import secret_of
from app.domain.automation.events import DEEPEST, Event
from app.domain.automation.rules import (
    FIELDS,
    SEEN,
    circle,
    meets,
    new_secret,
    problem_of,
    save_rule,
    say_circle,
    switch,
)
from app.domain.automation.running import again, forget, work

__all__ = [
    "DEEPEST", "FIELDS", "SEEN", "Event", "again", "circle", "forget", "meets", "new_secret", "problem_of", "save_rule",
    "say_circle", "secret_of", "switch", "work",
]  # fmt: skip
