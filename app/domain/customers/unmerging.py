"""Undoing a merge: for a day, and only while what was merged is as the merge left it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import UtcDateTime, model_of, utcnow
from app.domain import ledger
from app.domain.customers.grouping import follow_rules
from app.domain.customers.merge_rules import moving
from app.domain.customers.merging import CHOSEN, TASK, UNSCOPED, WITH, Trail, both, hand_over
from app.domain.customers.status import refresh_status
from app.domain.sessions.rows import end
from app.errors import Conflict, NotFound
from app.i18n import _, gettext
from app.models import audit
from app.models.audit import Audit, AuditDetail
from app.models.billing import Expense, Invoice, InvoiceLine, Payment
from app.models.catalog import Service
from app.models.customers import Customer, CustomerStatus, ExternalRef
from app.models.jobs import Job, JobState
from app.models.ledger import Account, Entry
from app.models.sessions import LoginSession, SessionKind
from app.models.tickets import TicketMessage
from app.models.users import UserCustomer

DAYS = timedelta(days=1)
CHANGED = _("%(what)s: changed, moved or deleted since.")
USED = _("%(what)s: used since.")
FLEETING = ("confirmation", "login_session")
"""Tables whose rows go by themselves."""


async def trail_of(session: AsyncSession, gone_id: int) -> tuple[Audit, Trail, dict[str, Any]]:
    """The audit row of the merge that made this customer a double, what it did, and the fields that it changed.
    Raises NotFound when there is none, or its details were cleared."""
    gone = select(Customer.merged_into_id).where(Customer.id == gone_id)
    kept_id = await session.scalar(gone)
    rows = await session.execute(
        select(Audit, AuditDetail.payload)
        .join(AuditDetail, AuditDetail.audit_id == Audit.id)
        .where(Audit.noun == "customer", Audit.noun_id == kept_id, Audit.action == "merge")
        .order_by(Audit.id.desc())
        .execution_options(**UNSCOPED)
    )
    for row, payload in rows:
        told = json.loads(payload)
        if told["undo"]["gone"] == gone_id:
            return row, Trail(**told.pop("undo")), told
    raise NotFound


async def trail_by(session: AsyncSession, audit_id: int) -> Trail:
    """What the merge of this audit row did."""
    payload = await session.scalar(select(AuditDetail.payload).where(AuditDetail.audit_id == audit_id))
    if payload is None:
        raise NotFound
    return Trail(**json.loads(payload)["undo"])


async def refusals_to_unmerge(session: AsyncSession, *, gone_id: int, underway: bool = False) -> list[str]:
    """Why the merge of this customer cannot be undone; empty when nothing stands in the way. underway: its messages are
    still on their way."""
    if not underway and await _going(session, gone_id):
        return [gettext("This merge still goes on. Wait until it is done, or stop it.")]
    try:
        row, trail, told = await trail_of(session, gone_id)
    except NotFound:
        return [gettext("Nothing is known of this merge any more.")]
    if row.at < utcnow() - DAYS:
        return [gettext("A merge can be undone for a day. That is over.")]
    kept = await session.get(Customer, trail.kept)
    if kept is None or kept.merged_into_id is not None or kept.cleared_at is not None:
        return [gettext("The customer who stayed was merged, cleared or deleted since. Undo that first.")]
    found = [str(CHANGED) % {"what": what} for what in await _changed(session, kept, trail, told, underway)]
    found += [str(USED) % {"what": what} for what in await _used(session, trail, row.at)]
    for _transaction, account_id, balance, amount in trail.money:
        now = await session.scalar(
            select(Account.balance).where(Account.id == account_id).execution_options(**UNSCOPED)
        )
        if amount > 0 and (now is None or now < balance):
            found.append(gettext("The balance that came with the merge was spent since."))
    return found


async def _going(session: AsyncSession, gone_id: int) -> bool:
    """Whether the merge is done in the background right now."""
    mine = Job.name == TASK, Job.args["gone_id"].as_integer() == gone_id
    going = select(Job.id).where(Job.state.in_((JobState.DUE, JobState.RUNNING)), *mine)
    return await session.scalar(going.limit(1)) is not None


async def unmerge(session: AsyncSession, *, gone_id: int, underway: bool = False) -> int:
    """Undo the merge of this customer, all but the messages (`merging.move_messages` with `back`). Returns the id of
    the audit row of the merge. Raises NotFound, Conflict with the reasons of `refusals_to_unmerge`."""
    row, trail, told = await trail_of(session, gone_id)
    audit_id = row.id
    _kept, gone = await both(session, trail.kept, trail.gone)
    if reasons := await refusals_to_unmerge(session, gone_id=gone_id, underway=underway):
        raise Conflict(" ".join(reasons))
    for transaction_id, *_rest in trail.money:
        said = gettext("The merge with %(name)s (#%(id)s) was undone") % {"name": gone.name, "id": gone.id}
        await ledger.reverse(session, transaction_id=transaction_id, description=said)
    await _end_sessions(session, trail)
    for table, model, attribute, rule in moving(slowly=False):
        if ids := trail.moved.get(table):
            named = getattr(model, rule.by)
            mine = getattr(model, attribute) == trail.kept
            await hand_over(session, model, attribute, mine, named, ids, trail.gone)
    session.sync_session.expire_all()
    await _cells_back(session, trail)
    await _dropped_back(session, trail)
    for reference in await session.scalars(select(ExternalRef).where(ExternalRef.id.in_(trail.references))):
        reference.noun_id = trail.gone
    await _close_opened(session, trail)
    kept, gone = await both(session, trail.kept, trail.gone)
    back = {name: pair[::-1] for name, pair in told.items() if name != "merged"}
    for name, (_after, before) in back.items():
        setattr(kept, name, _value(Customer, name, before))
    gone.status, gone.merged_into_id = CustomerStatus(trail.status), None
    await session.flush()
    await refresh_status(session, kept.id)
    await follow_rules(session, [kept.id, gone.id])
    told = {**back, "merged": told["merged"][::-1]}
    await session.run_sync(audit.write, "unmerge", "customer", kept.id, told)
    return audit_id


# ---- what has changed since -----------------------------------------------------------------------------------------


async def _changed(
    session: AsyncSession, kept: Customer, trail: Trail, told: dict[str, Any], underway: bool
) -> list[str]:  # fmt: skip
    found = []
    for name in (*CHOSEN, *WITH["phone"], "custom"):
        if name in told and audit.plain(getattr(kept, name)) != told[name][1]:
            label = Customer.__table__.c[name].info.get("label") or name
            found.append(str(label))
    for slowly in (False,) if underway else (False, True):
        for table, model, attribute, rule in moving(slowly=slowly):
            ids = trail.moved.get(table, [])
            if ids and table not in FLEETING and not await _as_left(session, model, attribute, rule.by, ids, trail):
                found.append(label_of(table))
    for table, row_id, column, _before, after in trail.cells:
        model = model_of(table)
        if table in FLEETING or model is None:
            continue
        query = select(getattr(model, column)).where(model.id == row_id).execution_options(**UNSCOPED)
        if audit.plain(await session.scalar(query)) != after:
            found.append(label_of(table))
    return list(dict.fromkeys(found))


async def _as_left(
    session: AsyncSession, model: Any, attribute: str, by: str, ids: Sequence[Any], trail: Trail
) -> bool:
    """Whether all of these rows are still there, at who stayed, and in the version that the merge left."""
    versions = trail.versions.get(model.__tablename__, {})
    named, n = getattr(model, by), 0
    for start in range(0, len(ids), 500):
        columns = (named, model.version) if versions else (named,)
        rows = select(*columns).where(getattr(model, attribute) == trail.kept, named.in_(ids[start : start + 500]))
        for row in await session.execute(rows.execution_options(**UNSCOPED)):
            if versions and versions.get(str(row[0])) != row[1]:
                return False
            n += 1
    return n == len(ids)


async def _used(session: AsyncSession, trail: Trail, at: datetime) -> list[str]:
    """What who stayed has done with what came: it would then belong to both."""
    moved = {table: ids or [-1] for table, ids in trail.moved.items()}
    services, payers = moved.get("service", [-1]), moved.get("payer", [-1])
    drafts, roles = moved.get("invoice", [-1]), moved.get("customer_role", [-1])
    of_them = Invoice.customer_id == trail.kept, Invoice.id.not_in(drafts)
    asked: list[tuple[str, Select[Any]]] = [
        ("service", _one(Expense.id, Expense.customer_id == trail.kept, Expense.service_id.in_(services))),
        ("service", _one(InvoiceLine.id, InvoiceLine.service_id.in_(services), *of_them).join(
            Invoice, Invoice.id == InvoiceLine.invoice_id)),
        ("payer", _one(Invoice.id, Invoice.payer_id.in_(payers), *of_them)),
        ("payer", _one(Payment.id, Payment.payer_id.in_(payers), Payment.customer_id == trail.kept)),
        ("payer", _one(Service.id, Service.payer_id.in_(payers), Service.customer_id == trail.kept,
                       Service.id.not_in(services))),
        ("payer", _one(Account.id, Account.payer_id.in_(payers), Account.customer_id == trail.kept,
                       Account.id.not_in(trail.opened or [-1]))),
        ("customer_role", _one(UserCustomer.user_id, UserCustomer.own_role_id.in_(roles),
                               UserCustomer.user_id.not_in(moved.get("user_customer", [-1])))),
        ("ticket", _one(TicketMessage.id, TicketMessage.ticket_id.in_(moved.get("ticket", [-1])),
                        TicketMessage.created_at > at)),
    ]  # fmt: skip
    found = [label_of(table) for table, query in asked if await session.scalar(query) is not None]
    return list(dict.fromkeys(found))


def _one(column: Any, *conditions: ColumnElement[bool]) -> Select[Any]:
    return select(column).where(*conditions).limit(1).execution_options(**UNSCOPED)


NOUNS: dict[str, str] = {
    "attachment": _("Files"), "automation_run": _("Log of rules"), "confirmation": _("Confirmations"),
    "customer": _("Customers"), "customer_project": _("Available projects"), "customer_role": _("Own roles"),
    "data_request": _("Requests about the data"), "delivery": _("Messages"), "delivery_event": _("Messages"),
    "discount": _("Discounts"), "finance_document": _("Finance documents"), "inbound_mail": _("Inbound mails"),
    "invoice": _("Invoices"), "login_session": _("Sessions"), "membership": _("Groups"), "note": _("Notes"),
    "payer": _("Payers"), "service": _("Services"), "subscription": _("Consent"), "ticket": _("Tickets"),
    "user_customer": _("Users"), "account": _("Accounts"), "expense": _("Expenses"), "payment": _("Payments"),
    "external_ref": _("References of imports"),
}  # fmt: skip


def label_of(table: str) -> str:
    """What people call the rows of a table."""
    return str(NOUNS.get(table, table.replace("_", " ")))


# ---- putting back ---------------------------------------------------------------------------------------------------


def _value(model: Any, column: str, plain: Any) -> Any:
    """A value as the audit keeps it, as its column takes it."""
    kind = model.__table__.c[column].type
    if plain is None or not isinstance(plain, str):
        return plain
    if isinstance(kind, UtcDateTime | DateTime):
        return datetime.fromisoformat(plain)
    if kind.python_type is date:
        return date.fromisoformat(plain)
    enum = getattr(kind, "enum_class", None)
    return enum(plain) if enum is not None else plain


async def _cells_back(session: AsyncSession, trail: Trail) -> None:
    for table, row_id, column, before, _after in reversed(trail.cells):
        model = model_of(table)
        assert model is not None
        row = await session.scalar(select(model).where(model.id == row_id).execution_options(**UNSCOPED))
        if row is not None:
            setattr(row, column, _value(model, column, before))
    await session.flush()


async def _dropped_back(session: AsyncSession, trail: Trail) -> None:
    for table, rows in trail.dropped.items():
        model = model_of(table)
        assert model is not None
        session.add_all(model(**{c: _value(model, c, v) for c, v in values.items()}) for values in rows)
    await session.flush()


async def _close_opened(session: AsyncSession, trail: Trail) -> None:
    """Accounts that the merge opened; one with entries stays, with nothing on it."""
    booked = select(Entry.id).where(Entry.account_id == Account.id).exists()
    fresh = select(Account).where(Account.id.in_(trail.opened), ~booked).execution_options(**UNSCOPED)
    for account in (await session.scalars(fresh)).all():
        await session.delete(account)
    await session.flush()


async def _end_sessions(session: AsyncSession, trail: Trail) -> None:
    """Of users who came and have signed in for who stayed since."""
    users = trail.moved.get("user_customer", [])
    since = LoginSession.id.not_in(trail.moved.get("login_session", []))
    theirs = LoginSession.customer_id == trail.kept, LoginSession.user_id.in_(users)
    await end(session, LoginSession.kind == SessionKind.CLIENT, *theirs, since)
