"""What the pickers of forms offer: countries, languages, time zones, currencies, in the reader's language."""

from __future__ import annotations

from functools import lru_cache

from babel import Locale
from babel.core import get_global

from app.domain.automation import fields
from app.i18n import LANGUAGES, countries, country_name, language, language_name, timezones

Choices = list[tuple[str, str]]

LANGUAGE_CODES = (
    "en", "de", "ru", "es", "ar", "bg", "ca", "cs", "da", "el", "et", "fa", "fi", "fr", "ga", "he", "hi",
    "hr", "hu", "id", "is", "it", "ja", "ka", "kk", "ko", "lt", "lv", "mk", "mt", "nb", "nl", "pl", "pt",
    "ro", "sk", "sl", "sq", "sr", "sv", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip
KINDS = (
    "country", "language", "language_or_none", "panel_language", "timezone", "timezone_or_none", "currency", "watched",
)  # fmt: skip
"""The widgets of columns that are chosen from such a list."""


@lru_cache
def tender() -> frozenset[str]:
    """The currencies (ISO 4217) that somebody pays with today."""
    spans = (span for of in get_global("territory_currencies").values() for span in of)
    return frozenset(code for code, _start, end, is_tender in spans if end is None and is_tender)


@lru_cache(maxsize=16)
def _currencies(code: str) -> Choices:
    names = Locale.parse(code).currencies
    return [(c, f"{c} – {names[c]}" if c in names else c) for c in sorted(tender())]


@lru_cache(maxsize=16)
def _languages(code: str) -> Choices:
    return sorted(((c, language_name(c)) for c in LANGUAGE_CODES), key=lambda pair: pair[1].casefold())


def choices(kind: str) -> Choices:
    """(value, label) of everything that is offered; an empty value first where nothing may be chosen."""
    blank = [("", "")]
    match kind:
        case "country":
            return blank + countries(language())
        case "language" | "languages":
            return _languages(language())
        case "language_or_none":
            return blank + _languages(language())
        case "panel_language":
            return list(LANGUAGES.items())
        case "timezone":
            return timezones()
        case "timezone_or_none":
            return blank + timezones()
        case "currency":
            return _currencies(language())
        case "watched":
            return blank + [(key, str(label)) for key, label in fields.watched().items()]
    raise LookupError(kind)


def named(kind: str, value: str) -> str | None:
    """The label of a real value that is not offered, such as pt-BR or an old currency; None for what does not exist."""
    known = Locale("en")
    if kind.startswith("language") and (name := language_name(value)) != value:
        return name
    if kind.startswith("timezone") and value in dict(timezones(all_of_them=True)):
        return value
    if kind == "country" and value in known.territories and len(value) == 2:
        return country_name(value)
    return value if kind == "currency" and value in known.currencies else None
