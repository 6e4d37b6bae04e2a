"""Indexes of trigrams, behind searches for a part of a text. What is found is what LIKE finds; they only make it fast.

PostgreSQL: pg_trgm, a GIN index that its planner uses for LIKE by itself. SQLite: one FTS5 table per searched table,
kept by triggers; it cannot serve LIKE, so the condition is said twice, the second time as a MATCH (`Narrowed`).
Where either is missing everything works, by reading the whole table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Dialect,
    String,
    Table,
    bindparam,
    column,
    func,
    inspect,
    select,
    table,
)  # fmt: skip
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import InternalTraversal, iterate

from app.db.base import Base, Searchable, like
from app.db.extra import Extra, extras

# ---- the indexes ---------------------------------------------------------------------------------------------------


@cache
def _sqlite_has_trigrams() -> bool:
    """FTS5 may be left out of a build of SQLite, and its trigrams came with 3.34."""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute("CREATE VIRTUAL TABLE t USING fts5(x, tokenize='trigram case_sensitive 1')")
        except sqlite3.OperationalError:
            return False
    return True


def _searchable() -> list[Table]:
    found = [m.local_table for m in Base.registry.mappers if issubclass(m.class_, Searchable)]
    return sorted((t for t in found if isinstance(t, Table)), key=lambda t: t.name)


def _trigram_columns() -> list[tuple[str, str]]:
    """(table, column) of each GIN index: every `search_text`, and the folded twins that say so."""
    return [
        (t.name, c.name) for t in _searchable() for c in t.columns if c.name == "search_text" or c.info.get("trigrams")
    ]


_EXTENSION = """DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') THEN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'searches will read whole tables, for pg_trgm cannot be created: %', SQLERRM;
END $$"""
_GIN = """DO $$ DECLARE place text; BEGIN
    SELECT n.nspname INTO place FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'pg_trgm';
    IF FOUND THEN
        EXECUTE format('CREATE INDEX {name} ON "{table}" USING gin ({column} %I.gin_trgm_ops)', place);
    END IF;
