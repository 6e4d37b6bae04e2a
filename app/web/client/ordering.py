"""The catalogue with the customer's own prices, ordering from it, and what comes of an order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import SelectField, StringField
from wtforms.validators import DataRequired, Length

from app import db
from app.domain import catalog, charging, ledger
from app.domain.charging import Quote, Quotes
from app.errors import AppError, Invalid, NotFound
from app.i18n import _, gettext, show_money, show_percent
from app.models.billing import Payer
from app.models.catalog import Product, Service, ServiceStatus
from app.models.customers import Customer
from app.models.discounts import Discount
from app.web.auth import see_other
from app.web.client import custom as own
from app.web.client import queries
from app.web.client.access import may, why_not
from app.web.client.area import Asked, me, respond
from app.web.client.payments import payers_of
from app.web.client.services import LIST, find_mine
from app.web.client.showing import named, own_lines, price_of, told
from app.web.forms import NUMBER, REQUIRED, OnceForm, choices, posted

NEW = f"{LIST}/new"


class OrderForm(OnceForm):
    period = SelectField(_("How long"), validate_choice=True)
    name = StringField(
        _("Name"), [DataRequired(REQUIRED), Length(max=200, message=_("This is too long."))],
        description=_("What it is for: a domain, a host, an address."),
        filters=[lambda text: text.strip() if isinstance(text, str) else ""],
    )  # fmt: skip
    payer_id = SelectField(_("Payer"), description=_("Who stands on the invoice."), default="")


class Offer(NamedTuple):
    """A product with what this customer pays for it."""

    product: Product
    quotes: list[Quote]


async def _offers(session: AsyncSession, customer: Customer, made: Quotes) -> list[Offer]:
    return [
        Offer(product, [await made.of(product, price) for price in prices])
        for product, prices in await catalog.offers(session, customer)
    ]


def _tax_line(quote: Quote, with_tax: bool) -> str:
    """What stands beside a price: whether the tax is in it."""
    if not quote.later.rate:
        return ""
    said = gettext("with %(rate)s tax") if with_tax else gettext("plus %(rate)s tax")
    return said % {"rate": show_percent(quote.later.rate)}


def _shown(quote: Quote, known: dict[int, Discount], with_tax: bool) -> dict[str, Any]:
    """A price as the customer pays it now."""
    price, off = quote.price, quote.later.discount
    return {
        "period": price.period.value, "pays": price_of(price.price - off, price.currency, price.period),
        "listed": show_money(price.price, price.currency) if off else None,
        "tax": _tax_line(quote, with_tax), "explained": told(quote.later.explained, known),
        "setup": show_money(price.setup_fee, price.currency) if price.setup_fee else None,
        "label": str(price.period.label), "first": show_money(quote.first.gross, price.currency),
    }  # fmt: skip


async def _catalogue(request: Asked, session: AsyncSession, status: int = 200) -> Response[Any]:
    view, customer_id = me(request)
    customer = await queries.customer(session, customer_id)
    made = await charging.quotes(session, customer)
    offers = await _offers(session, customer, made)
    known = await named(session, [q.later.explained for o in offers for q in o.quotes])
    groups = [
        {"label": str(group) if group else gettext("Other"), "products": [
            {"name": o.product.name, "url": f"{NEW}?product={o.product.id}",
             "prices": [_shown(q, known, made.project.prices_with_tax) for q in o.quotes]} for o in some
        ]} for group, some in groupby(offers, key=lambda o: o.product.group)
    ]  # fmt: skip
    return await respond(
        request, session, "client/catalogue.html", status, groups=groups, list_url=LIST,
        read_only=why_not(view, "client.service.order"),
    )  # fmt: skip


class _Order:
    """The form for one product: what may be chosen in it, and what each choice costs."""

    def __init__(self, offer: Offer, made: Quotes, payers: Sequence[Payer]) -> None:
        self.offer, self.made, self.payers = offer, made, payers
        self.costs: dict[tuple[str, str], Quote] = {}
        """(period, payer) -> what it costs."""

    @classmethod
    async def load(cls, session: AsyncSession, customer_id: int, asked: str) -> _Order:
        """Raises NotFound for what is not offered to this customer."""
        customer = await queries.customer(session, customer_id)
        made = await charging.quotes(session, customer)
        wanted = int(asked) if NUMBER.fullmatch(asked) else 0
        found = next(((p, x) for p, x in await catalog.offers(session, customer) if p.id == wanted), None)
        if found is None:
            raise NotFound
        product, prices = found
        order = cls(Offer(product, [await made.of(product, x) for x in prices]), made,
                    await payers_of(session, customer_id))  # fmt: skip
        for price in prices:
            for payer in (None, *order.payers):
                order.costs[price.period.value, str(payer.id) if payer else ""] = await made.of(product, price, payer)
        return order

    def fit(self, form: OrderForm) -> OrderForm:
        form.period.choices = choices([(q.price.period.value, str(q.price.period.label)) for q in self.offer.quotes])
        form.payer_id.choices = choices([("", gettext("As for the account")), *((str(p.id), self._payer(p))
                                                                             for p in self.payers)])  # fmt: skip
        if not form.period.data:
            form.period.data = self.offer.quotes[0].price.period.value
        if not self.payers:
            del form.payer_id
        return form

    def _payer(self, payer: Payer) -> str:
        """Its name; with its tax where that differs from the account's."""
        period = self.offer.quotes[0].price.period.value
        own, usual = self.costs[period, str(payer.id)].first.rate, self.costs[period, ""].first.rate
        if own == usual:
            return payer.name
        return gettext("%(name)s, tax %(rate)s") % {"name": payer.name, "rate": show_percent(own)}

    def terms(self) -> str:
        """What was shown for each choice, to see at the order whether it still is so."""
        return " ".join(f"{period}:{payer}={q.first.gross}" for (period, payer), q in self.costs.items())

    @staticmethod
    def seen(terms: str, period: str, payer: str) -> int:
        """What the page said; -1 for a page that said nothing."""
        said = dict(part.rpartition("=")[::2] for part in terms.split() if "=" in part)
        amount = said.get(f"{period}:{payer}", "")
        return int(amount) if amount.isascii() and amount.isdecimal() and len(amount) < 19 else -1


