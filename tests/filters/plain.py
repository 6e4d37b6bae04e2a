"""Random conditions, a plain evaluation of them in Python, and the same asked of the database."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, cast
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

import app.models  # noqa: F401
from app import db, filters
from app.db import fold
from app.filters import Kind
from app.models.customers import Customer

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2024, 3, 31, 10, 30, tzinfo=UTC)
"""12:30 in Berlin on the day when its clocks go forward."""
Data = dict[str, Any]


def leaf(field: str, op: str, value: Any = None, **more: Any) -> Data:
    return {"field": field, "op": op} | ({} if value is None else {"value": value}) | more


# ---- random conditions ----------------------------------------------------------------------------------------------

PIECES = ["a", "A", "ß", "ss", "S", "İ", "i", "ı", "ö", "Ö", "o\u0308", "\u0301", "%", "_", "\\", " ", "  ", "ﬁ", "①",
          "Σ", "ς", "ñ", "Ж", "ж", "'", ",", "e\u0301", "ﷺ", "\u00a0", "b", "1"]  # fmt: skip
DAYS = ["2024-03-29", "2024-03-30", "2024-03-31", "2024-04-01", "today", "yesterday", "tomorrow", "-1d", "2d", "-1w",
        "1m", "-1y", "+3d", "-36h", "5h"]  # fmt: skip
MOMENTS = [*DAYS, "now", "2024-03-31T01:30", "2024-03-30T12:00:00Z", "2024-03-31T12:30:00.500+02:00"]
SPANS = ["1h", "12h", "36h", "1d", "3d", "1w", "1m", "1y"]


def texts(pieces: bool) -> st.SearchStrategy[str]:
    base = (
        st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join)
        if pieces
        else st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
    )
    return base.filter(lambda v: bool(fold(v)))


def values(field: filters.Field, op: str, pieces: bool) -> st.SearchStrategy[Any]:
    when = MOMENTS if field.kind is Kind.MOMENT and op != "on" else DAYS
    small = st.integers(-2, 45) if pieces else st.integers(-(2**63) + 1, 2**63 - 1)
    one: dict[Kind, st.SearchStrategy[Any]] = {
        Kind.TEXT: texts(pieces), Kind.NUMBER: small, Kind.MONEY: small.map(lambda n: n * 50 if pieces else n),
        Kind.REF: st.integers(1, 5) if pieces else small, Kind.BOOLEAN: st.booleans(),
        Kind.DATE: st.sampled_from(SPANS if op in {"in_last", "in_next"} else when),
        Kind.MOMENT: st.sampled_from(SPANS if op in {"in_last", "in_next"} else when),
        Kind.CHOICE: st.sampled_from([v for v, _label in field.choices]) if field.closed
        else st.sampled_from(["DE", "de", "AT", "xx", "a,b\\", "\\"]),
    }  # fmt: skip
    if op in {"in", "not_in"}:
        return st.lists(one[field.kind], min_size=1, max_size=3)
    return st.lists(one[field.kind], min_size=2, max_size=2) if op == "between" else one[field.kind]


@cache
def one_leaf(model: Any, name: str, op: str, pieces: bool, depth: int) -> st.SearchStrategy[Data]:
    field = filters.fields(model)[name]
    parts: dict[str, st.SearchStrategy[Any]] = {"field": st.just(name), "op": st.just(op)}
    more: dict[str, st.SearchStrategy[Any]] = {}
    if field.kind is Kind.RELATION:
        nested = NESTED if pieces else None
        more["where"] = st.deferred(lambda: conditions(field.target, nested, pieces, depth - 1))
        if op.startswith("count"):
            parts["n"] = st.integers(0, 3)
    elif op not in {"is_empty", "is_not_empty"}:
        parts["value"] = values(field, op, pieces)
    return st.fixed_dictionaries(parts, optional=more)


@cache
def leaves(model: Any, only: frozenset[str] | None, pieces: bool, depth: int = 2) -> st.SearchStrategy[Data]:
    found = [
        one_leaf(model, name, op, pieces, depth)
        for name, field in filters.fields(model).items()
        for op in field.allows
        if (only is None or name in only) and (depth or field.kind is not Kind.RELATION)
    ]
    return st.one_of(found)


@cache
def conditions(model: Any, only: frozenset[str] | None, pieces: bool, depth: int = 2) -> st.SearchStrategy[Data]:
    return st.recursive(
        leaves(model, only, pieces, depth),
        lambda inner: st.one_of(
            st.fixed_dictionaries({"all": st.lists(inner, max_size=3)}),
            st.fixed_dictionaries({"any": st.lists(inner, max_size=3)}),
            st.fixed_dictionaries({"not": inner}),
        ),
        max_leaves=4,
    ).filter(lambda c: depth_of(c) <= (3 if depth < 2 else 5) and levels(c) <= filters.MAX_DEPTH)


def depth_of(data: Data) -> int:
    inner = [*data.get("all", ()), *data.get("any", ()), *([data["not"]] if "not" in data else [])]
    return 1 + max((depth_of(c) for c in inner), default=0)


def levels(data: Data) -> int:
    """The same with what is asked of related rows, as the parser counts."""
    inner = [*data.get("all", ()), *data.get("any", ()), *(data[key] for key in ("not", "where") if key in data)]
    return 1 + max((levels(c) for c in inner), default=0)


# ---- a plain evaluation ---------------------------------------------------------------------------------------------

ASCII = {c: chr(c + 32) for c in range(65, 91)}


def words(text: str) -> list[str]:
    """`fold` again, in other words."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in plain if not unicodedata.combining(c)).split()


