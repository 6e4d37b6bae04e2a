"""Adding funds, the customer's own payments, and where payers come back to.

A form of ours cannot lead to another site (the security policy): a payment by card is started by a POST, and its page
then sends the payer on, with a link for those whose browser does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Overflow
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from markupsafe import Markup
from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload
from wtforms import SelectField, StringField
from wtforms.validators import InputRequired

from app import db
from app.domain import charging, ledger
from app.domain.billing import gateways, payments, together
from app.domain.billing.papers import title_of
from app.domain.customers.merging import family
from app.errors import AppError, Conflict, Invalid, NotFound
from app.flash import flash
from app.i18n import _, exponent, gettext, read_amount, show_moment, show_money, type_amount
from app.integrations.payments import Happened, What, gateway_of
from app.models.billing import Gateway, Invoice, Payer, Payment, PaymentInvoice, PaymentMethod, PaymentStatus
from app.models.catalog import Service
from app.models.customers import Customer
from app.models.ledger import Account
from app.settings import Settings
from app.web.auth import see_other
from app.web.client import queries
from app.web.client.access import why_not
from app.web.client.area import Asked, me, respond
from app.web.client.services import find_mine
from app.web.client.statement import account_names, accounts_of
from app.web.forms import REQUIRED, OnceForm, choices, number, posted

URL = "/client/payments"
MOST = 50
BADGES = {
    PaymentStatus.NEW: "info", PaymentStatus.PENDING: "warn", PaymentStatus.PAID: "ok", PaymentStatus.REFUNDED: "",
    PaymentStatus.CANCELLED: "", PaymentStatus.FRAUD: "bad",
}  # fmt: skip


class FundsForm(OnceForm):
    account = SelectField(_("Account"))
    amount = StringField(
        _("Amount"), [InputRequired(REQUIRED)], render_kw={"inputmode": "decimal", "autocomplete": "off"}
    )
    method = SelectField(_("Method"))
    payer = SelectField(_("Payer"), description=_("Who pays it."), default="")


def read_money(text: str, currency: str) -> int:
    """What was typed, in minor units. Raises Invalid at `amount`."""
    digits = exponent(currency)
    try:
        typed = read_amount(text)
        minor = typed.scaleb(digits)
    except (ValueError, Overflow):
        raise Invalid(amount=gettext("Not an amount.")) from None
    if not minor.is_finite() or abs(minor) > ledger.LARGEST:
        raise Invalid(amount=gettext("This amount is too large."))
    if minor != minor.to_integral_value():
        raise Invalid(amount=gettext("%(currency)s has %(n)s decimals.") % {"currency": currency, "n": digits})
    return int(minor)


async def payers_of(session: AsyncSession, customer_id: int) -> Sequence[Payer]:
    mine = select(Payer).where(Payer.customer_id == customer_id, Payer.archived.is_(False))
    rows = mine.order_by(Payer.usual.desc(), Payer.name, Payer.id).limit(MOST)
    return (await session.scalars(rows)).all()


async def _methods(session: AsyncSession, customer: Customer, settings: Settings) -> list[PaymentMethod]:
    """What customers can use themselves: a bank transfer, or a gateway that is set up."""
    offered = await payments.methods_for(session, customer)
    return [m for m in offered if m.gateway is Gateway.BANK or gateway_of(m.gateway, settings) is not None]


async def _invoices(session: AsyncSession, customer_id: int, asked: Sequence[str]) -> Sequence[Invoice]:
    """The open invoices that the address names, of one account. Raises NotFound for anything else."""
    wanted = {number(text) for text in asked[: together.MOST]}
    found = await together.open_of(session, customer_id, sorted(wanted)) if wanted else ()
    if len(found) < len(wanted) or len({i.account_id for i in found}) > 1:
        raise NotFound
    return found


class _Funds:
    """The form of this customer, and what its choices mean."""

    def __init__(self, form: FundsForm, customer: Customer, accounts: Sequence[Account], invoices: Sequence[Invoice],
                 service: Service | None):  # fmt: skip
        self.form, self.customer, self.accounts, self.invoices = form, customer, accounts, invoices
        self.service = service

    @property
    def account(self) -> Account | None:
        return next((a for a in self.accounts if str(a.id) == self.form.account.data), None)


async def _form(request: Asked, session: AsyncSession, data: Any = None) -> _Funds:
    """invoice (several, it may be) and service in the address say what is to be paid."""
    _view, customer_id = me(request)
    customer = await queries.customer(session, customer_id)
    invoices = await _invoices(session, customer_id, request.query_params.getall("invoice", []))
    asked = request.query_params.get("service", "")
    service = await find_mine(session, customer_id, asked) if asked else None
    accounts = await accounts_of(session, customer_id)
    start: dict[str, str] = {"amount": ""}
    if invoices:
        accounts = [a for a in accounts if a.id == invoices[0].account_id]
        start["amount"] = type_amount(sum(i.left for i in invoices), invoices[0].currency)
        start["payer"] = str(invoices[0].payer_id or "")
    elif service is not None:
        accounts = [a for a in accounts if a.currency == service.currency and a.project_id == customer.project_id]
        if missing := await charging.missing_for(session, service):
            start["amount"] = type_amount(missing, service.currency)
        start["payer"] = str(service.payer_id or "")
    form = FundsForm(data, data=start)
    form.account.choices = choices(
        account_names(accounts) or [("", await ledger.usual_currency(session, customer.project_id))]
    )
    methods = await _methods(session, customer, request.app.state.settings)
    form.method.choices = choices([(str(m.id), m.name) for m in methods])
    payers = await payers_of(session, customer_id)
    form.payer.choices = choices([("", gettext("As for the account")), *((str(p.id), p.name) for p in payers)])
    if not payers:
        del form.payer
    return _Funds(form, customer, accounts, invoices, service)


async def _page(request: Asked, session: AsyncSession, funds: _Funds, status: int = 200) -> Response[Any]:
    view, _customer_id = me(request)
    return await respond(
        request, session, "client/add_funds.html", status, form=funds.form if funds.form.method.choices else None,
        invoices=[{"number": title_of(i), "url": f"/client/invoices/{i.id}",
                   "left": show_money(i.left, i.currency)} for i in funds.invoices],
        service={"name": funds.service.name, "url": f"/client/services/{funds.service.id}"} if funds.service else None,
        read_only=why_not(view, "client.payment.add"), back_url=URL,
    )  # fmt: skip


@get(f"{URL}/new", name="client.payment.new")
async def new(request: Asked) -> Response[Any]:
    async with db.reads() as session:
        return await _page(request, session, await _form(request, session))


@post(f"{URL}/new", name="client.payment.add", status_code=200)
async def add(request: Asked) -> Response[Any]:
    """Make the payment, then hand it to its gateway: not in one transaction with it."""
    _view, customer_id = me(request)
    given = await posted(request)
    async with db.reads() as session:
        funds = await _form(request, session, given)
    form = funds.form
    if form.method.choices and form.validate():
        key = form.once(customer_id)
        try:
            async with db.unit() as session:
                account = funds.account
                currency = account.currency if account else await ledger.usual_currency(
                    session, funds.customer.project_id
                )  # fmt: skip
                payer = form.payer.data if "payer" in form else ""
                payment = await together.payment_for(
                    session, customer_id=customer_id, account_id=account.id if account else None, form_key=key,
                    method_id=number(form.method.data), amount=read_money(form.amount.data or "", currency),
                    invoices=funds.invoices, payer_id=int(payer) if payer else None,
                )  # fmt: skip
            return await _start(request, payment.id)
        except IntegrityError as error:
            if key is None or not charging.said_twice(error):
                raise
            async with db.reads() as session:
                first = await together.made_with(session, key)
            return await _start(request, first.id) if first else see_other(URL)
        except AppError as error:
            form.place(error if isinstance(error, Invalid) else Invalid(amount=str(error)), "amount")
    async with db.reads() as session:
        return await _page(request, session, funds, 422)


async def _start(request: Asked, payment_id: int) -> Response[Any]:
    """Hand it over where it has a gateway, and show its page."""
    target = f"{URL}/{payment_id}"
    async with db.reads() as session:
        query = select(PaymentMethod.gateway).join(Payment, Payment.method_id == PaymentMethod.id)
        gateway = await session.scalar(query.where(Payment.id == payment_id))
    if gateway in gateways.BY_GATEWAY:
        try:
            await gateways.start(request.app.state.settings, payment_id)
        except AppError as problem:
            flash(request.scope, "warn", str(problem))
        else:
            target += "?go=1"
    return see_other(target)


@post(f"{URL}/{{key:str}}/start", name="client.payment.start", status_code=200)
async def start(request: Asked, key: FromPath[str]) -> Response[Any]:
    """Once more, after the gateway could not be reached."""
    payment = await _own(request, key)
    if payment.status is not PaymentStatus.NEW or payment.method.gateway not in gateways.BY_GATEWAY:
        raise Conflict(gettext("There is nothing to begin here."))
    return await _start(request, payment.id)


# ---- what there is ----------------------------------------------------------------------------------------------


def _shown(payment: Payment) -> dict[str, Any]:
    return {
        "number": payment.number, "url": f"{URL}/{payment.id}", "when": payment.paid_at or payment.created_at,
        "method": payment.method.name, "amount": show_money(payment.amount, payment.currency),
        "kind": BADGES[payment.status], "status": payment.status.label,
    }  # fmt: skip


async def _own(request: Asked, key: str) -> Payment:
    """One of this customer's. Raises NotFound."""
    _view, customer_id = me(request)
    async with db.reads() as session:
        found = await session.scalar(
            select(Payment)
            .where(Payment.id == number(key), Payment.customer_id.in_(family(customer_id)))
            .options(joinedload(Payment.method), joinedload(Payment.project), joinedload(Payment.account),
                     joinedload(Payment.payer))
        )  # fmt: skip
    if found is None:
        raise NotFound
    return found


