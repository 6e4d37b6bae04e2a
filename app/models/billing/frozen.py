"""What the database itself keeps: an issued invoice stays as it is. Only its status and what is paid of it go on."""

from __future__ import annotations

from app.db import Extra, extras

FROZEN = (
    "id", "number", "kind", "customer_id", "account_id", "project_id", "issued_on", "due_on", "net", "tax", "total",
    "currency", "language", "reverse_charge", "credits_id", "note", "sides", "key",
)  # fmt: skip
"""Columns of an invoice that never change once it is issued. A payer who is deleted goes; `sides` has them."""

_SAID = "an issued invoice stays as it is"
_CHANGED = (
    "NEW.status = 'draft' OR (NEW.payer_id IS {differs} OLD.payer_id AND NEW.payer_id IS NOT NULL) OR "
    + " OR ".join(f"NEW.{name} IS {{differs}} OLD.{name}" for name in FROZEN)
)

_SQLITE = [
    f"CREATE TRIGGER invoice_stays_update BEFORE UPDATE ON invoice WHEN OLD.status <> 'draft' AND "
    f"({_CHANGED.format(differs='NOT')}) BEGIN SELECT RAISE(ABORT, '{_SAID}'); END",
    f"CREATE TRIGGER invoice_stays_delete BEFORE DELETE ON invoice WHEN OLD.status <> 'draft' "
    f"BEGIN SELECT RAISE(ABORT, '{_SAID}'); END",
    *(
        f"CREATE TRIGGER invoice_line_stays_{event.lower()} BEFORE {event} ON invoice_line WHEN EXISTS (SELECT 1 FROM "  # noqa: S608
        f"invoice WHERE id IN ({ids}) AND status <> 'draft') BEGIN SELECT RAISE(ABORT, '{_SAID}'); END"
        for event, ids in (
            ("INSERT", "NEW.invoice_id"), ("UPDATE", "NEW.invoice_id, OLD.invoice_id"), ("DELETE", "OLD.invoice_id"),
        )
    ),
    *(
        f"CREATE TRIGGER invoice_payment_stays_{event.lower()} BEFORE {event} ON invoice_payment "
        "BEGIN SELECT RAISE(ABORT, 'what paid an invoice stays'); END"
        for event in ("UPDATE", "DELETE")
    ),
]  # fmt: skip
_POSTGRESQL = [
    f"""CREATE FUNCTION invoice_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF OLD.status <> 'draft' THEN
            IF TG_OP = 'DELETE' THEN
                RAISE EXCEPTION '{_SAID}';
            ELSIF {_CHANGED.format(differs="DISTINCT FROM")} THEN
                RAISE EXCEPTION '{_SAID}';
            END IF;
        END IF;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        RETURN NEW; END $$""",
    "CREATE TRIGGER invoice_stays BEFORE UPDATE OR DELETE ON invoice FOR EACH ROW EXECUTE FUNCTION invoice_stays()",
    f"""CREATE FUNCTION invoice_line_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP <> 'INSERT' AND EXISTS (SELECT FROM invoice WHERE id = OLD.invoice_id AND status <> 'draft') THEN
            RAISE EXCEPTION '{_SAID}';
        END IF;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        IF EXISTS (SELECT FROM invoice WHERE id = NEW.invoice_id AND status <> 'draft') THEN
            RAISE EXCEPTION '{_SAID}';
        END IF;
        RETURN NEW; END $$""",  # noqa: S608
    "CREATE TRIGGER invoice_line_stays BEFORE INSERT OR UPDATE OR DELETE ON invoice_line "
    "FOR EACH ROW EXECUTE FUNCTION invoice_line_stays()",
    """CREATE FUNCTION invoice_payment_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'what paid an invoice stays'; END $$""",
    "CREATE TRIGGER invoice_payment_stays BEFORE UPDATE OR DELETE ON invoice_payment "
    "FOR EACH STATEMENT EXECUTE FUNCTION invoice_payment_stays()",
]


def _create(dialect: str) -> list[str]:
    return _SQLITE if dialect == "sqlite" else _POSTGRESQL


def _drop(dialect: str) -> list[str]:
    if dialect == "sqlite":
        names = [
            f"{table}_stays_{event}"
            for table in ("invoice", "invoice_line", "invoice_payment")
            for event in ("insert", "update", "delete")
        ]
        return [f"DROP TRIGGER IF EXISTS {name}" for name in names]
    # the functions take their triggers with them
    functions = ("invoice_stays", "invoice_line_stays", "invoice_payment_stays")
    return [f"DROP FUNCTION IF EXISTS {name}() CASCADE" for name in functions]


extras.append(Extra("invoices", _create, _drop, guard=True))
