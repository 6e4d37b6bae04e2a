"""What the card of a customer shows in one look: few statements, each compiled once, and nothing without its grant."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_time, get_timezone_location
from markupsafe import Markup
from sqlalchemy import Select, case, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.access import may, may_press
from admin_views.base.cells import badge, copyable, esc, ready
from admin_views.base.frame import hue_of
from admin_views.base.plan import Plan
from admin_views.base.reading import Reading
from app import db
from app.db import BigId, utcnow
from app.errors import NotFound
from app.i18n import gettext, locale, ngettext, show_ago, show_date, show_money, show_number
from app.models import scope
from app.models.catalog import Product, Service, ServiceStatus
from app.models.customers import Customer, Group, Membership, Note
from app.models.ledger import Account
from app.models.messaging import Channel, Delivery
from app.models.staff import Staff
from app.models.tickets import Ticket, TicketStatus
from app.models.users import CustomerRole, User, UserCustomer
from app.render import icon, initials

MOST = 5
"""Rows of each part of the side column; a tab has them all."""
MESSAGES = 1000
"""The newest so many messages are counted; more are "1,000+"."""


def _id() -> Any:
    return db.given("customer", BigId)


async def load(session: AsyncSession, reading: Reading, customer_id: int) -> Any:
    """The customer as a record, with `groups`. Raises NotFound for one outside the scope."""

    async def one() -> Select[Any]:
        return scope.limited(reading.select(Customer.id == _id()))

    async def of() -> Select[Any]:
        groups: Any = select(Group.name, Group.hue).join(Membership, Membership.group_id == Group.id)
        mine = groups.where(Membership.customer_id == _id()).order_by(Group.priority.desc(), Group.id)
        return scope.limited(mine)

    found = reading.records(await db.ask(session, ("card", reading, scope.whose()), one, customer=customer_id))
    if not found:
        raise NotFound
    found[0].groups = await db.ask(session, ("card groups", scope.whose()), of, customer=customer_id)
    return found[0]


# ---- the strip ------------------------------------------------------------------------------------------------------


async def figures(request: Request, session: AsyncSession, customer: Any) -> list[dict[str, Any]]:
    """Up to five figures, all in one statement."""
    seen = tuple(s for s in ("account", "service", "ticket", "delivery") if may(request, s, "list"))
    shown = []
    if seen:

        async def make() -> Select[Any]:
            parts = [_FIGURES[s]().subquery(s) for s in seen]  # of one row each
            return scope.limited(select(*parts).select_from(reduce(lambda a, b: a.join(b, true()), parts)))

        [n] = await db.ask(session, ("card figures", seen, scope.whose()), make, customer=customer.id)
        shown = [_to_tab(_SHOWN[s](n), customer, s) for s in seen]
    ago = show_ago(customer.registered_at)
    return [*shown, _figure(gettext("Customer since"), show_date(customer.registered_at), ago)]


def _figure(label: str, value: str, note: Markup | str | None = None) -> dict[str, Any]:
    return {"label": label, "value": value, "note": note}


def _to_tab(figure: dict[str, Any], customer: Any, tab: str) -> dict[str, Any]:
    """The figure as a link to the rows that it counts."""
    url = f"/admin/customer/details/{customer.id}?tab={tab}"
    return {**figure, "value": Markup('<a class="ink" href="{}">{}</a>').format(url, figure["value"])}


def _services() -> Any:
    by_status = [func.count(case((Service.status == s, 1))).label(f"service_{s.value}") for s in ServiceStatus]
    return select(*by_status).where(Service.customer_id == _id())


def _show_services(n: Any) -> dict[str, Any]:
    others = []
    for status in ServiceStatus:
        if status is not ServiceStatus.ACTIVE and (many := getattr(n, f"service_{status.value}")):
            words = f"{show_number(many)} {status.label}"
            suspended = status is ServiceStatus.SUSPENDED
            others.append(f'<span class="t-warn">{esc(words)}</span>' if suspended else esc(words))
    return _figure(gettext("Active services"), show_number(n.service_active), ready(", ".join(others)) or None)


def _tickets() -> Any:
    open_ones = Ticket.customer_id == _id(), Ticket.status == TicketStatus.OPEN
    return select(func.count().label("ticket_n"), func.min(Ticket.updated_at).label("ticket_since")).where(*open_ones)


def _show_tickets(n: Any) -> dict[str, Any]:
    since = gettext("oldest since %(day)s") % {"day": show_date(n.ticket_since)} if n.ticket_since else None
    return _figure(gettext("Open tickets"), show_number(n.ticket_n), since)


def _messages() -> Any:
    mine = Delivery.customer_id == _id(), Delivery.channel == Channel.INBOX, Delivery.sent_at.is_not(None)
    newest = select(Delivery.sent_at, Delivery.read_at).where(*mine).order_by(Delivery.sent_at.desc())
    sent = newest.limit(MESSAGES + 1).subquery()
    return select(
        func.count().label("delivery_n"),
        func.max(sent.c.sent_at).label("delivery_last"),
        func.count(case((sent.c.read_at.is_(None), 1))).label("delivery_unread"),
    )


def _show_messages(n: Any) -> dict[str, Any]:
    many = show_number(n.delivery_n) if n.delivery_n <= MESSAGES else f"{show_number(MESSAGES)}+"
    note = gettext("last on %(day)s") % {"day": show_date(n.delivery_last)} if n.delivery_last else None
    if n.delivery_unread and n.delivery_n <= MESSAGES:
        note = f"{note}, " + gettext("%(n)s not read") % {"n": show_number(n.delivery_unread)}
    return _figure(gettext("Messages"), many, note)


def _accounts() -> Any:
    """Of the account that was opened first; how many there are."""
    first = select(Account).where(Account.customer_id == _id()).order_by(Account.id).limit(1).subquery()
    many = select(func.count()).select_from(Account).where(Account.customer_id == _id()).scalar_subquery()
    return select(
        select(first.c.balance).scalar_subquery().label("account_balance"),
        select(first.c.currency).scalar_subquery().label("account_currency"),
        many.label("account_n"),
    )


def _show_accounts(n: Any) -> dict[str, Any]:
    if not n.account_n:
        return _figure(gettext("Balance"), show_number(0))
    more = n.account_n - 1
    note = (
        ngettext("%(num)s more account", "%(num)s more accounts", more) % {"num": show_number(more)} if more else None
    )
    return _figure(gettext("Balance"), show_money(n.account_balance, n.account_currency), note)


_FIGURES = {"account": _accounts, "service": _services, "ticket": _tickets, "delivery": _messages}
_SHOWN = {"account": _show_accounts, "service": _show_services, "ticket": _show_tickets, "delivery": _show_messages}


# ---- the side column ------------------------------------------------------------------------------------------------

SHOWN_ELSEWHERE = {
    "id",
    "name",
    "project_id",
    "kind",
    "status",
    "attitude_id",
    "responsible_id",
    "note",
    "language",
    "registered_at",
}
"""Columns that the head of the card shows, or another part of it."""


def phone(customer: Any) -> str:
    if not customer.phone:
        return ""
    number = copyable(customer.phone, f'<a class="num" href="tel:{esc(customer.phone)}">{esc(customer.phone)}</a>')
    if customer.verified_phone != customer.phone:
        return number
    verified = esc(gettext("verified"))
    return f'{number} <span class="small t-ok nowrap">{icon("check", "tiny")} {verified}</span>'


def details(plan: Plan, customer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """How to reach them, and what else is known: both from the columns' declarations."""
    groups: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    hidden = SHOWN_ELSEWHERE | ({"verified_phone"} if customer.verified_phone == customer.phone else set())
    for label, columns in plan.details:
        for column in columns:
            if column.key not in hidden and (html := column.cell(customer)):
                groups[label == "Contact"].append({"label": column.label, "value": ready(html)})
    edit = f"/admin/customer/edit/{customer.id}" if plan.may_edit and plan.view.editable(customer) else None
    return (
        {"label": gettext("Contact"), "kind": "kv", "items": groups[True], "url": edit},
        {"label": gettext("Details"), "kind": "kv", "items": groups[False]},
    )


