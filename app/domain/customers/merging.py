"""Merging two customers: one stays, the other one becomes a closed row that leads there, and can come back for a day.

What is booked stays where it is (`merge_rules`): issued invoices, payments, expenses and the ledger never change. The
balance of each account is transferred to the one who stays. One audit row holds what `unmerging` needs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Base, Versioned, utcnow
from app.domain import ledger
from app.domain.customers.fields import FIELDS
from app.domain.customers.grouping import follow_rules
from app.domain.customers.merge_rules import Rule, moving
from app.domain.customers.status import refresh_status
from app.domain.ledger import Move
from app.errors import Conflict, NotFound
from app.i18n import gettext, show_number
from app.models import audit
from app.models.billing import Expense, Invoice, InvoiceLine, InvoiceStatus, Payer, Payment, PaymentStatus
from app.models.confirmations import Confirmation, ConfirmationKind
from app.models.consent import Subscription
from app.models.customers import Customer, CustomerStatus, ExternalRef
from app.models.ledger import Account, TransactionKind
from app.models.sessions import LoginSession, SessionKind
from app.models.users import CustomerRole

CHOSEN = tuple(f for f in FIELDS if f not in ("project_id", "custom", "verified_phone", "phone_verified_at",
                                              "phone_verified_by"))  # fmt: skip
"""Fields of which somebody says whose value stays."""
WITH = {"phone": ("verified_phone", "phone_verified_at", "phone_verified_by")}
"""What goes with a field."""
PART = 1000
LARGE = 2000
"""From so many messages on it is done in the background."""
TASK = "customers.merge"
UNSCOPED = {"unscoped": True}
BULK = {"synchronize_session": False, "audited": True, "unscoped": True}


@dataclass
class Trail:
    """What a merge did, as `unmerging` needs it; everything in it can be JSON."""

    kept: int
    gone: int
    status: str
    """Of the merged customer before."""
    moved: dict[str, list[Any]] = field(default_factory=dict)
    """Table -> what tells the moved rows apart (`Rule.by`)."""
    versions: dict[str, dict[str, int]] = field(default_factory=dict)
    dropped: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    cells: list[list[Any]] = field(default_factory=list)
    """[table, id, column, before, after] of what was changed besides."""
    money: list[list[int]] = field(default_factory=list)
    """[transaction, account of who stays, its balance afterwards, what came]."""
    opened: list[int] = field(default_factory=list)
    """Accounts."""
    references: list[int] = field(default_factory=list)


def default_choice(kept: Customer, gone: Customer) -> set[str]:
    """The fields that are empty at who stays and filled at the other one."""
    return {f for f in CHOSEN if not getattr(kept, f) and getattr(gone, f)}


async def standing_for(session: AsyncSession, customer_id: int) -> int:
    """The id of the customer who stands for this one: itself, unless it was merged into another one."""
    into = select(Customer.merged_into_id).where(Customer.id == customer_id).execution_options(**UNSCOPED)
    return await session.scalar(into) or customer_id


def family(customer_id: Any) -> Select[Any]:
    """The ids of a customer and of those who were merged into it: whose money history is one."""
    return select(Customer.id).where(or_(Customer.id == customer_id, Customer.merged_into_id == customer_id))


# ---- may they be merged ---------------------------------------------------------------------------------------------


async def refusals_to_merge(session: AsyncSession, *, kept: Customer, gone: Customer) -> list[str]:
    """Why these two cannot be merged now; empty when nothing stands in the way."""
    if kept.id == gone.id:
        return [gettext("Choose two different customers.")]
    if kept.project_id != gone.project_id:
        return [gettext("They belong to different projects. Only customers of one project can be merged.")]
    for one in (kept, gone):
        if one.merged_into_id is not None:
            said = gettext("%(name)s (#%(id)s) was merged into another customer already.")
            return [said % {"name": one.name, "id": one.id}]
        if one.cleared_at is not None:
            return [gettext("The personal data of %(name)s was cleared.") % {"name": one.name}]
    found = []
    if kept.status is CustomerStatus.CLOSED:
        found.append(gettext("%(name)s is closed. Open the account again first.") % {"name": kept.name})
    for query, said in _in_the_way(gone.id):
        if n := await session.scalar(query.execution_options(**UNSCOPED)):
            found.append(said % {"n": show_number(n), "name": gone.name})
    return found


def _in_the_way(gone_id: int) -> list[tuple[Select[Any], str]]:
    unpaid = (InvoiceStatus.ISSUED, InvoiceStatus.OVERDUE)
    invoiced = select(InvoiceLine.id).where(InvoiceLine.expense_id == Expense.id).exists()
    return [
        (
            select(func.count()).select_from(Invoice).where(Invoice.customer_id == gone_id, Invoice.status.in_(unpaid)),
            gettext("Invoices of %(name)s that are not paid: %(n)s. An issued invoice stays with its customer. Have "
                    "them paid or credit them first, or keep this customer instead."),
        ),
        (
            select(func.count()).select_from(Payment).where(
                Payment.customer_id == gone_id, Payment.status.in_((PaymentStatus.NEW, PaymentStatus.PENDING))
            ),
            gettext("Payments of %(name)s on their way: %(n)s. Wait for them, or cancel them first."),
        ),
        (
            select(func.count()).select_from(InvoiceLine).join(Invoice, Invoice.id == InvoiceLine.invoice_id).where(
                Invoice.customer_id == gone_id, Invoice.status == InvoiceStatus.DRAFT,
                InvoiceLine.expense_id.is_not(None),
            ),
            gettext("Charges of %(name)s in the draft of an invoice: %(n)s. Issue or delete it first."),
        ),
        (
            select(func.count()).select_from(Expense).join(Account, Account.id == Expense.account_id).where(
                Expense.customer_id == gone_id, Account.post_paid, Expense.amount > 0, ~invoiced,
                Expense.reversed_by_id.is_(None), Expense.invoice_id.is_(None),
            ),
            gettext("%(name)s pays afterwards, and charges stand on no invoice yet: %(n)s. Invoice them first."),
        ),
    ]  # fmt: skip


async def messages_to_move(session: AsyncSession, gone_id: int, *, most: int = LARGE) -> int:
    """How many messages would move, counted up to `most`."""
    n = 0
    for _table, model, attribute, _rule in moving(slowly=True):
        few = select(getattr(model, attribute)).where(getattr(model, attribute) == gone_id).limit(most)
        n += await session.scalar(select(func.count()).select_from(few.subquery())) or 0
    return n


# ---- merging --------------------------------------------------------------------------------------------------------


async def merge(session: AsyncSession, *, kept_id: int, gone_id: int, take: Collection[str] = ()) -> int:
    """Merge `gone` into `kept`, all but the messages (`move_messages`). Returns the id of the audit row.

    take: the fields of CHOSEN whose value of `gone` replaces that of `kept`. Raises NotFound, Conflict with the reasons
    of `refusals_to_merge`.
    """
    kept, gone = await both(session, kept_id, gone_id)
    if reasons := await refusals_to_merge(session, kept=kept, gone=gone):
        raise Conflict(" ".join(reasons))
    now, trail = utcnow(), Trail(kept.id, gone.id, gone.status.value)
    accounts = await _accounts(session, kept, gone, trail)
    await _roles(session, kept.id, gone.id, trail)
    await _payers(session, kept.id, gone.id, trail)
    await _choices(session, kept.id, gone.id, now, trail)
    await _drafts(session, gone.id, accounts, trail)
    await _ended(session, gone.id, now, trail)
    for table, model, attribute, rule in moving(slowly=False):
        await _move(session, table, model, attribute, rule, trail)
    for table, model, attribute, rule in moving(slowly=True):
        rows = select(getattr(model, rule.by)).where(*_those(model, attribute, rule, trail))
        trail.moved[table] = list(await session.scalars(rows.execution_options(**UNSCOPED)))
    await _references(session, trail)
    changes = _fields(kept, gone, take)
    gone.status, gone.merged_into_id = CustomerStatus.CLOSED, kept.id
    await session.flush()
    await refresh_status(session, kept.id)
    await follow_rules(session, [kept.id])
    told = {**changes, "merged": [f"{gone.name} (#{gone.id})", f"{kept.name} (#{kept.id})"], "undo": vars(trail)}
    await session.run_sync(audit.write, "merge", "customer", kept.id, told)
    last = select(func.max(audit.Audit.id)).where(
        audit.Audit.noun == "customer", audit.Audit.noun_id == kept.id, audit.Audit.action == "merge"
    )
    return await session.scalar(last.execution_options(**UNSCOPED)) or 0


async def move_messages(
    session: AsyncSession, *, trail: Trail, back: bool = False, done: int = 0, most: int = 0
) -> int:
    """Move the next messages, PART of them unless `most` is said, from number `done` on, to who stays; back: to the
    merged customer. Returns how many are done then. Done twice it changes nothing."""
    from_id, to_id = (trail.kept, trail.gone) if back else (trail.gone, trail.kept)
    at = 0
    for table, model, attribute, rule in moving(slowly=True):
        ids = trail.moved.get(table, [])
        part = ids[max(0, done - at) : max(0, done - at) + (most or PART)]
        if part:
            column = getattr(model, attribute)
            rows = update(model).where(column == from_id, getattr(model, rule.by).in_(part))
            await session.execute(rows.values({attribute: to_id}).execution_options(**BULK))
            return done + len(part)
        at += len(ids)
    return done


def messages_of(trail: Trail) -> int:
    return sum(len(trail.moved.get(table, [])) for table, *_rest in moving(slowly=True))


async def both(session: AsyncSession, kept_id: int, gone_id: int) -> tuple[Customer, Customer]:
    """Locked in the order of their ids, so that two merges cannot wait for each other."""
    rows = await session.scalars(
        select(Customer).where(Customer.id.in_((kept_id, gone_id))).order_by(Customer.id).with_for_update()
        .execution_options(populate_existing=True)
    )  # fmt: skip
    found = {customer.id: customer for customer in rows}
    if found.keys() != {kept_id, gone_id}:
        raise NotFound
    return found[kept_id], found[gone_id]


def _fields(kept: Customer, gone: Customer, take: Collection[str]) -> dict[str, list[Any]]:
    changes: dict[str, list[Any]] = {}
    for name in [n for f in CHOSEN if f in take for n in (f, *WITH.get(f, ()))]:
        before, after = getattr(kept, name), getattr(gone, name)
        if before != after:
            setattr(kept, name, after)
            changes[name] = [audit.plain(before), audit.plain(after)]
    custom = {**gone.custom, **{k: v for k, v in kept.custom.items() if v not in (None, "", [])}}
    if custom != kept.custom:
        changes["custom"] = [kept.custom, custom]
        kept.custom = custom
    return changes


def _those(model: Any, attribute: str, rule: Rule, trail: Trail) -> list[Any]:
    """The rows that move."""
    conditions = [getattr(model, attribute) == trail.gone]
    if rule.only is not None:
        conditions.append(rule.only(model))
    if rule.doubled is not None:
        conditions.append(~rule.doubled(model, trail.kept))
    return conditions


async def _move(session: AsyncSession, table: str, model: Any, attribute: str, rule: Rule, trail: Trail) -> None:
    if rule.drops and rule.doubled is not None:
        doubles = select(model).where(getattr(model, attribute) == trail.gone, rule.doubled(model, trail.kept))
        for row in (await session.scalars(doubles.execution_options(**UNSCOPED))).all():
            trail.dropped.setdefault(table, []).append(_values(row))
            await session.delete(row)
        await session.flush()
    named = getattr(model, rule.by)
    rows = select(named).where(*_those(model, attribute, rule, trail)).order_by(named)
    ids = list(await session.scalars(rows.execution_options(**UNSCOPED)))
    if not ids:
        return
    trail.moved[table] = ids
    mine = getattr(model, attribute) == trail.gone
    await hand_over(session, model, attribute, mine, named, ids, trail.kept)
    if issubclass(model, Versioned):
        now = await session.execute(select(named, model.version).where(named.in_(ids)).execution_options(**UNSCOPED))
        trail.versions[table] = {str(key): version for key, version in now}


async def hand_over(
    session: AsyncSession, model: Any, attribute: str, mine: Any, named: Any, ids: Sequence[Any], to_id: int
) -> None:
    """Let these rows name another customer; whoever has one of them open in a form is told that it has changed."""
    values: dict[str, Any] = {attribute: to_id}
    if issubclass(model, Versioned):
        values["version"] = model.version + 1
    for start in range(0, len(ids), PART):
        rows = update(model).where(mine, named.in_(ids[start : start + PART]))
        await session.execute(rows.values(values).execution_options(**BULK))


def _values(row: Base) -> dict[str, Any]:
    return {a.key: audit.plain(getattr(row, a.key)) for a in row.__mapper__.column_attrs}


async def _cell(session: AsyncSession, row: Any, column: str, value: Any, trail: Trail) -> None:
    before = getattr(row, column)
    setattr(row, column, value)
    trail.cells.append([row.__tablename__, row.id, column, audit.plain(before), audit.plain(value)])


# ---- what needs thought ---------------------------------------------------------------------------------------------


async def _accounts(session: AsyncSession, kept: Customer, gone: Customer, trail: Trail) -> dict[int, int]:
    """Transfer each balance; account of the merged customer -> that of who stays."""
    rows = select(Account).where(Account.customer_id.in_((kept.id, gone.id))).order_by(Account.id)
    found = (await session.scalars(rows.execution_options(**UNSCOPED))).all()
    theirs = [a for a in found if a.customer_id == gone.id]
    mine = {(a.project_id, a.currency): a for a in found if a.customer_id == kept.id}
    pairs = {}
    for account in theirs:
        place = account.project_id, account.currency
        if place not in mine:
            mine[place] = Account(
                customer_id=kept.id, project_id=account.project_id, currency=account.currency, kind=account.kind,
                credit_limit=account.credit_limit, post_paid=account.post_paid, auto_invoice=account.auto_invoice,
                payer_id=account.payer_id, method_id=account.method_id, balance=0,
            )  # fmt: skip
            session.add(mine[place])
            await session.flush()
            trail.opened.append(mine[place].id)
        pairs[account.id] = mine[place].id
    held = await ledger.locked(session, [*pairs, *pairs.values()]) if pairs else {}
    for from_id, to_id in pairs.items():
        if not (amount := held[from_id].balance):
            continue
        transaction_id, _new = await ledger.post(
            session, key=f"merge:{gone.id}:{gone.version}:{from_id}", kind=TransactionKind.TRANSFER,
            description=gettext("Merged from %(name)s (#%(id)s)") % {"name": gone.name, "id": gone.id},
            moves=[Move(from_id, -amount), Move(to_id, amount)],
        )  # fmt: skip
        await session.refresh(held[to_id], ["balance"])
        trail.money.append([transaction_id, to_id, held[to_id].balance, amount])
    return pairs


async def _roles(session: AsyncSession, kept_id: int, gone_id: int, trail: Trail) -> None:
    """Roles that both have by one name: that of the merged customer gets another one."""
    rows = select(CustomerRole).where(CustomerRole.customer_id.in_((kept_id, gone_id))).order_by(CustomerRole.id)
    roles = (await session.scalars(rows.execution_options(**UNSCOPED))).all()
    names = {role.name for role in roles if role.customer_id == kept_id}
    for role in (r for r in roles if r.customer_id == gone_id and r.name in names):
        free = next(n for i in range(2, len(roles) + 3) if (n := f"{role.name[:55]} {i}") not in names)
        names.add(free)
        await _cell(session, role, "name", free, trail)
    await session.flush()


async def _payers(session: AsyncSession, kept_id: int, gone_id: int, trail: Trail) -> None:
    """One payer is the usual one."""
    usual = select(Payer).where(Payer.usual).execution_options(**UNSCOPED)
    if await session.scalar(usual.where(Payer.customer_id == kept_id).limit(1)) is None:
        return
    for payer in await session.scalars(usual.where(Payer.customer_id == gone_id)):
        await _cell(session, payer, "usual", False, trail)
    await session.flush()


async def _choices(session: AsyncSession, kept_id: int, gone_id: int, now: datetime, trail: Trail) -> None:
    """Where both have chosen and only the merged customer has refused, the refusal holds from now on."""
    current = select(Subscription).where(Subscription.ended_at.is_(None)).execution_options(**UNSCOPED)
    mine = {
        (s.category_id, s.channel, s.user_id): s
        for s in await session.scalars(current.where(Subscription.customer_id == kept_id, Subscription.wanted))
    }
    refused = current.where(Subscription.customer_id == gone_id, Subscription.wanted.is_(False))
    for choice in await session.scalars(refused):
        if (accepted := mine.get((choice.category_id, choice.channel, choice.user_id))) is not None:
            await _cell(session, accepted, "ended_at", now, trail)
    await session.flush()


async def _drafts(session: AsyncSession, gone_id: int, accounts: dict[int, int], trail: Trail) -> None:
    drafts = select(Invoice).where(Invoice.customer_id == gone_id, Invoice.status == InvoiceStatus.DRAFT)
    for invoice in await session.scalars(drafts.execution_options(**UNSCOPED)):
        await _cell(session, invoice, "account_id", accounts[invoice.account_id], trail)
    await session.flush()


async def _ended(session: AsyncSession, gone_id: int, now: datetime, trail: Trail) -> None:
    """Visits of staff end, and what would confirm an address or number of the merged customer."""
    visits = and_(LoginSession.kind == SessionKind.VISIT, LoginSession.customer_id == gone_id)
    own = Confirmation.kind.in_((ConfirmationKind.PHONE, ConfirmationKind.ACCOUNT_EMAIL))
    for query in (
        select(LoginSession).where(visits, LoginSession.ended_at.is_(None)),
        select(Confirmation).where(Confirmation.customer_id == gone_id, own, Confirmation.ended_at.is_(None)),
    ):
        for row in (await session.scalars(query.execution_options(**UNSCOPED))).all():
            await _cell(session, row, "ended_at", now, trail)
    await session.flush()


async def _references(session: AsyncSession, trail: Trail) -> None:
    """What an import brings again reaches who stays."""
    rows = select(ExternalRef).where(ExternalRef.noun == "customer", ExternalRef.noun_id == trail.gone)
    for reference in (await session.scalars(rows)).all():
        trail.references.append(reference.id)
        reference.noun_id = trail.kept
    await session.flush()
