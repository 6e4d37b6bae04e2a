"""The shape of what people enter. A check takes a value and gives it back clean, or raises `Bad` with a sentence."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

import phonenumbers
from babel import Locale
from sqlalchemy import BigInteger, String, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import ColumnElement
from stdnum.eu import vat as eu_vat
from stdnum.exceptions import ValidationError

from app.db import Base, Choice
from app.errors import Forbidden, Invalid
from app.i18n import _, countries, country_name, gettext
from app.integrations.mail import valid_address
from app.observe import actor

Check = Callable[[Any], Any]

AREA_LIMIT = 20_000
"""Characters of a text without a limit of its own."""


class Bad(ValueError):
    """A value that cannot be taken; the sentence is for the person who entered it."""


def clean(values: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    """Every value through its check. Raises one Invalid that names all bad fields."""
    cleaned, errors = {}, {}
    for field, value in values.items():
        check = checks.get(field)
        if check is None:
            errors[field] = gettext("There is no such field.")
            continue
        try:
            cleaned[field] = check(value)
        except Bad as bad:
            errors[field] = str(bad)
    if errors:
        raise Invalid(**errors)
    return cleaned


def at(field: str, check: Callable[..., Any], *args: Any) -> Any:
    """One check whose refusal is shown at `field`."""
    try:
        return check(*args)
    except Bad as bad:
        raise Invalid(**{field: str(bad)}) from None


async def known(session: AsyncSession, field: str, entity: Any, wanted: int | None) -> None:
    """Raise Invalid at `field` unless a row with this id exists that the acting person may see; None passes.

    A select on purpose: `session.get` would answer from memory, past the scope.
    """
    if wanted is not None and await session.scalar(select(entity.id).where(entity.id == wanted)) is None:
        raise unknown(field)


async def all_known(session: AsyncSession, field: str, entity: Any, wanted: Iterable[int]) -> list[int]:
    """The ids, each once and in order; Invalid at `field` when one of them does not exist for the acting person."""
    ids = sorted(set(wanted))
    if await those_known(session, entity, ids) != set(ids):
        raise unknown(field)
    return ids


async def those_known(session: AsyncSession, entity: Any, wanted: Iterable[int | None]) -> set[int | None]:
    """Which of these ids exist for the acting person; None always does."""
    ids = set(wanted)
    asked = ids - {None}
    found = set(await session.scalars(select(entity.id).where(entity.id.in_(asked)))) if asked else set()
    return found | (ids & {None})


def unknown(field: str) -> Invalid:
    return Invalid(**{field: gettext("This choice does not exist, or not any more.")})


def refuse_for_all(row: Any, values: Mapping[str, Any]) -> None:
    """Raise Invalid at `project` when staff who are limited to projects would write for all of them: into a row (None:
    a new one) that belongs to no project, or by taking its project away."""
    now = row.project_id if row is not None else values.get("project_id")
    if actor.get().projects is not None and None in (now, values.get("project_id", now)):
        raise Invalid(project=_("Choose one of your projects: this text would be for all."))


def kept_for_all(row: Any) -> list[str]:
    """Why the acting person cannot delete it: limited to projects, and it is for all of them."""
    return [str(Forbidden())] if actor.get().projects is not None and row.project_id is None else []


def limit(column: ColumnElement[Any]) -> int:
    """How many characters a text column takes."""
    return column.type.length or AREA_LIMIT if isinstance(column.type, String) else AREA_LIMIT


def empty(value: object) -> bool:
    return value is None or value == ""


# ---- text -------------------------------------------------------------------------------------------------------


def _text(value: Any, longest: int, required: bool, allowed: str) -> str:
    if not (value is None or isinstance(value, str)):
        raise Bad(gettext("A text is expected here."))
    text = unicodedata.normalize("NFC", (value or "").replace("\r\n", "\n"))
    if not text.isprintable() and any(  # the first answers for nearly every text
        unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c not in allowed for c in text
    ):
        raise Bad(gettext("This holds a character that cannot be shown, such as a line break or NUL."))
    text = text.strip()
    if required and not text:
        raise Bad(gettext("Please fill this in."))
    if len(text) > longest:
        raise Bad(gettext("At most %(n)d characters, please.") % {"n": longest})
    return text


def text(value: Any, longest: int, *, required: bool = False) -> str:
    """One line of text of at most so many characters."""
    return _text(value, longest, required, "")


def lines(value: Any, longest: int) -> str:
    """Text of several lines of at most so many characters."""
    return _text(value, longest, False, "\n\t")


def line(column: ColumnElement[Any], *, required: bool = False) -> Check:
    """One line of text, as long as its column; control characters are refused."""
    return lambda value: _text(value, limit(column), required, "")


def area(column: ColumnElement[Any], *, required: bool = False) -> Check:
    """Text of several lines."""
    return lambda value: _text(value, limit(column), required, "\n\t")


def email(value: Any, *, required: bool = False) -> str:
    text = _text(value, 254, required, "")
    if text and not valid_address(text):
        raise Bad(gettext("This is not an e-mail address, such as name@example.com."))
    return text


def required_email(value: Any) -> str:
    return email(value, required=True)


def username(value: Any) -> str:
    """A user name as it is kept: lower case, without spaces. Empty stays empty."""
    text = _text(value, 254, False, "").lower()
    if any(c.isspace() for c in text):
        raise Bad(gettext("A user name has no spaces."))
    return text


# ---- choices and numbers ------------------------------------------------------------------------------------------


def one_of(kind: type[Choice]) -> Check:
    def check(value: Any) -> Choice:
        try:
            return kind(value)
        except ValueError:
            raise Bad(gettext("Please choose one of the offered values.")) from None

    return check


def yes_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Bad(gettext("Yes or no, please."))
    return value


def whole(column: ColumnElement[Any], *, least: int | None = None, required: bool = True) -> Check:
    """A whole number that its column can hold; an empty one is None unless it is required."""
    most = 2**63 - 1 if isinstance(column.type, BigInteger) else 2**31 - 1

    def check(value: Any) -> int | None:
        if empty(value):
            if required:
                raise Bad(gettext("Please fill this in."))
            return None
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise Bad(gettext("A whole number, please.")) from None
        if not (-most if least is None else least) <= number <= most:
            raise Bad(gettext("This number is out of range."))
        return number

    return check


def row_id(value: Any) -> int | None:
    """The id of another row, or None. That it exists is for `known` to say."""
    if empty(value):
        return None
    if isinstance(value, bool) or not str(value).isascii() or not str(value).isdecimal() or not 0 < int(value) < 2**63:
        raise Bad(gettext("This choice does not exist, or not any more."))
    return int(value)


def required_row_id(value: Any) -> int:
    found = row_id(value)
    if found is None:
        raise Bad(gettext("Please choose one of the offered values."))
    return found


def moment(value: Any) -> datetime | None:
    """An aware datetime, or None."""
    if empty(value):
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise Bad(gettext("A date with its time, please."))
    return value


def required_moment(value: Any) -> datetime:
    found = moment(value)
    if found is None:
        raise Bad(gettext("Please fill this in."))
    return found


def day(value: Any) -> date | None:
    if empty(value):
        return None
    if isinstance(value, datetime) or not isinstance(value, date):
        raise Bad(gettext("A date, please."))
    return value


def mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Bad(gettext("Please choose one of the offered values."))
    return value


# ---- places, languages, addresses -----------------------------------------------------------------------------------


@lru_cache
def country_codes() -> frozenset[str]:
    """ISO 3166-1 alpha-2, as CLDR knows them."""
    return frozenset(code for code, _name in countries("en"))


def country(value: Any) -> str:
    text = _text(value, 2, False, "").upper()
    if text and text not in country_codes():
        raise Bad(gettext("This is not a country code, such as DE or BR (ISO 3166)."))
    return text


_TAG = re.compile(r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|\d{3}))?", re.ASCII)


def language(value: Any) -> str:
    """A language tag (BCP 47: language, script, region) in its usual spelling: ``de``, ``de-AT``, ``zh-Hant``."""
    text = _text(value, 12, False, "").replace("_", "-").lower()
    if not text:
        return ""
    if not (tag := _tag(text)):
        raise Bad(gettext("This is not a language tag, such as de or pt-BR (BCP 47)."))
    return tag


@lru_cache(maxsize=1024)
def _tag(text: str) -> str:
    """The tag in its usual spelling; empty for what is none."""
    names, found = Locale("en"), _TAG.fullmatch(text)
    if found is not None:
        tag, script, region = found[1], (found[2] or "").title(), (found[3] or "").upper()
        known = tag in names.languages and (not script or script in names.scripts)
        if known and (not region or region in names.territories):
            return "-".join(part for part in (tag, script, region) if part)
    return ""


@lru_cache
def timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def timezone(value: Any) -> str:
    text = _text(value, 64, False, "")
    if text and text not in timezones():
        raise Bad(gettext("This time zone is not known; they look like Europe/Berlin."))
    return text


def ip(value: Any) -> str | None:
    text = _text(value, 45, False, "")
    try:
        return str(ipaddress.ip_address(text)) if text else None
    except ValueError:
        raise Bad(gettext("This is not an IP address.")) from None


def currency(value: Any) -> str:
    text = _text(value, 3, True, "").upper()
    if text not in Locale("en").currencies:
        raise Bad(gettext("This is not a currency code, such as EUR (ISO 4217)."))
    return text


# ---- phone and VAT numbers ------------------------------------------------------------------------------------------


def phone(text: str, country: str) -> str:
    """A phone number in its international spelling, or as it was typed when it cannot be read."""
    try:
        number = phonenumbers.parse(text, country or None)
    except phonenumbers.NumberParseException:
        return text
    if not phonenumbers.is_valid_number(number):
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def readable_phone(text: str, country: str) -> bool:
    """Whether the number can be called from anywhere; staff are told when it cannot."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, country or None))
    except phonenumbers.NumberParseException:
        return False


