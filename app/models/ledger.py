"""The ledger: accounts, transactions and their entries. It only grows; a correction is another transaction.

Double entry with signs: the entries of a transaction sum to zero in each currency. What an account of a customer holds
is theirs, so money that comes in is positive there and negative in the project's cash; a charge is negative there and
positive in revenue and tax.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Extra, Json, Stamped, Versioned, about, choice, extras, utcnow
from app.i18n import _
from app.models.billing.methods import PaymentMethod
from app.models.billing.payers import Payer
from app.models.projects import Project
from app.models.staff import Staff

if TYPE_CHECKING:
    from app.models.customers import Customer


class AccountKind(Choice):
    CUSTOMER = "customer", _("Customer")
    CASH = "cash", _("Cash")
    REVENUE = "revenue", _("Revenue")
    TAX = "tax", _("Tax")
    ROUNDING = "rounding", _("Rounding")
    EXCHANGE = "exchange", _("Exchange")
    ADJUSTMENT = "adjustment", _("Corrections")


class TransactionKind(Choice):
    PAYMENT = "payment", _("Payment")
    REFUND = "refund", _("Refund")
    CHARGE = "charge", _("Charge")
    CORRECTION = "correction", _("Correction")
    TRANSFER = "transfer", _("Transfer")
    REVERSAL = "reversal", _("Reversal")


class Account(Base, Versioned, Stamped):
    """A customer's money in one project and currency, or one of a project's own accounts (`customer_id` is empty).

    `balance` is written by the trigger of the entries alone, and only for accounts of customers; those of projects are
    summed when they are asked for.
    """

    __tablename__ = "account"
    named_by: ClassVar = ("currency",)
    __table_args__ = (
        UniqueConstraint("customer_id", "project_id", "currency"),
        Index("ix_account_own", "project_id", "kind", "currency", unique=True, sqlite_where=text("customer_id IS NULL"),
              postgresql_where=text("customer_id IS NULL")),
        Index("ix_account_project", "project_id", "currency"),
        Index("ix_account_balance", "balance", "id"),
        CheckConstraint("(kind = 'customer') = (customer_id IS NOT NULL)", name="whose"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    customer_id: Mapped[int | None] = mapped_column(
        ForeignKey("customer.id", ondelete="RESTRICT"), info=about(_("Customer"), listed=True, css="meta")
    )
    project_id: Mapped[int] = mapped_column(
        ForeignKey("project.id", ondelete="RESTRICT"), info=about(_("Project"), listed=True, css="lesser")
    )
    kind: Mapped[AccountKind] = mapped_column(
        choice(AccountKind), default=AccountKind.CUSTOMER, info=about(_("Kind"), filtered=False)
    )
    currency: Mapped[str] = mapped_column(String(3), info=about(_("Currency"), listed=True, widget="currency"))
    balance: Mapped[int] = mapped_column(
        BigInteger, default=0, server_default="0",
        info=about(_("Balance"), listed=True, widget="money", currency="currency", css="amount"),
    )  # fmt: skip
    credit_limit: Mapped[int] = mapped_column(
        BigInteger, default=0, server_default="0",
        info=about(_("Credit limit"), listed=True, widget="money", currency="currency", css="amount",
                   help=_("So far below zero may charges bring the balance.")),
    )  # fmt: skip
    post_paid: Mapped[bool] = mapped_column(
        default=False, server_default=false(),
        info=about(_("Pays afterwards"), help=_("Charges are made whatever the balance is.")),
    )  # fmt: skip
    auto_invoice: Mapped[bool] = mapped_column(
        default=False, server_default=false(),
        info=about(_("Invoice before funds run out"), help=_("Ten days before, and then reminders.")),
    )  # fmt: skip
    payer_id: Mapped[int | None] = mapped_column(
        ForeignKey("payer.id", ondelete="SET NULL"), index=True, info=about(_("Payer of automatic invoices"))
    )
    method_id: Mapped[int | None] = mapped_column(
        ForeignKey("payment_method.id", ondelete="SET NULL"), index=True, info=about(_("Usual payment method"))
    )

    customer: Mapped[Customer | None] = relationship(lazy="raise")
    project: Mapped[Project] = relationship(lazy="raise")
    payer: Mapped[Payer | None] = relationship(lazy="raise")
    method: Mapped[PaymentMethod | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return f"{self.currency} {self.id}"


class Transaction(Base):
    """Something that happened to money. `key` says what it was, so that it can happen only once."""

    __tablename__ = "ledger_transaction"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), css="id"))
    key: Mapped[str] = mapped_column(String(120), unique=True, info=about(_("Key"), filtered=False))
    kind: Mapped[TransactionKind] = mapped_column(choice(TransactionKind), info=about(_("Kind")))
    at: Mapped[datetime] = mapped_column(default=utcnow, info=about(_("Date")))
    description: Mapped[str] = mapped_column(String(500), default="", info=about(_("Description")))
    staff_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="RESTRICT"), index=True, info=about(_("Booked by"))
    )
    reverses_id: Mapped[int | None] = mapped_column(
        ForeignKey("ledger_transaction.id", ondelete="RESTRICT"), unique=True, info=about(_("Reverses"))
    )

    staff: Mapped[Staff | None] = relationship(lazy="raise")
    entries: Mapped[list[Entry]] = relationship(lazy="raise", back_populates="transaction")

    def __str__(self) -> str:
        return self.description or self.key


class Entry(Base):
    """What a transaction does to one account, in minor units of the account's currency."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        Index("ix_ledger_entry_account", "account_id", "at", "id"),
        CheckConstraint("amount <> 0", name="amount"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), css="id"))
    transaction_id: Mapped[int] = mapped_column(
        ForeignKey("ledger_transaction.id", ondelete="RESTRICT"), index=True, info=about(_("Transaction"))
    )
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="RESTRICT"), info=about(_("Account")))
    amount: Mapped[int] = mapped_column(BigInteger, info=about(_("Amount"), filtered=False))
    at: Mapped[datetime] = mapped_column(default=utcnow, info=about(_("Date")))
    """That of the transaction, for the order of statements."""

    transaction: Mapped[Transaction] = relationship(lazy="raise", back_populates="entries")
    account: Mapped[Account] = relationship(lazy="raise")


