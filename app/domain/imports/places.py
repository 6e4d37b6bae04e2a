"""Countries by the names that people write, and the language that a country mainly speaks."""

from __future__ import annotations

from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.languages import get_official_languages

from app.db import fold
from app.domain import checks
from app.domain.checks import country_codes

_ALIASES = {
    "US": "USA|U.S.A.|U.S.|United States of America|America|EEUU|EE.UU.|США",
    "GB": "UK|U.K.|Great Britain|Britain|England|Scotland|Wales|Northern Ireland|GBR|Großbritannien|Великобритания",
    "CZ": "Czech Republic|Czechia|CZE|Tschechische Republik", "NL": "Holland|The Netherlands|NLD",
    "RU": "Russian Federation|RUS|РФ", "KR": "South Korea|Republic of Korea|Korea|KOR", "DE": "DEU|GER|BRD|D",
    "AT": "AUT|A", "CH": "CHE|Schweiz|Suisse|Svizzera", "FR": "FRA|F", "ES": "ESP|E", "IT": "ITA|I", "PL": "POL",
    "BR": "BRA", "CN": "CHN|PRC|People's Republic of China", "TR": "Turkey|TUR", "CI": "Ivory Coast", "MM": "Burma",
    "MK": "Macedonia", "SZ": "Swaziland", "CV": "Cape Verde", "VN": "Viet Nam", "AE": "UAE|Emirates",
    "IE": "Republic of Ireland|Eire|IRL", "SK": "Slovak Republic", "MD": "Republic of Moldova", "BY": "Belorussia",
    "LA": "Lao", "IR": "Persia", "SY": "Syrian Arab Republic", "TZ": "United Republic of Tanzania",
    "CD": "DR Congo|DRC", "VA": "Holy See", "PS": "Palestine", "TW": "Taiwan, Province of China",
}  # fmt: skip
FIRST_LANGUAGES = ("en", "de", "ru", "es")
MORE_LANGUAGES = (
    "fr", "it", "pt", "nl", "pl", "cs", "sv", "da", "nb", "fi", "hu", "tr", "uk", "ro", "el", "bg", "hr", "sk", "sl",
    "sr", "et", "lv", "lt", "ca", "is", "ja", "zh", "ko", "ar", "he", "hi", "vi", "th", "id", "fa",
    "ka", "hy", "kk", "be",
)  # fmt: skip


@lru_cache
def _names(language: str) -> dict[str, str]:
    try:
        territories = Locale(language).territories
    except UnknownLocaleError:
        return {}
    return {_key(str(name)): code for code, name in territories.items() if code in country_codes()}


@lru_cache
def _aliases() -> dict[str, str]:
    return {_key(name): code for code, names in _ALIASES.items() for name in names.split("|")}


def _key(name: str) -> str:
    return fold(name.replace(".", "").replace("&", " and ")).replace("  the  ", "  ").strip()


@lru_cache(maxsize=4096)
def country_code(name: str) -> str | None:
    """The ISO 3166-1 code of a country given by code or by name in one of some forty languages; None: not known."""
    text = name.strip()
    if text.upper() in country_codes():
        return text.upper()
    key = _key(text)
    if found := _aliases().get(key):
        return found
    for language in (*FIRST_LANGUAGES, *MORE_LANGUAGES):
        if found := _names(language).get(key):
            return found
    return None


@lru_cache
def _tongues(language: str) -> dict[str, str]:
    return {_key(str(name)): code for code, name in Locale(language).languages.items() if len(code) <= 3}


@lru_cache(maxsize=4096)
def language_code(name: str) -> str | None:
    """The tag of a language given by tag or by name in one of the first languages, or its own; None: not known."""
    text = name.strip()
    try:
        if tag := checks.language(text.split(".")[0]):
            return str(tag)
    except checks.Bad:
        pass
    key = _key(text)
    for reader in (*FIRST_LANGUAGES, *MORE_LANGUAGES):
        if (found := _tongues(reader).get(key)) and (reader in FIRST_LANGUAGES or found == reader):
            return found
    return None


@lru_cache
def language_of(country: str) -> str:
    """The first official language of a country (CLDR, by number of speakers): Belgium nl, Canada en, Switzerland de.

    Empty when CLDR names none. It is a guess that staff can correct; a second import does not repeat it.
    """
    spoken = get_official_languages(country, de_facto=True)
    return spoken[0].replace("_", "-")[:12] if spoken else ""
