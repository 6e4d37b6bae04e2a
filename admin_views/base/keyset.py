"""Paging by keyset: the order of a list, and the rows behind one of them."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Enum, String, func, literal, tuple_, type_coerce

from app import db
from app.db import UtcDateTime
from app.domain import custom
from app.errors import AppError
from app.i18n import _

if TYPE_CHECKING:
    from admin_views.base.asked import Asked
    from admin_views.base.plan import Plan
    from admin_views.base.screen import AppView


def bad(what: str) -> AppError:
    return AppError(_("The address of this list is not valid: %(what)s.") % {"what": what}, 400)


def cursor(text: str | None) -> list[Any] | None:
    if not text:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise bad(_("the page marker is damaged")) from None
    simple = isinstance(values, list) and 1 <= len(values) <= 6
    if not simple or any(not isinstance(v, str | int) or (isinstance(v, int) and abs(v) >= 2**63) for v in values):
        raise bad(_("the page marker is damaged"))
    return list(values)


def encode(values: list[Any]) -> str:
    plain = [v.isoformat() if isinstance(v, datetime | date) else v for v in values]
    return base64.urlsafe_b64encode(json.dumps(plain, default=str).encode()).decode().rstrip("=")


@dataclass(frozen=True)
class Key:
    """One expression of the sort order; `attr` is the name of the same value in a row."""

    expression: ColumnElement[Any]
    attr: str
    empty: Any
    descending: bool
    own: bool = False
    """Of a custom field: the expression itself is read, no column."""

    def value(self, stored: Any) -> Any:
        kind = type(self.empty)
        return self.empty if stored is None else kind(stored) if self.own else stored  # numbers come as Decimal

    def of(self, row: Any) -> Any:
        return self.value(getattr(row, self.attr))

    def parse(self, value: Any) -> Any:
        wanted = type(self.empty)
        try:
            if wanted is datetime:
                return datetime.fromisoformat(value)
            if wanted is date:
                return date.fromisoformat(value)
        except (TypeError, ValueError):
            raise bad(_("the page marker is damaged")) from None
        if not isinstance(value, wanted) or isinstance(value, bool) is not (wanted is bool):
            raise bad(_("the page marker is damaged"))
        return value


def _empty(kind: Any) -> Any:
    if isinstance(kind, UtcDateTime):
        return datetime(1, 1, 2, tzinfo=UTC)
    python = kind.python_type
    return date(1, 1, 2) if python is date else (False if python is bool else (0 if python is int else ""))


def keys_of(plan: Plan, asked: Asked) -> list[Key]:
    """The sort order: the asked column, then the primary key as a tie-breaker, all in one direction."""
    view, sort = plan.view, "" if asked.unsorted else asked.sort
    names = [p.key for p in view.pk_props]
    descending = asked.descending or asked.unsorted
    spec = custom.named(view.model, sort)
    if spec is not None:
        expression = custom.order(spec, view.model)
        own = [Key(expression, spec.name, _empty(expression.type), descending, own=True)]
        return [*own, *(_key(view, name, descending) for name in names)]
    if sort and sort not in names:
        names.insert(0, plan.sortable[sort])
    elif sort:
        names = [sort, *(n for n in names if n != sort)]
    return [_key(view, name, descending) for name in names]


def _key(view: AppView, name: str, descending: bool) -> Key:
    column = view.mapper.column_attrs[name].columns[0]
    expression: ColumnElement[Any] = getattr(view.model, name)
    empty = _empty(column.type)
    if column.nullable:
        kind = String() if isinstance(column.type, Enum) else column.type  # none of its members is empty
        expression = func.coalesce(type_coerce(expression, kind), literal(empty, kind))
    return Key(expression, name, empty, descending)


def order_by(keys: list[Key], descending: bool) -> list[ColumnElement[Any]]:
    return [k.expression.desc() if descending else k.expression.asc() for k in keys]


def beyond(keys: list[Key], *, backwards: bool = False) -> ColumnElement[bool]:
    """Rows behind (or before) the row whose values are the parameters `marker` names."""
    # compared as a whole it is one range of an index; taken apart into ANDs and ORs both databases read the index
    # from its beginning. Keys are never NULL.
    here = tuple_(*(k.expression for k in keys))
    there = tuple_(*(db.given(f"key_{i}", k.expression.type) for i, k in enumerate(keys)))
    return here < there if keys[0].descending is not backwards else here > there


def marker(keys: list[Key], values: list[Any]) -> dict[str, Any]:
    """The parameters of `beyond` for the row that had these values. Raises AppError 400."""
    if len(values) != len(keys):
        raise bad(_("the page marker is damaged"))
    return {f"key_{i}": k.parse(v) for i, (k, v) in enumerate(zip(keys, values, strict=True))}
