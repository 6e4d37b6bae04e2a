"""The statement of an account: on its card, page by page, and as a file."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from wtforms import DateField, RadioField, validators

from admin_views.base import AppForm, Button, Done, Flow, Press
from admin_views.base.cells import money, ready
from app import db
from app.domain.ledger.filing import MOST_PRINTED, as_csv, as_pdf
from app.domain.ledger.statement import statement
from app.errors import Invalid
from app.i18n import _, gettext, show_date, show_moment, show_number
from app.models import audit
from app.models.ledger import Account
from app.render import page

PAGE = 25


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


async def section(session: AsyncSession, account: Account, request: Request) -> dict[str, Any]:
    """The statement as a part of the card; the address says the period and the page, else it is the last one."""
    asked = request.query_params
    first, until = _day(asked.get("from", "")), _day(asked.get("until", ""))
    if first is not None and until is not None and until < first:
        first, until = until, first
    whole = await statement(session, account_id=account.id, first=first, until=until, limit=0)
    last = max(1, -(-whole.n // PAGE))
    number = asked.get("page", "")
    at = min(last, max(1, int(number))) if number.isascii() and number.isdecimal() and len(number) < 9 else last
    part = await statement(session, account_id=account.id, first=first, until=until, offset=(at - 1) * PAGE, limit=PAGE)

    def to(number: int) -> str | None:
        if not 1 <= number <= last or number == at:
            return None
        period = {k: v.isoformat() for k, v in (("from", first), ("until", until)) if v is not None}
        return f"/admin/account/details/{account.id}?{urlencode({**period, 'page': number})}"

    def amount(minor: int) -> Any:
        return ready(money(minor, account.currency))

    start = (at - 1) * PAGE
    shown = {
        "rows": [
            {
                "day": show_date(line.at), "exact": show_moment(line.at), "kind": str(line.kind.label),
                "text": line.description, "amount": amount(line.amount), "out": line.amount < 0,
                "balance": amount(line.balance),
            }
            for line in part.lines
        ],
        "opening": amount(part.opening), "closing": amount(part.closing),
        "incoming": amount(part.incoming), "outgoing": amount(part.outgoing),
        "first": first, "until": until, "filtered": first is not None or until is not None,
        "url": f"/admin/account/details/{account.id}",
        "page": {
            "text": gettext("%(first)s to %(last)s of %(total)s") % {
                "first": show_number(start + 1 if part.n else 0), "last": show_number(start + len(part.lines)),
                "total": show_number(part.n),
            },
            "first_url": to(1), "previous_url": to(at - 1), "next_url": to(at + 1), "last_url": to(last),
        } if last > 1 else None,
    }  # fmt: skip
    html = ready(page("sqladmin/statement.html", statement=shown))
    return {"label": gettext("Statement"), "kind": "html", "html": html}


class StatementForm(AppForm):
    first = DateField(_("From"), [validators.Optional()], render_kw={"max": "9999-12-31"})
    until = DateField(
        _("Until"), [validators.Optional()], description=_("Both days belong to it. Empty: all."),
        render_kw={"max": "9999-12-31"},
    )  # fmt: skip

    kind = RadioField(
        _("File"), [validators.InputRequired()], default="csv",
        choices=[("csv", _("CSV, for spreadsheets")), ("pdf", _("PDF, to print"))],
    )  # fmt: skip


class StatementFlow(Flow):
    form = StatementForm

    async def act(self, session: AsyncSession, press: Press, form: Any) -> Done:
        account, first, until = press.one, form.first.data, form.until.data
        found = await statement(session, account_id=account.id, first=first, until=until, limit=0)
        if found.n == 0:
            raise Invalid(gettext("Nothing was booked in this period."))
        period = {"from": [None, str(first or "")], "until": [None, str(until or "")]}
        await session.run_sync(lambda s: audit.write(s, "statement", "account", account.id, period))
        kind = form.kind.data
        name = f"statement-{account.id}-{db.utcnow():%Y-%m-%d}.{kind}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        if kind == "pdf":
            if found.n > MOST_PRINTED:
                raise Invalid(kind=gettext("This is too long to be printed. Take CSV or a shorter period."))
            whole = await statement(session, account_id=account.id, first=first, until=until)
            made = await asyncio.to_thread(as_pdf, whole)
            return Done("", response=Response(made, media_type="application/pdf", headers=headers))
        body = as_csv(account.id, account.currency, first, until)
        return Done("", response=StreamingResponse(body, media_type="text/csv; charset=utf-8", headers=headers))


STATEMENT = Button(
    "statement", _("Statement as a file"), "download", on=frozenset({"card"}), flow=StatementFlow(), more=True,
    submit=_("Download"), lede=_("Every entry of the period with the balance after it."),
)  # fmt: skip
