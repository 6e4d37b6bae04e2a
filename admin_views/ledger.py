"""Accounts of customers: the list, the card with its statement, and what staff do by hand."""

from __future__ import annotations

from typing import Any, cast

from markupsafe import Markup
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from wtforms import validators
from wtforms.fields.core import UnboundField

from admin_views import statements
from admin_views.base import AppView, LookupField, Related
from admin_views.base.cells import esc, link, money, ready, swatch
from admin_views.base.fields import PickField
from admin_views.moves import BUTTONS
from app.domain import ledger
from app.domain.ledger.standing import Standing, standing
from app.errors import NotFound
from app.i18n import _, gettext, ngettext, show_ago, show_date, show_number
from app.models.ledger import Account


class Accounts(AppView, model=Account):
    name, name_plural, icon, category = _("Personal account"), _("Accounts"), "wallet", "Money"
    purpose = _("The money of customers with each brand: balance, credit and what comes next.")
    create_label = _("Open an account")
    letter = "b"
    columns = ("id", "customer_id", "project_id", "balance", "currency", "credit_limit")
    filter_first = ("customer", "project", "currency", "balance", "credit_limit", "below_zero", "unpaid_invoices")
    leave_out = ("kind", "balance")
    leave_out_new = ("credit_limit", "post_paid", "auto_invoice", "payer", "method")
    can_delete = False
    related = (Related("payment", counts=True), Related("invoice", counts=True), Related("expense"))
    buttons = BUTTONS

    # ---- list ----------------------------------------------------------------------------------------------------

    def by_pk(self, pk: str) -> Select[Any]:
        return super().by_pk(pk).where(Account.customer_id.is_not(None))

    @staticmethod
    def cell_customer_id(account: Any) -> str:
        """Leads to the account; the customer is named on its card."""
        return f"<bdi>{esc(account.customer.name)}</bdi>" if account.customer else ""

    @staticmethod
    def cell_balance(account: Any) -> str:
        html = money(account.balance, account.currency)
        return f'<span class="t-bad">{html}</span>' if account.balance < 0 else html

    def row_label(self, obj: Any) -> str:
        if isinstance(obj, Account) and "customer" not in vars(obj):
            return f"#{obj.id} {obj.currency}"
        return f"{obj.customer}, {obj.currency}"

    def lookup_label(self, obj: Account) -> str:
        return f"#{obj.id} {obj.currency}"

    # ---- card ----------------------------------------------------------------------------------------------------

    def title(self, obj: Any) -> str:
        return f"{obj.customer.name}, {obj.currency}"

    def facts(self, obj: Any) -> list[Markup | str]:
        said: list[Markup | str] = [
            self.shown_id(obj),
            ready(link("customer", obj.customer_id, obj.customer.name)),
            ready(swatch(obj.project.hue, obj.project.name)),
        ]
        if obj.post_paid:
            said.append(gettext("Pays afterwards"))
        return said

    async def strip(self, session: AsyncSession, obj: Account, request: Request) -> list[dict[str, Any]]:
        return figures(obj, await standing(session, obj))

    async def sections(self, session: AsyncSession, obj: Account, request: Request) -> list[dict[str, Any]]:
        return [await statements.section(session, obj, request), *await super().sections(session, obj, request)]

    # ---- forms ---------------------------------------------------------------------------------------------------

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        if obj is not None:  # what it is, it stays
            return cast("dict[str, UnboundField[Any]]", dict.fromkeys(("customer", "project", "currency")))
        own = LookupField(_("Project"), target="project", description=_("Empty: the customer's own."))
        currency = PickField(
            _("Currency"), [validators.Optional()], kind="currency", description=_("Empty: that of the project.")
        )
        return cast("dict[str, UnboundField[Any]]", {"project": own, "currency": currency})

    def form_data(self, obj: Any) -> dict[str, Any]:
        return {k: v for k, v in super().form_data(obj).items() if k not in ("customer", "project", "currency")}

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Account:
        if obj is None:
            return await ledger.open_account(
                session, customer_id=values["customer_id"], project_id=values["project_id"],
                currency=values["currency"] or None,
            )  # fmt: skip
        if obj.customer_id is None:
            raise NotFound
        await ledger.set_terms(session, account=obj, **values)
        return cast(Account, obj)


def figures(account: Account, now: Standing) -> list[dict[str, Any]]:
    """Account information: five figures."""
    currency = account.currency
    credit = gettext("with credit: %(amount)s")
    return [
        {
            "label": gettext("Balance"), "value": ready(Accounts.cell_balance(account)),
            "note": _with(credit, amount=money(now.available, currency)) if account.credit_limit else None,
        },
        {
            "label": gettext("Turnover of a year"), "value": ready(money(now.expenses, currency)),
            "note": _with(gettext("paid: %(amount)s"), amount=money(now.income, currency)),
        },
        {
            "label": gettext("Last payment"),
            "value": ready(money(now.last_payment, currency)) if now.last_payment is not None else "–",
            "note": show_ago(now.last_payment_at) if now.last_payment_at else None,
        },
        {
            "label": gettext("Unpaid invoices"),
            "value": ready(f'<a class="ink" href="/admin/account/details/{account.id}?tab=invoice">'
                           f"{esc(show_number(now.unpaid_invoices))}</a>"),
            "note": ready(money(now.unpaid, currency)) if now.unpaid else None,
        },
        {"label": gettext("Funds last"), "value": _lasting(account, now), "note": _until(now)},
    ]  # fmt: skip


def _with(sentence: str, **amounts: str) -> Markup:
    return Markup(esc(sentence)) % {k: ready(v) for k, v in amounts.items()}  # noqa: S704 - escaped


def _lasting(account: Account, now: Standing) -> str:
    if account.post_paid:
        return gettext("pays afterwards")
    if not now.charged:
        return "–"
    if now.days_left is None:
        return gettext("years")
    return ngettext("%(n)s day", "%(n)s days", now.days_left) % {"n": show_number(now.days_left)}


def _until(now: Standing) -> str | None:
    return gettext("until %(day)s") % {"day": show_date(now.runs_out)} if now.runs_out else None