class LedgerCheck(Base):
    """What a check of the whole ledger found: `breaches` holds {"what", "n", "ids"}, nothing when all is well."""

    __tablename__ = "ledger_check"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(default=utcnow)
    seconds: Mapped[int] = mapped_column(default=0)
    breaches: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)
    months: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, server_default="{}")
    """Income and expenses by month (`app.domain.ledger.by_month`) of the entries up to `until_id`."""
    until_id: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")


# ---- what the database itself keeps ---------------------------------------------------------------------------------

_ONLY_GROWS = ("ledger_entry", "ledger_transaction")
_IS_NOT_KEPT = "a balance follows the entries"
_STAYS = ("customer_id", "project_id", "kind", "currency")

_SQLITE = [
    *(
        f"CREATE TRIGGER {table}_stays_{event.lower()} BEFORE {event} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END"
        for table in _ONLY_GROWS
        for event in ("UPDATE", "DELETE")
    ),
    # INSERT OR REPLACE deletes without the triggers of DELETE
    *(
        f"CREATE TRIGGER {table}_is_new BEFORE INSERT ON {table} "  # noqa: S608
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id) "
        f"BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END"
        for table in _ONLY_GROWS
    ),
    # a trigger sees one row and cannot know whether more will follow; a foreign key that is checked at COMMIT can:
    # the running sum of a transaction points at the only row of ledger_zero, and is gone as soon as it is zero
    "CREATE TABLE ledger_zero (amount INTEGER PRIMARY KEY)",
    "INSERT INTO ledger_zero VALUES (0)",
    "CREATE TABLE ledger_open (transaction_id INTEGER NOT NULL, currency TEXT NOT NULL, amount INTEGER NOT NULL "
    "REFERENCES ledger_zero (amount) DEFERRABLE INITIALLY DEFERRED, PRIMARY KEY (transaction_id, currency)) "
    "WITHOUT ROWID",
    # and a trigger does not know who made it run: what it is about to write to a balance stands here before
    "CREATE TABLE ledger_moving (account_id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)",
    "CREATE TRIGGER ledger_entry_balance AFTER INSERT ON ledger_entry BEGIN "
    "INSERT INTO ledger_open SELECT NEW.transaction_id, currency, NEW.amount FROM account WHERE id = NEW.account_id "
    "ON CONFLICT DO UPDATE SET amount = amount + excluded.amount; "
    "DELETE FROM ledger_open WHERE transaction_id = NEW.transaction_id AND amount = 0; "
    "INSERT INTO ledger_moving SELECT id, balance + NEW.amount FROM account "
    "WHERE id = NEW.account_id AND kind = 'customer'; "
    "UPDATE account SET balance = balance + NEW.amount WHERE id = NEW.account_id AND kind = 'customer'; "
    "DELETE FROM ledger_moving WHERE account_id = NEW.account_id; END",
    "CREATE TRIGGER account_balance_is_kept BEFORE UPDATE OF balance ON account WHEN NEW.balance <> OLD.balance AND "
    "(typeof(NEW.balance) <> 'integer' OR NOT EXISTS "
    "(SELECT 1 FROM ledger_moving WHERE account_id = NEW.id AND balance = NEW.balance)) "
    "BEGIN SELECT RAISE(ABORT, 'a balance follows the entries'); END",
    "CREATE TRIGGER account_begins BEFORE INSERT ON account WHEN NEW.balance <> 0 "
    f"BEGIN SELECT RAISE(ABORT, '{_IS_NOT_KEPT}'); END",
    f"CREATE TRIGGER account_stays BEFORE UPDATE OF {', '.join(_STAYS)} ON account WHEN "
    + " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in _STAYS)
    + " BEGIN SELECT RAISE(ABORT, 'an account stays what it is'); END",
]
_POSTGRESQL = [
    """CREATE FUNCTION ledger_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'the ledger only grows'; END $$""",
    *(
        f"CREATE TRIGGER {table}_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_only_grows()"
        for table in _ONLY_GROWS
    ),
    # once for all rows of a statement, in the order of the accounts: two statements cannot wait for each other
    """CREATE FUNCTION ledger_entry_booked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM fresh JOIN account ON account.id = fresh.account_id
                   GROUP BY fresh.transaction_id, account.currency HAVING sum(fresh.amount) <> 0) THEN
            RAISE EXCEPTION 'a transaction does not sum to zero';
        END IF;
        PERFORM id FROM account WHERE id IN (SELECT account_id FROM fresh) AND kind = 'customer'
            ORDER BY id FOR NO KEY UPDATE;
        UPDATE account SET balance = balance + moved.amount
            FROM (SELECT account_id, sum(amount) AS amount FROM fresh GROUP BY account_id) AS moved
            WHERE account.id = moved.account_id AND account.kind = 'customer';
        RETURN NULL; END $$""",
    "CREATE TRIGGER ledger_entry_balance AFTER INSERT ON ledger_entry REFERENCING NEW TABLE AS fresh "
    "FOR EACH STATEMENT EXECUTE FUNCTION ledger_entry_booked()",
    f"""CREATE FUNCTION account_balance_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION '{_IS_NOT_KEPT}'; END $$""",
    "CREATE TRIGGER account_balance_is_kept BEFORE UPDATE OF balance ON account FOR EACH ROW "
    "WHEN (OLD.balance <> NEW.balance AND pg_trigger_depth() = 0) EXECUTE FUNCTION account_balance_is_kept()",
    "CREATE TRIGGER account_begins BEFORE INSERT ON account FOR EACH ROW "
    "WHEN (NEW.balance <> 0) EXECUTE FUNCTION account_balance_is_kept()",
    """CREATE FUNCTION account_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'an account stays what it is'; END $$""",
    f"CREATE TRIGGER account_stays BEFORE UPDATE OF {', '.join(_STAYS)} ON account FOR EACH ROW WHEN ("
    + " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in _STAYS)
    + ") EXECUTE FUNCTION account_stays()",
]


def _create(dialect: str) -> list[str]:
    return _SQLITE if dialect == "sqlite" else _POSTGRESQL


def _drop(dialect: str) -> list[str]:
    if dialect == "sqlite":
        names = [f"{table}_{what}" for table in _ONLY_GROWS for what in ("stays_update", "stays_delete", "is_new")]
        names += ["ledger_entry_balance", "account_balance_is_kept", "account_begins", "account_stays"]
        tables = ("ledger_open", "ledger_zero", "ledger_moving")
        return [
            *(f"DROP TRIGGER IF EXISTS {name}" for name in names),
            *(f"DROP TABLE IF EXISTS {name}" for name in tables),
        ]
    # the functions take their triggers with them
    functions = ("ledger_only_grows", "ledger_entry_booked", "account_balance_is_kept", "account_stays")
    return [f"DROP FUNCTION IF EXISTS {name}() CASCADE" for name in functions]


GUARD = Extra("ledger", _create, _drop, guard=True)
extras.append(GUARD)
