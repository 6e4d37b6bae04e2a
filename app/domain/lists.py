"""Which rows a list means: what always holds there, what its search finds, whose rows they are. Screens ask it, and
work in the background over all rows of a list, which is given the list as a value (`Meant`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

from sqlalchemy import ColumnElement, exists, func, inspect, or_, select

from app import filters
from app.db import Base, Searchable, fold, like, utcnow
from app.db.keyset import Key, empty_of, keys_of
from app.domain import custom
from app.errors import Invalid
from app.i18n import gettext
from app.models.attachments import Attachment
from app.models.audit import Audit
from app.models.customers import Customer
from app.models.ledger import Account
from app.models.messaging import Campaign, Delivery
from app.models.sessions import LoginSession, SessionKind
from app.models.users import User, UserCustomer
from app.models.views import SavedView, ViewKind

Test = ColumnElement[bool]
Ids = tuple[int, ...]

ALWAYS: Mapping[type[Base], Callable[[], Test]] = {
    Account: lambda: Account.customer_id.is_not(None),
    Attachment: lambda: Attachment.customer_id.is_(None),
    LoginSession: lambda: LoginSession.kind == SessionKind.VISIT,
    SavedView: lambda: SavedView.kind.in_((ViewKind.SHARED, ViewKind.ROLE)),
}
"""Table -> which of its rows have a list. The files of customers stand in their tickets."""


def always(model: Any) -> list[Test]:
    return [ALWAYS[model]()] if model in ALWAYS else []


# ---- the search -----------------------------------------------------------------------------------------------------


def search(model: Any, text: str) -> Test | None:
    """Quick search; a model without `search_text` is searched by its folded columns. None: not searchable."""
    if model is Account:
        return _account(text)
    if issubclass(model, Searchable):
        return filters.search(cast("type[Base]", model), text)
    attrs = inspect(model).column_attrs
    columns = [getattr(model, p.key) for p in attrs if "folds" in p.columns[0].info]
    searched = (p for p in attrs if p.columns[0].info.get("searched") and not p.columns[0].info["sensitive"])
    columns = columns or [func.lower(getattr(model, p.key)) for p in searched]
    if not columns:
        return None
    words = [w.strip() for w in fold(text).split()][:8]
    return or_(*(c.like(f"%{like(w)}%", escape="\\") for c in columns for w in words)) if words else None


def _account(text: str) -> Test | None:
    """By its number or by the customer."""
    found = filters.search(Customer, text)
    if found is None:
        return None
    theirs = Account.customer_id.in_(select(Customer.id).where(found))
    number = text.strip().lstrip("#")
    if number.isascii() and number.isdecimal() and len(number) < 19:
        return (Account.id == int(number)) | theirs
    return theirs


# ---- whose rows they are --------------------------------------------------------------------------------------------

OF: Mapping[type[Base], Callable[[Ids], Test]] = {
    # done for them, or to them: the audit has no foreign keys
    Audit: lambda ids: Audit.customer_id.in_(ids) | (Audit.noun == "customer") & Audit.noun_id.in_(ids),
    Campaign: lambda ids: exists().where(Delivery.campaign_id == Campaign.id, Delivery.customer_id.in_(ids)),
    Customer: lambda ids: Customer.id.in_(ids),
    User: lambda ids: User.id.in_(select(UserCustomer.user_id).where(UserCustomer.customer_id.in_(ids))),
}


def of_customers(model: Any, ids: Ids) -> Test | None:
    """The rows that belong to these customers: by the shortest path of foreign keys. None: it has none."""
    if model in OF:
        return OF[model](ids)
    way = way_to_customer(model)
    return None if way is None else _belongs_to(model, way, ids)


@cache
def way_to_customer(model: Any) -> tuple[str, ...] | None:
    """Names of the many-to-one relations that lead to a customer, the fewest; None when there is no way. Of two that
    are equally short it is the one that is called so. Raises LookupError when that does not help."""
    ways: list[tuple[tuple[str, ...], Any]] = [((), inspect(model))]
    seen = {model}
    while ways:
        found = [way for way, mapper in ways if way and mapper.class_ is Customer]
        found = [way for way in found if way[-1] == "customer"] if len(found) > 1 else found
        if len(found) > 1:
            raise LookupError(f"{model.__name__} reaches a customer by {', '.join('.'.join(way) for way in found)}")
        if found:
            return found[0]
        following = []
        for way, mapper in ways:
            for relation in mapper.relationships:
                if relation.direction.name == "MANYTOONE" and relation.mapper.class_ not in seen:
                    following.append(((*way, relation.key), relation.mapper))
        seen |= {mapper.class_ for _way, mapper in following if mapper.class_ is not Customer}
        ways = following
    return None


def _belongs_to(model: Any, way: tuple[str, ...], ids: Ids) -> Test:
    """The rows whose way leads to one of these ids; the last step compares the foreign key, without a join."""
    relation = inspect(model).relationships[way[0]]
    if len(way) > 1:
        inner: Test = getattr(model, way[0]).has(_belongs_to(relation.mapper.class_, way[1:], ids))
        return inner
    column = next(iter(relation.local_columns))
    condition: Test = getattr(model, inspect(model).get_property_by_column(column).key).in_(ids)
    return condition


# ---- all rows of a list ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Meant:
    """The rows that a list shows, all of them: a value that can be kept, and read again elsewhere.

    condition: the filter. pin: only what belongs to these customers. sort: the column or custom field that orders them,
    empty for the key. now: when it was asked for; what the filter says of days is counted from there."""

    model: Any
    condition: filters.Condition | None = None
    search: str = ""
    pin: Ids = ()
    sort: str = ""
    descending: bool = True
    now: datetime | None = None

    def where(self) -> list[Test]:
        """What is asked of a row; the scope comes on top."""
        found = always(self.model)
        if self.search and (searched := search(self.model, self.search)) is not None:
            found.append(searched)
        if self.condition is not None:
            found.append(filters.compile(self.condition, self.model, now=self.now))
        if self.pin and (mine := of_customers(self.model, self.pin)) is not None:
            found.append(mine)
        return found

    def keys(self) -> list[Key]:
        if (spec := custom.named(self.model, self.sort)) is None:
            return keys_of(self.model, self.sort, descending=self.descending)
        expression = custom.order(spec, self.model)
        own = Key(expression, spec.name, empty_of(expression.type), self.descending, own=True)
        return [own, *keys_of(self.model, "", descending=self.descending)]

    def stored(self) -> dict[str, Any]:
        """As JSON, with the moment at which it is asked for."""
        return {
            "filter": None if self.condition is None else filters.to_json(self.condition), "search": self.search,
            "pin": list(self.pin), "sort": self.sort, "descending": self.descending, "now": utcnow().isoformat(),
        }  # fmt: skip


def read(model: Any, stored: Mapping[str, Any] | None) -> Meant:
    """What was `stored`. Raises Invalid for what means nothing any more: never are all rows meant instead."""
    try:
        if stored is None or model is None:
            raise KeyError("rows")
        condition = None if stored["filter"] is None else filters.parse(stored["filter"], model)
        meant = Meant(
            model, condition, stored["search"], tuple(stored["pin"]), stored["sort"], stored["descending"],
            datetime.fromisoformat(stored["now"]).astimezone(UTC),
        )  # fmt: skip
        meant.keys()
        meant.where()
    except filters.FilterProblem as problem:
        raise Invalid(gettext("The filter cannot be used: %(reason)s") % {"reason": str(problem)}) from problem
    except KeyError:
        raise Invalid(gettext("The list that was meant is not known any more.")) from None
    return meant
