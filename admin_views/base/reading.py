"""What a list reads: the columns that it shows, of each relation what its label needs, and nothing else.

The rows are plain records, not objects of the ORM: a list needs no change tracking, and making 25 customers with their
projects took longer than everything else on the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper, aliased

from admin_views.base.cells import relation_of
from app import db
from app.db import Choice, Customised
from app.models import scope

if TYPE_CHECKING:
    from admin_views.base.screen import AppView
    from app.db.keyset import Key

LABELS = ("id", "name", "hue", "full_name", "username", "subject", "text")


def labelled(mapper: Mapper[Any]) -> list[str]:
    """The columns of a table that its rows are named by; a model adds others as `named_by`."""
    return [key for key in (*LABELS, *getattr(mapper.class_, "named_by", ())) if key in mapper.column_attrs]


def _record(model: type, names: Iterable[str]) -> type:
    """A class whose rows have these attributes, and the words of the model for themselves."""
    body: dict[str, Any] = {"__slots__": tuple(names)}
    if "__str__" in vars(model):
        body["__str__"] = model.__str__
    return type(model.__name__, (), body)


class Reading:
    """The statement of a list, and its rows as records: `record.project.name` for a relation that is shown."""

    def __init__(self, view: AppView, keys: Sequence[str], more: Iterable[str] = (), *, computed: bool = True) -> None:
        """keys: the columns that are shown. more: attributes that the screen fills in itself. computed: with the values
        that only the cells of the list use."""
        mapper, self.keys = view.mapper, tuple(keys)
        self.model: Any = view.model
        own = ["custom"] if issubclass(self.model, Customised) else []
        names = dict.fromkeys([*(p.key for p in view.pk_props), *view.needs, *labelled(mapper), *keys, *own])
        self.relations: dict[str, tuple[Any, list[str], type]] = {}
        """Name of the relation -> alias of its table, columns, class of the records."""
        self.by_column: dict[str, str] = {}
        """Column with a foreign key -> relation."""
        for key in keys:
            column = mapper.column_attrs[key].columns[0]
            if currency := column.info.get("currency"):
                names[currency] = None
            relation = relation_of(mapper, column)
            if relation is not None:
                few = labelled(relation.mapper)
                target = relation.mapper.class_
                self.relations[relation.key] = (aliased(target), few, _record(target, few))
                self.by_column[key] = relation.key
        self.names = list(names)
        self.computed = view.computed() if computed else {}
        self.record = _record(view.model, [*self.names, *self.computed, *self.relations, *more])

    def select(self, *conditions: ColumnElement[bool], besides: Iterable[Key] = ()) -> Select[Any]:
        """The rows that meet the conditions. besides: what the order needs."""
        columns = [getattr(self.model, n).label(n) for n in self.names]
        columns += [expression.label(n) for n, expression in self.computed.items()]
        for key, (target, few, _kind) in self.relations.items():
            columns += [getattr(target, n).label(f"{key}__{n}") for n in few]
        columns += [
            (k.expression if k.own else getattr(self.model, k.attr)).label(k.attr)
            for k in besides
            if k.attr not in self.names
        ]
        statement = select(*columns).select_from(self.model).where(*conditions)
        for key, (target, _few, _kind) in self.relations.items():
            statement = statement.outerjoin(getattr(self.model, key).of_type(target))
        return statement

    def text(self, record: Any, name: str) -> str:
        """The value of a column in plain words: the label of a related row or of a state; empty for none."""
        value = getattr(record, self.by_column.get(name, name))
        return str(value.label if isinstance(value, Choice) else value) if value is not None else ""

    def records(self, rows: Iterable[Any]) -> list[Any]:
        """Records of rows of `select`."""
        own = [*self.names, *self.computed]
        made = []
        for row in rows:
            record = self.record()
            for name, value in zip(own, row, strict=False):  # what stands behind them belongs to the relations
                setattr(record, name, value)
            at = len(own)
            for key, (_target, few, kind) in self.relations.items():
                setattr(record, key, _related(kind, few, row[at : at + len(few)]))
                at += len(few)
            made.append(record)
        return made


def _related(kind: type, names: Sequence[str], values: Sequence[Any]) -> Any:
    """The record that a relation leads to; None when there is none, or none in the person's scope."""
    if values[0] is None:
        return None
    record = kind()
    for name, value in zip(names, values, strict=True):
        setattr(record, name, value)
    return record


async def names_of(session: AsyncSession, model: Any, ids: Iterable[int]) -> dict[int, str]:
    """How these rows are called, by id, within the scope of the reader."""
    few, wanted = labelled(inspect(model)), tuple(sorted(ids))
    kind = _record(model, few)

    async def make() -> Select[Any]:
        found = select(*(getattr(model, n).label(n) for n in few)).where(model.id.in_(wanted))
        return scope.limited(found)

    rows = await db.ask(session, ("names", model, wanted, scope.whose()), make)
    return {row[0]: str(_related(kind, few, row)) for row in rows}
