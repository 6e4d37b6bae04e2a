"""The custom fields as this process has read them last: `fields(Customer)`, `named(Customer, "custom_size")`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import Base, model_of
from app.domain.config import live
from app.i18n import Lazy, exponent, language
from app.models.custom import CustomAccess, CustomField, CustomKind, CustomTarget, said

Model = type[Base]
PREFIX = "custom_"
"""Before the key in names of form fields, columns and filters, where a column may come to be called like it."""
PLAIN = frozenset({CustomKind.TEXT, CustomKind.LONG, CustomKind.LINK, CustomKind.PHONE})
"""What people type freely: compared folded."""


class Named(Lazy):
    """What people called something, in the reader's language when it is shown."""

    texts: Mapping[str, str]

    def __new__(cls, texts: Mapping[str, str], otherwise: str = "") -> Named:
        made = str.__new__(cls, said(dict(texts), "en") or otherwise)
        made.texts = dict(texts)
        return made

    def __str__(self) -> str:
        return said(dict(self.texts), language()) or str.__str__(self)

    def __reduce__(self) -> Any:
        return Named, (self.texts, str.__str__(self))


@dataclass(frozen=True)
class Option:
    """A choice. off: no longer offered; rows that hold it keep it."""

    key: str
    label: Named
    off: bool = False


@dataclass(frozen=True, eq=False)
class Spec:
    """A custom field."""

    id: int
    model: Model
    key: str
    kind: CustomKind
    label: Named
    help: Named
    options: tuple[Option, ...]
    digits: int
    """Of the value's digits, how many are decimals."""
    currency: str
    default: Any
    required: bool
    access: CustomAccess
    at_registration: bool
    account_types: frozenset[str]
    """Empty: all."""
    listed: bool
    indexed: bool
    """It has indexes of its own; for filters PostgreSQL has one for all."""

    @property
    def name(self) -> str:
        """How forms, columns and filters call it."""
        return PREFIX + self.key

    def option(self, key: Any) -> Option | None:
        return next((o for o in self.options if o.key == key), None)

    def applies(self, account: str | None) -> bool:
        """Whether rows of this account type have it; None: where there are no account types."""
        return account is None or not self.account_types or account in self.account_types


def spec_of(row: CustomField) -> Spec:
    model = model_of(row.target.value)
    assert model is not None
    options = tuple(Option(c["key"], Named(c["labels"], c["key"]), bool(c.get("retired"))) for c in row.choices)
    digits = exponent(row.currency) if row.kind is CustomKind.MONEY else row.digits
    return Spec(
        row.id, model, row.key, row.kind, Named(row.labels, row.key), Named(row.helps), options,
        digits if row.kind in (CustomKind.MONEY, CustomKind.NUMBER) else 0,
        row.currency if row.kind is CustomKind.MONEY else "", row.default, row.required, row.access,
        row.at_registration, frozenset(row.account_types), row.listed, row.indexed,
    )  # fmt: skip


_read: tuple[object, dict[Model, dict[str, Spec]], dict[Model, dict[str, Spec]]] = (None, {}, {})
"""The database that they are of; the active ones by model and key; the removed ones, whose values are still there."""


@live.loader
async def _load(session: AsyncSession) -> None:
    global _read
    from app.domain.custom import filtering, messages

    rows = await session.scalars(select(CustomField).order_by(CustomField.position, CustomField.id))
    active: dict[Model, dict[str, Spec]] = {}
    removed: dict[Model, dict[str, Spec]] = {}
    for row in rows:
        if not row.key.isidentifier():
            continue  # no verb wrote that; one such row must not stop every process
        spec = spec_of(row)
        (active if row.archived_at is None else removed).setdefault(spec.model, {})[spec.key] = spec
    _read = (db.database(), active, removed)
    specs = [spec for of_model in active.values() for spec in of_model.values()]
    filtering.declare(specs)
    messages.declare(specs)


async def see(session: AsyncSession) -> None:
    """The fields as the running transaction has them, for what follows in it. Whoever comes next reads them again, so
    that nothing stays of what is taken back."""
    await _load(session)
    live.forget()


def by_key(model: Model) -> Mapping[str, Spec]:
    """The active fields of a model; none, while the process has read those of another database."""
    return _read[1].get(model, {}) if _read[0] is db.database() else {}


def fields(model: Model) -> tuple[Spec, ...]:
    """In the order in which people see them."""
    return tuple(by_key(model).values())


def known(model: Model, key: str) -> Spec | None:
    """Also one that was removed: what the audit tells of it keeps its name."""
    return by_key(model).get(key) or (_read[2].get(model, {}).get(key) if _read[0] is db.database() else None)


def named(model: Model, name: str) -> Spec | None:
    """The active field that forms and columns call so."""
    return by_key(model).get(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None


def target_of(model: Model) -> CustomTarget:
    return CustomTarget(model.__tablename__)
