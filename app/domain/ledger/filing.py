"""The statement of an account as a file: CSV for spreadsheets, PDF to print."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import date

from app import db
from app.domain.ledger.statement import Statement, lines, statement
from app.domain.sheets import money as decimal
from app.domain.sheets import neutral
from app.i18n import gettext, language, show_amount, show_date, zone
from app.integrations.pdf import Column, Pdf

MOST_PRINTED = 1000
"""Lines of a statement on paper."""


async def as_csv(account_id: int, currency: str, first: date | None, until: date | None) -> AsyncIterator[str]:
    """UTF-8 with a byte order mark; the balances before and after stand in the first and the last line."""
    out = io.StringIO()
    writer = csv.writer(out)

    def taken() -> str:
        text = out.getvalue()
        out.seek(0)
        out.truncate()
        return text

    async with db.reads() as session:
        found = await statement(session, account_id=account_id, first=first, until=until, limit=0)
        out.write("\ufeff")
        writer.writerow(
            [gettext("Date"), gettext("Kind"), gettext("Description"), gettext("Went out"), gettext("Came in"),
             gettext("Balance"), gettext("Currency")]
        )  # fmt: skip
        opening = decimal(found.opening, currency)
        writer.writerow([first or "", "", gettext("Opening balance"), "", "", opening, currency])
        yield taken()
        n = 0
        async for line in lines(session, account_id=account_id, first=first, until=until):
            debit, credit = (decimal(v, currency) if v else "" for v in (line.debit, line.credit))
            day = line.at.astimezone(zone()).date().isoformat()
            text = neutral(line.description)
            balance = decimal(line.balance, currency)
            writer.writerow([day, str(line.kind.label), text, debit, credit, balance, currency])
            n += 1
            if n % 500 == 0:
                yield taken()
        closing = decimal(found.closing, currency)
        sums = [decimal(found.outgoing, currency), decimal(found.incoming, currency)]
        writer.writerow([until or "", "", gettext("Closing balance"), *sums, closing, currency])
    yield taken()


def as_pdf(found: Statement) -> bytes:
    """The same on paper, in the reader's language. Takes a while: ask for it in a thread."""
    account, currency = found.account, found.account.currency
    assert account.customer is not None
    seller = account.project.legal_name or account.project.name
    title = gettext("Statement")
    made = Pdf(
        title=title, author=seller, created=db.utcnow(), language=language(),
        numbering=gettext("Page %(page)s of %(pages)s"),
    )  # fmt: skip
    made.heading(title)
    made.pairs(
        [
            (gettext("Customer"), f"{account.customer.legal_name or account.customer.name} (#{account.customer_id})"),
            (gettext("Account"), f"#{account.id}, {seller}, {currency}"),
            (gettext("From"), show_date(found.first) if found.first else "–"),
            (gettext("Until"), show_date(found.until or db.utcnow())),
            (gettext("Opening balance"), show_amount(found.opening, currency)),
        ]
    )
    made.table(
        [
            Column(gettext("Date"), 2), Column(gettext("Description"), 6), Column(gettext("Amount"), 2, "R"),
            Column(gettext("Balance"), 2, "R"),
        ],
        [
            (
                show_date(line.at), f"{line.kind.label} {line.description}".strip(), show_amount(line.amount, currency),
                show_amount(line.balance, currency),
            )
            for line in found.lines
        ],
    )  # fmt: skip
    made.totals(
        [
            (gettext("Came in"), f"{show_amount(found.incoming, currency)} {currency}"),
            (gettext("Went out"), f"{show_amount(found.outgoing, currency)} {currency}"),
            (gettext("Closing balance"), f"{show_amount(found.closing, currency)} {currency}"),
        ]
    )
    return made.bytes()
