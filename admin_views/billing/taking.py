"""Taking a payment from one customer: the button on their card, with their own accounts and payers to choose from."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import BooleanField, SelectField, StringField, validators

from admin_views import access
from admin_views.base import AppForm, Button, Done, Flow, Press
from admin_views.base.fields import MoneyField, PickField, plain
from app.domain import ledger
from app.domain.billing import payments
from app.i18n import _, gettext, say_money
from app.models.billing import Invoice, InvoiceStatus, Payer
from app.models.customers import Customer, CustomerStatus
from app.models.ledger import Account

OPEN = (InvoiceStatus.ISSUED, InvoiceStatus.OVERDUE)
MOST = 100
"""So many accounts, payers and invoices are offered."""


class TakeForm(AppForm):
    account = SelectField(_("Account"))
    method = SelectField(_("Method"))
    amount = MoneyField(_("Amount"), render_kw={"inputmode": "decimal"})
    currency = PickField(_("Currency"), kind="currency")
    payer = SelectField(_("Payer"))
    invoice = SelectField(_("For the invoice"), description=_("Empty: the money stays on the account."))
    number = StringField(
        _("Number"), [validators.Length(max=40), plain], description=_("That of the bank or the receipt.")
    )
    note = StringField(_("Note"), [validators.Length(max=500), plain], render_kw={"data-wide": "1"})
    here = BooleanField(_("The money is here"), description=_("It is credited to the account at once."))


async def _offered(session: AsyncSession, customer: Customer, form: Any) -> None:
    """Fill the choices with what is this customer's."""
    accounts = await session.scalars(select(Account).where(Account.customer_id == customer.id).limit(MOST))
    usual = await ledger.usual_currency(session, customer.project_id)
    rows = [(str(a.id), f"{a.currency}, {say_money(a.balance, a.currency)}") for a in accounts]
    form.account.choices = rows or [("", usual)]
    methods = await payments.methods_for(session, customer)
    form.method.choices = [(str(m.id), m.name) for m in methods]
    payers = await session.scalars(
        select(Payer).where(Payer.customer_id == customer.id, Payer.archived.is_(False)).limit(MOST)
    )
    form.payer.choices = [("", ""), *((str(p.id), p.name) for p in payers)]
    invoices = await session.scalars(
        select(Invoice).where(Invoice.customer_id == customer.id, Invoice.status.in_(OPEN)).limit(MOST)
    )
    form.invoice.choices = [("", ""), *((str(i.id), _invoice(i)) for i in invoices)]


def _invoice(invoice: Invoice) -> str:
    return f"{invoice.number}, {say_money(invoice.left, invoice.currency)}"


class TakeFlow(Flow):
    form = TakeForm

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        usual = await ledger.usual_currency(press.session, press.one.project_id)
        form: Any = TakeForm(posted, data={"currency": usual})
        form.amount.currency = form.currency.data or usual
        await _offered(press.session, press.one, form)
        return cast(AppForm, form)

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        access.need(press.request, "payment", "create")
        data = form.data

        def chosen(name: str) -> int | None:
            return int(data[name]) if data[name] else None

        payment = await payments.create_payment(
            session, customer_id=press.one.id, account_id=chosen("account"), method_id=chosen("method") or 0,
            payer_id=chosen("payer"), invoice_id=chosen("invoice"), amount=data["amount"], currency=data["currency"],
            number=data["number"] or "", note=data["note"] or "",
        )  # fmt: skip
        if data["here"]:
            access.need(press.request, "payment", "action:set_paid")
            await payments.set_paid(session, payment_id=payment.id)
        said = gettext("The payment is on the account.") if data["here"] else gettext("The payment is written down.")
        return Done(said, url=f"/admin/payment/details/{payment.id}")


TAKE_PAYMENT = Button(
    "payment",
    _("Take a payment"),
    "cash",
    on=frozenset({"card"}),
    flow=TakeFlow(),
    submit=_("Write it down"),
    more=True,
    shown=lambda c: c.status is not CustomerStatus.CLOSED,
)
