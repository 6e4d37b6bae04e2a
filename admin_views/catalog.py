"""Products with their prices, and services: ordering, their states, what they will cost next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, cast

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from starlette.requests import Request
from wtforms import Form, validators
from wtforms.fields.core import UnboundField

from admin_views.base import AppForm, AppView, Button, LookupField, Related
from admin_views.base.fields import ChoiceField, MoneyField, PickField
from admin_views.discounts import priced
from app.db import utcnow
from app.domain import catalog, discounts
from app.domain.catalog import Price
from app.domain.catalog.products import say_used, sold_elsewhere, used_by
from app.errors import Invalid
from app.i18n import _, gettext, ngettext, show_date, show_money
from app.models.billing import Expense
from app.models.catalog import Period, Product, ProductGroup, Service, ServiceStatus
from app.models.scope import FOR_ALL

BLANK_ROWS = 2
MOST_ROWS = 40


class ProductGroups(AppView, model=ProductGroup):
    name, name_plural, icon, category = _("Product group"), _("Product groups"), "stack-2", "Configuration"
    in_place = ("name",)
    purpose = _("Groups keep a long list of products in order.")
    related = (Related("product"),)


class MaybeMoney(MoneyField):
    """An amount that may be left out: data is then None."""

    def pre_validate(self, form: Any) -> None:
        if self.text is not None and not self.text:
            self.data = None
            return
        super().pre_validate(form)


def _price_row(n: int) -> dict[str, Any]:
    named = {"n": n + 1}
    return {
        f"price_{n}_period": ChoiceField(
            label=gettext("Period %(n)s") % named, kind=Period, blank=True, validators=[validators.Optional()]
        ),
        f"price_{n}_currency": PickField(
            gettext("Currency %(n)s") % named, kind="currency", default="EUR", validators=[validators.Optional()]
        ),
        f"price_{n}_price": MaybeMoney(
            gettext("Price %(n)s") % named, currency_field=f"price_{n}_currency", render_kw={"inputmode": "decimal"}
        ),
        f"price_{n}_fee": MaybeMoney(
            gettext("Set-up fee %(n)s") % named, currency_field=f"price_{n}_currency",
            render_kw={"inputmode": "decimal"},
        ),
    }  # fmt: skip


class Products(AppView, model=Product):
    name, name_plural, icon, category = _("Product"), _("Products"), "package", "Money"
    letter = "p"
    purpose = _("What you sell, with its price and how often it is charged.")
    summed = False
    related = (Related("service"),)
    group_help: ClassVar[dict[str, str]] = {
        _("More prices"): _("In other periods and currencies. A row without a period does not count.")
    }
    extra_groups = (
        (_("Where it is sold"), ("projects",)),
        (_("More prices"), tuple(f"price_{n}_{what}" for n in range(MOST_ROWS)
                                 for what in ("period", "currency", "price", "fee"))),
    )  # fmt: skip

    def card_options(self) -> list[Any]:
        return [*super().card_options(), selectinload(Product.projects), selectinload(Product.prices)]

    def edit_options(self) -> list[Any]:
        return [selectinload(Product.projects), selectinload(Product.prices)]

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        fields: dict[str, Any] = {
            "projects": LookupField(
                _("Sold in these projects"), target="project", multiple=True, description=_("None chosen: in all.")
            )
        }
        for n in range(min((len(obj.prices) if obj is not None else 0) + BLANK_ROWS, MOST_ROWS)):
            fields |= _price_row(n)
        return fields

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        if obj is None:
            return {}
        start: dict[str, Any] = {"projects": [p.project_id for p in obj.projects]}
        for n, p in enumerate(sorted(obj.prices, key=lambda p: (p.currency, p.price))):
            start |= {f"price_{n}_period": p.period, f"price_{n}_currency": p.currency,
                      f"price_{n}_price": p.price, f"price_{n}_fee": p.setup_fee}  # fmt: skip
        return start

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Product:
        chosen, prices = values.pop("projects"), []
        for name in [name for name in values if name.startswith("price_") and name.endswith("_period")]:
            row = name.removesuffix("period")
            period, currency = values.pop(name), values.pop(f"{row}currency")
            price, fee = values.pop(f"{row}price"), values.pop(f"{row}fee")
            if not period and (price or fee):
                raise Invalid(**{name: gettext("Please fill this in.")})
            if period and price is None:
                raise Invalid(**{f"{row}price": gettext("Please fill this in.")})
            if period:
                if price < 0 or (fee or 0) < 0:
                    raise Invalid(**{f"{row}price": gettext("A price cannot be negative.")})
                prices.append(Price(Period(period), currency, price, fee or 0))
        if values["price"] < 0 or values["setup_fee"] < 0:
            raise Invalid(price=_("A price cannot be negative."))
        return await catalog.save_product(session, values=values, projects=chosen, prices=prices, product=obj)

    async def sections(self, session: AsyncSession, obj: Product, request: Request) -> list[dict[str, Any]]:
        shown = await super().sections(session, obj, request)
        rows = [
            [str(p.period.label), show_money(p.price, p.currency), show_money(p.setup_fee, p.currency)]
            for p in await catalog.prices_of(session, obj)
        ]
        columns = [gettext("Period"), gettext("Price"), gettext("Set-up fee")]
        return [*shown, {"label": gettext("Prices"), "kind": "table", "columns": columns, "rows": rows}]

    def editable(self, obj: Product) -> bool:
        return not sold_elsewhere(obj)

    async def refusals(self, session: AsyncSession, obj: Product) -> list[str]:
        if sold_elsewhere(obj):
            return [str(FOR_ALL)]
        n = await used_by(session, obj)
        return [say_used(n)] if n else await super().refusals(session, obj)

    async def remove(self, session: AsyncSession, obj: Product) -> None:
        await catalog.delete_product(session, product=obj)


def _move(to: ServiceStatus, said: str) -> Callable[..., Awaitable[str]]:
    async def verb(session: AsyncSession, chosen: list[Service]) -> str:
        for service in chosen:
            await catalog.move_service(session, service=service, status=to)
        return gettext(said)

    return verb


def _may_become(to: ServiceStatus, *, only: ServiceStatus | None = None) -> Callable[[Any], bool]:
    def shown(service: Any) -> bool:
        return to in catalog.SERVICE_MOVES[service.status] and (only is None) is (
            service.status is not ServiceStatus.SUSPENDED
        )

    return shown


def _button(slug: str, label: str, icon: str, to: ServiceStatus, said: str, **more: Any) -> Button:
    on = frozenset({"card", "selection"})
    shown = more.pop("shown", None) or _may_become(to)
    return Button(slug, label, icon, on=on, verb=_move(to, said), shown=shown, **more)


MOVES = (
    _button("progress", _("Set in progress"), "clock", ServiceStatus.IN_PROGRESS, _("In progress now."), more=True),
    _button(
        "activate", _("Activate"), "player-play", ServiceStatus.ACTIVE, _("Active now."), primary=True,
        lede=_("From today on it is charged; the set-up fee comes with the first period."),
    ),
    _button(
        "suspend", _("Suspend"), "player-pause", ServiceStatus.SUSPENDED, _("Suspended."), more=True,
        lede=_("It stops and is not charged until somebody resumes it."),
    ),
    _button(
        "resume", _("Resume"), "player-play", ServiceStatus.ACTIVE, _("Active again."), primary=True,
        shown=_may_become(ServiceStatus.ACTIVE, only=ServiceStatus.SUSPENDED),
        lede=_("What was suspended because nobody paid gets its days of grace again. Else, if the paid period is over, "
               "a new one begins today."),
    ),
    _button(
        "close", _("Close"), "lock", ServiceStatus.CLOSED, _("Closed."), more=True, danger=True,
        lede=_("It ends now and for good. What was paid is not given back by itself."),
        shown=lambda service: service.status is not ServiceStatus.CLOSED,
    ),
)  # fmt: skip


class Services(AppView, model=Service):
    name, name_plural, icon, category = _("Service"), _("Services"), "server-2", "Money"
    letter = "s"
    purpose = _("What customers have ordered: hosting, domains, connections.")
    create_label = _("Order a service")
    leave_out = ("unpaid_since", "started_on")
    form_template = "sqladmin/priced.html"
    look_template = "sqladmin/priced_look.html"
    buttons = MOVES
    bulk = ("next_charge_on", "auto_renew", "price")
    related = (Related("expense"),)

    async def form_class(self, session: AsyncSession, obj: Any) -> type[AppForm]:
        made = await super().form_class(session, obj)
        if obj is not None:
            return cast("type[AppForm]", type("ServiceForm", (made,), {"status": None}))  # moved by buttons
        of_list = _("Empty: as in the price list.")
        return cast("type[AppForm]", type("OrderForm", (made,), {
            "period": ChoiceField(label=_("Period"), kind=Period, blank=True, validators=[validators.Optional()],
                                  description=of_list),
            "price": MaybeMoney(_("Price"), description=of_list, render_kw={"inputmode": "decimal"}),
            "setup_fee": MaybeMoney(_("Set-up fee"), description=of_list, render_kw={"inputmode": "decimal"}),
        }))  # fmt: skip

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Service:
        if obj is None:
            if values.get("price") is None:
                values.pop("currency", None)  # that of the price list in the customer's project
            values = {
                n: v for n, v in values.items() if n not in ("period", "price", "setup_fee") or v not in (None, "")
            }
        return await catalog.save_service(session, values=values, service=obj)

    async def form_context(self, session: AsyncSession, obj: Any, form: Form) -> dict[str, Any]:
        if obj is not None:
            return {}
        data = form.data
        look, _said = await priced(
            session, customer_id=data.get("customer"), product_id=data.get("product"), period=data.get("period")
        )
        return {"look": look}

    async def strip(self, session: AsyncSession, obj: Service, request: Request) -> list[dict[str, Any]]:
        figures: list[dict[str, Any]] = [
            {"label": gettext("Price"), "value": show_money(obj.price, obj.currency), "note": str(obj.period.label)}
        ]
        if obj.next_charge_on is not None and obj.status is not ServiceStatus.CLOSED:
            days = (obj.next_charge_on - utcnow().date()).days
            note = ngettext("in %(n)s day", "in %(n)s days", days) % {"n": days} if days > 0 else None
            note = gettext("is to be paid") if days < 0 else note or gettext("today")
            figures.append({"label": gettext("Next charge"), "value": show_date(obj.next_charge_on), "note": note})
        if obj.unpaid_since is not None:
            figures.append({"label": gettext("Unpaid since"), "value": show_date(obj.unpaid_since), "note": None})
        return figures

    async def side(self, session: AsyncSession, obj: Service, request: Request) -> list[dict[str, Any]]:
        if obj.status is ServiceStatus.CLOSED or obj.price == 0:
            return []
        day = max(obj.next_charge_on or utcnow().date(), utcnow().date())
        won = await discounts.find(
            session, customer_id=obj.customer_id, product=obj.product, period=obj.period, price=obj.price,
            currency=obj.currency, day=day,
        )  # fmt: skip
        return [{"label": gettext("The next charge"), "kind": "explain", "explained": won.explained}]

    async def refusals(self, session: AsyncSession, obj: Service) -> list[str]:
        if await session.scalar(select(exists().where(Expense.service_id == obj.id))):
            return [gettext("This service was charged: it stays in the books.")]
        return []

    async def remove(self, session: AsyncSession, obj: Service) -> None:
        await catalog.delete_service(session, service=obj)
