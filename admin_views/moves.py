"""Buttons that move money by hand: correction, refund, transfer, and taking an expense back."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload
from wtforms import HiddenField, SelectField, StringField, TextAreaField, validators

from admin_views.base import AppForm, Button, Done, Flow, Press
from admin_views.base.fields import MoneyField, plain
from admin_views.statements import STATEMENT
from app.domain import billing, ledger
from app.i18n import _, gettext, show_amount
from app.models.ledger import Account

CARD = frozenset({"card"})


def _once() -> str:
    return uuid4().hex


class MoveForm(AppForm):
    amount = MoneyField(_("Amount"), [validators.InputRequired()], render_kw={"inputmode": "decimal"})
    reason = TextAreaField(
        _("Reason"), [validators.InputRequired(), validators.Length(max=500), plain],
        description=_("It stands on the statement."), render_kw={"rows": 2},
    )  # fmt: skip
    once = HiddenField(default=_once)
    """Of this form: sent twice, it is booked once."""


class CorrectForm(MoveForm):
    amount = MoneyField(
        _("Amount"), [validators.InputRequired()], description=_("With a minus to take away."),
        render_kw={"inputmode": "decimal"},
    )  # fmt: skip


class TransferForm(AppForm):
    to = SelectField(_("To"), [validators.InputRequired()], choices=[])
    amount = MoneyField(
        _("Amount"), [validators.InputRequired()], description=_("In the currency of this account."),
        render_kw={"inputmode": "decimal"},
    )  # fmt: skip
    description = StringField(_("Description"), [validators.Length(max=500), plain])
    once = HiddenField(default=_once)


class ReasonForm(AppForm):
    reason = TextAreaField(
        _("Reason"), [validators.InputRequired(), validators.Length(max=500), plain],
        description=_("It stands on the statement."), render_kw={"rows": 2},
    )  # fmt: skip


class MoneyFlow(Flow):
    """A form with an amount in the currency of the account."""

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        form = cast(Any, await super().build(press, posted))
        form.amount.currency = press.one.currency
        return cast(AppForm, form)

    def groups(self, press: Press, form: AppForm) -> list[dict[str, Any]]:
        order = [name for name in ("to", "amount", "reason", "description", "once") if name in form]
        return [{"label": None, "help": None, "fields": order, "more": False}]

    @staticmethod
    def key(what: str, form: Any) -> str:
        once = str(form.once.data or "")
        return f"{what}:{once if once.isalnum() and len(once) <= 40 else _once()}"


class CorrectFlow(MoneyFlow):
    form = CorrectForm

    async def act(self, session: AsyncSession, press: Press, form: Any) -> Done:
        await ledger.correct(
            session, account_id=press.one.id, amount=form.amount.data, reason=form.reason.data,
            key=self.key("correction", form),
        )  # fmt: skip
        return Done(gettext("The correction is booked."))


class RefundFlow(MoneyFlow):
    form = MoveForm

    async def act(self, session: AsyncSession, press: Press, form: Any) -> Done:
        await ledger.refund(
            session, account_id=press.one.id, amount=form.amount.data, reason=form.reason.data,
            key=self.key("refund", form),
        )  # fmt: skip
        return Done(gettext("The refund is booked. Send the money by hand."))


class TransferFlow(MoneyFlow):
    form = TransferForm

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        form = cast(Any, await super().build(press, posted))
        others = select(Account).where(Account.customer_id == press.one.customer_id, Account.id != press.one.id)
        rows = await press.session.scalars(others.options(joinedload(Account.project)).order_by(Account.id))
        form.to.choices = [
            (str(a.id), f"{a.currency}, {a.project.name}: {show_amount(a.balance, a.currency)}") for a in rows
        ]
        if not form.to.choices:
            form.to.description = gettext("The customer has no other account. Open one first.")
        return cast(AppForm, form)

    async def act(self, session: AsyncSession, press: Press, form: Any) -> Done:
        await ledger.transfer(
            session, account_id=press.one.id, to_id=int(form.to.data), amount=form.amount.data,
            description=form.description.data or "", key=self.key("transfer", form),
        )  # fmt: skip
        return Done(gettext("The transfer is booked."))


class TakeBackFlow(Flow):
    form = ReasonForm

    async def act(self, session: AsyncSession, press: Press, form: Any) -> Done:
        await billing.take_back(session, expense=press.one, reason=form.reason.data)
        return Done(gettext("The expense is taken back."))


BUTTONS = (
    Button(
        "correct", _("Correction"), "adjustments", on=CARD, flow=CorrectFlow(), submit=_("Book the correction"),
        lede=_("Puts the balance right. It stays visible, with its reason, on the statement."),
    ),
    Button(
        "transfer", _("Transfer"), "arrows-exchange", on=CARD, flow=TransferFlow(), submit=_("Transfer"),
        lede=_("To another account of the same customer; in another currency by the rate of the day."),
    ),
    Button(
        "refund", _("Refund"), "arrow-back-up", on=CARD, flow=RefundFlow(), submit=_("Book the refund"), more=True,
        lede=_("Money of the balance goes back to the customer. Bursar writes it down; you send it."),
    ),
    STATEMENT,
)  # fmt: skip
TAKE_BACK = Button(
    "take_back", _("Take back"), "arrow-back-up", on=CARD, flow=TakeBackFlow(), submit=_("Take back"), danger=True,
    lede=_("Books the opposite, so that the money is on the account again. The expense stays visible."),
    shown=lambda expense: expense.reversed_by_id is None,
)  # fmt: skip