async def services(request: Request, session: AsyncSession, customer: Any) -> list[dict[str, Any]]:
    """What they have of us; what is closed stands last."""
    if not may(request, "service", "list"):
        return []

    async def make() -> Select[Any]:
        rows: Any = select(Service.id, Service.name, Service.status, Product.name.label("product"))
        mine = rows.outerjoin(Product, Product.id == Service.product_id).where(Service.customer_id == _id())
        closed = case((Service.status == ServiceStatus.CLOSED, 1), else_=0)
        return scope.limited(mine.order_by(closed, Service.id.desc()).limit(MOST + 1))

    rows = await db.ask(session, ("card services", scope.whose()), make, customer=customer.id)
    linked = may(request, "service", "details")
    shown = []
    for s in rows[:MOST]:
        name = f"<bdi>{esc(s.name)}</bdi>"
        name = f'<a class="ink" href="/admin/service/details/{s.id}">{name}</a>' if linked else f"<b>{name}</b>"
        what = f' <span class="faint">{esc(s.product or "")}</span>'
        shown.append(ready(f'<span class="grow cut">{name}{what}</span>{badge(s.status)}'))
    section = {"label": gettext("Services"), "kind": "words", "words": shown}
    return [section | _beside(request, "service", customer, more=len(rows) > MOST)]


