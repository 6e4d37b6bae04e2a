"""The sources of the timeline. A noun joins with a function for its rows, one for its words, and a line in SOURCES."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from markupsafe import Markup
from sqlalchemy import Integer, Select, String, case, cast, exists, func, select, union_all
from sqlalchemy.orm import aliased

from admin_views.access import may
from admin_views.base.cells import esc, money, ready
from admin_views.timeline import changes
from admin_views.timeline.telling import Reader, Source, Span, Told, say, strong
from app.domain.automation import words
from app.i18n import _, gettext, language_name, ngettext, show_ago, show_number
from app.models.automation import Rule, RuleRun, RunState
from app.models.billing import Invoice, InvoiceKind, InvoiceStatus
from app.models.catalog import Product, Service
from app.models.customers import Customer, Group, Membership, Note
from app.models.ledger import Account, Entry, Transaction, TransactionKind
from app.models.messaging import Campaign, Channel, Delivery, DeliveryState
from app.models.sessions import LoginSession, SessionKind
from app.models.staff import Staff
from app.models.tickets import Ticket, TicketMessage
from app.models.users import User

KINDS = {
    "message": _("Messages"),
    "ticket": _("Tickets"),
    "note": _("Notes"),
    "service": _("Services"),
    "money": _("Money"),
    "rule": _("Rules"),
    "change": _("Changes"),
    "sign_in": _("Sign-ins"),
    "visit": _("Visits"),
}
"""The chips, in their order."""

QUOTED = 400
"""Characters of a text that are shown; the rest waits behind its link."""

STAFF_NAME = func.coalesce(func.nullif(Staff.full_name, ""), Staff.username).label("staff")
USER_NAME = func.coalesce(func.nullif(User.full_name, ""), User.username).label("person")


def _who(name: str | None) -> Markup:
    return strong(name or "Bursar")


# ---- messages -----------------------------------------------------------------------------------------------------


def _messages(span: Span) -> Select[Any]:
    """One row per message: that of the inbox, or of the first address where it went out by e-mail only."""
    other, failed = aliased(Delivery), aliased(Delivery)
    same = (other.campaign_id == Delivery.campaign_id, other.customer_id == Delivery.customer_id)
    earlier = (other.channel == Channel.INBOX) | (other.address < Delivery.address)
    found: list[Any] = []
    for channel, only in ((Channel.INBOX, ()), (Channel.EMAIL, (~exists().where(*same, earlier),))):
        rows: Any = select(Delivery.campaign_id, Delivery.sent_at, Delivery.read_at, Delivery.language).where(
            Delivery.customer_id == span.customer, Delivery.channel == channel, Delivery.sent_at.is_not(None), *only
        )
        found.append(select(span.newest(rows, Delivery.sent_at, Delivery.campaign_id).subquery()))
    sent = union_all(*found).subquery()
    # no condition on the state: its index would lead through everything that failed in a large campaign
    problem = select(func.max(case((failed.state == DeliveryState.FAILED, failed.error)))).where(
        failed.campaign_id == sent.c.campaign_id, failed.customer_id == span.customer
    )
    return (
        select(
            sent.c.campaign_id.label("id"), sent.c.sent_at.label("at"), sent.c.read_at.label("until"),
            sent.c.language.label("state"), Campaign.subject.label("name"), STAFF_NAME,
            problem.scalar_subquery().label("text"),
        )
        .outerjoin(Campaign, Campaign.id == sent.c.campaign_id)
        .outerjoin(Staff, Staff.id == Campaign.staff_id)
    )  # fmt: skip


def _tell_message(row: Any, reader: Reader) -> Told:
    # the campaign of a colleague may be out of the reader's scope: then only that there was one is told
    subject = reader.link("campaign", row.id, row.name) if row.name else gettext("a message")
    facts = [gettext("in %(language)s") % {"language": language_name(row.state)}]
    if row.until is not None:
        facts.append(gettext("read %(ago)s") % {"ago": show_ago(row.until)})
    words = say(gettext("%(who)s sent %(subject)s"), who=_who(row.staff), subject=subject)
    more: list[Markup | str] = [", ".join(facts)]
    if row.text:
        more.append(gettext("The e-mail failed: %(reason)s") % {"reason": gettext(row.text)})
    return Told(words, more=tuple(more), tone="warn" if row.text else "")


# ---- tickets ------------------------------------------------------------------------------------------------------

FROM_CUSTOMER, INTERNAL, FIRST = 1, 2, 4


def _tickets(span: Span) -> Select[Any]:
    earlier = aliased(TicketMessage)
    first = ~exists().where(earlier.ticket_id == TicketMessage.ticket_id, earlier.id < TicketMessage.id)
    # the keys first, out of the index alone: a customer may have written ten thousand long texts
    keys = span.newest(
        select(TicketMessage.id, TicketMessage.created_at)
        .join(Ticket, Ticket.id == TicketMessage.ticket_id)
        .where(Ticket.customer_id == span.customer),
        TicketMessage.created_at, TicketMessage.id,
    ).subquery()  # fmt: skip
    flags = (
        FROM_CUSTOMER * cast(TicketMessage.from_customer, Integer) + INTERNAL * cast(TicketMessage.internal, Integer)
        + FIRST * cast(first, Integer)
    )  # fmt: skip
    return (
        select(
            keys.c.id.label("id"), keys.c.created_at.label("at"), Ticket.id.label("ref"), Ticket.subject.label("name"),
            func.substr(TicketMessage.text, 1, QUOTED + 1).label("text"), flags.label("mark"), STAFF_NAME, USER_NAME,
        )
        .join(TicketMessage, TicketMessage.id == keys.c.id)
        .join(Ticket, Ticket.id == TicketMessage.ticket_id)
        .outerjoin(Staff, Staff.id == TicketMessage.staff_id)
        .outerjoin(User, User.id == TicketMessage.user_id)
    )  # fmt: skip


def _tell_ticket(row: Any, reader: Reader) -> Told:
    theirs = bool(row.mark & FROM_CUSTOMER)
    who = strong(row.person or reader.customer.name) if theirs else _who(row.staff)
    if theirs and row.staff:
        who = say(gettext("%(staff)s for %(customer)s"), staff=strong(row.staff), customer=who)
    ticket = reader.link("ticket", row.ref, f"#{row.ref} {row.name}")
    if row.mark & INTERNAL:
        words = say(gettext("%(who)s noted in ticket %(ticket)s"), who=who, ticket=ticket)
    elif row.mark & FIRST:
        words = say(gettext("%(who)s opened ticket %(ticket)s"), who=who, ticket=ticket)
    else:
        words = say(gettext("%(who)s answered ticket %(ticket)s"), who=who, ticket=ticket)
    return Told(words, quote=_cut(row.text), tone="info" if theirs else "", icon="lock" if row.mark & INTERNAL else "")


def _cut(text: str | None) -> str:
    text = (text or "").strip()
    return text if len(text) <= QUOTED else text[:QUOTED].rstrip() + "…"


# ---- notes --------------------------------------------------------------------------------------------------------


def _notes(span: Span) -> Select[Any]:
    rows = select(
        Note.id, Note.created_at.label("at"), func.substr(Note.text, 1, QUOTED + 1).label("text"), STAFF_NAME,
        cast(Note.sticky, Integer).label("mark"),
    )  # fmt: skip
    mine = rows.outerjoin(Staff, Staff.id == Note.staff_id).where(Note.customer_id == span.customer)
    return span.newest(mine, Note.created_at, Note.id)


def _tell_note(row: Any, _reader: Reader) -> Told:
    words = say(gettext("%(who)s wrote a note"), who=_who(row.staff))
    return Told(words, quote=_cut(row.text), icon="pin" if row.mark else "")


# ---- services, groups, the beginning --------------------------------------------------------------------------------


def _services(span: Span) -> Select[Any]:
    rows = select(Service.id, Service.created_at.label("at"), Service.name, Product.name.label("text"))
    mine = rows.outerjoin(Product, Product.id == Service.product_id).where(Service.customer_id == span.customer)
    return span.newest(mine, Service.created_at, Service.id)


def _tell_service(row: Any, reader: Reader) -> Told:
    service = reader.link("service", row.id, row.name)
    return Told(say(gettext("%(service)s was ordered"), service=service), more=(ready(esc(row.text or "")),))


def _groups(span: Span) -> Select[Any]:
    rows = select(Membership.group_id.label("id"), Membership.since.label("at"), Group.name)
    mine = rows.join(Group, Group.id == Membership.group_id).where(Membership.customer_id == span.customer)
    return span.newest(mine, Membership.since, Membership.group_id)


def _tell_group(row: Any, _reader: Reader) -> Told:
    return Told(say(gettext("Joined the group %(group)s"), group=strong(row.name)))


def _beginning(span: Span) -> Select[Any]:
    rows = select(Customer.id, Customer.registered_at.label("at"), Customer.registration_ip.label("text"))
    return span.newest(rows.where(Customer.id == span.customer), Customer.registered_at, Customer.id)


def _tell_beginning(row: Any, _reader: Reader) -> Told:
    more = (gettext("from %(ip)s") % {"ip": row.text},) if row.text else ()
    return Told(say(gettext("The account was registered")), more=more)


# ---- money ----------------------------------------------------------------------------------------------------------


def _money(span: Span) -> Select[Any]:
    """What was booked on the customer's accounts."""
    keys = span.newest(
        select(Entry.id, Entry.at).join(Account, Account.id == Entry.account_id)
        .where(Account.customer_id == span.customer),
        Entry.at, Entry.id,
    ).subquery()  # fmt: skip
    return (
        select(
            keys.c.id.label("id"), keys.c.at.label("at"), Entry.account_id.label("ref"), Account.currency.label("name"),
            cast(Entry.amount, String).label("state"), Transaction.description.label("text"),
            cast(Transaction.kind, String).label("person"), STAFF_NAME,
        )
        .join(Entry, Entry.id == keys.c.id)
        .join(Account, Account.id == Entry.account_id)
        .join(Transaction, Transaction.id == Entry.transaction_id)
        .outerjoin(Staff, Staff.id == Transaction.staff_id)
    )  # fmt: skip


