"""Statements that are compiled once: what is asked again and again does without the ORM and its cache keys."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any

from sqlalchemy import BindParameter, Dialect, Row, Select, bindparam
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import TypeEngine

from app.db import sessions

AGE = 60.0
"""Seconds after which a statement is made anew: what it was planned with may have changed."""

Convert = Callable[[Any], Any]


def given(name: str, kind: TypeEngine[Any]) -> BindParameter[Any]:
    """A parameter of a statement that is kept: its value comes with each call of `ask`."""
    return bindparam(name, None, type_=kind)


class Prepared:
    """A SELECT as the driver takes it, with what its types do to values on the way in and out."""

    def __init__(self, statement: Select[Any], dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self.sql: str = compiled.string
        types = {name: bind.type.dialect_impl(dialect) for name, bind in compiled.binds.items()}
        fixed = compiled.construct_params(_check=False)
        self.given: list[tuple[str, Convert | None, Any]] = []
        for name in compiled.positiontup:
            of = types[name] if name in types else types[name.rpartition("_")[0]]  # one of an expanded list
            convert = of.bind_processor(dialect)
            value = fixed[name]
            self.given.append((name, convert, convert(value) if convert and value is not None else value))
        columns = list(statement.selected_columns)
        row: Any = namedtuple("row", [str(c.key) for c in columns])  # type: ignore[misc]
        self.row = row._make
        convert_out = [c.type.dialect_impl(dialect).result_processor(dialect, None) for c in columns]
        self.convert = [(i, convert) for i, convert in enumerate(convert_out) if convert is not None]

    def parameters(self, values: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(
            (convert(values[name]) if convert else values[name]) if name in values else fixed
            for name, convert, fixed in self.given
        )

    async def run(self, session: AsyncSession, values: dict[str, Any]) -> Sequence[Row[Any]]:
        """The rows as the driver gives them."""
        connection = await session.connection()
        return (await connection.exec_driver_sql(self.sql, self.parameters(values))).all()

    def rows(self, raw: Any) -> list[Any]:
        made = []
        for values in raw:
            row = list(values)
            for i, convert in self.convert:
                row[i] = convert(row[i])
            made.append(self.row(row))
        return made


async def ask(
    session: AsyncSession, key: Hashable, make: Callable[[], Awaitable[Select[Any]]], **values: Any
) -> list[Any]:
    """The rows (named tuples) of the statement that `make` gives, compiled when `key` is asked for a second time: most
    searches and filters are never asked again, and compiling costs more than it saves them.

    `make` must bring the scope along (`models.scope.limited`), and whatever it depends on must be part of `key`;
    `values` are those of its parameters (`given`). The statement may not name a moment such as "an hour ago".
    """
    store = sessions.kept()
    prepared: Prepared | None = store.get(key)
    if prepared is None:
        if store.first(key, AGE):
            return list(await session.execute(await make(), values, execution_options={"unscoped": True}))
        await session.connection()  # the first one tells the dialect what the database has
        prepared = Prepared(await make(), session.get_bind().dialect)
        store.put(key, prepared, AGE)
    return prepared.rows(await prepared.run(session, values))
