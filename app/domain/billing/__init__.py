"""What is asked for and paid. The ledger (`app.domain.ledger`) keeps the money itself."""

from __future__ import annotations

from app.domain.billing.expenses import charge, reverse_expense, take_back
from app.domain.billing.payers import FIELDS, OF_COMPANY, check_payer, delete_payer, save_payer

__all__ = [
    "FIELDS", "OF_COMPANY", "charge", "check_payer", "delete_payer", "reverse_expense", "save_payer", "take_back",
]  # fmt: skip
