"""Words, dates, numbers and money in the reader's language.

Catalogues lie in ``app/locale/<language>.po`` and are compiled in memory at the first use, so there is
no build step and nothing compiled to forget. ``_`` marks a string and translates it when it is shown,
which lets models and screens declare their labels at import time.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Any, SupportsIndex
from zoneinfo import ZoneInfo, available_timezones

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, get_currency_precision, get_decimal_symbol, get_group_symbol
from markupsafe import Markup, escape

SOURCE = "en"
LANGUAGES = {"en": "English", "de": "Deutsch", "ru": "Русский", "es": "Español"}
"""The languages of the panel and the client area, each in its own words."""

_language: ContextVar[str] = ContextVar("language", default=SOURCE)
_timezone: ContextVar[str] = ContextVar("timezone", default="UTC")


@lru_cache
def catalogue(language: str) -> NullTranslations:
    """The translations of one language; an empty one for English and for a language without a catalogue."""
    path = Path(__file__).parent / "locale" / f"{language}.po"
    if language == SOURCE or not path.exists():
        return NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)


def language() -> str:
    """The language that the reader of this request or message sees."""
    return _language.get()


@contextmanager
def speaking(code: str, timezone: str | None = None) -> Iterator[None]:
    """Words and dates inside the block are in this language and, when given, this time zone."""
    tokens = _language.set(code if code in LANGUAGES else SOURCE), _timezone.set(timezone or _timezone.get())
    try:
        yield
    finally:
        _language.reset(tokens[0])
        _timezone.reset(tokens[1])


def best(wanted: str, offered: list[str] | tuple[str, ...]) -> str | None:
    """The offered language that serves `wanted` (``de-AT`` is served by ``de``), or None. RFC 4647, lookup."""
    parts = wanted.replace("_", "-").lower().split("-")
    known = {code.lower(): code for code in offered}
    while parts:
        if (code := known.get("-".join(parts))) is not None:
            return code
        parts.pop()
    return None


def from_header(accept: str, offered: list[str] | tuple[str, ...]) -> str | None:
    """The best offered language for an Accept-Language header (RFC 9110, 12.5.4)."""
    weighted = []
    for position, part in enumerate(accept[:400].split(",")):
        code, _sep, q = part.strip().partition(";q=")
        try:
            weighted.append((-float(q or 1), position, code))
        except ValueError:
            continue
    for _q, _position, code in sorted(weighted):
        if code and (found := best(code, offered)):
            return found
    return None


def gettext(message: str) -> str:
    """`message` in the reader's language, now."""
    return catalogue(language()).gettext(message) if message else ""


def ngettext(singular: str, plural: str, n: int) -> str:
    """The form of the word that fits `n`, in the reader's language; the caller fills in ``%(n)s``."""
    return catalogue(language()).ngettext(singular, plural, n)


class Lazy(str):
    """A marked string that is translated when it is shown: by str(), in f-strings, by ``%`` and in templates."""

    __slots__ = ()

    def __str__(self) -> str:
        return gettext(str.__str__(self))

    def __html__(self) -> str:
        return str(escape(str(self)))

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __mod__(self, values: Any) -> str:
        filled: str = str(self) % values
        return filled

    def __add__(self, other: str) -> str:
        return str(self) + str(other)

    def __radd__(self, other: str) -> str:
        return str(other) + str(self)

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        return str(self)[key]

    def format(self, *args: object, **kwargs: object) -> str:
        return str(self).format(*args, **kwargs)


def _(message: str) -> str:
    """Mark a string for translation; see `Lazy`."""
    return Lazy(message)


class Named(Lazy):
    """A marked string that people may have given another name of their own (`rename`)."""

    __slots__ = ("item", "screen")
    screen: str
    item: str

    def __str__(self) -> str:
        return self.own or gettext(str.__str__(self))

    @property
    def own(self) -> str:
        """The name that people gave it in the reader's language; empty for none."""
        return _own_names.get((self.screen, self.item, language()), "") if _own_names else ""

    def original(self) -> str:
        """The word that it is without a name of its own, in the reader's language."""
        return gettext(str.__str__(self))


_own_names: dict[tuple[str, str, str], str] = {}


def named(label: str, screen: str, item: str) -> str:
    """The label as one that can be renamed; a text that is not marked stays as it is."""
    if not isinstance(label, Lazy):
        return label
    made = Named(str.__str__(label))
    made.screen, made.item = screen, item
    return made


