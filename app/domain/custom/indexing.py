"""The indexes of custom fields that are filtered or sorted by often. On PostgreSQL they are made and dropped while
others read and write: nobody waits for them, however long a table is."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, text

from app import db
from app.db import inside
from app.domain.custom import sorting
from app.domain.custom.spec import PLAIN, spec_of
from app.models.custom import CustomField, CustomKind

_THERE = {
    "sqlite": "SELECT name, 1 FROM sqlite_master WHERE type = 'index' AND name LIKE 'cf\\_%' ESCAPE '\\'",
    "postgresql": "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    " WHERE c.relname LIKE 'cf\\_%'",
}
"""Name of each index that was made on demand, and whether it was finished."""


async def index(*, field_id: int) -> None:
    """Make the indexes of a field anew, or drop those of one that needs none. In no unit: it commits by itself."""
    async with db.reads() as session:
        field = await session.get(CustomField, field_id)
    if field is not None:
        dropped = inside.drop_indexes(field.target.value, field.key)
        await _run([*dropped, *(_made(field) if field.indexed else ())])


async def index_all() -> None:
    """Make the indexes that are missing (a migration that makes a table anew leaves them behind), and drop what belongs
    to no field any more or was broken off."""
    async with db.reads() as session:
        fields = list(await session.scalars(select(CustomField).where(CustomField.indexed)))
        there = (await session.execute(text(_THERE[db.engine().dialect.name]))).all()
    wanted = {name for f in fields for name in inside.index_names(f.target.value, f.key)}
    lost = [f'DROP INDEX IF EXISTS "{name}"' for name, whole in there if name not in wanted or not whole]
    await _run([*lost, *(statement for field in fields for statement in _made(field))])


def _made(field: CustomField) -> list[str]:
    few, spec = field.kind in (CustomKind.CHOICE, CustomKind.YES_NO), spec_of(field)
    statements = sorting.make_index(spec, db.engine().dialect)
    if db.is_sqlite():  # PostgreSQL has one for all filters
        statements += inside.make_index(field.target.value, field.key, folded=field.kind in PLAIN, few=few)
    return statements


async def _run(statements: Sequence[str]) -> None:
    if db.is_sqlite():
        async with db.unit() as session:
            for statement in statements:
                await session.execute(text(statement))
        return
    async with db.engine().connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in statements:
            await alone.exec_driver_sql(statement.replace(" INDEX ", " INDEX CONCURRENTLY ", 1))
