"""Periods of services: when the next one begins, in Python and in SQL alike."""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from typing import Any

from sqlalchemy import Date, case
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from app.models.catalog import Period

MONTHS = {Period.MONTH: 1, Period.QUARTER: 3, Period.HALF_YEAR: 6, Period.YEAR: 12}
"""Months of a period; ONCE has none and comes only once."""


def later(day: date, months: int, charge_day: int) -> date:
    """So many months later, on `charge_day` or the last day of a month that is too short for it."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(charge_day, monthrange(year, month + 1)[1]))


def next_period(day: date, period: Period, charge_day: int | None) -> date | None:
    """The first day after the period that begins on `day`; None: it has no end."""
    months = MONTHS.get(period)
    return later(day, months, charge_day or day.day) if months else None


class later_sql(FunctionElement[date]):
    """`later` in SQL: (day, months, charge_day)."""

    type = Date()
    name = "later"
    inherit_cache = True


@compiles(later_sql, "postgresql")
def _later_postgresql(element: later_sql, compiler: Any, **kw: Any) -> str:
    day, months, charge_day = (compiler.process(c, **kw) for c in element.clauses)
    first = f"(date_trunc('month', ({day})::timestamp) + make_interval(months => {months}))"
    return f"LEAST({first}::date + ({charge_day} - 1), ({first} + interval '1 month')::date - 1)"


@compiles(later_sql, "sqlite")
def _later_sqlite(element: later_sql, compiler: Any, **kw: Any) -> str:
    day, months, charge_day = (compiler.process(c, **kw) for c in element.clauses)
    first = f"date({day}, 'start of month', '+' || {months} || ' months')"
    return f"min(date({first}, '+' || ({charge_day} - 1) || ' days'), date({first}, '+1 months', '-1 day'))"


def months_of(period: Any) -> Any:
    """The months of a period in SQL; NULL for ONCE."""
    return case(*((period == p, n) for p, n in MONTHS.items()), else_=None)
