"""The screen of customers: list, card, register and edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, cast

from markupsafe import Markup
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from starlette.requests import Request
from wtforms import BooleanField, StringField, validators
from wtforms.fields.core import UnboundField

from admin_views import members, timeline
from admin_views.access import granted, may, may_press
from admin_views.base import AppView, LookupField, Related, plan_of
from admin_views.base.cells import esc, ready, short, swatch
from admin_views.base.fields import password_fields, plain
from admin_views.base.plan import Plan
from admin_views.base.reading import Reading
from admin_views.billing.documents import OF_CUSTOMER as DOCUMENTS
from admin_views.customers import clearing, merging, money, summary
from admin_views.customers.buttons import BUTTONS
from admin_views.members import OWN_ROLE
from app.domain import customers
from app.domain.config import modules
from app.domain.customers.merging import family
from app.domain.sessions import Grants
from app.errors import Invalid
from app.i18n import _, country_name, gettext, language_name
from app.models.audit import Audit
from app.models.billing import Expense, Invoice, Payment
from app.models.customers import Customer, CustomerProject, CustomerStatus, Membership
from app.models.ledger import Account
from app.models.users import User, UserCustomer
from app.render import page


class Customers(AppView, model=Customer):
    name, name_plural, icon, category = _("Customer"), _("Customers"), "users", "Customers"
    purpose = _("Everybody you serve: people and companies, with all that belongs to them.")
    create_label, create_icon = _("Register customer"), "user-plus"
    search_hint = _("ID, name or e-mail")
    letter, in_palette, palette_hints = "c", True, ("email", "project_id")
    filter_first = (
        "id", "account_name", "project", "group", "language", "active_items", "balance", "unpaid_invoices",
    )  # fmt: skip
    group_order = (_("Account"), _("Sign-in"))
    leave_out_new = (
        "status", "registered_at", "registration_ip", "verified_phone", "phone_verified_at", "phone_verified_by",
    )  # fmt: skip
    extra_groups = (
        (_("Sign-in"), ("username", "password", "password_again")),
        (_("For staff"), ("groups", "available_projects", "send_welcome")),
    )
    group_help = {_("Sign-in"): _("Their first user. Without a password they cannot sign in yet.")}
    related = (
        Related(
            "user",
            of=lambda c: User.id.in_(select(UserCustomer.user_id).where(UserCustomer.customer_id == c.id)),
            counts=True,
        ),
        Related("payer", counts=True),
        Related("service", counts=True),
        Related("account", _("Account"), of=lambda c: Account.customer_id.in_(family(c.id))),
        Related("payment", of=lambda c: Payment.customer_id.in_(family(c.id)), counts=True),
        Related("invoice", of=lambda c: Invoice.customer_id.in_(family(c.id)), counts=True),
        Related("expense", of=lambda c: Expense.customer_id.in_(family(c.id))),
        Related("finance_document"),
        Related("delivery", _("Messages")),
        Related("subscription"),
        Related("ticket", counts=True),
        Related("note", counts=True),
        Related("login_session", _("Visits by staff")),
        Related(
            "audit", of=lambda c: (Audit.customer_id == c.id) | (Audit.noun == "customer") & (Audit.noun_id == c.id)
        ),
    )
    buttons = (*BUTTONS, *DOCUMENTS, OWN_ROLE)
    bulk = (
        "responsible", "attitude", "groups", "language", "country", "timezone", "kind", "came_from",
        "project", "available_projects",
    )  # fmt: skip
    export_more = (("groups", _("Groups"), "customer_group"), ("logins", _("Users"), "user"))
    more_grants: ClassVar[dict[str, str]] = {
        "action:message_all": _("Send message to many"),
        "action:act": _("Act inside the customer's panel"),
    }
    needs = ("merged_into_id", "cleared_at")

    # ---- list and card -----------------------------------------------------------------------------------------

    def computed(self) -> dict[str, ColumnElement[Any]]:
        first = (
            select(User.username)
            .join(UserCustomer, UserCustomer.user_id == User.id)
            .where(UserCustomer.customer_id == Customer.id)
            .order_by(UserCustomer.user_id)
            .limit(1)
        )
        return {"login": first.correlate(Customer).scalar_subquery(), "balances": money.balances()}

    def _plan(self, grants: Grants) -> Plan:
        """With the balance for those who may see accounts."""
        plan = super()._plan(grants)
        if not granted(grants, "account", "list"):
            return plan
        at = next((i for i, c in enumerate(plan.columns) if c.key == "status"), len(plan.columns))
        return replace(plan, columns=(*plan.columns[:at], money.BALANCE, *plan.columns[at:]))

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
        if customer.merged_into_id is not None:
            into = gettext("merged into #%(id)s") % {"id": customer.merged_into_id}
            login += f' <span class="faint">{esc(into)}</span>'
        return named + login

    @staticmethod
    def cell_country(customer: Customer) -> str:
        return short(customer.country, country_name) if customer.country else ""

    @staticmethod
    def cell_language(customer: Customer) -> str:
        return short(customer.language, language_name) if customer.language else ""

    # ---- card -----------------------------------------------------------------------------------------------------

    @cached_property
    def _card(self) -> Reading:
        return Reading(self, [p.key for p in self._props()], more=("groups",))

    async def card(self, session: AsyncSession, pk: str) -> Any:
        """A plain record: a card that is only looked at needs no object of the ORM."""
        return await summary.load(session, self._card, self.number(pk))

    def facts(self, obj: Any) -> list[Markup | str]:
        facts = [self.shown_id(obj), ready(swatch(obj.project.hue, obj.project.name)), str(obj.kind.label)]
        if obj.country:
            facts.append(country_name(obj.country))
        if obj.language:
            facts.append(language_name(obj.language))
        if clock := summary.local_time(obj.timezone):
            facts.append(clock)
        return facts

    def tags(self, obj: Any) -> list[dict[str, Any]]:
        shown = [{"hue": obj.attitude.hue, "label": obj.attitude.name, "round": True}] if obj.attitude else []
        return shown + [{"hue": g.hue, "label": g.name} for g in obj.groups]

    def responsible(self, obj: Any) -> str | None:
        return str(obj.responsible) if obj.responsible else None

    @staticmethod
    def detail_address(customer: Any) -> str:
        return f'<span class="prewrap">{esc(customer.address)}</span>' if customer.address else ""

    @staticmethod
    def detail_phone(customer: Any) -> str:
        return summary.phone(customer)

    def links(self, plan: Plan, obj: Any) -> list[tuple[Any, ...]]:
        if not granted(plan.grants, "invoice", "create"):
            return []
        url = f"/admin/invoice/create?customer={obj.id}"
        return [(gettext("New invoice"), url, "file-invoice", False, False, True)]

    async def strip(self, session: AsyncSession, obj: Any, request: Request) -> list[dict[str, Any]]:
        return await summary.figures(request, session, obj)

    async def sections(self, session: AsyncSession, obj: Any, request: Request) -> list[dict[str, Any]]:
        shown = await timeline.context(request, session, obj, self.card_url(obj.id))
        note = obj.id if may_press(request, self.identity, "note") else None
        html = ready(page("sqladmin/timeline.html", timeline=shown, note_for=note))
        return [{"label": gettext("Timeline"), "kind": "html", "html": html}]

    async def side(self, session: AsyncSession, obj: Any, request: Request) -> list[dict[str, Any]]:
        plan = plan_of(request, self)
        contact, details = summary.details(plan, obj)
        shown = [*await clearing.report(session, obj), contact]
        for part in (merging.sections, summary.services, summary.people, summary.notes):
            shown += await part(request, session, obj)
        return [*shown, details] if details["items"] else shown

    async def tab_sections(
        self, session: AsyncSession, obj: Any, request: Request, tab: Related
    ) -> list[dict[str, Any]]:
        if tab.identity == "user":
            return await members.user_tab(session, request, obj)
        return await money.account_tab(session, obj) if tab.identity == "account" else []

    async def card_context(self, session: AsyncSession, obj: Any, request: Request) -> dict[str, Any]:
        return {"charts": may(request, "account", "list")}

    def editable(self, obj: Any) -> bool:
        return obj.cleared_at is None

    def instead(self, request: Request, obj: Customer) -> dict[str, str] | None:
        return clearing.instead(request, obj.id)

    def elsewhere(self, obj: Any) -> str | None:
        return self.card_url(obj.merged_into_id) if obj.merged_into_id is not None else None

    def offered(self, rows: Select[Any], asked: Mapping[str, str]) -> Select[Any]:
        return super().offered(rows.where(Customer.merged_into_id.is_(None)), asked)

    def lookup_label(self, obj: Customer) -> str:
        return f"{obj.name} (#{obj.id})"

    # ---- forms --------------------------------------------------------------------------------------------------

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        fields: dict[str, Any] = {}
        if modules.on("groups"):
            fields["groups"] = LookupField(
                _("Groups"),
                target="customer_group",
                multiple=True,
                description=_("By hand. A rule decides about its own."),
            )
        if modules.on("projects"):
            fields["available_projects"] = LookupField(
                _("Available projects"),
                target="project",
                multiple=True,
                description=_("Besides the project that they registered with."),
            )
        if obj is None:
            fields["username"] = StringField(
                _("User name"),
                [validators.Optional(), validators.Length(max=254), plain],
                description=_("To sign in with. Empty: the e-mail address."),
                render_kw={"autocomplete": "off", "data-wide": "1"},
            )
            fields |= password_fields()
            fields["send_welcome"] = BooleanField(_("Send a welcome message"))
        return fields

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        if obj is None:
            return {}
        return {
            "groups": [m.group_id for m in obj.memberships if not m.by_rule],
            "available_projects": [p.project_id for p in obj.available],
        }

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Customer:
        groups, projects = values.pop("groups", None), values.pop("available_projects", None)
        status = values.pop("status", None)
        if values.get("registered_at") is None:
            values.pop("registered_at", None)
        if obj is None:
            values.pop("password_again")
            values["password"] = values["password"] or None  # left empty: they cannot sign in yet
            obj = await customers.register_customer(
                session,
                groups=groups or (),
                available_projects=projects or (),
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
