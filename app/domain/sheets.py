"""Texts and figures for files that people open in a spreadsheet."""

from __future__ import annotations

import re
from decimal import Decimal

from app.i18n import exponent

FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r")
_HIDDEN = re.compile('([;\t\r\n]\\s*"*)([=+@\uff1d\uff0b\uff0d\uff20-])')


def neutral(text: str) -> str:
    """A text that no spreadsheet takes for a formula (OWASP, CSV injection), not even one that parts the columns at
    semicolons or tabs, as in much of Europe."""
    text = _HIDDEN.sub(r"\1'\2", text)
    return f"'{text}" if text.startswith(FORMULA) else text


def money(minor: int, currency: str) -> str:
    """Minor units as a decimal figure: 128450, EUR -> 1284.50."""
    digits = exponent(currency)
    return f"{Decimal(minor).scaleb(-digits):.{digits}f}"