def _tell_money(row: Any, reader: Reader) -> Told:
    amount, kind = int(row.state), TransactionKind(row.person)
    shown = ready(money(amount, row.name))
    words = say(gettext("%(kind)s: %(amount)s"), kind=str(kind.label), amount=shown)
    more = [m for m in (row.text, gettext("by %(who)s") % {"who": row.staff} if row.staff else "") if m]
    if may(reader.request, "account", "details"):
        words = ready(f'<a class="ink" href="/admin/account/details/{int(row.ref)}">{words}</a>')
    return Told(words, more=tuple(more), icon="cash" if amount > 0 else "")


# ---- who was here -------------------------------------------------------------------------------------------------


def _sessions(span: Span, kind: SessionKind) -> Select[Any]:
    rows = select(
        LoginSession.id, LoginSession.created_at.label("at"), LoginSession.user_id.label("ref"), STAFF_NAME, USER_NAME,
        LoginSession.ip.label("name"), LoginSession.reason.label("text"),
        cast(LoginSession.may_act, Integer).label("mark"),
        func.coalesce(LoginSession.ended_at, LoginSession.last_seen_at).label("until"),
    )  # fmt: skip
    mine = (
        rows.outerjoin(Staff, Staff.id == LoginSession.staff_id)
        .outerjoin(User, User.id == LoginSession.user_id)
        .where(LoginSession.customer_id == span.customer, LoginSession.kind == kind)
    )
    return span.newest(mine, LoginSession.created_at, LoginSession.id)


