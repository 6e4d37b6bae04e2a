"""Dates in filters: ISO days and moments, and relative ones (``-30d``, ``12h``, ``today``); in the reader's zone."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from babel.dates import format_timedelta

from app.i18n import _, gettext, locale, ngettext, show_date, show_moment, zone

_NAMED = {"today": 0, "yesterday": -1, "tomorrow": 1}
_LABELS = {"today": _("today"), "yesterday": _("yesterday"), "tomorrow": _("tomorrow"), "now": _("now")}
_RELATIVE = re.compile(r"([+-]?)([0-9]{1,6})([hdwmy])")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(_DAY.pattern + r"T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.([0-9]{3}|[0-9]{6}))?)?(Z|[+-][0-9]{2}:[0-9]{2})?")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "m": 31 * 24, "y": 366 * 24}
_GRAIN = {"h": "hour", "d": "day", "w": "week", "m": "month", "y": "year"}
_FARTHEST = 100 * 366 * 24
_YEARS = range(1800, 3000)


def check(text: str, *, op: str, moments: bool) -> str | None:
    """What is wrong with `text` as the value of `op`, or None. `moments`: the field has a time of day."""
    if op in {"in_last", "in_next"}:
        found = _RELATIVE.fullmatch(text)
        if found is None or found[1]:
            return gettext("Write a span such as 30d, 12h, 2w, 6m or 1y.")
        return None if _near(found) else gettext("This is too far away.")
    if text in _NAMED or (text == "now" and op != "on"):
        return None
    if found := _RELATIVE.fullmatch(text):
        return None if _near(found) else gettext("This is too far away.")
    try:
        if _DAY.fullmatch(text):
            return None if date.fromisoformat(text).year in _YEARS else gettext("This year is out of range.")
        if moments and op != "on" and _MOMENT.fullmatch(text):
            return None if datetime.fromisoformat(text).year in _YEARS else gettext("This year is out of range.")
    except ValueError:
        return gettext("There is no such day.")
    if moments and op != "on":
        return gettext("Write a date such as 2024-05-31, a moment such as 2024-05-31T12:00, today, or -30d.")
    return gettext("Write a date such as 2024-05-31, today, or -30d.")


def _near(found: re.Match[str]) -> bool:
    return int(found[2]) * _HOURS[found[3]] <= _FARTHEST


def _moved(now: datetime, amount: int, unit: str) -> datetime:
    """`now` (aware, in the reader's zone) moved: hours are exact, days and more keep the time of day on the clock."""
    if unit == "h":
        return (now.astimezone(UTC) + timedelta(hours=amount)).astimezone(now.tzinfo)
    if unit in "dw":
        return now + timedelta(days=amount * (7 if unit == "w" else 1))
    months = now.year * 12 + now.month - 1 + amount * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    return now.replace(year=year, month=month + 1, day=min(now.day, calendar.monthrange(year, month + 1)[1]))


def _resolve(text: str, now: datetime, place: ZoneInfo) -> datetime | date:
    """A whole day, or a moment (aware, in `place`)."""
    here = now.astimezone(place)
    if text in _NAMED:
        return here.date() + timedelta(days=_NAMED[text])
    if text == "now":
        return here
    if found := _RELATIVE.fullmatch(text):
        return _moved(here, int(found[1] + found[2]), found[3])
    if _DAY.fullmatch(text):
        return date.fromisoformat(text)
    moment = datetime.fromisoformat(text)
    return moment.astimezone(place) if moment.tzinfo else moment.replace(tzinfo=place)


def day(text: str, now: datetime, place: ZoneInfo) -> date:
    """The day that `text` falls on, for fields without a time of day."""
    found = _resolve(text, now, place)
    return found.date() if isinstance(found, datetime) else found


def _start(of: date, place: ZoneInfo) -> datetime:
    return datetime.combine(of, time.min, tzinfo=place).astimezone(UTC)


def day_bounds(text: str, now: datetime, place: ZoneInfo) -> tuple[datetime, datetime]:
    """From (included) and to (excluded), in UTC, of the day that `text` falls on; 23 to 25 hours long."""
    found = day(text, now, place)
    return _start(found, place), _start(found + timedelta(days=1), place)


def bounds(text: str, now: datetime, place: ZoneInfo) -> tuple[datetime, datetime] | datetime:
    """The bounds of a whole day, or one moment in UTC."""
    found = _resolve(text, now, place)
    return found.astimezone(UTC) if isinstance(found, datetime) else day_bounds(text, now, place)


def say(text: str, *, span: bool = False) -> str:
    """`text` for people: "30 days ago", "May 31, 2024"; a span: "30 days"."""
    if text in _LABELS:
        return str(_LABELS[text])
    if found := _RELATIVE.fullmatch(text):
        amount, unit = int(found[2]), found[3]
        if amount == 0:
            return gettext("now")
        hours = {"m": 30 * 24, "y": 365 * 24}.get(unit, _HOURS[unit])
        apart = timedelta(hours=amount * hours * (-1 if found[1] == "-" else 1))
        return format_timedelta(
            apart, granularity=_GRAIN[unit], threshold=1e9, add_direction=not span, locale=locale(),  # type: ignore[arg-type]
        )  # fmt: skip
    if _DAY.fullmatch(text):
        return show_date(date.fromisoformat(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return show_moment(moment if moment.tzinfo else moment.replace(tzinfo=zone()))


def and_more(shown: list[str], left: int) -> str:
    """A list for people: "A, B and 3 more"."""
    text = ", ".join(shown)
    if not left:
        return text
    return ngettext("%(list)s and %(n)s more", "%(list)s and %(n)s more", left) % {"list": text, "n": left}
