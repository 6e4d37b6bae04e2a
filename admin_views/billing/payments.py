"""Payments: the list with its totals, the card with the story, and what can be done with one."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from wtforms import BooleanField, StringField, validators
from wtforms.fields.core import UnboundField

from admin_views.base import AppForm, AppView, Button, Done, Flow, Press
from admin_views.base.cells import link, money
from admin_views.base.fields import LookupField, MomentField, MoneyField, PickField, plain
from admin_views.billing import story
from app.domain.billing import payments, refunds
from app.i18n import _, gettext
from app.models.billing import Payment, PaymentStatus
from app.models.projects import Project

OPEN = (PaymentStatus.NEW, PaymentStatus.PENDING)
REASON = (validators.InputRequired(), validators.Length(max=500), plain)


class PaidForm(AppForm):
    number = StringField(
        _("Number"), [validators.Length(max=40), plain], description=_("That of the bank or the receipt.")
    )
    at = MomentField(_("When it came"), [validators.Optional()], past=True, description=_("Empty: now."))


class PaidFlow(Flow):
    form = PaidForm

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        return PaidForm(posted, data={"number": press.one.number})

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> str:
        payment = await payments.set_paid(
            session, payment_id=press.one.id, number=form.data["number"] or None, at=form.data["at"]
        )
        return payment.doubt or gettext("The payment is on the account.")


class RefundForm(AppForm):
    amount = MoneyField(_("Amount"), currency_field="", render_kw={"inputmode": "decimal"})
    reason = StringField(_("Reason"), REASON, render_kw={"data-wide": "1"})
    below_zero = BooleanField(
        _("Also what has been spent"), description=_("The balance of the account may go below zero by it.")
    )


class RefundFlow(Flow):
    form = RefundForm

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        payment: Payment = press.one
        form: Any = RefundForm(posted, data={"amount": payment.account_amount - payment.refunded})
        form.amount.currency = payment.account_currency
        return cast(AppForm, form)

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> str:
        event = await refunds.refund(session, payment_id=press.one.id, **form.data)
        if event.details["state"] == "asked":
            return gettext("The refund is on its way to the gateway.")
        return gettext("The refund is booked. The money has to be sent by hand.")


class ReasonForm(AppForm):
    reason = StringField(_("Reason"), REASON, render_kw={"data-wide": "1"})


async def cancel(session: AsyncSession, chosen: list[Payment], *, reason: str) -> str:
    for payment in chosen:
        await payments.cancel(session, payment_id=payment.id, reason=reason)
    return gettext("The payment is cancelled.")


async def fraud(session: AsyncSession, chosen: list[Payment], *, reason: str) -> str:
    for payment in chosen:
        await payments.mark_fraud(session, payment_id=payment.id, reason=reason)
    return gettext("It is marked as fraud, and off the account.")


async def looked_at(session: AsyncSession, chosen: list[Payment]) -> str:
    for payment in chosen:
        await payments.settle_doubt(session, payment_id=payment.id)
    return gettext("Looked at.")


class PrintFlow(Flow):
    """GET shows the receipt as it is printed, POST gives it as a PDF."""

    template = "sqladmin/receipt.html"

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        return {"receipt": await story.receipt(press.session, press.one)}

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        return Done("", response=await story.receipt_file(session, press.one))


CARD, BOTH = frozenset({"card"}), frozenset({"card", "row"})
BUTTONS = (
    Button(
        "set_paid", _("Set paid"), "check", on=BOTH, flow=PaidFlow(), primary=True,
        lede=_("The money is here: the account is credited, and the invoice that it names is paid."),
        shown=lambda p: p.status in (*OPEN, PaymentStatus.CANCELLED),
    ),
    Button(
        "refund", _("Refund"), "arrow-back-up", on=CARD, flow=RefundFlow(),
        lede=_("It leaves the account at once. What came through a gateway goes back through it."),
        shown=lambda p: p.status is PaymentStatus.PAID,
    ),
    Button("print", _("Print"), "printer", on=CARD, flow=PrintFlow(), grant="details", submit=_("Save as PDF")),
    Button(
        "looked_at", _("Looked at"), "eye-check", on=CARD, verb=looked_at, grant="edit", more=True,
        lede=_("What does not fit is settled: the hint goes, the story keeps it."), shown=lambda p: bool(p.doubt),
    ),
    Button(
        "cancel", _("Cancel the payment"), "circle-x", on=CARD, verb=cancel, form=ReasonForm, more=True, danger=True,
        lede=_("It will not be paid. Should the money come after all, it is credited."),
        shown=lambda p: p.status in OPEN,
    ),
    Button(
        "fraud", _("Mark as fraud"), "alert-triangle", on=CARD, verb=fraud, form=ReasonForm, more=True, danger=True,
        lede=_("What it brought is taken off the account, whatever the balance is."),
        shown=lambda p: PaymentStatus.FRAUD in payments.PAYMENT_MOVES[p.status],
    ),
)  # fmt: skip


class Payments(AppView, model=Payment):
    name, name_plural, icon, category = _("Payment"), _("Payments"), "cash", "Money"
    purpose = _("What customers paid, and what became of it.")
    search_hint = _("Number, ID, or number at the gateway")
    create_label = _("Write down a payment")
    form_template = "sqladmin/payment_form.html"
    can_delete = False

    @classmethod
    def _form_names(cls) -> list[str]:
        """Whose, how much, and then the rest."""
        return ["customer", "account", "method", "amount", "currency", "payer", "invoice", "number", "note"]

    filter_first = ("id", "customer", "status", "paid_at", "method")
    buttons: ClassVar[tuple[Button, ...]] = BUTTONS

    def waiting(self) -> Select[Any]:
        return select(Payment.id).where(Payment.doubt != "")

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        """A payment stays with its customer and account; the currency may be another than the account's."""
        fields: dict[str, Any] = {
            "currency": PickField(
                _("Currency"), kind="currency", description=_("Another than the account's: by the rate of the day.")
            )
        }
        if obj is None:
            fields["account"] = LookupField(
                _("Account"), target="account", description=_("Empty: the one in this currency, opened if need be.")
            )
        else:
            fields |= dict.fromkeys(("customer", "account"))
        if obj is not None and (obj.status is not PaymentStatus.NEW or obj.external_id is not None):
            fields |= dict.fromkeys(payments.UNTIL_STARTED) | {"method": None}
        if obj is not None and obj.status not in OPEN:
            fields["invoice"] = None
        return fields

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        if obj is not None:
            return {"currency": obj.currency}
        first = select(Project.currency).where(Project.enabled).order_by(Project.id).limit(1)
        return {"currency": await session.scalar(first) or "EUR"}

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Payment:
        if obj is None:
            texts: dict[str, Any] = {name: values.pop(name) or "" for name in ("number", "note")}
            return await payments.create_payment(session, **values, **texts)
        return await payments.change_payment(session, payment=obj, values=values)

    # ---- card

    @staticmethod
    def detail_account_id(payment: Payment) -> str:
        return link("account", payment.account_id, str(payment.account))

    @staticmethod
    def _elsewhere(payment: Payment) -> str:
        """Said at another place of the card."""
        return ""

    detail_currency = detail_account_currency = detail_doubt = _elsewhere

    @staticmethod
    def detail_refunded(payment: Payment) -> str:
        return money(payment.refunded, payment.account_currency) if payment.refunded else ""

    async def strip(self, session: AsyncSession, obj: Payment, request: Request) -> list[dict[str, Any]]:
        return story.figures(obj)

    async def sections(self, session: AsyncSession, obj: Payment, request: Request) -> list[dict[str, Any]]:
        shown = await super().sections(session, obj, request)
        return [*story.doubts(obj), *shown, *await story.sections(session, obj, request)]