HEADING = "@heading."
"""Before the English words of a heading, as an item."""
_own_headings: dict[tuple[str, str], dict[str, str]] = {}


def heading(label: str, screen: str) -> str:
    """A heading of the screen as people call it. label: in the reader's language, as most are said already."""
    own = _own_headings.get((screen, language())) if _own_headings else None
    words = str(label)
    return next((text for item, text in own.items() if gettext(item) == words), label) if own else label


def rename(names: Mapping[tuple[str, str, str], str]) -> None:
    """The own names from now on: (screen, item, language) -> text."""
    _own_names.clear()
    _own_names.update(names)
    _own_headings.clear()
    for (screen, item, code), text in names.items():
        if item.startswith(HEADING):
            _own_headings.setdefault((screen, code), {})[item.removeprefix(HEADING)] = text


def zone() -> ZoneInfo:
    """The reader's time zone."""
    return ZoneInfo(_timezone.get())


def locale() -> Locale:
    return _locale(language())


@lru_cache
def _locale(code: str) -> Locale:
    return Locale.parse(code)


def show_date(value: date | datetime, style: str = "medium") -> str:
    """A day in the reader's language and, for a moment, time zone."""
    if isinstance(value, datetime):
        value = value.astimezone(zone())
    return format_date(value, style, locale=locale())


def show_moment(value: datetime, style: str = "medium") -> str:
    """A moment with its time of day, in the reader's language and time zone."""
    return format_datetime(value, style, tzinfo=zone(), locale=locale())


def show_ago(value: datetime) -> str:
    """A moment relative to now: "3 days ago"; a moment that is at most a minute away is "just now"."""
    seconds = int((value - datetime.now(UTC)).total_seconds())
    for unit in (86400, 3600, 60):
        if abs(seconds) >= unit:
            return _ago(language(), int(seconds / unit) * unit)
    return gettext("just now")


@lru_cache(maxsize=4096)
def _ago(code: str, seconds: int) -> str:
    return format_timedelta(timedelta(seconds=seconds), add_direction=True, locale=_locale(code), threshold=1.2)


def show_span(seconds: float) -> str:
    """A length of time in one unit: "48 min", "5 hr"."""
    return format_timedelta(timedelta(seconds=max(1, int(seconds))), threshold=1, format="short", locale=locale())


def show_number(value: int | Decimal) -> str:
    return _number(value, language())


@lru_cache(maxsize=4096)
def _number(value: int | Decimal, code: str) -> str:
    return format_decimal(value, locale=_locale(code))


def show_bytes(size: int) -> str:
    """A size for people: 812 B, 4.2 MB, in steps of 1000 (SI)."""
    figure, unit = float(size), "B"
    for larger in ("kB", "MB", "GB"):
        if figure < 1000:
            break
        figure, unit = figure / 1000, larger
    return f"{figure:.0f} {unit}" if unit == "B" or figure >= 10 else f"{figure:.1f} {unit}"


def exponent(currency: str) -> int:
    """Digits behind the point of a currency (ISO 4217): EUR 2, JPY 0, KWD 3."""
    return get_currency_precision(currency)


def show_amount(minor: int, currency: str) -> str:
    """An amount in minor units as a figure without its currency: 128450, EUR -> 1,284.50, with a true minus sign."""
    digits = exponent(currency)
    figure = Decimal(abs(minor)).scaleb(-digits)
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    return ("−" if minor < 0 else "") + format_decimal(figure, format=pattern, locale=locale())


def type_amount(minor: int, currency: str) -> str:
    """An amount as it stands in a field: without groups, so that it can be changed: 128450, EUR -> 1284.50."""
    digits = exponent(currency)
    return format_decimal(Decimal(minor).scaleb(-digits), format="0" + ("." + "0" * digits if digits else ""),
                          locale=locale())  # fmt: skip


def show_decimal(value: int, digits: int) -> str:
    """A figure that is kept times 10 to the power of `digits`: 750, 2 -> 7.5."""
    figure = format_decimal(Decimal(abs(value)).scaleb(-digits), format="#,##0." + "#" * digits, locale=locale())
    return ("−" if value < 0 else "") + figure


def type_decimal(value: int, digits: int) -> str:
    """The same as it stands in a field, without groups."""
    return format_decimal(Decimal(value).scaleb(-digits), format="0." + "#" * digits, locale=locale())


