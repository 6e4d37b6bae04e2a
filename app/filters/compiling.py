"""From conditions to SQL: one expression that SQLite and PostgreSQL answer alike.

Text is compared through the folded twin of its column (`app.db.fold`): ``contains`` wants every word of the value
somewhere, ``starts_with`` and ``is`` compare from the first word on. A column without a twin is compared exactly by
``is``, and by the others with only A to Z folded, because that is all that both databases fold alike.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

from babel.numbers import list_currencies
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    and_,
    bindparam,
    false,
    func,
    inspect,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
)  # fmt: skip
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import QueryableAttribute, aliased
from sqlalchemy.sql.visitors import iterate

from app.db import Narrowed, fold, like, narrow
from app.errors import NotFound
from app.filters.conditions import All, Any, Condition, FilterProblem, Leaf, Not, walk
from app.filters.elements import Among, ascii_lower
from app.filters.fields import NEGATED, Entity, Field, Kind, Model, Names, Source, field, say
from app.filters.parsing import Allowed, clean, parse
from app.filters.when import bounds, day, day_bounds
from app.i18n import exponent, gettext, zone

MAX_SEARCH = 200
MAX_SEARCH_WORDS = 8
_TRIGRAM = re.compile(r"[^\W_]{3}|\s[^\W_]")
"""What pg_trgm can look up: three letters or digits in a row, or the beginning of a word."""
_ASCII = str.maketrans({c: chr(c + 32) for c in range(65, 91)})

BIGGEST = 2**63 - 1


@cache
def _unusual() -> dict[int, list[str]]:
    """Digits behind the point -> the currencies that have so many, and not two. What Babel knows of them takes three
    megabytes, so not before it is asked."""
    found: dict[int, list[str]] = {}
    for code in sorted(list_currencies()):
        if (digits := exponent(code)) != 2:
            found.setdefault(digits, []).append(code)
    return found


Test = ColumnElement[bool]


def compile(condition: Condition, model: Model, *, entity: Entity = None, now: datetime | None = None) -> Test:
    """The condition as one expression over `model`, for a WHERE; or over `entity`, an alias of it.

    Relative dates count from `now` in the reader's zone. The expression may be NULL instead of false: negate with
    `Not`, never with ``~``. Related rows are ORM entities, so the session's scope limits them too; a statement that
    is not an ORM SELECT (INSERT ... SELECT) gets no scope and must bring its own. Raises FilterProblem.
    """
    return _Compiler(now or datetime.now(UTC)).condition(condition, model, model if entity is None else entity)


def compile_stored(
    data: t.Any, model: Model, *, entity: Entity = None, now: datetime | None = None, allowed: Allowed | None = None
) -> tuple[Test, FilterProblem | None]:
    """A stored filter. One broken condition breaks the whole of it: it matches nobody, and the problem says why.

    A filter without conditions is not broken: it matches every row. Ask `is_empty` where that must not be.
    """
    try:
        return compile(parse(data, model, allowed), model, entity=entity, now=now), None
    except FilterProblem as problem:
        return false(), problem


def search(model: Model, text: str, *, entity: Entity = None) -> Test | None:
    """Quick search over `search_text`: every word must be found. None: nothing was entered.

    A word of one or two characters must begin a word, a longer one may stand anywhere. At most 200 characters and
    8 words count. Raises FilterProblem for a model without `search_text` and for a text with NUL.
    """
    if not text.strip():
        return None
    text = clean(text.strip()[:MAX_SEARCH], "search")
    column = getattr(model if entity is None else entity, "search_text", None)
    if column is None:
        raise FilterProblem("search", gettext("This list has no search."))
    words = list(dict.fromkeys(fold(text).split()))[:MAX_SEARCH_WORDS]
    if not words:
        return false()
    parts = [f"  {word}" if len(word) < 3 else word for word in words]
    exact = and_(*(_has(column, part) for part in parts))
    return narrow(exact, model if entity is None else entity, parts, indexed=True)


async def explain(
    session: AsyncSession,
    condition: Condition,
    model: Model,
    pk: t.Any,
    *,
    names: Names | None = None,
    now: datetime | None = None,
    only: t.Sequence[Test] = (),
) -> list[tuple[str, str, bool]]:
    """(path, readable text, whether it holds) of every leaf for one row; NotFound when the row cannot be seen.

    A leaf under a `Not` is reported for itself. `pk`: a tuple where the key has several columns. `only`: what a row has
    to be besides, to be seen.
    """  # fmt: skip
    leaves = list(walk(condition))
    work = _Compiler(now or datetime.now(UTC))
    tests = [func.coalesce(work.leaf(leaf, model, model), false(), type_=Boolean) for _path, leaf in leaves]
    keys = [model.__mapper__.get_property_by_column(c).class_attribute for c in inspect(model).primary_key]
    values = pk if isinstance(pk, tuple) else (pk,)
    row_is = and_(*(key == value for key, value in zip(keys, values, strict=True)))
    columns: list[t.Any] = [literal(1), *(test.label(f"leaf_{i}") for i, test in enumerate(tests))]
    row = (await session.execute(select(*columns).select_from(model).where(row_is, *only))).first()
    if row is None:
        raise NotFound()
    return [(path, say(leaf, model, names), bool(holds)) for (path, leaf), holds in zip(leaves, row[1:], strict=True)]


def _has(column: t.Any, part: str) -> Test:
    if not _TRIGRAM.search(part):
        column = column.op("||")("")  # PostgreSQL would read the whole of its index, which is slower than the table
    return t.cast("Test", column.like(f"%{like(part)}%", escape="\\"))


def _starts(column: t.Any, part: str) -> Test:
    return t.cast("Test", column.like(f"{like(part)}%", escape="\\"))


def _narrowed(exact: Test, source: Source, parts: list[str]) -> Test:
    """The condition with the index of `search_text`, which holds every searched column, folded.

    Without a twin only ASCII is certain to stand there as it stands in the column, and only within a word.
    """
    if source.within is not None:
        return narrow(exact, source.within, parts, indexed=False)
    attribute: t.Any = source.value if source.folded is None else source.folded
    if not isinstance(attribute, QueryableAttribute):
        return exact
    columns = attribute.parent.mapper.column_attrs
    twin = columns[attribute.key].columns[0].info
    if attribute.key != "search_text" and not columns[twin.get("folds", attribute.key)].columns[0].info.get("searched"):
        return exact
    if source.folded is None:
        parts = [p for p in parts if p.isascii() and not any(c.isspace() for c in p)]
    indexed = attribute.key == "search_text" or bool(twin.get("trigrams"))
    return narrow(exact, attribute.parent.entity, parts, indexed=indexed)


def _settle(clause: t.Any, *, common: bool) -> None:
    """Whether the trigrams of a nested search are used does not wait to be weighed (`db.weigh`): they are where a list
    of ids is made once, and not where each row is asked."""
    for element in iterate(clause):
        if isinstance(element, Narrowed):
            element.settled, element.common = True, common


def _negate(test: Test, certain: bool = False) -> Test:
    """`certain`: the test cannot be NULL, so that an index can serve it without coalesce in the way."""
    return not_(test if certain else func.coalesce(test, false(), type_=Boolean))


class _Compiler:
    def __init__(self, now: datetime) -> None:
        self.now, self.zone = now, zone()
        self.inside_not = 0

    # NULL spreads through AND and OR just as false does, so only a `Not` has to turn it into false

    def condition(self, condition: Condition, model: Model, entity: Entity) -> Test:
        match condition:
            case All(of):
                return and_(true(), *(self.condition(c, model, entity) for c in of))
            case Any(of):
                return or_(false(), *(self.condition(c, model, entity) for c in of))
            case Not(inner):
                self.inside_not += 1
                test = self.condition(inner, model, entity)
                self.inside_not -= 1
                return _negate(test)
            case Leaf():
                return self.leaf(condition, model, entity)

    def leaf(self, leaf: Leaf, model: Model, entity: Entity) -> Test:
        known = field(model, leaf.field)
        op = NEGATED.get(leaf.op, leaf.op)
        if known.kind is Kind.RELATION:
            test = self.related(known, op, leaf, entity)
            return _negate(test, certain=True) if leaf.op in NEGATED else test
        sources = known.sources(entity)
        if len(sources) > 1 and any(s.key is not None for s in sources) and op == leaf.op and not self.inside_not:
            return self.anywhere(known, leaf, model, entity)
        tests = [self.place(source, self.compare(known, op, leaf.value, source), entity) for source in sources]
        test = or_(*tests) if len(tests) > 1 else tests[0]
        if leaf.op not in NEGATED:
            return test
        return _negate(test, certain=all(s.among is not None or not s.nullable for s in sources))

    def related(self, known: Field, op: str, leaf: Leaf, entity: Entity) -> Test:
        if known.target is None or known.join is None:
            raise TypeError(f"{known.name} is not tied to another table")
        target: t.Any = aliased(known.target)
        tables = [target] if known.through is None else [target, aliased(known.through)]
        where = [known.join(entity, *tables)]
        if leaf.where is not None:
            where.append(self.condition(leaf.where, known.target, target))
        rows = select(func.count() if op != "has" else literal(1)).select_from(*tables).where(*where)
        rows = rows.correlate_except(*tables)
        _settle(rows, common=True)
        if op == "has":
            return rows.exists()
        count = rows.scalar_subquery()
        return count >= (leaf.n or 0) if op == "count_at_least" else count <= (leaf.n or 0)

    def compare(self, known: Field, op: str, value: t.Any, source: Source) -> Test:
        column = source.value
        test: Test | None = source.own(op, value) if source.own is not None else None
        if test is not None:
            return test
        if op == "is_not_empty":
            blank = known.kind is Kind.TEXT or (known.kind is Kind.CHOICE and known.choice is None)
            test = column != "" if blank else column.is_not(None)
        else:
            kinds: dict[Kind, Callable[[Field, str, t.Any, Source], Test]] = {
                Kind.TEXT: self.text, Kind.DATE: self.date, Kind.MOMENT: self.moment, Kind.CHOICE: self.chosen,
                Kind.BOOLEAN: self.boolean, Kind.NUMBER: self.number, Kind.MONEY: self.money, Kind.REF: self.number,
            }  # fmt: skip
            test = kinds[known.kind](known, op, value, source)
        return test

    def place(self, source: Source, test: Test, entity: Entity) -> Test:
        """The test of a value, asked of the rows that hold it."""
        if source.among is None:
            return test
        _settle(test, common=source.key is None)
        if source.key is None:
            return source.among.where(test).exists()
        rows = source.among.where(test)
        each = rows.where(source.key == entity.id).correlate_except(*source.among.get_final_froms())
        return Among(each.exists(), entity.id.in_(rows.with_only_columns(source.key)))

    def anywhere(self, known: Field, leaf: Leaf, model: Model, entity: Entity) -> Test:
        """One of several values: the ids that each source finds by its own index. With OR no index would serve."""
        own: t.Any = aliased(model)
        found = []
        for source in known.sources(own):
            test = self.compare(known, leaf.op, leaf.value, source)
            _settle(test, common=False)
            rows = select(own.id) if source.among is None else source.among
            found.append(rows.where(test).with_only_columns(own.id if source.key is None else source.key))
        return t.cast("Test", entity.id.in_(union_all(*found)))

    def text(self, _known: Field, op: str, value: str, source: Source) -> Test:
        column: ColumnElement[str]
        if source.folded is not None:
            column, plain = source.folded, fold(value)
        elif op == "is":
            return source.value == value
        else:
            column, plain = ascii_lower(source.value), value.strip().translate(_ASCII)
        match op:
            case "is":
                return column == plain
            case "starts_with":
                return _narrowed(_starts(column, plain), source, [plain])
        words = list(dict.fromkeys(plain.split()))
        return _narrowed(and_(*(_has(column, word) for word in words)), source, words)

    def number(self, _known: Field, op: str, value: t.Any, source: Source) -> Test:
        column: ColumnElement[t.Any] = source.value

        # any 64-bit number may be asked of a 32-bit column, which asyncpg refuses unless the type is named
        def big(n: int) -> ColumnElement[int]:
            return literal(n, BigInteger)

        match op:
            case "is":
                return column == big(value)
            case "at_least":
                return column >= big(value)
            case "at_most":
                return column <= big(value)
            case "between":
                return and_(column >= big(value[0]), column <= big(value[1]))
        return column.in_(bindparam(None, list(value), BigInteger, expanding=True, unique=True))

    def money(self, known: Field, op: str, value: t.Any, source: Source) -> Test:
        """Hundredths against minor units: in yen 12.50 lies between 12 and 13, in dinars it is 12500."""
        attribute: t.Any = source.value
        if op not in {"is", "at_least", "at_most", "between"} or not isinstance(attribute, QueryableAttribute):
            return self.number(known, op, value, source)
        of: t.Any = attribute.parent.entity
        currency = getattr(of, known.currency)
        usual = self.number(known, op, value, source)
        tests = [and_(usual, currency.not_in([c for codes in _unusual().values() for c in codes]))]
        low, high = value if isinstance(value, tuple) else (value, value)
        for digits, codes in _unusual().items():
            by = 10 ** abs(digits - 2)
            # at least this much, and at most that much, of whole minor units
            least, most = (-(-low // by), high // by) if digits < 2 else (low * by, high * by)
            least, most = (max(-BIGGEST, min(BIGGEST, n)) for n in (least, most))
            if op == "is":
                test = self.number(known, op, least, source) if least == most else false()
            else:
                bound = {"at_least": least, "at_most": most, "between": (least, most)}[op]
                test = self.number(known, op, bound, source)
            tests.append(and_(test, currency.in_(codes)))
        return or_(*tests)

    def chosen(self, known: Field, _op: str, value: t.Any, source: Source) -> Test:
        return source.value.in_([known.choice(v) for v in value] if known.choice else list(value))

    def boolean(self, _known: Field, _op: str, value: bool, source: Source) -> Test:
        if source.nullable:
            return source.value.is_(true() if value else false())
        return source.value if value else not_(source.value)

    def date(self, _known: Field, op: str, value: t.Any, source: Source) -> Test:
        column: ColumnElement[t.Any] = source.value
        days = [day(v, self.now, self.zone) for v in (value if isinstance(value, tuple) else (value,))]
        match op:
            case "after":
                return column > days[0]
            case "before":
                return column < days[0]
            case "from":
                return column >= days[0]
            case "until":
                return column <= days[0]
            case "on":
                return column == days[0]
            case "between":
                return and_(column >= days[0], column <= days[1])
        here = self.now.astimezone(self.zone).date()
        if op == "in_last":
            return and_(column >= day(f"-{value}", self.now, self.zone), column <= here)
        return and_(column >= here, column <= days[0])

    def moment(self, known: Field, op: str, value: t.Any, source: Source) -> Test:
        column: ColumnElement[t.Any] = source.value
        if op == "between":
            return and_(
                self.moment(known, "from", value[0], source), self.moment(known, "until", value[1], source)
            )  # fmt: skip
        if op == "on":
            first, after = day_bounds(value, self.now, self.zone)
            return and_(column >= first, column < after)
        asked = bounds(f"-{value}" if op == "in_last" else value, self.now, self.zone)
        # a whole day begins at its first moment and ends before the next day's
        start, end = asked if isinstance(asked, tuple) else (asked, None)
        match op:
            case "after":
                return column > start if end is None else column >= end
            case "before":
                return column < start
            case "from":
                return column >= start
            case "until":
                return column <= start if end is None else column < end
            case "in_last":
                return and_(column >= start, column <= self.now)
        return and_(column >= self.now, column <= start)
