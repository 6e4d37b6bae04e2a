"""What can be done with an invoice: issue, send, pay from the balance, credit."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import StringField, validators

from admin_views.base import AppForm, Button, Done, Flow, Press
from admin_views.base.fields import MoneyField, plain
from app.domain import billing
from app.errors import Invalid
from app.i18n import _, gettext
from app.models.billing import Invoice, InvoiceKind, InvoiceStatus

CARD = frozenset({"card"})


async def issue(session: AsyncSession, chosen: list[Invoice]) -> str:
    for invoice in chosen:
        invoice = await billing.issue_invoice(session, invoice=invoice)
    return gettext("The invoice is issued.")


async def send(session: AsyncSession, chosen: list[Invoice]) -> str:
    for invoice in chosen:
        await billing.send_invoice(session, invoice=invoice)
    return gettext("The mail is on its way.")


async def pay(session: AsyncSession, chosen: list[Invoice]) -> str:
    for invoice in chosen:
        await billing.pay_from_balance(session, invoice=invoice)
    return gettext("The invoice is paid.")


class CreditForm(AppForm):
    reason = StringField(
        _("Reason"), [validators.InputRequired(), validators.Length(max=500), plain],
        description=_("It stands on the credit note."),
    )  # fmt: skip


class CreditFlow(Flow):
    """All that is left of each line, to be made less. What was charged for it goes back to the account."""

    form = CreditForm

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        invoice = press.one
        left = await billing.left_to_credit(press.session, invoice)
        fields: dict[str, Any] = {}
        for line in invoice.lines:
            rest = sum(left[line.position])
            if rest:
                fields[f"line_{line.position}"] = MoneyField(line.description, default=rest)
        form = type("CreditLines", (CreditForm,), fields)(posted)
        for field in form:
            if isinstance(field, MoneyField):
                field.currency = invoice.currency
        return form  # type: ignore[no-any-return]

    def groups(self, press: Press, form: AppForm) -> list[dict[str, Any]]:
        lines = [f.name for f in form if f.name.startswith("line_")]
        amounts = {"label": gettext("Amounts to take back, with tax"), "help": None, "fields": lines, "more": False}
        return [{"label": None, "help": None, "fields": ["reason"], "more": False}, amounts]

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        data = form.data
        parts = {int(n.removeprefix("line_")): data[n] for n in data if n.startswith("line_")}
        try:
            note = await billing.credit_invoice(session, invoice=press.one, reason=data["reason"], parts=parts)
        except Invalid as problem:
            raise _placed(problem, press.one) from None
        said = gettext("Credit note %(number)s is issued.") % {"number": note.number}
        return Done(said, url=press.view.card_url(note.id))


def _placed(problem: Any, invoice: Invoice) -> Any:
    """The verb names lines by their place; the form by their position."""
    fields = {}
    for name, said in problem.fields.items():
        at = name.removeprefix("lines-").removesuffix("-amount")
        fields[f"line_{invoice.lines[int(at)].position}" if at.isdecimal() else name] = said
    return type(problem)(**fields)


def _draft(invoice: Any) -> bool:
    return bool(invoice.status is InvoiceStatus.DRAFT)


def _of_invoice(invoice: Any) -> bool:
    live = invoice.status not in (InvoiceStatus.DRAFT, InvoiceStatus.CANCELLED)
    return bool(invoice.kind is InvoiceKind.INVOICE and live)


BUTTONS = (
    Button(
        "issue", _("Issue"), "check", on=CARD, verb=issue, primary=True, shown=_draft,
        lede=_("It gets its number. From then on it never changes; a credit note takes it back."),
    ),
    Button(
        "send", _("Send by e-mail"), "mail-forward", on=CARD, verb=send, shown=lambda i: not _draft(i),
        lede=_("To the payer, else the customer, with the PDF attached."), submit=_("Send"),
    ),
    Button(
        "pay", _("Pay from the balance"), "wallet", on=CARD, verb=pay, shown=billing.from_balance,
        lede=_("The total is charged to the account at once."),
    ),
    Button(
        "credit", _("Credit note"), "arrow-back-up", on=CARD, flow=CreditFlow(), shown=_of_invoice, more=True,
        danger=True, submit=_("Issue the credit note"),
        lede=_("Takes the invoice back, whole or in part. What was charged for it goes back to the account."),
    ),
)  # fmt: skip