def text_holds(op: str, asked: str, given: str, twin: bool) -> bool:
    if op == "is":
        return words(asked) == words(given) if twin else asked == given
    if twin:
        wanted, there = words(asked), "".join(f"  {w}" for w in words(given))
        return (
            there.startswith("".join(f"  {w}" for w in wanted))
            if op == "starts_with"
            else all(w in there for w in wanted)
        )
    there = given.translate(ASCII)
    if op == "starts_with":
        return there.startswith(asked.strip().translate(ASCII))
    return all(w in there for w in asked.translate(ASCII).split())


def moved(text: str) -> datetime | date:
    """What a date of the lists above says at NOW in Berlin."""
    here = NOW.astimezone(BERLIN)
    if text in {"today", "yesterday", "tomorrow"}:
        return here.date() + timedelta(days={"today": 0, "yesterday": -1, "tomorrow": 1}[text])
    if text == "now":
        return here
    if text[-1] in "hdwmy" and text[:-1].lstrip("+-").isdigit():
        n = int(text[:-1])
        if text[-1] == "h":
            return (NOW + timedelta(hours=n)).astimezone(BERLIN)
        if text[-1] in "dw":
            return here + timedelta(days=n * {"d": 1, "w": 7}[text[-1]])
        days = {"1m": date(2024, 4, 30), "-1m": date(2024, 2, 29), "1y": date(2025, 3, 31), "-1y": date(2023, 3, 31)}
        return here.replace(year=days[text].year, month=days[text].month, day=days[text].day)
    if "T" not in text:
        return date.fromisoformat(text)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=BERLIN)


def utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def as_day(value: datetime | date) -> date:
    return value.date() if isinstance(value, datetime) else value


