"""What becomes of each row that names a customer when that customer is merged into another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import aliased

from app.db import Base
from app.models.billing import Invoice, InvoiceStatus
from app.models.customers import Customer
from app.models.privacy import DataState

Doubled = Callable[[Any, int], ColumnElement[bool]]
"""(model, id of who stays) -> which rows of the other one stand there already."""


@dataclass(frozen=True)
class Rule:
    """One foreign key to customers.

    moves: the rows belong to whom stays from now on; else they stay with the merged customer. by: the column that tells
    the rows of one customer apart. only: those that move, where not all do. doubled: those that who stays has too.
    drops: such doubles are deleted, and come back when the merge is undone; else they stay with the merged customer.
    slowly: there may be so many that they are moved in parts.
    """

    moves: bool = True
    by: str = "id"
    only: Callable[[Any], ColumnElement[bool]] | None = None
    doubled: Doubled | None = None
    drops: bool = False
    slowly: bool = False


def _same(*keys: str, where: Callable[[Any], ColumnElement[bool]] | None = None) -> Doubled:
    """Rows of which who stays has one with the same keys."""

    def doubled(model: Any, kept_id: int) -> ColumnElement[bool]:
        other = aliased(model)
        both = [getattr(other, key).is_not_distinct_from(getattr(model, key)) for key in keys]
        conditions = [other.customer_id == kept_id, *both]
        if where is not None:
            conditions += [where(other), where(model)]
        return select(other.customer_id).where(*conditions).correlate(model).exists()

    return doubled


def _by_hand(membership: Any) -> ColumnElement[bool]:
    return membership.by_rule.is_(False)  # type: ignore[no-any-return]


def _drafts(_model: Any) -> ColumnElement[bool]:
    return Invoice.status == InvoiceStatus.DRAFT


_STAYS = Rule(moves=False)
RULES: dict[str, Rule] = {
    "attachment.customer_id": Rule(),
    "automation_run.customer_id": Rule(),
    "confirmation.customer_id": Rule(),
    "customer.merged_into_id": Rule(),
    "customer_project.customer_id": Rule(by="project_id", doubled=_same("project_id"), drops=True),
    "customer_role.customer_id": Rule(),
    "data_request.customer_id": Rule(doubled=_same("kind", where=lambda r: r.state == DataState.WAITING)),
    "delivery.customer_id": Rule(
        by="message_id", doubled=_same("campaign_id", "channel", "address"), slowly=True
    ),
    "delivery_event.customer_id": Rule(slowly=True),
    "discount.customer_id": Rule(),
    "finance_document.customer_id": Rule(),
    "inbound_mail.customer_id": Rule(),
    "invoice.customer_id": Rule(only=_drafts),  # what is issued never changes
    "login_session.customer_id": Rule(),
    "membership.customer_id": Rule(by="group_id", only=_by_hand, doubled=_same("group_id"), drops=True),
    "note.customer_id": Rule(),
    "payer.customer_id": Rule(),
    "service.customer_id": Rule(),
    "subscription.customer_id": Rule(
        doubled=_same("category_id", "channel", "user_id", where=lambda s: s.ended_at.is_(None))
    ),
    "ticket.customer_id": Rule(),
    "user_customer.customer_id": Rule(by="user_id", doubled=_same("user_id"), drops=True),
    # what is booked stays on its account, and an account never changes hands: the balance is transferred
    "account.customer_id": _STAYS,
    "expense.customer_id": _STAYS,
    "payment.customer_id": _STAYS,
    # of one use, and over in minutes
    "door_code.customer_id": _STAYS,
}  # fmt: skip
"""Table and column -> what becomes of the rows. A test asserts that no foreign key to customers is missing."""


def foreign_keys() -> Iterator[tuple[str, Any, str]]:
    """Every foreign key to customers: its name in RULES, the model, the attribute."""
    for mapper in Base.registry.mappers:
        for attribute in mapper.column_attrs:
            column = attribute.columns[0]
            if any(key.column.table is Customer.__table__ for key in column.foreign_keys):
                yield f"{mapper.class_.__tablename__}.{column.name}", mapper.class_, attribute.key


def moving(*, slowly: bool) -> Iterator[tuple[str, Any, str, Rule]]:
    """Those whose rows move: table, model, attribute, rule; in the order of the tables' names."""
    for name, model, attribute in sorted(foreign_keys(), key=lambda key: key[0]):
        rule = RULES[name]
        if rule.moves and rule.slowly is slowly:
            yield name.partition(".")[0], model, attribute, rule
