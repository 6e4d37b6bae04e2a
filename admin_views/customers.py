"""Customers and what belongs to them: groups, attitudes, notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload
from starlette.requests import Request
from wtforms import BooleanField, StringField, TextAreaField, validators
from wtforms.fields.core import UnboundField

from admin_views.base import AppForm, AppView, Button, Done, Flow, LookupField, Press, Related
from admin_views.base.cells import swatch
from admin_views.base.fields import password_fields, plain
from admin_views.base.frame import hue_of, initials
from admin_views.impersonation import ENTER
from admin_views.messaging.compose import SEND
from app.domain import customers
from app.errors import Invalid
from app.i18n import _, country_name, gettext, language_name, ngettext, show_date, show_number
from app.models.audit import Audit
from app.models.billing import Payer
from app.models.catalog import Service, ServiceStatus
from app.models.customers import (
    Attitude, Customer, CustomerProject, CustomerStatus, Group, GroupPaymentMethod, GroupProduct, Membership, Note,
)  # fmt: skip
from app.models.messaging import Delivery
from app.models.tickets import Ticket, TicketStatus
from app.models.users import User, UserCustomer


class PinFlow(Flow):
    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        ids = ",".join(str(c.id) for c in press.objects[:100])
        said = ngettext("The panel now shows only this customer.", "The panel now shows only these %(n)s customers.", len(press.objects))  # fmt: skip
        return Done(said % {"n": len(press.objects)}, url=f"/admin/customer/list?pin={ids}")


class NoteForm(AppForm):
    text = TextAreaField(_("Note"), [validators.InputRequired(), validators.Length(max=20_000), plain], render_kw={"autofocus": True})  # fmt: skip
    sticky = BooleanField(_("Keep on top"), description=_("A sticky note stands first on the card."))


async def write_note(session: AsyncSession, chosen: list[Customer], *, text: str, sticky: bool) -> str:
    for customer in chosen:
        await customers.add_note(session, customer=customer, text=text, sticky=sticky)
    return gettext("The note is written.")


class GroupForm(AppForm):
    groups = LookupField(_("Groups"), [validators.InputRequired()], target="customer_group", multiple=True)


async def join_groups(session: AsyncSession, chosen: list[Customer], *, groups: list[int]) -> str:
    for customer in chosen:
        present = await session.scalars(select(Membership.group_id).where(Membership.customer_id == customer.id))
        await customers.set_groups(session, customer=customer, groups={*present, *groups})
    n = len(chosen)
    return ngettext("%(n)s customer is in the group now.", "%(n)s customers are in the group now.", n) % {"n": n}


async def suspend(session: AsyncSession, chosen: list[Customer]) -> str:
    for customer in chosen:
        await customers.suspend_customer(session, customer=customer)
    return gettext("Suspended.")


async def close(session: AsyncSession, chosen: list[Customer]) -> str:
    for customer in chosen:
        await customers.close_customer(session, customer=customer)
    return gettext("Closed.")


async def reopen(session: AsyncSession, chosen: list[Customer]) -> str:
    for customer in chosen:
        await customers.reopen_customer(session, customer=customer)
    return gettext("Open again.")


CARD = frozenset({"card"})


class Customers(AppView, model=Customer):
    name, name_plural, icon, category = _("Customer"), _("Customers"), "users", "Customers"
    create_label, create_icon = _("Register customer"), "user-plus"
    search_hint = _("ID, name or e-mail")
    extra_groups = (
        ("Sign-in", ("username", "password", "password_again")),
        ("For staff", ("groups", "available_projects", "send_welcome")),
    )
    related = (
        Related("user", of=lambda c: User.customers.any(UserCustomer.customer_id == c.id)),
        Related("payer"), Related("service"), Related("delivery", _("Messages")), Related("ticket"), Related("note"),
        Related("audit", of=lambda c: (Audit.customer_id == c.id) | (Audit.noun == "customer") & (Audit.noun_id == c.id)),
    )  # fmt: skip
    buttons = (
        SEND,
        ENTER,
        Button("pin", _("Filter by customer"), "pin", on=frozenset({"row", "card", "selection"}), flow=PinFlow(), grant="list", more=True,
               lede=_("Every screen of the panel then shows only what belongs to them, until you remove the filter."),
               submit=_("Filter by customer")),
        Button("note", _("Write a note"), "pencil", on=CARD, verb=write_note, form=NoteForm, submit=_("Save the note"), more=True),
        Button("groups", _("Add to groups"), "users-group", on=frozenset({"selection", "card"}), verb=join_groups, form=GroupForm, grant="edit", more=True),
        Button("suspend", _("Suspend"), "player-pause", on=CARD, verb=suspend, more=True,
               shown=lambda c: c.status in (CustomerStatus.ACTIVE, CustomerStatus.NEW)),
        Button("close", _("Close the account"), "lock", on=CARD, verb=close, more=True, danger=True,
               shown=lambda c: c.status is not CustomerStatus.CLOSED),
        Button("reopen", _("Open the account again"), "lock-open", on=CARD, verb=reopen, more=True,
               shown=lambda c: c.status in (CustomerStatus.SUSPENDED, CustomerStatus.CLOSED)),
    )  # fmt: skip

    # ---- list and card -----------------------------------------------------------------------------------------

    def list_options(self) -> list[Any]:
        return [*super().list_options(), selectinload(Customer.logins).joinedload(UserCustomer.user)]

    def card_options(self) -> list[Any]:
        return [
            *super().card_options(), selectinload(Customer.logins).joinedload(UserCustomer.user),
            selectinload(Customer.memberships).joinedload(Membership.group),
            selectinload(Customer.available).joinedload(CustomerProject.project),
        ]  # fmt: skip

    @staticmethod
    def cell_name(customer: Customer) -> Markup:
        login = next((link.user.username for link in customer.logins if link.user), "")
        shown = Markup('<a href="/admin/customer/details/{}"><bdi>{}</bdi></a>').format(customer.id, customer.name)
        return shown + Markup(' <span class="faint">(<bdi>{}</bdi>)</span>').format(login) if login else shown

    @staticmethod
    def cell_country(customer: Customer) -> Markup | str:
        return Markup('<span title="{}">{}</span>').format(country_name(customer.country), customer.country) if customer.country else ""  # fmt: skip

    @staticmethod
    def cell_language(customer: Customer) -> Markup | str:
        return Markup('<span title="{}">{}</span>').format(language_name(customer.language), customer.language) if customer.language else ""  # fmt: skip

    @staticmethod
    def cell_email(customer: Customer) -> Markup | str:
        return Markup('<a href="mailto:{0}">{0}</a>').format(customer.email) if customer.email else ""

    def facts(self, obj: Customer) -> list[Markup | str]:
        facts: list[Markup | str] = [f"#{obj.id}", swatch(obj.project.hue, obj.project.name), str(obj.kind.label)]
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
        services = {s: n for s, n in await session.execute(select(Service.status, func.count()).where(Service.customer_id == obj.id).group_by(Service.status))}  # fmt: skip
        waiting = (await session.execute(select(func.count(), func.min(Ticket.updated_at)).where(Ticket.customer_id == obj.id, Ticket.status == TicketStatus.OPEN))).one()  # fmt: skip
        sent = (await session.execute(select(func.count(), func.max(Delivery.sent_at)).where(Delivery.customer_id == obj.id, Delivery.channel == "inbox", Delivery.sent_at.is_not(None)))).one()  # fmt: skip
        payers = await session.scalar(select(func.count()).select_from(Payer).where(Payer.customer_id == obj.id)) or 0
        others = [f"{n} {str(s.label).lower()}" for s, n in services.items() if s is not ServiceStatus.ACTIVE]
        return [
            {"label": gettext("Active services"), "value": show_number(services.get(ServiceStatus.ACTIVE, 0)), "note": ", ".join(others) or None},
            {"label": gettext("Open tickets"), "value": show_number(waiting[0]), "note": gettext("oldest since %(day)s") % {"day": show_date(waiting[1])} if waiting[1] else None},
            {"label": gettext("Messages"), "value": show_number(sent[0]), "note": gettext("last on %(day)s") % {"day": show_date(sent[1])} if sent[1] else None},
            {"label": gettext("Payers"), "value": show_number(payers), "note": None},
            {"label": gettext("Customer since"), "value": show_date(obj.registered_at), "note": gettext("from %(ip)s") % {"ip": obj.registration_ip} if obj.registration_ip else None},
        ]  # fmt: skip

    async def side(self, session: AsyncSession, obj: Customer, request: Request) -> list[dict[str, Any]]:
        rows = [
            Markup('<li><span class="avatar hue-{}" aria-hidden="true">{}</span><span class="grow cut"><a class="ink" href="/admin/user/details/{}"><bdi>{}</bdi></a> <span class="faint"><bdi>{}</bdi></span></span><span class="faint">{}</span></li>').format(
                hue_of(u.user.username), initials(str(u.user)), u.user.id, u.user.username, u.user.full_name, str(u.role.label))
            for u in obj.logins
        ]  # fmt: skip
        users = Markup('<ul class="list">{}</ul>').format(Markup("").join(rows)) if rows else Markup('<p class="faint">{}</p>').format(gettext("No users yet"))  # fmt: skip
        notes = (await session.scalars(select(Note).where(Note.customer_id == obj.id).options(joinedload(Note.staff)).order_by(Note.sticky.desc(), Note.id.desc()).limit(5))).all()  # fmt: skip
        shown = [{"text": n.text, "author": str(n.staff or "Bursar"), "when": n.created_at, "sticky": n.sticky} for n in notes]
        if obj.note:
            shown.append({"text": obj.note, "author": gettext("On the form"), "when": obj.registered_at, "sticky": False})
        return [
            {"label": gettext("Users"), "kind": "html", "html": users, "add_url": f"/admin/user/create?customer={obj.id}"},
            {"label": gettext("Notes"), "kind": "notes", "notes": shown, "add_url": f"/admin/customer/action/note?pks={obj.id}"},
        ]  # fmt: skip

    def lookup_label(self, obj: Customer) -> str:
        return f"{obj.name} (#{obj.id})"

    # ---- forms --------------------------------------------------------------------------------------------------

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        fields: dict[str, Any] = {
            "groups": LookupField(_("Groups"), target="customer_group", multiple=True),
            "available_projects": LookupField(
                _("Available projects"), target="project", multiple=True,
                description=_("Besides the project that they registered with."),
            ),
        }  # fmt: skip
        if obj is None:
            fields["username"] = StringField(
                _("User name"), [validators.Optional(), validators.Length(max=254), plain],
                description=_("To sign in with. Empty: the e-mail address."), render_kw={"autocomplete": "off"},
            )  # fmt: skip
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
        if obj is None:
            values.pop("password_again")
            if values.get("registered_at") is None:
                values.pop("registered_at", None)
            obj = await customers.register_customer(
                session, groups=groups, available_projects=projects, **{k: v for k, v in values.items() if v is not None}
            )
        else:
            await customers.change_customer(session, customer=obj, values=values, groups=groups, available_projects=projects)
            await self._move(session, obj, status)
        obj.warnings = await self._warnings(session, obj)
        return obj

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
        return [{"label": a.label, "n": a.n, "url": f"{self.card_url(obj.id)}?tab={a.noun}" if a.noun in {r.identity for r in self.related} else None} for a in shown]  # fmt: skip

    async def refusals(self, session: AsyncSession, obj: Customer) -> list[str]:
        return await customers.refusals(session, obj)

    async def remove(self, session: AsyncSession, obj: Customer) -> None:
        await customers.delete_customer(session, customer=obj)


class Groups(AppView, model=Group):
    name, name_plural, icon, category = _("Group"), _("Groups"), "users-group", "Customers"
    related = (
        Related("customer", _("Members"), of=lambda g: Customer.memberships.any(Membership.group_id == g.id)),
    )  # fmt: skip
    extra_groups = (("What members may do", ("products", "payment_methods")),)

    def card_options(self) -> list[Any]:
        return [selectinload(Group.products), selectinload(Group.payment_methods)]

    edit_options = card_options

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        return {
            "products": LookupField(_("Products they see"), target="product", multiple=True, description=_("None chosen: all.")),
            "payment_methods": LookupField(_("Payment methods they see"), target="payment_method", multiple=True, description=_("None chosen: all.")),
        }  # type: ignore[dict-item]  # fmt: skip

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        if obj is None:
            return {}
        return {
            "products": [p.product_id for p in obj.products],
            "payment_methods": [m.payment_method_id for m in obj.payment_methods],
        }

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Any:
        products, methods = values.pop("products"), values.pop("payment_methods")
        if obj is None:
            obj = Group(products=[], payment_methods=[])
        kept_products = {p.product_id: p for p in obj.products}
        kept_methods = {m.payment_method_id: m for m in obj.payment_methods}
        session.add(obj)
        for name, value in values.items():
            setattr(obj, name, value)
        obj.products = [kept_products.get(i) or GroupProduct(product_id=i) for i in products]
        obj.payment_methods = [kept_methods.get(i) or GroupPaymentMethod(payment_method_id=i) for i in methods]
        await session.flush()
        return obj

    async def attached(self, session: AsyncSession, obj: Group) -> list[Mapping[str, Any]]:
        n = await session.scalar(select(func.count()).select_from(Membership).where(Membership.group_id == obj.id))
        return [{"label": gettext("Members (they stay customers)"), "n": n, "url": f"{self.card_url(obj.id)}?tab=customer"}] if n else []  # fmt: skip


class Attitudes(AppView, model=Attitude):
    name, name_plural, icon, category = _("Attitude"), _("Attitudes"), "heart-handshake", "Configuration"
    related = (Related("customer"),)


class Notes(AppView, model=Note):
    name, name_plural, icon, category = _("Note"), _("Notes"), "note", ""
    leave_out = ("staff_id",)

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Any:
        if obj is not None:
            return await super().save(session, obj, values)
        customer = await session.get(Customer, values["customer_id"])
        if customer is None:
            raise Invalid(customer=gettext("Choose one from the list."))
        return await customers.add_note(session, customer=customer, text=values["text"], sticky=values["sticky"])


__all__ = ["Attitudes", "Customers", "Groups", "Notes"]
