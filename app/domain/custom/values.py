"""Values of custom fields: what may be entered, and how they are written and read.

As they are kept: numbers and money as whole numbers (times 10 to the power of the field's decimals), dates as ISO text,
choices by key, several as a list of keys, yes as true. What is empty, and no, is not kept at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, DecimalException
from typing import Any
from urllib.parse import urlsplit

from app.db import fold
from app.domain import checks
from app.domain.checks import Bad
from app.domain.custom.spec import PREFIX, Model, Spec, by_key
from app.errors import Invalid
from app.i18n import gettext, read_amount, say_money, show_date, show_decimal
from app.models.custom import CustomAccess, CustomKind

LONGEST, LONGEST_LINES = 1000, 5000
"""Characters of a text or a link, and of a text of several lines: that is put into messages whole."""
BIGGEST = 2**63 - 1


@dataclass(frozen=True)
class Asked:
    """Who fills in custom fields, and whether all that are required must be there, or only those that are named."""

    customer: bool = False
    """A customer: only what they may change."""
    signing_up: bool = False
    all: bool = False

    def of(self, spec: Spec) -> bool:
        """Whether they are asked for it."""
        if self.signing_up and not spec.at_registration:
            return False
        return not self.customer or spec.access is CustomAccess.EDIT


STAFF = Asked()
CUSTOMER = Asked(customer=True)
SIGNING_UP = Asked(customer=True, signing_up=True, all=True)


def clean(
    model: Model,
    values: Mapping[str, Any],
    *,
    before: Mapping[str, Any] | None = None,
    account: str | None = None,
    country: str = "",
    asked: Asked = STAFF,
) -> dict[str, Any]:
    """What the column `custom` of a row holds from now on. Every way in goes through here.

    values: key -> value as it is kept; None or empty takes it out, and what is not named stays. before: what the row
    holds; None: a new row, which gets the defaults of what is not named. account: the account type of the row; a value
    of a field that it has not is left out. country: of phone numbers. asked: who fills them in. Raises Invalid with
    every bad field, named ``custom_<key>``.
    """
    known = by_key(model)
    after, errors = dict(before or {}), {}
    may = {key: spec for key, spec in known.items() if asked.of(spec)}
    for key, value in values.items():
        spec = may.get(key)
        if spec is None:
            errors[PREFIX + key[:40]] = gettext("There is no such field.")
            continue
        if not spec.applies(account):
            continue
        try:
            kept = check(spec, value, country, after.get(key))
        except Bad as bad:
            errors[spec.name] = str(bad)
            continue
        after.pop(key, None)
        if kept is not None:
            after[key] = kept
    if before is None:
        after |= {k: s.default for k, s in known.items() if s.default is not None and k not in values
                  and s.applies(account)}  # fmt: skip
    for key, spec in may.items():
        wanted = key in values or asked.all
        if wanted and spec.required and spec.applies(account) and key not in after and spec.name not in errors:
            errors[spec.name] = gettext("Please fill this in.")
    if errors:
        raise Invalid(**errors)
    return after


def check(spec: Spec, value: Any, country: str = "", before: Any = None) -> Any:
    """The value as it is kept; None for none. before: what the row holds: a choice that is no longer offered may
    stay. Raises Bad."""
    if value is None or value == "" or value == []:
        return None
    match spec.kind:
        case CustomKind.NUMBER | CustomKind.MONEY:
            if not isinstance(value, int) or isinstance(value, bool):
                raise Bad(gettext("A whole number, please."))
            if abs(value) > BIGGEST:
                raise Bad(gettext("This number is too large."))
            return value
        case CustomKind.DATE:
            return _day(value)
        case CustomKind.YES_NO:
            return checks.yes_no(value) or None
        case CustomKind.CHOICE:
            return _one(spec, value, before)
        case CustomKind.CHOICES:
            if not isinstance(value, list | tuple):
                raise Bad(gettext("Please choose one of the offered values."))
            chosen = {_one(spec, v, v if v in (before or ()) else None) for v in value}
            return [o.key for o in spec.options if o.key in chosen]
    if spec.kind is CustomKind.LONG:
        text = checks.lines(value, LONGEST_LINES)
    else:
        text = checks.text(value, LONGEST)
    if spec.kind is CustomKind.LINK and text:
        return _link(text)
    if spec.kind is CustomKind.PHONE and text:
        return checks.phone(text, country)[:LONGEST]
    if text and not fold(text):
        raise Bad(gettext("Enter at least one letter or digit."))
    return text or None


def _day(value: Any) -> str:
    try:
        day = value if isinstance(value, date) and not isinstance(value, datetime) else date.fromisoformat(value)
    except (TypeError, ValueError):
        raise Bad(gettext("A date, please.")) from None
    if day.year < 1000:
        raise Bad(gettext("This year is out of range."))
    return day.isoformat()


def _one(spec: Spec, value: Any, before: Any) -> str:
    option = spec.option(value) if isinstance(value, str) else None
    if option is None or (option.off and value != before):
        raise Bad(gettext("Please choose one of the offered values."))
    return option.key


def _link(text: str) -> str:
    url = text if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", text) and "://" in text else f"https://{text}"
    try:
        parts = urlsplit(url)
        sound = parts.scheme.lower() in ("http", "https") and "." in (parts.hostname or "") and not parts.username
        sound = sound and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or any(c.isspace() or c in "<>\"'\\`" for c in url) or len(url) > LONGEST:
        raise Bad(gettext("A web address, please, such as https://example.com/page."))
    return url


# ---- written by people ----------------------------------------------------------------------------------------------

YES = frozenset(["yes", "y", "true", "1", "x", "on", "ja", "j", "wahr", "да", "si", "sí", "s", "verdadero", "истина"])
NO = frozenset(["no", "n", "false", "0", "off", "nein", "falsch", "нет", "-", "falso", "ложь"])
_DAY = (
    (re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T].*)?"), (1, 2, 3)),
    (re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})"), (3, 2, 1)),
    (re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})"), (1, 2, 3)),
)


def read(spec: Spec, text: str) -> Any:
    """What a text of a file means, as it is kept; None for an empty one. Raises Bad. Choices by key, or by their name
    in any language; several with commas, semicolons or bars between."""
    text = text.strip()
    if not text:
        return None
    match spec.kind:
        case CustomKind.NUMBER | CustomKind.MONEY:
            return _figure(spec, text)
        case CustomKind.DATE:
            return _written_day(text)
        case CustomKind.YES_NO:
            word = text.casefold()
            if word not in YES | NO:
                raise Bad(gettext("Yes or no, please."))
            return word in YES
        case CustomKind.CHOICE:
            return _named(spec, text)
        case CustomKind.CHOICES:
            return [_named(spec, part) for part in re.split(r"[,;|\n]", text) if part.strip()]
    return text


def _figure(spec: Spec, text: str) -> int:
    bare = text.removesuffix(spec.currency).strip() if spec.currency else text
    try:
        exact = read_amount(bare).scaleb(spec.digits)
    except (ValueError, DecimalException):
        raise Bad(gettext("Not a number.")) from None
    if exact != exact.to_integral_value():
        raise Bad(gettext("At most %(n)s decimals.") % {"n": spec.digits})
    if abs(exact) > BIGGEST:
        raise Bad(gettext("This number is too large."))
    return int(exact)


def _written_day(text: str) -> str:
    for form, order in _DAY:
        if found := form.fullmatch(text):
            try:
                return date(*(int(found[i]) for i in order)).isoformat()
            except ValueError:
                break
    raise Bad(gettext("A date, please."))


def _named(spec: Spec, text: str) -> str:
    wanted = fold(text)
    for option in spec.options:
        if option.key == text.strip() or any(fold(t) == wanted for t in option.label.texts.values()):
            return option.key
    raise Bad(gettext("“%(value)s” is not one of the choices.") % {"value": text.strip()[:60]})


def figure(spec: Spec, value: int) -> str:
    """A number or an amount for programs: 1250, 2 decimals -> 12.50."""
    return f"{Decimal(value).scaleb(-spec.digits):f}"


def say(spec: Spec, value: Any) -> str:
    """The value in plain words, for the reader: what is not as it should be is said as it is."""
    if value is None or value == "" or value == []:
        return ""
    match spec.kind:
        case CustomKind.NUMBER if isinstance(value, int):
            return show_decimal(value, spec.digits)
        case CustomKind.MONEY if isinstance(value, int):
            return say_money(value, spec.currency)
        case CustomKind.DATE if isinstance(value, str):
            try:
                return show_date(date.fromisoformat(value))
            except ValueError:
                return value
        case CustomKind.YES_NO:
            return gettext("Yes") if value else gettext("No")
        case CustomKind.CHOICE:
            return _label(spec, value)
        case CustomKind.CHOICES if isinstance(value, list):
            return ", ".join(_label(spec, v) for v in value)
    return str(value)


def _label(spec: Spec, key: Any) -> str:
    option = spec.option(key)
    return str(option.label) if option is not None else str(key)


def plain(spec: Spec, value: Any) -> Any:
    """The value for a file: figures with their point, choices in the reader's words."""
    if value is None:
        return None
    if spec.kind in (CustomKind.NUMBER, CustomKind.MONEY) and isinstance(value, int):
        return figure(spec, value)
    return value if spec.kind is CustomKind.DATE else say(spec, value)