END $$"""
# FTS5 learns of a change only what it is told: the old text has to be taken out word for word. No positions are kept
# (detail=none), because LIKE looks at what was found anyway: a third of the size, half of the time.
_FTS = (
    "CREATE VIRTUAL TABLE {fts} USING fts5(search_text, content='{table}', content_rowid='id',"
    " tokenize='trigram case_sensitive 1', detail=none, columnsize=0)",
    'CREATE TRIGGER {fts}_insert AFTER INSERT ON "{table}" BEGIN'
    " INSERT INTO {fts}(rowid, search_text) VALUES (new.id, new.search_text); END",
    'CREATE TRIGGER {fts}_delete AFTER DELETE ON "{table}" BEGIN'
    " INSERT INTO {fts}({fts}, rowid, search_text) VALUES ('delete', old.id, old.search_text); END",
    'CREATE TRIGGER {fts}_update AFTER UPDATE OF id, search_text ON "{table}"'
    " WHEN old.search_text <> new.search_text OR old.id <> new.id BEGIN"
    " INSERT INTO {fts}({fts}, rowid, search_text) VALUES ('delete', old.id, old.search_text);"
    " INSERT INTO {fts}(rowid, search_text) VALUES (new.id, new.search_text); END",
    "INSERT INTO {fts}({fts}) VALUES ('rebuild')",
)


def _create(dialect: str) -> list[str]:
    if dialect != "sqlite":
        indexes = [(f"ix_{t}_{c}_trigrams", t, c) for t, c in _trigram_columns()]
        return [_EXTENSION, *(_GIN.format(name=name, table=t, column=c) for name, t, c in indexes)]
    if not _sqlite_has_trigrams():
        return []
    return [statement.format(table=t.name, fts=f"{t.name}_fts") for t in _searchable() for statement in _FTS]


def _drop(dialect: str) -> list[str]:
    if dialect != "sqlite":
        return [f"DROP INDEX IF EXISTS ix_{t}_{c}_trigrams" for t, c in _trigram_columns()]
    tables = [f"{t.name}_fts" for t in _searchable()]
    triggers = [f"DROP TRIGGER IF EXISTS {name}_{on}" for name in tables for on in ("insert", "delete", "update")]
    return [*triggers, *(f"DROP TABLE IF EXISTS {name}" for name in tables)]


extras.append(Extra("trigrams", _create, _drop))


# ---- using them in conditions --------------------------------------------------------------------------------------

MAX_TRIGRAMS = 48
"""So many of a condition are looked up; more would hardly find less."""
COMMON = 20
"""A text that stands in more than one of so many rows is found sooner by reading the rows in their order."""
FEW = 20_000
"""So few rows are always looked up."""


class Narrowed(FunctionElement[bool]):
    """`exact`, which is what counts, and what an index can find of it first: `parts` of `search_text` of the row `pk`.

    `common`: so many rows hold the parts that a list of them would cost more than it saves (see `weigh`, which leaves
    alone what is `settled`).
    """

    type = Boolean()
    name = "narrowed"
    _traverse_internals = [
        *FunctionElement._traverse_internals,
        ("fts", InternalTraversal.dp_string),
        ("common", InternalTraversal.dp_boolean),
    ]

    def __init__(
        self, exact: ColumnElement[bool], pk: Any, fts: str, match: str, likes: Iterable[ColumnElement[bool]]
    ) -> None:
        self.fts, self.asked, self.common, self.settled = fts, match, False, False
        super().__init__(exact, pk, bindparam(None, match, String, unique=True), *likes)

    def self_group(self, against: Any = None) -> Any:
        return self  # otherwise SQLite is asked for "... = 1", through which it sees no index


def narrow(exact: ColumnElement[bool], entity: Any, parts: Iterable[str], *, indexed: bool) -> ColumnElement[bool]:
    """The same condition, served by the index of `search_text` when the model of `entity` has one.

    `parts`: folded texts that stand in the `search_text` of every row for which `exact` holds; those under three
    characters are of no use. `indexed`: PostgreSQL has a trigram index for `exact` itself.
    """
    mapper: Mapper[Any] = inspect(entity).mapper
    known = [p for p in dict.fromkeys(parts) if len(p) > 2]
    if not known or not issubclass(mapper.class_, Searchable) or not isinstance(mapper.local_table, Table):
        return exact
    trigrams = dict.fromkeys(part[i : i + 3] for part in known for i in range(min(len(part) - 2, MAX_TRIGRAMS)))
    match = " AND ".join('"' + t.replace('"', '""') + '"' for t in list(trigrams)[:MAX_TRIGRAMS])
    likes = [] if indexed else [entity.search_text.like(f"%{like(part)}%", escape="\\") for part in known]
    return Narrowed(exact, entity.id, f"{mapper.local_table.name}_fts", match, likes)


@compiles(Narrowed)
def _narrowed(element: Narrowed, compiler: Any, **kw: Any) -> str:
    exact, _pk, _match, *likes = element.clauses
    return "(" + " AND ".join(f"({compiler.process(c, **kw)})" for c in (exact, *likes)) + ")"


@compiles(Narrowed, "sqlite")
def _narrowed_sqlite(element: Narrowed, compiler: Any, **kw: Any) -> str:
    exact, pk, match = (compiler.process(c, **kw) for c in list(element.clauses)[:3])
    if element.common or element.fts not in getattr(compiler.dialect, "trigram_tables", ()):
        return f"({exact})"
    return f"(({exact}) AND {pk} IN (SELECT rowid FROM {element.fts} WHERE {element.fts} MATCH {match}))"  # noqa: S608


def look_for_indexes(connection: Any, dialect: Dialect) -> None:
    """Remember which FTS tables there are: a database may come from a machine whose SQLite has none."""
    rows = connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%fts5%'").fetchall()
    dialect.trigram_tables = frozenset(row[0] for row in rows)  # type: ignore[attr-defined]


async def weigh(session: AsyncSession, conditions: Sequence[ColumnElement[bool]]) -> None:
    """Before a statement with these conditions runs: say which of them are too common for the index.

    SQLite plans without knowing how often a text occurs; PostgreSQL knows, and nothing is done.
    """
    if not conditions or session.get_bind().dialect.name != "sqlite":
        return
    await session.connection()  # the first one looks for the tables
    there = getattr(session.get_bind().dialect, "trigram_tables", None)
    for element in chain.from_iterable(map(iterate, conditions)):
        if not isinstance(element, Narrowed) or element.settled:
            continue
        if there is not None and element.fts in there:
            fts = table(element.fts, column("rowid"))
            rows = await session.scalar(select(func.max(column("id"))).select_from(table(element.fts[:-4]))) or 0
            most = max(FEW, rows // COMMON)
            hit = select(fts.c.rowid).where(column(element.fts, is_literal=True).op("MATCH")(element.asked))
            found = await session.scalar(select(func.count()).select_from(hit.limit(most + 1).subquery()))
            element.common = (found or 0) > most
