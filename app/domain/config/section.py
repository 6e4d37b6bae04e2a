"""A section of the configuration file: rows of one table, by name, and the verbs that make and change them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Boolean, Date, Enum, Integer, String, Text, exists, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Base
from app.domain import checks
from app.domain.config.conditions import SECTION_OF
from app.domain.config.refs import Key, Refs
from app.domain.config.shapes import Checked, Day, ListOf, Money, Number, OneOf, Rate, Ref, Shape, Whole, YesNo
from app.errors import Conflict
from app.i18n import gettext

LONGEST = 100_000
_HUES = 8


class Section:
    """A section declares `name`, `label`, `model`, `key` and `fields`; those whose rows have verbs override `save` and
    `remove`, and `read` for what does not stand in a column of the row."""

    name: ClassVar[str]
    label: ClassVar[str]
    model: ClassVar[type[Base]]
    key: ClassVar[tuple[str, ...]] = ("name",)
    """The fields that together name a row; the first alone where that is enough."""
    fields: ClassVar[Mapping[str, Shape]]
    unique: ClassVar[bool] = True
    """Whether there is one row of each key."""
    removes: ClassVar[bool] = True
    """False: rows come and go with those of another section."""
    grows: ClassVar[tuple[Any, ...]] = ()
    """Loader options."""
    owned: ClassVar[tuple[str, ...]] = ()
    """Tables whose rows go with the row that they name."""
    rights: ClassVar[Mapping[str, str]] = {"create": "create", "change": "edit", "remove": "delete"}
    """What somebody who takes a file over must be allowed on the screen of the rows."""

    def __init_subclass__(cls) -> None:
        if {"name", "model"} <= vars(cls).keys():
            SECTION_OF[cls.model.__tablename__] = cls.name

    async def rows(self, session: AsyncSession) -> Sequence[Any]:
        """Those that belong into a file."""
        query = select(self.model).options(*self.grows).order_by(*inspect(self.model).primary_key)
        return (await session.scalars(query.execution_options(populate_existing=True))).unique().all()

    async def read(self, session: AsyncSession, row: Any, refs: Refs) -> dict[str, Any]:
        """The fields of a row as plain data."""
        held = self.held(row)
        return {
            name: shape.load(held[name] if name in held else getattr(row, attr_of(name, shape)), refs, row)
            for name, shape in self.fields.items()
        }

    def held(self, row: Any) -> Mapping[str, Any]:
        """What does not stand in a column of the row under the field's name."""
        return {}

    def key_of(self, plain: Mapping[str, Any]) -> Key:
        return tuple("" if plain.get(name) is None else str(plain[name]) for name in self.key)

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        """Make a row (row is None), or change one. values: what is new, by attribute; whole: all of it."""
        if row is None:
            row = self.model(**values)
            session.add(row)
        else:
            checks.change(row, values)
        await session.flush()
        return row

    async def remove(self, session: AsyncSession, row: Any) -> None:
        """Raises Conflict while something needs it."""
        await refuse_used(session, row, self.owned)
        try:
            async with session.begin_nested():
                await session.delete(row)
                await session.flush()
        except IntegrityError:
            raise Conflict(gettext("It is still in use.")) from None


def attr_of(name: str, shape: Shape) -> str:
    return f"{name}_id" if isinstance(shape, Ref) else name


async def refuse_used(session: AsyncSession, row: Any, owned: Sequence[str] = ()) -> None:
    """Raise Conflict when rows that are no part of it name it: they would lose that, or go along."""
    table = inspect(type(row)).local_table
    for mapper in Base.registry.mappers:
        if mapper.class_.__tablename__ in owned:
            continue
        for column in mapper.local_table.columns:
            if any(fk.column.table is table for fk in column.foreign_keys):
                attr = getattr(mapper.class_, mapper.get_property_by_column(column).key)
                if await session.scalar(select(exists().where(attr == row.id)).execution_options(unscoped=True)):
                    used = mapper.class_.__tablename__.replace("_", " ")
                    raise Conflict(gettext("It is still in use (%(what)s).") % {"what": used})


# ---- shapes of columns ----------------------------------------------------------------------------------------------


def text(longest: int = LONGEST, *, lines: bool = True, required: bool = False) -> checks.Check:
    """A text of at most so many characters, of one line or of several."""

    def check(value: str) -> str:
        for c in value:
            if unicodedata.category(c) in ("Cc", "Cs") and not (lines and c in "\n\t\r"):
                raise checks.Bad(gettext("This holds a character that cannot be shown, such as a line break or NUL."))
        if required and not value.strip():
            raise checks.Bad(gettext("Please fill this in."))
        if len(value) > longest:
            raise checks.Bad(gettext("At most %(n)d characters, please.") % {"n": longest})
        return value

    return check


def language(value: str) -> str:
    found = checks.language(value)
    if not found:
        raise checks.Bad(gettext("Please fill this in."))
    return found


def _hue(value: str) -> int:
    if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= _HUES):
        raise checks.Bad(gettext("A number from 1 to %(n)s, please.") % {"n": _HUES})
    return int(value)


_WIDGETS: dict[str, Shape] = {
    "hue": Whole(_hue), "email": Checked(checks.email), "country": Checked(checks.country),
    "currency": Checked(checks.currency), "timezone": Checked(checks.timezone), "language": Checked(language),
    "languages": ListOf(Checked(language)), "percent": Number(), "rate": Rate(),
}  # fmt: skip


class _Column(Ref):
    """A foreign key: the section of its table may be declared later."""

    def __init__(self, table: str, optional: bool) -> None:
        self.table, self.optional = table, optional

    @property
    def section(self) -> str:  # type: ignore[override]
        return SECTION_OF[self.table]


def columns(model: type[Base], *names: str) -> dict[str, Shape]:
    """The shapes of columns by what they say of themselves. A relation (`group` of `group_id`) is a name."""
    mapper = inspect(model)
    made: dict[str, Shape] = {}
    for name in names:
        ref = name not in mapper.columns
        made[name] = _shape(mapper.columns[f"{name}_id" if ref else name], ref)
    return made


def _shape(column: Any, ref: bool) -> Shape:
    kind, widget = column.type, column.info.get("widget", "")
    if ref:
        return _Column(next(iter(column.foreign_keys)).column.table.name, column.nullable)
    if widget == "money":
        return Money(currency=column.info["currency"])
    if widget in _WIDGETS:
        return _WIDGETS[widget]
    if isinstance(kind, Enum):
        return OneOf(kind.enum_class, optional=column.nullable)  # type: ignore[arg-type]
    if isinstance(kind, Boolean):
        return YesNo()
    if isinstance(kind, Date):
        return Day()
    if isinstance(kind, Integer | BigInteger):
        return Whole(checks.whole(column))
    if isinstance(kind, Text) or widget == "area":
        return Checked(text(getattr(kind, "length", None) or LONGEST), optional=column.nullable)
    if isinstance(kind, String):
        required = not column.nullable and column.default is None
        return Checked(text(kind.length or LONGEST, lines=False, required=required), optional=column.nullable)
    raise TypeError(f"{column} has no shape: declare one")