def _beside(request: Request, noun: str, customer: Any, *, more: bool) -> dict[str, str]:
    """The way to all rows of this kind, and to a new one."""
    urls = {"url": f"/admin/customer/details/{customer.id}?tab={noun}"} if more else {}
    return urls | ({"add_url": f"/admin/{noun}/create?customer={customer.id}"} if may(request, noun, "create") else {})


async def people(request: Request, session: AsyncSession, customer: Any) -> list[dict[str, Any]]:
    """Who signs in for this customer."""
    if not may(request, "user", "list"):
        return []

    async def make() -> Select[Any]:
        users: Any = select(User.id, User.username, User.full_name, UserCustomer.role, CustomerRole.name)
        mine = users.join(UserCustomer, UserCustomer.user_id == User.id)
        mine = mine.outerjoin(CustomerRole, CustomerRole.id == UserCustomer.own_role_id).where(
            UserCustomer.customer_id == _id()
        )
        return scope.limited(mine.order_by(User.id).limit(MOST + 1))

    rows = await db.ask(session, ("card people", scope.whose()), make, customer=customer.id)
    linked = may(request, "user", "details")
    shown = [
        {
            "url": f"/admin/user/details/{u.id}" if linked else None,
            "name": u.username,
            "hint": u.full_name,
            "note": u.name or str(u.role.label),
            "initials": initials(u.full_name or u.username),
            "hue": hue_of(u.username),
        }
        for u in rows[:MOST]
    ]
    section = {"label": gettext("Users"), "kind": "people", "people": shown}
    return [section | _beside(request, "user", customer, more=len(rows) > MOST)]


async def notes(request: Request, session: AsyncSession, customer: Any) -> list[dict[str, Any]]:
    """Sticky notes and the newest; the note that stands on the form is part of the customer."""
    shown: list[dict[str, Any]] = []
    if may(request, "note", "list"):
        shown += [
            {"text": n.text, "author": n.staff or "Bursar", "when": n.created_at, "sticky": n.sticky}
            for n in await _notes(session, customer.id)
        ]
    if customer.note:
        on_form = {"text": customer.note, "author": gettext("On the form"), "when": customer.registered_at}
        shown.append({**on_form, "sticky": False})
    if not shown and not may(request, "note", "list"):
        return []
    section: dict[str, Any] = {"label": gettext("Notes"), "kind": "notes", "notes": shown}
    if may_press(request, "customer", "note"):
        section["add_url"] = f"/admin/customer/action/note?pks={customer.id}"
    return [section]


async def _notes(session: AsyncSession, customer_id: int) -> Sequence[Any]:
    async def make() -> Select[Any]:
        author = func.coalesce(func.nullif(Staff.full_name, ""), Staff.username).label("staff")
        rows: Any = select(Note.text, Note.sticky, Note.created_at, author)
        mine = rows.outerjoin(Staff, Staff.id == Note.staff_id).where(Note.customer_id == _id())
        return scope.limited(mine.order_by(Note.sticky.desc(), Note.id.desc()).limit(MOST))

    return await db.ask(session, ("card notes", scope.whose()), make, customer=customer_id)


# ---- their clock ----------------------------------------------------------------------------------------------------


def local_time(name: str) -> str:
    """ "15:03 in Berlin", the place in the reader's language; empty without a time zone."""
    zone = _zone(name)
    if zone is None:
        return ""
    clock = format_time(utcnow().astimezone(zone), "short", locale=locale())
    place = get_timezone_location(zone, locale=locale(), return_city=True).rpartition("/")[2]
    return gettext("%(time)s in %(place)s") % {"time": clock, "place": place}


@lru_cache
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        return None
