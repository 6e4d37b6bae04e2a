"""Mail that came in: taken once, kept whole, and sorted by one table.

Taking writes a row and a job in one transaction, after the mail lies in the store; only then the mailbox forgets it.
So a crash at any moment loses nothing, and the fingerprint keeps the same mail from being taken twice.
"""

from app.domain.inbound.mails import INBOUND_MOVES, drop, give_to, put_aside, sort, sort_again, take, told
from app.domain.inbound.taking import customers_of

__all__ = [
    "INBOUND_MOVES", "customers_of", "drop", "give_to", "put_aside", "sort", "sort_again", "take", "told",
]  # fmt: skip
