"""What the first page says about money: balances, how long they last, what is charged next, what was spent."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from babel.dates import format_date
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain import charging
from app.domain.charging import Coming
from app.domain.ledger.statement import months
from app.domain.sessions import SessionView
from app.i18n import exponent, gettext, locale, ngettext, say_money, show_amount, show_date, show_money
from app.models.ledger import Account
from app.web.client.access import may
from app.web.client.statement import accounts_of

NEXT = 5
"""Charges to come that are shown."""
MONTHS = 12


async def money_of(session: AsyncSession, view: SessionView, customer_id: int) -> dict[str, Any]:
    """The parts of the first page that only who sees money gets; empty for all others."""
    if not may(view, "client.payments"):
        return {}
    accounts = await accounts_of(session, customer_id)
    if not accounts:
        return {}
    first = accounts[0]
    coming = await charging.coming(session, first)
    return {
        "balance": _balance(first, accounts[1:], coming, may(view, "client.payment.add")),
        "coming": [
            {"day": show_date(c.day), "late": c.day < utcnow().date(), "name": c.name,
             "url": f"/client/services/{c.service_id}", "amount": show_money(c.amount, first.currency)}
            for c in _next_of_each(coming)[:NEXT]
        ],
        "chart": await _spending(session, first, customer_id),
    }  # fmt: skip


def _next_of_each(coming: list[Coming]) -> list[Coming]:
    """The next charge of each service, in order."""
    return sorted({c.service_id: c for c in reversed(coming)}.values(), key=lambda c: (c.day, c.service_id))


def _balance(account: Account, others: list[Account], coming: list[Coming], may_add: bool) -> dict[str, Any]:
    note, urgent = _lasts(account, coming)
    credit = show_money(account.credit_limit, account.currency) if account.credit_limit else None
    return {
        "value": show_amount(account.balance, account.currency), "currency": account.currency, "note": note,
        "urgent": urgent, "credit": credit,
        "add_url": "/client/payments/new" if may_add else None, "statement_url": "/client/statement",
        "others": [
            {"value": show_money(a.balance, a.currency), "url": f"/client/statement?account={a.id}"} for a in others
        ],
    }  # fmt: skip


def _lasts(account: Account, coming: list[Coming]) -> tuple[str | None, bool]:
    """How long the balance lasts, with the credit, and whether that is soon."""
    if account.post_paid:
        return gettext("You pay afterwards: charges are made whatever the balance is."), False
    if account.balance < 0:
        return gettext("It is below zero: your credit is in use. Please add funds."), True
    last = charging.runs_out(account, coming)
    if last is None:
        return (gettext("It covers all charges of the next year."), False) if coming else (None, False)
    days = max((last - utcnow().date()).days, 0)
    if not days:
        return gettext("It does not cover what is due now."), True
    said = ngettext("Lasts for %(n)d more day, until %(day)s", "Lasts for %(n)d more days, until %(day)s", days)
    return said % {"n": days, "day": show_date(last)}, days <= 10


async def _spending(session: AsyncSession, account: Account, customer_id: int) -> dict[str, Any] | None:
    """What was charged in each of the last months; None where nothing was."""
    spans = _months(utcnow().date())
    begin = datetime(spans[0].year, spans[0].month, 1, tzinfo=UTC)
    found = (await months(session, first=begin, customer_id=customer_id)).get(account.currency, {})
    values = [found.get(f"{m:%Y-%m}", (0, 0))[1] for m in spans]
    if not any(values):
        return None
    digits, total = exponent(account.currency), sum(values)
    most = spans[values.index(max(values))]
    sentence = gettext("%(total)s in the last twelve months, most of it in %(month)s (%(most)s)") % {
        "total": say_money(total, account.currency), "most": say_money(max(values), account.currency),
        "month": _name(most, "LLLL y"),
    }  # fmt: skip
    return {
        "id": "spending", "kind": "bars", "label": gettext("Spending by month"), "sentence": sentence,
        "head": gettext("Month"), "series": [account.currency], "url": "/client/expenses",
        "rows": [
            (_name(m, "LLLL y"), _name(m, "LLL"), [Decimal(v).scaleb(-digits)])
            for m, v in zip(spans, values, strict=True)
        ],
    }  # fmt: skip


def _months(today: date) -> list[date]:
    """The first days of the last months, this one last."""
    day, found = today.replace(day=1), []
    for _n in range(MONTHS):
        found.append(day)
        day = (day - timedelta(days=1)).replace(day=1)
    return found[::-1]


def _name(month: date, pattern: str) -> str:
    return str(format_date(month, pattern, locale=locale()))
