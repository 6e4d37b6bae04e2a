"""Charging services for their periods: each once, as far as the money goes, whenever it is run.

A chunk is the due services of some customers, in one transaction. Accounts whose every due service needs no thought
(one period is due, no discount can reach it, the money is there) are charged by SQL over the whole chunk (`booking`);
what is left is decided in Python, account by account (`deciding`), and booked by the same SQL.
"""

from __future__ import annotations

from app.domain.charging.chunks import Charged, charge_account, charge_chunk, count_due, next_chunk
from app.domain.charging.forecast import Coming, Outlook, coming, days_left, outlook, runs_out
from app.domain.charging.ordering import (
    Quote,
    Quotes,
    may_renew_now,
    missing_for,
    next_cost,
    order,
    ordered_with,
    quotes,
    renew_now,
    said_twice,
    waiting_orders,
)  # fmt: skip

__all__ = [
    "Charged", "Coming", "Outlook", "Quote", "Quotes", "charge_account", "charge_chunk", "coming", "count_due",
    "days_left", "may_renew_now", "missing_for", "next_chunk", "next_cost", "order", "ordered_with", "outlook",
    "quotes", "renew_now", "runs_out", "said_twice", "waiting_orders",
]  # fmt: skip
