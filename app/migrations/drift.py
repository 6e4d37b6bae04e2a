"""What models, extras and database have in common, and where they differ."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Literal

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import JSON, Connection
from sqlalchemy.exc import SAWarning


def differences(connection: Connection) -> list[str]:
    """What differs between the models and a migrated database, one line each.

    Extras are dropped and made anew in a transaction that is rolled back; a definition that changes by it has drifted.
    """
    wanted = metadata()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # expression indexes cannot be reflected; they are extras
        context = MigrationContext.configure(connection, opts=compare_options())
        found = [f"models: {_describe(change)}" for change in compare_metadata(context, wanted)]
    before = _definitions(connection)
    drop_extras(connection)
    create_extras(connection)
    after = _definitions(connection)
    connection.rollback()
    return found + [f"extras: {line} differs from app.db.extras" for line in sorted(before ^ after)]


def metadata() -> Any:
    """The metadata with every table in it."""
    import app.models  # noqa: F401  each module adds its tables
    from app.db import Base

    return Base.metadata


def drop_extras(connection: Connection) -> None:
    """Drop every extra, the last one first."""
    from app.db import extras

    _run(connection, (sql for extra in reversed(extras) for sql in extra.drop(connection.dialect.name)))


def create_extras(connection: Connection) -> None:
    """Make every extra."""
    from app.db import extras

    _run(connection, (sql for extra in extras for sql in extra.create(connection.dialect.name)))


def _run(connection: Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement)


def compare_options() -> dict[str, Any]:
    """What Alembic is told to compare."""
    return {"compare_type": True, "compare_server_default": _default_differs, "include_object": _ours()}


def _describe(change: Any) -> str:
    """One difference of Alembic's in one line."""
    if isinstance(change, list):  # the changes of one column
        return ", ".join(f"{kind} of {table}.{column}" for kind, _schema, table, column, *_ in change)
    return " ".join(str(part) for part in change if part is not None)


def _default_differs(
    _context: object, _there: object, column: Any, there: str | None, _default: object, wanted: str | None
) -> bool | None:
    """None: let Alembic compare. It takes an empty text on SQLite for a difference."""
    declared = getattr(column.server_default, "arg", None)
    if there is not None and declared == "":
        return there.partition("::")[0].strip("()") not in ("", "''")
    return None


def _ours() -> Callable[..., bool]:
    """What Alembic compares: all but the extras, the inner tables of virtual ones, and on-demand indexes (`cf_*`)."""
    from app.db import extras

    sql = "\n".join(line for extra in extras for name in ("sqlite", "postgresql") for line in extra.create(name))
    pattern = r"CREATE\s+(?:UNIQUE\s+|VIRTUAL\s+)?(?:TABLE|INDEX)\s+(?:IF\s+NOT\s+EXISTS\s+)?\"?(\w+)"
    names = {extra.name for extra in extras} | set(re.findall(pattern, sql, re.IGNORECASE))
    inner = {f"{name}_{part}" for name in names for part in ("data", "idx", "content", "docsize", "config")}

    def include(_thing: object, name: str | None, kind: str, reflected: bool, _other: object) -> bool:
        if kind == "index" and name and name.startswith("cf_"):
            return False
        return not (reflected and kind in ("table", "index") and name in names | inner)

    return include


def render(kind: str, thing: object, _context: object) -> str | Literal[False]:
    """How a new revision writes our own column types; False: as Alembic would."""
    from app.db import UtcDateTime

    if kind == "type" and isinstance(thing, UtcDateTime):
        return "app.db.UtcDateTime()"
    if kind == "type" and isinstance(thing, JSON):
        return "app.db.Json"
    return False


def _definitions(connection: Connection) -> set[str]:
    """Every trigger, index, function and virtual table with its definition, in the words of the database."""
    if connection.dialect.name == "sqlite":
        query = (
            "SELECT type || ' ' || name || ': ' || sql FROM sqlite_master WHERE sql IS NOT NULL"
            " AND (type IN ('trigger', 'index', 'view') OR sql LIKE 'CREATE VIRTUAL%')"
        )
    else:
        query = (
            "SELECT 'trigger ' || tgname || ': ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
            " UNION ALL SELECT 'index ' || indexname || ': ' || indexdef FROM pg_indexes"
            " WHERE schemaname = current_schema()"
            " UNION ALL SELECT 'function ' || p.proname || ': ' || pg_get_functiondef(p.oid) FROM pg_proc p"
            " JOIN pg_language l ON l.oid = p.prolang"
            " WHERE p.pronamespace = current_schema()::regnamespace AND l.lanname IN ('plpgsql', 'sql')"
            " AND p.prokind = 'f' AND NOT EXISTS"
            " (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
        )
    return {" ".join(str(row[0]).split()) for row in connection.exec_driver_sql(query)}