def _tell_sign_in(row: Any, reader: Reader) -> Told:
    who = reader.link("user", row.ref, row.person) if row.person else strong(gettext("A user"))
    more = (gettext("from %(ip)s") % {"ip": row.name},) if row.name else ()
    return Told(say(gettext("%(who)s signed in"), who=who), more=more)


def _tell_visit(row: Any, _reader: Reader) -> Told:
    minutes = max(1, round((row.until - row.at) / timedelta(minutes=1)))
    long = ngettext("%(n)s minute", "%(n)s minutes", minutes) % {"n": show_number(minutes)}
    how = gettext("could make changes") if row.mark else gettext("only looking")
    words = say(gettext("%(who)s entered the customer's panel"), who=_who(row.staff))
    reason = gettext("Reason: %(reason)s") % {"reason": row.text}
    return Told(words, more=(f"{long}, {how}", reason), tone="warn")


# ---- invoices -----------------------------------------------------------------------------------------------------


def _invoices(span: Span) -> Select[Any]:
    credits = case((Invoice.kind == InvoiceKind.CREDIT_NOTE, 1), else_=0)
    rows = select(
        Invoice.id, Invoice.created_at.label("at"), Invoice.number.label("name"), Invoice.currency.label("text"),
        Invoice.total.label("ref"), Invoice.status.label("state"), credits.label("mark"),
    )  # fmt: skip
    mine = rows.where(Invoice.customer_id == span.customer, Invoice.number.is_not(None))
    return span.newest(mine, Invoice.created_at, Invoice.id)