def when_holds(op: str, asked: Any, given: date | datetime) -> bool:
    today = NOW.astimezone(BERLIN).date()
    if not isinstance(given, datetime):
        days = [as_day(moved(a)) for a in ([f"-{asked}"] if op == "in_last" else asked if op == "between" else [asked])]
        return {
            "from": lambda: given >= days[0], "until": lambda: given <= days[0], "after": lambda: given > days[0],
            "before": lambda: given < days[0], "on": lambda: given == days[0],
            "between": lambda: days[0] <= given <= days[1], "in_last": lambda: days[0] <= given <= today,
            "in_next": lambda: today <= given <= days[0],
        }[op]()  # fmt: skip
    there = given.astimezone(BERLIN).date()

    def reached(a: datetime | date) -> bool:
        return utc(given) >= utc(a) if isinstance(a, datetime) else there >= a

    def over(a: datetime | date) -> bool:
        return utc(given) > utc(a) if isinstance(a, datetime) else there > a

    answers: dict[str, Callable[[], bool]] = {
        "after": lambda: over(moved(asked)), "before": lambda: not reached(moved(asked)),
        "on": lambda: there == as_day(moved(asked)),
        "from": lambda: reached(moved(asked)), "until": lambda: not over(moved(asked)),
        "between": lambda: reached(moved(asked[0])) and not over(moved(asked[1])),
        "in_last": lambda: reached(moved(f"-{asked}")) and given <= NOW,
        "in_next": lambda: given >= NOW and not over(moved(asked)),
    }  # fmt: skip
    return answers[op]()


TWINS = {"name", "email", "contact_person", "full_name"}
NEGATIONS = {"is_not": "is", "not_in": "in", "is_empty": "is_not_empty", "has_none": "has"}


def holds(data: Data, row: Data) -> bool:
    if "all" in data:
        return all(holds(c, row) for c in data["all"])
    if "any" in data:
        return any(holds(c, row) for c in data["any"])
    if "not" in data:
        return not holds(data["not"], row)
    op, name, asked = data["op"], data["field"], cast("Any", data.get("value"))
    if op in NEGATIONS:
        return not holds({**data, "op": NEGATIONS[op]}, row)
    given: Any = row.get(name)
    if name in {"services", "users"}:
        n = sum("where" not in data or holds(data["where"], r) for r in given)
        asked = data.get("n", 1)
        return bool(n <= asked if op == "count_at_most" else n >= asked)
    if name == "account_name":
        return text_holds(op, asked, row["name"], True) or any(
            text_holds(op, asked, u["username"], False) for u in row["users"]
        )
    if name in {"group", "available_project"}:
        return bool(given) if op == "is_not_empty" else bool(given & set(asked if op == "in" else [asked]))
    if op == "is_not_empty":
        return given not in {None, ""}
    if given is None:
        return False
    if isinstance(given, date):
        return when_holds(op, asked, given)
    if isinstance(given, str) and isinstance(asked, str):
        return text_holds(op, asked, given, name in TWINS)
    answers: dict[str, Callable[[], bool]] = {
        "in": lambda: given in asked, "is": lambda: given == asked, "at_least": lambda: given >= asked,
        "at_most": lambda: given <= asked, "between": lambda: asked[0] <= given <= asked[1],
    }  # fmt: skip
    return answers[op]()


OWN = frozenset({
    "id", "name", "project", "kind", "status", "contact_person", "email", "legal_name", "country", "attitude",
    "registered_at", "phone_verified_at", "registration_ip", "account_name", "group", "active_items",
    "available_project", "services", "users",
})  # fmt: skip
NESTED = frozenset({"name", "status", "price", "next_charge_on", "auto_renew", "username", "full_name", "enabled"})


async def ids(data: Data, model: type[Any] = Customer) -> set[int]:
    async with db.reads() as session:
        test = filters.compile(filters.parse(data, model), model, now=NOW)
        return set((await session.scalars(select(model.id).where(test))).all())


async def try_many(check: Callable[[Data], Any], strategy: st.SearchStrategy[Data], examples: int) -> None:
    """Hypothesis, with shrinking, over a check that needs this event loop."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def examine(data: Data) -> None:
        asyncio.run_coroutine_threadsafe(check(data), loop).result(30)

    await asyncio.to_thread(examine)
