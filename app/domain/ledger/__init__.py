"""The ledger: who books money does it through `post`, and nothing else writes entries."""

from __future__ import annotations

from app.domain.ledger.accounts import (
    account_of,
    check_currency,
    check_open,
    find_account,
    locked,
    open_account,
    own_account,
    set_terms,
    usual_currency,
)
from app.domain.ledger.credited import account_credited
from app.domain.ledger.exchange import convert, half_up, rate_on, save_rate
from app.domain.ledger.moving import check_reason, correct, refund, transfer
from app.domain.ledger.posting import LARGEST, Booking, Move, check_amount, post, post_many, reverse

__all__ = [
    "LARGEST", "Booking", "Move", "account_credited", "account_of", "check_amount", "check_currency", "check_open",
    "check_reason", "convert", "correct", "find_account", "half_up", "locked", "open_account", "own_account", "post",
    "post_many", "rate_on", "refund", "reverse", "save_rate", "set_terms", "transfer", "usual_currency",
]  # fmt: skip
