"""Columns of a file: what stands in each for a row. Rows are read without objects, some thousand at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Boolean, Date, Dialect, Enum, Integer, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper

from app import db
from app.db import Base, UtcDateTime
from app.domain import custom
from app.domain.custom import Spec
from app.domain.sheets import money
from app.models.custom import CustomKind
from app.models.customers import Customer, Group, Membership
from app.models.ledger import Account
from app.models.users import User, UserCustomer

MANY_NAMES = 50_000
"""Names of related rows that a file remembers."""
DIGITS = {"percent": 2, "rate": 9}
"""Widgets of figures that are kept as whole numbers, and how many of their digits are decimals."""

Look = Callable[[AsyncSession, Sequence[Any]], Awaitable[Mapping[Any, Any]]]


@dataclass(frozen=True)
class Given:
    """A column that is no column of the table. look: the values of these rows, by id. figure: they are numbers; all
    else people have typed."""

    look: Look
    figure: bool = False


async def _groups(session: AsyncSession, ids: Sequence[int]) -> dict[int, str]:
    rows = await session.execute(
        select(Membership.customer_id, Group.name)
        .join(Group, Group.id == Membership.group_id)
        .where(Membership.customer_id.in_(ids))
        .order_by(Group.priority.desc(), Group.id)
    )
    return _joined(rows)


async def _logins(session: AsyncSession, ids: Sequence[int]) -> dict[int, str]:
    rows = await session.execute(
        select(UserCustomer.customer_id, User.username)
        .join(User, User.id == UserCustomer.user_id)
        .where(UserCustomer.customer_id.in_(ids))
        .order_by(User.id)
    )
    return _joined(rows)


async def _balances(session: AsyncSession, ids: Sequence[int]) -> dict[int, str]:
    rows = await session.execute(
        select(Account.customer_id, Account.currency, func.sum(Account.balance))
        .where(Account.customer_id.in_(ids))
        .group_by(Account.customer_id, Account.currency)
        .order_by(Account.currency)
    )
    return _joined((customer_id, f"{money(int(total), code)} {code}") for customer_id, code, total in rows)


def _joined(pairs: Any) -> dict[int, str]:
    found: dict[int, list[str]] = {}
    for row_id, text in pairs:
        found.setdefault(row_id, []).append(text)
    return {row_id: ", ".join(texts) for row_id, texts in found.items()}


GIVEN: dict[tuple[type[Base], str], Given] = {
    (Customer, "balance"): Given(_balances),
    (Customer, "groups"): Given(_groups),
    (Customer, "logins"): Given(_logins),
}
"""Columns besides those of the tables, by the key that they have in a list."""


def _custom(model: Any, spec: Spec) -> Given:
    async def look(session: AsyncSession, ids: Sequence[Any]) -> dict[Any, Any]:
        rows = await session.execute(select(model.id, model.custom).where(model.id.in_(ids)))
        return {row_id: custom.plain(spec, (held or {}).get(spec.key)) for row_id, held in rows}

    return Given(look, figure=spec.kind in (CustomKind.NUMBER, CustomKind.MONEY))


def given(model: Any, key: str) -> Given | None:
    """How a column that the table does not have gets its values; None: nobody knows."""
    spec = custom.named(model, key)
    return GIVEN.get((model, key)) if spec is None else _custom(model, spec)


def known(model: Any, key: str) -> bool:
    """Whether a file can have this column."""
    return key in inspect(model).column_attrs or given(model, key) is not None


def related(mapper: Mapper[Any], column: Any) -> Any | None:
    """The class of the row that a foreign key points at."""
    for relation in mapper.relationships:
        if relation.direction.name == "MANYTOONE" and column in relation.local_columns:
            return relation.mapper.class_
    return None


def _stored(kind: Any, dialect: Dialect, *, plain: bool) -> Callable[[Any], Any] | None:
    """What makes of a stored value one for a file; None where it is one already, as the texts of a Choice.
    plain: days and moments as texts."""
    if isinstance(kind, Enum):
        return None
    process = kind.dialect_impl(dialect).result_processor(dialect, None)
    if plain and isinstance(kind, UtcDateTime | Date):
        return lambda value: None if value is None else (process(value) if process else value).isoformat()
    found: Callable[[Any], Any] | None = process
    return found


def _decimal(digits: int) -> Callable[[int | None], str | None]:
    return lambda value: None if value is None else f"{Decimal(value).scaleb(-digits).normalize():f}"


class Values:
    """Of rows of `model`, read as `columns`, the values of each of `keys`."""

    def __init__(self, model: Any, keys: Sequence[str], besides: Sequence[str] = (), *, plain: bool = True) -> None:
        """besides: columns that are read for the order. plain: days and moments as texts, for files without types."""
        mapper: Mapper[Any] = inspect(model)
        self.model, self.keys = model, list(keys)
        self.targets: dict[str, Any] = {}
        self.names: dict[str, dict[Any, Any]] = {}
        """Of each column that points at another table: id -> how that row is called."""
        self.currencies: dict[str, str] = {}
        self.given: dict[str, Given] = {}
        self.figures: set[str] = set()
        """Columns that hold figures, also where they are written as texts."""
        self.typed: list[int] = []
        """Which columns hold what people have typed."""
        for i, key in enumerate(self.keys):
            if key not in mapper.column_attrs:
                if (way := given(model, key)) is None:
                    raise LookupError(f"{mapper.class_.__name__} has no column {key}")
                self.given[key] = way
                if way.figure:
                    self.figures.add(key)
                else:
                    self.typed.append(i)
                continue
            column = mapper.column_attrs[key].columns[0]
            if (target := related(mapper, column)) is not None:
                self.targets[key], self.names[key] = target, {None: None}
            elif column.info.get("widget") == "money":
                self.currencies[key] = column.info["currency"]
                self.figures.add(key)
            elif isinstance(column.type, Integer) and not isinstance(column.type, Boolean):
                self.figures.add(key)
            if key in self.targets or not isinstance(column.type, Integer | Boolean | Date | UtcDateTime | Enum):
                self.typed.append(i)
        stored = [key for key in self.keys if key not in self.given]
        ids = ["id"] if self.given else []
        wanted = (*stored, *self.currencies.values(), *besides, *ids)
        self.columns = {name: i for i, name in enumerate(dict.fromkeys(wanted))}
        self.dialect = db.engine().dialect
        kinds = {name: mapper.column_attrs[name].columns[0].type for name in self.columns}
        self.convert = {name: _stored(kind, self.dialect, plain=plain) for name, kind in kinds.items()}
        for key in stored:
            if digits := DIGITS.get(mapper.column_attrs[key].columns[0].info.get("widget", "")):
                self.convert[key] = _decimal(digits)
        self.processors = [kind.dialect_impl(self.dialect).result_processor(self.dialect, None)
                           for kind in kinds.values()]  # fmt: skip

    def selected(self) -> list[Any]:
        """What to select, for `made`."""
        return [getattr(self.model, name).label(name) for name in self.columns]

    async def made(self, rows: Sequence[Any]) -> list[list[Any]]:
        """rows: as the driver gives them, by `columns`. Gives one list of values for each key."""
        stored = [list(column) for column in zip(*rows, strict=True)]
        shown = []
        for key in self.keys:
            if (way := self.given.get(key)) is not None:
                ids = stored[self.columns["id"]]
                async with db.reads() as session:
                    found = await way.look(session, ids)
                shown.append([found.get(i) for i in ids])
                continue
            values = stored[self.columns[key]]
            if key in self.targets:
                names = await self._names(key, set(values))
                values = [names[v] for v in values]
            elif key in self.currencies:
                codes = stored[self.columns[self.currencies[key]]]
                values = [None if v is None else money(v, c) for v, c in zip(values, codes, strict=True)]
            elif (convert := self.convert[key]) is not None:
                values = [convert(v) for v in values]
            shown.append(values)
        return shown

    async def _names(self, key: str, ids: set[Any]) -> dict[Any, Any]:
        names, model = self.names[key], self.targets[key]
        if missing := ids - names.keys():
            if len(names) > MANY_NAMES:
                names.clear()
                names[None], missing = None, ids - {None}
            async with db.reads() as session:
                found = {o.id: str(o) for o in await session.scalars(select(model).where(model.id.in_(missing)))}
            names.update({i: found.get(i, f"#{i}") for i in missing})
        return names