def digits(text: str) -> str:
    return "".join(c for c in text if c.isdecimal())


def in_eu(country: str) -> bool:
    return ("el" if country == "GR" else country.lower()) in _EU_PREFIXES


_EU_PREFIXES = frozenset({*eu_vat.MEMBER_STATES, "el"} - {"gr"})


def vat_number(text: str, country: str) -> str:
    """A VAT number with its country code; numbers of the EU by their check digits (python-stdnum), others as typed.

    country: where the company sits; a number without a prefix is taken as one of that country.
    """
    compact = re.sub(r"[\s.\-/]", "", text).upper()
    if not compact:
        return ""
    own = "EL" if country == "GR" else country
    guesses = [own + compact] if in_eu(country) and not compact.startswith(own) else []
    if compact[:2].lower() in _EU_PREFIXES:
        guesses.append(compact)
    elif country == "GR" and compact.startswith("GR"):
        guesses.append("EL" + compact[2:])
    for guess in guesses:
        try:
            return str(eu_vat.validate(guess))
        except ValidationError:
            continue
    if not guesses and not in_eu(country):
        return text
    where = country_name(country) if in_eu(country) else _("the European Union")
    raise Bad(gettext("This is not a VAT number of %(place)s: its check digits are wrong.") % {"place": where})


def change(row: Base, values: Mapping[str, Any]) -> list[str]:
    """Set what differs, and only that. Gives the names of the changed columns."""
    changed = [field for field, value in values.items() if getattr(row, field) != value]
    for field in changed:
        setattr(row, field, values[field])
    return changed


def differs(values: Mapping[str, Any], before: Base | None, *fields: str) -> bool:
    """Whether one of these fields is given and is not what the row holds; always, when there is no row yet."""
    return any(f in values and (before is None or values[f] != getattr(before, f)) for f in fields)