def _tell_invoice(row: Any, reader: Reader) -> Told:
    invoice = reader.link("invoice", row.id, row.name)
    total = ready(money(row.ref, row.text))
    if row.mark:
        return Told(say(gettext("Credit note %(invoice)s over %(total)s"), invoice=invoice, total=total))
    status = InvoiceStatus(row.state)
    words = say(gettext("Invoice %(invoice)s over %(total)s"), invoice=invoice, total=total)
    return Told(words, more=(str(status.label),), tone="warn" if status is InvoiceStatus.OVERDUE else "")


# ---- rules --------------------------------------------------------------------------------------------------------


def _rules(span: Span) -> Select[Any]:
    """What rules have done, and what of it failed or was stopped; what they left out is in their log."""
    rows = select(
        RuleRun.id, RuleRun.at, Rule.name.label("name"), cast(RuleRun.done, String).label("text"),
        cast(RuleRun.state, String).label("state"), RuleRun.reason.label("person"),
    )  # fmt: skip
    over = RuleRun.state.not_in((RunState.DUE, RunState.SKIPPED))
    mine = rows.outerjoin(Rule, Rule.id == RuleRun.rule_id).where(RuleRun.customer_id == span.customer, over)
    return span.newest(mine, RuleRun.at, RuleRun.id)


def _tell_rule(row: Any, reader: Reader) -> Told:
    run = SimpleNamespace(done=json.loads(row.text or "{}"), state=RunState(row.state), reason=row.person)
    # a rule of all projects is out of the scope of staff of some: then only what it did is told
    rule = reader.link("automation_run", row.id, row.name or gettext("a rule"))
    return Told(
        say(gettext("Rule %(rule)s"), rule=rule), more=(words.all_done(run),),
        tone="" if run.state in (RunState.DONE, RunState.RUNNING) else "warn",
    )  # fmt: skip


# ---- what was changed -----------------------------------------------------------------------------------------------


def _changes(span: Span) -> Select[Any]:
    return changes.rows(span, STAFF_NAME, USER_NAME)


# ---- all ------------------------------------------------------------------------------------------------------------


SOURCES: tuple[Source, ...] = (
    Source("ticket", "ticket", "ticket", (("ticket", "list"),), _tickets, _tell_ticket),
    Source("message", "message", "send", (("delivery", "list"),), _messages, _tell_message),
    Source("note", "note", "note", (("note", "list"),), _notes, _tell_note),
    Source("service", "service", "server-2", (("service", "list"),), _services, _tell_service),
    Source("money", "money", "receipt", (("account", "list"),), _money, _tell_money),
    Source("invoice", "money", "file-invoice", (("invoice", "list"),), _invoices, _tell_invoice),
    Source("rule", "rule", "robot", (("automation_run", "list"),), _rules, _tell_rule),
    Source("change", "change", "pencil", (("audit", "list"),), _changes, changes.tell),
    Source("group", "change", "users-group", (("customer", "details"),), _groups, _tell_group),
    Source(
        "visit", "visit", "login-2", (("audit", "list"), ("customer", "action:enter")),
        lambda span: _sessions(span, SessionKind.VISIT), _tell_visit,
    ),
    Source(
        "sign_in", "sign_in", "login", (("user", "list"),),
        lambda span: _sessions(span, SessionKind.CLIENT), _tell_sign_in,
    ),
    Source("beginning", "change", "user-plus", (("customer", "details"),), _beginning, _tell_beginning),
)  # fmt: skip
"""Where two rows share a moment, the source that stands first is shown first."""