def show_percent(value: int) -> str:
    """Hundredths of a per cent: 750 -> 7.5 %."""
    return f"{show_decimal(value, 2)}\N{NARROW NO-BREAK SPACE}%"


_GROUPED = {mark: re.compile(rf"[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+") for mark in ".,"}
_FIGURE = re.compile(r"[+-]?(?=[.,]?\d)[\d.,]+")


def read_amount(text: str) -> Decimal:
    """The figure that a person typed in the way of their language, or of another. Raises ValueError.

    1.284,50 and 1,284.50 mean the same to everybody. A lone mark before three digits parts thousands only where the
    reader's language does so: 1,284 in English, 1.284 in German.
    """
    bare = "".join(c for c in text if not c.isspace() and c not in "'’").replace("−", "-")
    if not _FIGURE.fullmatch(bare):
        raise ValueError(text)
    figure, sign = bare.lstrip("+-"), "-" if bare.startswith("-") else ""
    marks = [c for c in figure if c in ".,"]
    point = marks[-1] if marks else ""
    if len(set(marks)) == 1:
        alone = len(marks) == 1 and (point == get_decimal_symbol(locale()) or point != get_group_symbol(locale()))
        if not alone and _GROUPED[point].fullmatch(figure):
            point = ""
    whole, _point, rest = figure.rpartition(point) if point else (figure, "", "")
    group = next((c for c in whole if c in ".,"), "")
    if group and (group == point or not _GROUPED[group].fullmatch(whole)):
        raise ValueError(text)
    return Decimal(f"{sign}{whole.replace(group, '') if group else whole}.{rest or 0}")


def show_money(minor: int, currency: str) -> Markup:
    """An amount with its currency, as the panel writes it."""
    return _money(minor, currency, language())


@lru_cache(maxsize=4096)
def _money(minor: int, currency: str, _code: str) -> Markup:
    return Markup('<bdi dir="ltr" class="num">{}<span class="cur">{}</span></bdi>').format(
        show_amount(minor, currency), currency
    )


def say_money(minor: int, currency: str) -> str:
    """The same as plain text, for a sentence or a choice."""
    return f"{show_amount(minor, currency)}\N{NO-BREAK SPACE}{currency}"


def language_name(code: str) -> str:
    """The name of a language in the reader's language, or the code itself when nobody knows it."""
    return _language_name(code, language())


@lru_cache(maxsize=1024)
def _language_name(code: str, reader: str) -> str:
    try:
        name = Locale.parse(code.replace("-", "_")).get_display_name(_locale(reader))
    except ValueError:
        name = None
    except Exception:  # babel raises UnknownLocaleError, a bare Exception
        name = None
    return name[:1].upper() + name[1:] if name else code


def country_name(code: str) -> str:
    """The name of a country (ISO 3166-1 alpha-2) in the reader's language."""
    return _country_name(code, language())


@lru_cache(maxsize=2048)
def _country_name(code: str, reader: str) -> str:
    return str(_locale(reader).territories.get(code, code))


@lru_cache
def countries(code: str) -> list[tuple[str, str]]:
    """(ISO code, name) of all countries in one language, by name."""
    names = _locale(code).territories
    return sorted(
        (
            (c, str(n))
            for c, n in names.items()
            if len(c) == 2 and c.isalpha() and c not in {"EU", "EZ", "UN", "ZZ", "QO", "XA", "XB"}
        ),
        key=lambda pair: pair[1].casefold(),
    )


def timezones(*, all_of_them: bool = False) -> list[tuple[str, str]]:
    """(name, name with its distance from UTC today) of the time zones, by name. all_of_them: with old names too."""
    return _timezones(datetime.now(UTC).date(), all_of_them)


@lru_cache(maxsize=4)
def _timezones(day: date, all_of_them: bool) -> list[tuple[str, str]]:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    names = sorted(z for z in available_timezones() if all_of_them or z == "UTC" or ("/" in z and z[:4] != "Etc/"))
    return [(z, f"{z.replace('_', ' ')} ({_offset(noon.astimezone(ZoneInfo(z)))})") for z in names]


def _offset(moment: datetime) -> str:
    minutes = int((moment.utcoffset() or timedelta()).total_seconds() // 60)
    return f"UTC{'−' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
