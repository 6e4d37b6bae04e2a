"""The screen of customers: list, card, register and edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from markupsafe import Markup
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload
from starlette.requests import Request
from wtforms import BooleanField, StringField, validators
from wtforms.fields.core import UnboundField

from admin_views.base import AppView, LookupField, Related
from admin_views.base.cells import esc, ready, short, swatch
from admin_views.base.fields import password_fields, plain
from admin_views.base.frame import hue_of
from admin_views.customers.buttons import BUTTONS
from app.domain import customers
from app.errors import Invalid
from app.i18n import _, country_name, gettext, language_name, show_date, show_number
from app.models.audit import Audit
from app.models.billing import Payer
from app.models.catalog import Service, ServiceStatus
from app.models.customers import Customer, CustomerProject, CustomerStatus, Membership, Note
from app.models.messaging import Delivery
from app.models.tickets import Ticket, TicketStatus
from app.models.users import User, UserCustomer
from app.render import initials


class Customers(AppView, model=Customer):
    name, name_plural, icon, category = _("Customer"), _("Customers"), "users", "Customers"
    purpose = _("Everybody you serve: people and companies, with all that belongs to them.")
    create_label, create_icon = _("Register customer"), "user-plus"
    search_hint = _("ID, name or e-mail")
    filter_first = ("id", "account_name", "project", "group", "language", "active_items")
    group_order = (_("Account"), _("Sign-in"))
    leave_out_new = (
        "status", "registered_at", "registration_ip", "verified_phone", "phone_verified_at", "phone_verified_by",
    )  # fmt: skip
    extra_groups = (
        (_("Sign-in"), ("username", "password", "password_again")),
        (_("For staff"), ("groups", "available_projects", "send_welcome")),
    )
    related = (
        Related("user", of=lambda c: User.customers.any(UserCustomer.customer_id == c.id)),
        Related("payer"),
        Related("service"),
        Related("delivery", _("Messages")),
        Related("ticket"),
        Related("note"),
        Related(
            "audit", of=lambda c: (Audit.customer_id == c.id) | (Audit.noun == "customer") & (Audit.noun_id == c.id)
        ),
    )
    buttons = BUTTONS

    # ---- list and card -----------------------------------------------------------------------------------------

    def computed(self) -> dict[str, ColumnElement[Any]]:
        first = (
            select(User.username)
            .join(UserCustomer, UserCustomer.user_id == User.id)
            .where(UserCustomer.customer_id == Customer.id)
            .order_by(UserCustomer.user_id)
            .limit(1)
        )
        return {"login": first.correlate(Customer).scalar_subquery()}

    def card_options(self) -> list[Any]:
        return [
            *super().card_options(),
            selectinload(Customer.logins).joinedload(UserCustomer.user),
            selectinload(Customer.memberships).joinedload(Membership.group),
            selectinload(Customer.available).joinedload(CustomerProject.project),
        ]

    @staticmethod
    def cell_name(customer: Any) -> str:
        named = f'<a href="/admin/customer/details/{customer.id}"><bdi>{esc(customer.name)}</bdi></a>'
        login = f' <span class="faint">(<bdi>{esc(customer.login)}</bdi>)</span>' if customer.login else ""
        return named + login

    @staticmethod
    def cell_country(customer: Customer) -> str:
        return short(customer.country, country_name) if customer.country else ""

    @staticmethod
    def cell_language(customer: Customer) -> str:
        return short(customer.language, language_name) if customer.language else ""

    @staticmethod
    def detail_email(customer: Customer) -> str:
        return f'<a href="mailto:{esc(customer.email)}">{esc(customer.email)}</a>' if customer.email else ""

    def facts(self, obj: Customer) -> list[Markup | str]:
        facts: list[Markup | str] = [
            f"#{obj.id}",
            ready(swatch(obj.project.hue, obj.project.name)),
            str(obj.kind.label),
        ]
        if obj.country:
            facts.append(country_name(obj.country))
        if obj.language:
            facts.append(language_name(obj.language))
        return facts

    def tags(self, obj: Customer) -> list[dict[str, Any]]:
        shown = [{"hue": obj.attitude.hue, "label": obj.attitude.name, "round": True}] if obj.attitude else []
        groups = sorted((m.group for m in obj.memberships), key=lambda g: -g.priority)
        return shown + [{"hue": g.hue, "label": g.name} for g in groups]

    def responsible(self, obj: Customer) -> str | None:
        return str(obj.responsible) if obj.responsible else None

    async def strip(self, session: AsyncSession, obj: Customer, request: Request) -> list[dict[str, Any]]:
        by_status = select(Service.status, func.count()).where(Service.customer_id == obj.id).group_by(Service.status)
        services = dict((await session.execute(by_status)).all())
        waiting = (
            await session.execute(
                select(func.count(), func.min(Ticket.updated_at)).where(
                    Ticket.customer_id == obj.id, Ticket.status == TicketStatus.OPEN
                )
            )
        ).one()
        sent = (
            await session.execute(
                select(func.count(), func.max(Delivery.sent_at)).where(
                    Delivery.customer_id == obj.id, Delivery.channel == "inbox", Delivery.sent_at.is_not(None)
                )
            )
        ).one()
        payers = await session.scalar(select(func.count()).select_from(Payer).where(Payer.customer_id == obj.id)) or 0
        others = [f"{n} {s.label}" for s, n in services.items() if s is not ServiceStatus.ACTIVE]
        return [
            {
                "label": gettext("Active services"),
                "value": show_number(services.get(ServiceStatus.ACTIVE, 0)),
                "note": ", ".join(others) or None,
            },
            {
                "label": gettext("Open tickets"),
                "value": show_number(waiting[0]),
                "note": gettext("oldest since %(day)s") % {"day": show_date(waiting[1])} if waiting[1] else None,
            },
            {
                "label": gettext("Messages"),
                "value": show_number(sent[0]),
                "note": gettext("last on %(day)s") % {"day": show_date(sent[1])} if sent[1] else None,
            },
            {"label": gettext("Payers"), "value": show_number(payers), "note": None},
            {
                "label": gettext("Customer since"),
                "value": show_date(obj.registered_at),
                "note": gettext("from %(ip)s") % {"ip": obj.registration_ip} if obj.registration_ip else None,
            },
        ]

    async def side(self, session: AsyncSession, obj: Customer, request: Request) -> list[dict[str, Any]]:
        people = [
            {
                "url": f"/admin/user/details/{u.user_id}",
                "name": u.user.username,
                "hint": u.user.full_name,
                "note": str(u.role.label),
                "initials": initials(str(u.user)),
                "hue": hue_of(u.user.username),
            }
            for u in obj.logins
            if u.user
        ]
        notes = (
            await session.scalars(
                select(Note)
                .where(Note.customer_id == obj.id)
                .options(joinedload(Note.staff))
                .order_by(Note.sticky.desc(), Note.id.desc())
                .limit(5)
            )
        ).all()
        shown = [
            {"text": n.text, "author": str(n.staff or "Bursar"), "when": n.created_at, "sticky": n.sticky}
            for n in notes
        ]
        if obj.note:
            shown.append(
                {"text": obj.note, "author": gettext("On the form"), "when": obj.registered_at, "sticky": False}
            )
        return [
            {
                "label": gettext("Users"),
                "kind": "people",
                "people": people,
                "add_url": f"/admin/user/create?customer={obj.id}",
            },
            {
                "label": gettext("Notes"),
                "kind": "notes",
                "notes": shown,
                "add_url": f"/admin/customer/action/note?pks={obj.id}",
            },
        ]

    def lookup_label(self, obj: Customer) -> str:
        return f"{obj.name} (#{obj.id})"

    # ---- forms --------------------------------------------------------------------------------------------------

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        fields: dict[str, Any] = {
            "groups": LookupField(_("Groups"), target="customer_group", multiple=True),
            "available_projects": LookupField(
                _("Available projects"),
                target="project",
                multiple=True,
                description=_("Besides the project that they registered with."),
            ),
        }
        if obj is None:
            fields["username"] = StringField(
                _("User name"),
                [validators.Optional(), validators.Length(max=254), plain],
                description=_("To sign in with. Empty: the e-mail address."),
                render_kw={"autocomplete": "off"},
            )
            fields |= password_fields()
            fields["send_welcome"] = BooleanField(_("Send a welcome message"))
        return fields

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        if obj is None:
            return {}
        return {
            "groups": [m.group_id for m in obj.memberships],
            "available_projects": [p.project_id for p in obj.available],
        }

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Customer:
        groups, projects = values.pop("groups"), values.pop("available_projects")
        status = values.pop("status", None)
        if values.get("registered_at") is None:
            values.pop("registered_at", None)
        if obj is None:
            values.pop("password_again")
            obj = await customers.register_customer(
                session,
                groups=groups,
                available_projects=projects,
                **{k: v for k, v in values.items() if v is not None},
            )
        else:
            await customers.change_customer(
                session, customer=obj, values=values, groups=groups, available_projects=projects
            )
            await self._move(session, obj, status)
        obj.warnings = await self._warnings(session, obj)
        return cast(Customer, obj)

    @staticmethod
    async def _move(session: AsyncSession, obj: Customer, status: str | None) -> None:
        if status is None or status == obj.status.value:
            return
        if status == CustomerStatus.SUSPENDED:
            await customers.suspend_customer(session, customer=obj)
        elif status == CustomerStatus.CLOSED:
            await customers.close_customer(session, customer=obj)
        elif obj.status in (CustomerStatus.SUSPENDED, CustomerStatus.CLOSED):
            await customers.reopen_customer(session, customer=obj)
        else:
            raise Invalid(status=gettext("This follows from the services."))

    @staticmethod
    async def _warnings(session: AsyncSession, obj: Customer) -> list[str]:
        found = await customers.duplicates(
            session, email=obj.email, phone=obj.phone, vat_number=obj.vat_number, country=obj.country, except_id=obj.id
        )
        labels = {"email": gettext("E-mail"), "phone": gettext("Phone"), "vat_number": gettext("VAT number")}
        said = [
            gettext("%(field)s is the same as that of %(name)s (#%(id)s).")
            % {"field": labels.get(d.field, d.field), "name": d.name, "id": d.customer_id}
            for d in found[:3]
        ]
        return said + list(customers.doubts({"phone": obj.phone, "country": obj.country}).values())

    async def attached(self, session: AsyncSession, obj: Customer) -> list[Mapping[str, Any]]:
        shown = await customers.attached(session, obj)
        return [
            {
                "label": a.label,
                "n": a.n,
                "url": f"{self.card_url(obj.id)}?tab={a.noun}"
                if a.noun in {r.identity for r in self.related}
                else None,
            }
            for a in shown
        ]

    async def refusals(self, session: AsyncSession, obj: Customer) -> list[str]:
        return await customers.refusals(session, obj)

    async def remove(self, session: AsyncSession, obj: Customer) -> None:
        await customers.delete_customer(session, customer=obj)
