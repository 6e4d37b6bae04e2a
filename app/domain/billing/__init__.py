"""What is asked for and paid. The ledger (`app.domain.ledger`) keeps the money itself."""

from __future__ import annotations

from app.domain.billing.credits import credit_invoice, left_to_credit
from app.domain.billing.expenses import charge, reverse_expense, take_back
from app.domain.billing.invoices import (
    INVOICE_MOVES,
    change_draft,
    credited,
    delete_draft,
    draft_invoice,
    from_balance,
    issue_invoice,
    payable,
)
from app.domain.billing.lines import LineIn
from app.domain.billing.payers import FIELDS, OF_COMPANY, check_payer, delete_payer, save_payer
from app.domain.billing.sending import send_invoice
from app.domain.billing.settling import pay_from_balance, settle_invoice

__all__ = [
    "FIELDS", "INVOICE_MOVES", "OF_COMPANY", "LineIn", "change_draft", "charge", "check_payer", "credit_invoice",
    "credited", "delete_draft", "delete_payer", "draft_invoice", "from_balance", "issue_invoice", "left_to_credit",
    "pay_from_balance", "payable", "reverse_expense", "save_payer", "send_invoice", "settle_invoice",
    "take_back",
]  # fmt: skip
