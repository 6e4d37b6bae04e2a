"""The ledger: who books money does it through `post`, and nothing else writes entries."""

from __future__ import annotations

from app.domain.ledger.accounts import account_of, own_account, usual_currency
from app.domain.ledger.exchange import convert, rate_on
from app.domain.ledger.posting import LARGEST, Move, check_amount, post, reverse

__all__ = [
    "LARGEST", "Move", "account_of", "check_amount", "convert", "own_account", "post", "rate_on", "reverse",
    "usual_currency",
]  # fmt: skip