@get(URL, name="client.payments")
async def listed(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    query = select(Payment).where(Payment.customer_id.in_(family(customer_id))).options(joinedload(Payment.method))
    if before := request.query_params.get("before", ""):
        query = query.where(Payment.id < number(before))
    async with db.reads() as session:
        rows = (await session.scalars(query.order_by(Payment.id.desc()).limit(MOST + 1))).all()
        purses = [show_money(a.balance, a.currency) for a in await accounts_of(session, customer_id)]
        return await respond(
            request, session, "client/payments.html", payments=[_shown(p) for p in rows[:MOST]], balances=purses,
            more_url=f"{URL}?before={rows[MOST - 1].id}" if len(rows) > MOST else None,
            add_url=None if why_not(view, "client.payment.add") else f"{URL}/new",
        )  # fmt: skip


@get(f"{URL}/{{key:str}}", name="client.payment")
async def show(request: Asked, key: FromPath[str]) -> Response[Any]:
    """One payment, also for who comes back from the gateway: paid, not yet, or not. Looking changes nothing; what has
    become of it the gateway says by itself."""
    view, customer_id = me(request)
    payment = await _own(request, key)
    may = not why_not(view, "client.payment.start")
    waits = payment.status in (PaymentStatus.NEW, PaymentStatus.PENDING)
    came_back = "back" in request.query_params
    again = payment.status is PaymentStatus.NEW and payment.method.gateway in gateways.BY_GATEWAY
    go = payment.pay_url if waits and may else ""
    bank = payment.method.gateway is Gateway.BANK and waits
    account = payment.account
    told = [payment.method.instructions, payment.project.bank_account] if bank else []
    async with db.reads() as session:
        orders = await charging.waiting_orders(session, customer_id, limit=5)
        return await respond(
            request, session, "client/payment.html", items=await _receipt(session, payment),
            orders=[{"name": s.name, "url": f"/client/services/{s.id}"} for s in orders],
            payment=_shown(payment), waits=waits, came_back=came_back,
            paid=payment.status is PaymentStatus.PAID, balance=show_money(account.balance, account.currency),
            pay_url=go, go=bool(go) and "go" in request.query_params and not came_back,
            start_url=f"{URL}/{payment.id}/start" if again and may else None, bank=bank,
            told=[text for text in told if text], back_url=URL,
        )  # fmt: skip


async def _receipt(session: AsyncSession, payment: Payment) -> list[dict[str, Any]]:
    """What was paid, by whom and for what."""
    several = select(PaymentInvoice.invoice_id).where(PaymentInvoice.payment_id == payment.id)
    mine = or_(Invoice.id == payment.invoice_id, Invoice.id.in_(several))
    invoices = (await session.scalars(select(Invoice).where(mine).order_by(Invoice.id))).all()
    items: list[dict[str, Any]] = [
        {"label": gettext("Number"), "value": payment.number},
        {"label": gettext("Method"), "value": payment.method.name},
    ]
    if payment.payer is not None:
        items.append({"label": gettext("Payer"), "value": payment.payer.name})
    items.append({"label": gettext("Made"), "value": show_moment(payment.created_at)})
    if payment.paid_at is not None:
        items.append({"label": gettext("Paid"), "value": show_moment(payment.paid_at)})
    if payment.currency != payment.account_currency:
        on_account = show_money(payment.account_amount, payment.account_currency)
        items.append({"label": gettext("On your account"), "value": on_account})
    if payment.refunded:
        items.append({"label": gettext("Paid back"), "value": show_money(payment.refunded, payment.account_currency)})
    if invoices:
        links = (Markup('<a href="/client/invoices/{}">{}</a>').format(i.id, title_of(i)) for i in invoices)
        items.append({"label": gettext("For"), "value": Markup(", ").join(links)})
    return items


# ---- the gateway for demos --------------------------------------------------------------------------------------


async def _tried(request: Asked, key: str) -> Payment:
    payment = await _own(request, key)
    gateway = gateway_of(payment.method.gateway, request.app.state.settings)
    if gateway is None or payment.method.gateway is not Gateway.TEST:
        raise NotFound
    return payment


@get(f"{URL}/{{key:str}}/test", name="client.payment.test")
async def test_page(request: Asked, key: FromPath[str]) -> Response[Any]:
    view, _customer_id = me(request)
    payment = await _tried(request, key)
    async with db.reads() as session:
        return await respond(
            request, session, "client/payment_test.html", payment=_shown(payment),
            read_only=why_not(view, "client.payment.try"),
        )  # fmt: skip


@post(f"{URL}/{{key:str}}/test", name="client.payment.try", status_code=200)
async def test_press(request: Asked, key: FromPath[str]) -> Response[Any]:
    """Pay, refuse, or come back later."""
    payment = await _tried(request, key)
    what = {"pay": What.PAID, "refuse": What.FAILED}.get((await posted(request)).get("what"))
    if what is not None:
        happened = Happened(
            f"test:{what}", what, mark=gateways.mark_of(payment.id), external_id=payment.external_id,
            charge_ref=f"test:{payment.id}", amount=payment.amount, currency=payment.currency,
        )  # fmt: skip
        await gateways.take(happened, Gateway.TEST)
    return see_other(f"{URL}/{payment.id}?back=1")


HANDLERS = [listed, new, add, show, start, test_page, test_press]
