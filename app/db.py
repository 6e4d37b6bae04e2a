"""The database: base class, portable types, two kinds of session, and what differs between SQLite and PostgreSQL."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    event,
    inspect,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, UOWTransaction, mapped_column
from sqlalchemy.sql.functions import FunctionElement

from app.observe import log

# ---- types ----------------------------------------------------------------------------------------------------

BigId = BigInteger().with_variant(Integer, "sqlite")
Json = JSON().with_variant(JSONB, "postgresql")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Takes and gives aware datetimes; stored in UTC (SQLite has no time zones and would lose them)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Choice(StrEnum):
    """An enum whose members carry the label that people see: ``ACTIVE = "active", _("Active")``."""

    label: str

    def __new__(cls, value: str, label: str = "") -> Choice:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label or value
        return member


def choice(kind: type[Choice]) -> Enum:
    """The column type of a Choice: its value as text, so that a new member needs no change of the database type."""
    return Enum(
        kind, native_enum=False, length=24, create_constraint=False, validate_strings=True,
        values_callable=lambda members: [m.value for m in members],
    )  # fmt: skip


def utcnow() -> datetime:
    return datetime.now(UTC)


class moment(FunctionElement[datetime]):
    """The DATABASE's clock, `seconds` from now: leases are only ever compared with this one."""

    type = UtcDateTime()
    inherit_cache = False

    def __init__(self, seconds: float = 0) -> None:
        super().__init__()
        self.seconds = float(seconds)


@compiles(moment, "sqlite")
def _moment_sqlite(element: moment, _compiler: Any, **_kw: Any) -> str:
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', '{element.seconds:+.3f} seconds') || '000')"


@compiles(moment, "postgresql")
def _moment_postgresql(element: moment, _compiler: Any, **_kw: Any) -> str:
    return f"(clock_timestamp() + interval '{element.seconds:.3f} seconds')"


# ---- declaring columns ----------------------------------------------------------------------------------------


def about(
    label: str,
    *,
    help: str = "",
    listed: bool = False,
    searched: bool = False,
    filtered: bool = True,
    sensitive: bool = False,
    group: str = "",
    widget: str = "",
    css: str = "",
    currency: str = "",
    when: str = "",
) -> dict[str, Any]:
    """What a column says of itself to screens, filters, search, export and audit: ``mapped_column(info=about(...))``.

    listed: a column of the list. searched: part of `search_text`. filtered: offered as a filter. sensitive: never
    shown, never filtered, masked in the audit. group: the section of the form. widget: text area, hue, country,
    language, timezone ... where the type does not say it. currency: for money, the column that names the currency.
    when: the form shows it only for these values of another field, ``kind=company|sole_proprietor``.
    """  # fmt: skip
    return {
        "label": label, "help": help, "listed": listed, "searched": searched, "filtered": filtered and not sensitive,
        "sensitive": sensitive, "group": group, "widget": widget, "css": css, "currency": currency, "when": when,
    }  # fmt: skip


def fold(text: str) -> str:
    """Text as it is searched: case, accents and compatibility forms dropped, two spaces before each word.

    Both databases then answer the same with LIKE. Straße and STRASSE, Köhler and kohler, ① and 1 fold alike.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    return "".join(f"  {word}" for word in kept.split())


def like(text: str) -> str:
    """`text` with the wildcards of LIKE escaped by a backslash."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def folded(source: str) -> Mapped[str]:
    """The folded twin of a text column, kept on flush; text filters compare with it."""
    return cast(
        "Mapped[str]",
        mapped_column(Text, default="", server_default="", info={"folds": source, "hidden": True}),
    )


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime(), dict[str, Any]: Json, list[str]: Json}


class Searchable:
    """`search_text` holds every column that says ``searched``, folded."""

    search_text: Mapped[str] = mapped_column(
        Text, default="", server_default="", info={"hidden": True, "sensitive": True}
    )


class Versioned:
    """Optimistic locking: a save on top of a version that somebody else has changed fails with StaleDataError."""

    version: Mapped[int] = mapped_column(Integer, default=1, server_default="1", info={"hidden": True})


@event.listens_for(Base, "instrument_class", propagate=True)
def _use_version(mapper: Any, cls: type) -> None:
    if issubclass(cls, Versioned):
        mapper.version_id_col = mapper.local_table.c.version


class Customised:
    """`custom`: the values of custom fields, by key."""

    custom: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, server_default="{}", info={"hidden": True})


class Stamped:
    created_at: Mapped[datetime] = mapped_column(default=utcnow, info={"hidden": True})


