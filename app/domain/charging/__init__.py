"""Charging services for their periods: each once, as far as the money goes, whenever it is run.

A chunk is the due services of some customers, in one transaction. Accounts whose every due service needs no thought
(one period is due, no discount can reach it, the money is there) are charged by SQL over the whole chunk (`booking`);
what is left is decided in Python, account by account (`deciding`), and booked by the same SQL.
"""

from __future__ import annotations

from app.domain.charging.chunks import Charged, charge_account, charge_chunk, count_due, next_chunk
from app.domain.charging.forecast import Coming, Outlook, coming, days_left, outlook

__all__ = [
    "Charged", "Coming", "Outlook", "charge_account", "charge_chunk", "coming", "count_due", "days_left",
    "next_chunk", "outlook",
]  # fmt: skip
