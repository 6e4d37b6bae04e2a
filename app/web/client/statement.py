"""The statement of the customer's accounts for a period, page by page and as a file."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get
from litestar.response import Stream
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload
from wtforms import DateField, Form, SelectField

from app import db
from app.db import utcnow
from app.domain.ledger.filing import MOST_PRINTED, as_csv, as_pdf
from app.domain.ledger.statement import Statement, statement
from app.errors import Invalid, NotFound
from app.i18n import _, gettext, say_money, show_date, show_money, show_number, zone
from app.models.customers import Customer
from app.models.ledger import Account, TransactionKind
from app.web.client.area import Asked, me, respond
from app.web.files import HEADERS, disposition
from app.web.forms import choices, number

URL = "/client/statement"
PAGE = 25
MOST_ACCOUNTS = 50
KINDS = {
    TransactionKind.PAYMENT: _("Payment"), TransactionKind.REFUND: _("Paid back"), TransactionKind.CHARGE: _("Charge"),
    TransactionKind.CORRECTION: _("Correction"), TransactionKind.TRANSFER: _("Transfer"),
    TransactionKind.REVERSAL: _("Taken back"),
}  # fmt: skip


class PeriodForm(Form):
    account = SelectField(_("Account"), validate_choice=False)
    # named as in the address
    first = DateField(_("From"), name="from", render_kw={"max": "9999-12-31"})
    until = DateField(_("Until"), render_kw={"max": "9999-12-31"})


async def accounts_of(session: AsyncSession, customer_id: int) -> list[Account]:
    """The customer's accounts, that of the own project and its currency first."""
    rows = await session.scalars(
        select(Account)
        .where(Account.customer_id == customer_id)
        .options(joinedload(Account.project))
        .order_by(Account.id)
        .limit(MOST_ACCOUNTS)
    )
    home = await session.scalar(select(Customer.project_id).where(Customer.id == customer_id))
    return sorted(rows.all(), key=lambda a: (a.project_id != home, a.currency != a.project.currency, a.id))


def account_names(accounts: list[Account]) -> list[tuple[str, str]]:
    """Choices: the currency and balance; the number where two have the same currency."""
    codes = [a.currency for a in accounts]
    return [
        (str(a.id), f"{a.currency}, {say_money(a.balance, a.currency)}"
         + (f", #{a.id}" if codes.count(a.currency) > 1 else ""))
        for a in accounts
    ]  # fmt: skip


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise NotFound from None


class _Asked:
    """Which account and period the address names. Raises NotFound for an account of somebody else."""

    def __init__(self, request: Asked, accounts: list[Account]) -> None:
        asked = request.query_params
        wanted = asked.get("account", "")
        chosen = [a for a in accounts if a.id == number(wanted)] if wanted else accounts[:1]
        if wanted and not chosen:
            raise NotFound
        self.account = chosen[0] if chosen else None
        today = utcnow().astimezone(zone()).date()
        plain = "from" not in asked and "until" not in asked
        self.first = today.replace(day=1) if plain else _day(asked.get("from", ""))
        self.until = today if plain else _day(asked.get("until", ""))
        page = asked.get("page", "1")
        self.page = max(1, int(page)) if page.isascii() and page.isdecimal() and len(page) < 8 else 1

    def url(self, path: str = URL, **more: Any) -> str:
        given = {
            "account": self.account.id if self.account else "", "from": self.first.isoformat() if self.first else "",
            "until": self.until.isoformat() if self.until else "",
        }  # fmt: skip
        return f"{path}?{urlencode({**given, **more})}"


@get(URL, name="client.statement")
async def show(request: Asked) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.reads() as session:
        accounts = await accounts_of(session, customer_id)
        asked = _Asked(request, accounts)
        form = PeriodForm(first=asked.first, until=asked.until, account=str(asked.account.id) if asked.account else "")
        form.account.choices = choices(account_names(accounts))
        if len(accounts) < 2:
            del form.account
        shown, status = None, 200
        if asked.account is not None:
            try:
                shown = _shown(await _part(session, asked), asked)
            except Invalid as error:
                form.until.errors, status = [str(error.fields["until"])], 422
        return await respond(request, session, "client/statement.html", status, form=form, statement=shown)


async def _part(session: AsyncSession, asked: _Asked) -> Statement:
    assert asked.account is not None
    return await statement(
        session, account_id=asked.account.id, first=asked.first, until=asked.until, offset=(asked.page - 1) * PAGE,
        limit=PAGE,
    )  # fmt: skip


def _shown(part: Statement, asked: _Asked) -> dict[str, Any]:
    currency = part.account.currency
    last = max(1, -(-part.n // PAGE))
    start = (asked.page - 1) * PAGE
    span = {
        "first": show_number(start + 1), "last": show_number(start + len(part.lines)), "total": show_number(part.n),
    }  # fmt: skip
    return {
        "lines": [
            {"day": show_date(line.at.astimezone(zone())), "kind": str(KINDS[line.kind]), "text": line.description,
             "amount": show_money(line.amount, currency), "balance": show_money(line.balance, currency)}
            for line in part.lines
        ],
        "opening": show_money(part.opening, currency), "closing": show_money(part.closing, currency),
        "incoming": show_money(part.incoming, currency), "outgoing": show_money(part.outgoing, currency),
        "csv_url": asked.url(f"{URL}/file", kind="csv") if part.n else None,
        "pdf_url": asked.url(f"{URL}/file", kind="pdf") if 0 < part.n <= MOST_PRINTED else None,
        "previous_url": asked.url(page=asked.page - 1) if asked.page > 1 else None,
        "next_url": asked.url(page=asked.page + 1) if asked.page < last else None,
        "page_text": gettext("%(first)s to %(last)s of %(total)s") % span if last > 1 and part.lines else None,
    }  # fmt: skip


@get(f"{URL}/file", name="client.statement.file")
async def file(request: Asked) -> Response[Any] | Stream:
    _view, customer_id = me(request)
    kind = request.query_params.get("kind", "")
    async with db.reads() as session:
        asked = _Asked(request, await accounts_of(session, customer_id))
        if asked.account is None or kind not in ("csv", "pdf"):
            raise NotFound
        found = await statement(
            session, account_id=asked.account.id, first=asked.first, until=asked.until,
            limit=MOST_PRINTED if kind == "pdf" else 0,
        )  # fmt: skip
    headers = {
        **HEADERS,
        "Content-Disposition": disposition(f"statement-{asked.account.id}-{utcnow():%Y-%m-%d}.{kind}"),
    }
    if kind == "pdf":
        if found.n > MOST_PRINTED:
            raise Invalid(gettext("This is too long to be printed. Take CSV or a shorter period."))
        return Response(await asyncio.to_thread(as_pdf, found), headers=headers, media_type="application/pdf")
    body = as_csv(asked.account.id, asked.account.currency, asked.first, asked.until)
    return Stream(body, headers=headers, media_type="text/csv; charset=utf-8")


HANDLERS = [show, file]
