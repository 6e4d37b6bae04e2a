"""Base class, portable types, what columns say of themselves, and the folded text that searches compare with."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, partial
from typing import Any, ClassVar, cast

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Enum, Integer, MetaData, String, Text, TypeDecorator, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.inspection import inspect
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Mapped, Session, UOWTransaction, mapped_column
from sqlalchemy.sql.functions import FunctionElement

from app.i18n import named

# ---- types ----------------------------------------------------------------------------------------------------

BigId = BigInteger().with_variant(Integer, "sqlite")
Json = JSON().with_variant(JSONB, "postgresql")
Name = String(200)
Email = String(254)


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


class unindexed(FunctionElement[Any]):
    """A column by which SQLite is not to look rows up: it has no statistics and may take the wrong index."""

    inherit_cache = True

    def __init__(self, column: InstrumentedAttribute[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(unindexed)
def _as_it_is(element: unindexed, compiler: Any, **kw: Any) -> str:
    return str(compiler.process(element.clauses, **kw))


@compiles(unindexed, "sqlite")
def _unindexed_sqlite(element: unindexed, compiler: Any, **kw: Any) -> str:
    return f"+{compiler.process(element.clauses, **kw)}"


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
    copy: bool | None = None,
    currency: str = "",
    when: str = "",
    past: bool = False,
) -> dict[str, Any]:
    """What a column says of itself to screens, filters, search, export and audit: ``mapped_column(info=about(...))``.

    listed: a column of the list. searched: part of `search_text`. filtered: offered as a filter. sensitive: never
    shown, never filtered, masked in the audit. group: the section of the form. widget: text area, hue, country,
    language, timezone ... where the type does not say it. currency: for money, the column that names the currency.
    css: how its cells behave in a table. copy: with a button that copies the value; None: IDs and e-mails have one.
    when: the form shows it only for these values of another field, ``kind=company|sole_proprietor``.
    past: a moment that cannot lie ahead.
    """  # fmt: skip
    return {
        "label": label, "help": help, "listed": listed, "searched": searched, "filtered": filtered and not sensitive,
        "sensitive": sensitive, "group": group, "widget": widget, "css": css, "currency": currency, "when": when,
        "copy": css == "id" or widget == "email" if copy is None else copy,
        "past": past,
    }  # fmt: skip


class _WithoutMarks(dict[int, int | None]):
    """For `str.translate`: every character stays, but for those that only mark another; asked for each one once."""

    def __missing__(self, code: int) -> int | None:
        self[code] = None if unicodedata.combining(chr(code)) else code
        return self[code]


_WITHOUT_MARKS = _WithoutMarks()


def fold(text: str) -> str:
    """Text as it is searched: case, accents and compatibility forms dropped, two spaces before each word.

    Both databases then answer the same with LIKE. Straße and STRASSE, Köhler and kohler, ① and 1 fold alike.
    """
    if text.isascii():
        kept = text.lower()
    else:
        plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
        kept = plain.translate(_WITHOUT_MARKS)
    return "".join(f"  {word}" for word in kept.split())


def like(text: str) -> str:
    """`text` with the wildcards of LIKE escaped by a backslash."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def folded(source: str, *, trigrams: bool = False) -> Mapped[str]:
    """The folded twin of a text column, kept on flush; text filters compare with it.

    trigrams: PostgreSQL gets a trigram index for it. Else `search_text` helps.
    """
    info = {"folds": source, "hidden": True, "trigrams": trigrams}
    return cast("Mapped[str]", mapped_column(Text, default="", server_default="", info=info))


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


def model_of(table: str) -> Any | None:
    """The class of a table's rows; None for a name that is no table of ours."""
    return next((m.class_ for m in Base.registry.mappers if m.class_.__tablename__ == table), None)


class Searchable:
    """`search_text` holds every column that says ``searched``, folded."""

    search_text: Mapped[str] = mapped_column(
        Text, default="", server_default="", info={"hidden": True, "sensitive": True}
    )


class Versioned:
    """Optimistic locking: a save on top of a version that somebody else has changed fails with StaleDataError."""

    version: Mapped[int] = mapped_column(Integer, default=1, server_default="1", info={"hidden": True})


@event.listens_for(Base, "instrument_class", propagate=True)
def _name_columns(mapper: Any, _cls: type) -> None:
    """Every column can be given another name (`i18n.rename`): all that shows `info["label"]` shows it."""
    for column in mapper.local_table.c:
        if "label" in column.info:
            column.info["label"] = named(column.info["label"], mapper.local_table.name, column.key)


@event.listens_for(Base, "instrument_class", propagate=True)
def _use_version(mapper: Any, cls: type) -> None:
    if issubclass(cls, Versioned):
        mapper.version_id_col = mapper.local_table.c.version


class Customised:
    """`custom`: the values of custom fields, by key. `custom_folded`: its texts, folded, kept on flush; they are part
    of `search_text` too."""

    custom: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, server_default="{}", info={"hidden": True})
    custom_folded: Mapped[dict[str, Any]] = mapped_column(
        Json, default=dict, server_default="{}", info={"hidden": True, "derived": True}
    )


class Stamped:
    created_at: Mapped[datetime] = mapped_column(default=utcnow, info={"hidden": True})


class AppSession(Session):
    """The sync session under every AsyncSession; listeners hang on this class, so none can be forgotten."""


@event.listens_for(AppSession, "before_flush")
def _keep_folded(session: Session, _context: UOWTransaction, _instances: object) -> None:
    for obj in [*session.new, *session.dirty]:
        for key, text in folded_of(type(obj), partial(getattr, obj)).items():
            setattr(obj, key, text)


def folded_of(entity: type[Base], value: Callable[[str], Any]) -> dict[str, Any]:
    """The folded columns of a row and its `search_text`. value: gives what a column of the row holds."""
    folds, searched = _derived(entity)
    found: dict[str, Any] = {key: fold(value(source) or "") for key, source in folds}
    words = [value(key) for key in searched]
    if issubclass(entity, Customised):
        texts = {k: v for k, v in custom.items() if isinstance(v, str)} if (custom := value("custom")) else {}
        found["custom_folded"] = {key: fold(text) for key, text in texts.items()}
        words += texts.values()
    if issubclass(entity, Searchable):
        found["search_text"] = fold(" ".join(str(w) for w in words if w))
    return found


@cache
def _derived(entity: type[Base]) -> tuple[list[tuple[str, str]], list[str]]:
    """(folded column, its source) and the columns that are searched."""
    columns = [(attr.key, attr.columns[0].info) for attr in inspect(entity).column_attrs]
    return (
        [(key, info["folds"]) for key, info in columns if "folds" in info],
        [key for key, info in columns if info.get("searched")],
    )