def _form(order: _Order, data: Any = None) -> OrderForm:
    made: OrderForm = own.form_of(OrderForm, own.specs(Service))(data)
    return order.fit(made)


async def _form_page(
    request: Asked, session: AsyncSession, order: _Order, form: OrderForm, status: int = 200
) -> Response[Any]:
    view, customer_id = me(request)
    made, product = order.made, order.offer.product
    known = await named(session, [q.later.explained for q in order.offer.quotes])
    account = await ledger.find_account(
        session, customer_id=customer_id, project_id=made.project.id, currency=order.offer.quotes[0].price.currency
    )
    sees = may(view, "client.payments")
    return await respond(
        request, session, "client/order.html", status, form=form, terms=order.terms(), back_url=NEW, list_url=LIST,
        product={"id": product.id, "name": product.name, "group": str(product.group or "")},
        prices=[_shown(q, known, made.project.prices_with_tax) for q in order.offer.quotes],
        balance=show_money(account.balance, account.currency) if account and sees else None,
        own=[spec.name for spec in own.specs(Service)], read_only=why_not(view, "client.service.order"),
        post_paid=account is not None and account.post_paid,
    )  # fmt: skip


@get(NEW, name="client.service.new")
async def catalogue(request: Asked) -> Response[Any]:
    _view, customer_id = me(request)
    asked = request.query_params.get("product", "")
    async with db.reads() as session:
        if not asked:
            return await _catalogue(request, session)
        order = await _Order.load(session, customer_id, asked)
        return await _form_page(request, session, order, _form(order))


@post(NEW, name="client.service.order", status_code=200)
async def order(request: Asked) -> Response[Any]:
    """Order it once, at the price that the page has shown."""
    _view, customer_id = me(request)
    given = await posted(request)
    asked = given.get("product")
    async with db.reads() as session:
        if not asked:
            return await _catalogue(request, session, 422)
        asked_for = await _Order.load(session, customer_id, asked)
    form, asked_besides = _form(asked_for, given), own.specs(Service)
    if form.validate():
        payer = form.payer_id.data if "payer_id" in form else ""
        key = form.once(customer_id)
        try:
            async with db.unit() as session:
                service = await charging.order(
                    session, customer_id=customer_id, product_id=asked_for.offer.product.id, form_key=key,
                    seen=asked_for.seen(given.get("terms"), form.period.data, payer or ""),
                    values={"name": form.name.data, "period": form.period.data,
                            "payer_id": int(payer) if payer else None, "custom": own.given(form, asked_besides)},
                )  # fmt: skip
            return see_other(f"{LIST}/{service.id}/ordered")
        except IntegrityError as error:
            if not charging.said_twice(error):
                raise
            async with db.reads() as session:
                first = await charging.ordered_with(session, key or "")
            return see_other(f"{LIST}/{first.id}/ordered" if first else LIST)
        except AppError as error:
            form.place(error if isinstance(error, Invalid) else Invalid(name=str(error)), "name")
    async with db.reads() as session:
        return await _form_page(request, session, await _Order.load(session, customer_id, asked), form, 422)


@get(f"{LIST}/{{key:str}}/ordered", name="client.service.ordered")
async def ordered(request: Asked, key: FromPath[str]) -> Response[Any]:
    """What comes of an order: it runs, or it waits for so much money."""
    view, customer_id = me(request)
    async with db.reads() as session:
        service = await find_mine(session, customer_id, key)
        [shown] = await own_lines(session, await queries.customer(session, customer_id), [service])
        waits = service.status is ServiceStatus.ORDERED and service.unpaid_since is not None
        missing = await charging.missing_for(session, service) if waits else 0
        sees = may(view, "client.payments")
        pay_url = f"/client/payments/new?service={service.id}" if waits and may(view, "client.payment.add") else None
        return await respond(
            request, session, "client/ordered.html", service=shown, waits=waits,
            runs=service.status is ServiceStatus.ACTIVE, list_url=LIST,
            missing=show_money(missing, service.currency) if waits and sees else None, pay_url=pay_url,
            url=f"{LIST}/{service.id}",
        )  # fmt: skip


HANDLERS = [catalogue, order, ordered]