class AppSession(Session):
    """The sync session under every AsyncSession; listeners hang on this class, so none can be forgotten."""


@event.listens_for(AppSession, "before_flush")
def _keep_folded(session: Session, _context: UOWTransaction, _instances: object) -> None:
    for obj in [*session.new, *session.dirty]:
        mapper = inspect(obj).mapper
        for attr in mapper.column_attrs:
            source = attr.columns[0].info.get("folds")
            if source:
                setattr(obj, attr.key, fold(getattr(obj, source) or ""))
        if isinstance(obj, Searchable):
            words = [getattr(obj, a.key) for a in mapper.column_attrs if a.columns[0].info.get("searched")]
            obj.search_text = fold(" ".join(str(w) for w in words if w))


# ---- engines and sessions ---------------------------------------------------------------------------------------


@dataclass
class _Database:
    engine: AsyncEngine
    writes: async_sessionmaker[AsyncSession]
    reads: async_sessionmaker[AsyncSession]


_database: _Database | None = None


def make_engine(url: str, **options: Any) -> AsyncEngine:
    """An engine with what each database needs; parameters never appear in error messages."""
    sqlite = url.startswith("sqlite")
    if not sqlite:
        options.setdefault("pool_pre_ping", True)
        options.setdefault(
            "connect_args", {"server_settings": {"jit": "off", "application_name": "bursar"}, "timeout": 5}
        )
    engine = create_async_engine(url, hide_parameters=True, **options)
    if sqlite:
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
    # a deferred transaction that reads and then writes fails at once in spite of the busy timeout
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def configure(url: str, **options: Any) -> None:
    """Name the database of this process. `url`: ``sqlite+aiosqlite:///file`` or ``postgresql+asyncpg://...``."""
    global _database
    engine = make_engine(url, **options)
    if engine.dialect.name == "sqlite":
        writer, reader = engine.execution_options(writes=True), engine
    else:
        writer, reader = engine, engine.execution_options(postgresql_readonly=True)
    common: dict[str, Any] = {"sync_session_class": AppSession, "expire_on_commit": False}
    _database = _Database(engine, async_sessionmaker(writer, **common), async_sessionmaker(reader, **common))


def database() -> _Database:
    if _database is None:
        raise RuntimeError("app.db.configure() was not called")
    return _database


def engine() -> AsyncEngine:
    return database().engine


def is_sqlite() -> bool:
    return engine().dialect.name == "sqlite"


def read_sessions() -> async_sessionmaker[AsyncSession]:
    """A sessionmaker of its own for SQLAdmin, which changes the one that it is given; it can only read."""
    bind = database().reads.kw["bind"]
    return async_sessionmaker(bind, sync_session_class=AppSession, expire_on_commit=False)


async def dispose() -> None:
    if _database is not None:
        await _database.engine.dispose()


AfterCommit = Callable[[], Awaitable[None]]


def after_commit(session: AsyncSession, what: AfterCommit) -> None:
    """Do `what` once the unit is committed (not a SAVEPOINT); a failure is logged, never raised."""
    session.info.setdefault("after_commit", []).append(what)


@asynccontextmanager
async def unit() -> AsyncIterator[AsyncSession]:
    """One unit of work: one transaction, one commit, then what waits for the commit. Only this commits."""
    async with database().writes() as session:
        async with session.begin():
            yield session
        waiting: list[AfterCommit] = session.info.pop("after_commit", [])
    for what in waiting:
        try:
            await what()
        except Exception:
            log("db").exception("a step after the commit failed")


@asynccontextmanager
async def reads() -> AsyncIterator[AsyncSession]:
    """A session that cannot write."""
    async with database().reads() as session:
        yield session


def violated(error: IntegrityError) -> tuple[str, ...]:
    """The column names of the constraint that was hit; empty when the database does not say."""
    cause = getattr(error.orig, "__cause__", None)
    if name := getattr(cause, "constraint_name", None):
        for table in Base.metadata.tables.values():
            for constraint in [*table.constraints, *table.indexes]:
                if getattr(constraint, "name", None) == name:
                    return tuple(c.name for c in getattr(constraint, "columns", ()))
        return ()
    _head, _sep, columns = str(error.orig).partition("constraint failed: ")
    return tuple(part.rpartition(".")[2].strip() for part in columns.split(",") if "." in part)


# ---- what Alembic does not compare --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Extra:
    """A trigger, an expression index or a virtual table: dropped and made anew after each migration."""

    name: str
    create: Callable[[str], list[str]]
    drop: Callable[[str], list[str]]


extras: list[Extra] = []

Name = String(200)
Email = String(254)
