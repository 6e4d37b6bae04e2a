"""What recipients have said elsewhere, out of a CSV file: address, category, channel, subscribed, when, source.

A second import of the same file changes nothing, and what was said later than the file says stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import fold, utcnow
from app.domain.imports.filed import Keep, RowsReport
from app.domain.imports.reading import Record, look_at, rows
from app.domain.messaging import consent
from app.errors import Invalid
from app.i18n import gettext
from app.models.consent import How
from app.models.customers import Customer
from app.models.messaging import Channel
from app.models.users import User, UserCustomer

TASK = "imports.consent"
AT_ONCE = 200
NEEDED, MORE = ("address", "category", "subscribed"), ("channel", "when", "source")
YES, NO = frozenset({"yes", "y", "true", "1", "on", "subscribed"}), frozenset({"no", "n", "false", "0", "off", ""})


async def import_consent(
    path: Path, *, dry_run: bool = False, report: RowsReport | None = None, keep: Keep | None = None
) -> RowsReport:
    """Take the rows of a file, some at a time. Raises Invalid for a file that cannot be read or lacks a column.

    report: go on behind what it says is done. keep: told after each batch; False: enough for now."""
    sheet = look_at(path)
    places = {name.strip().lower(): n for n, name in enumerate(sheet.columns)}
    if missing := [name for name in NEEDED if name not in places]:
        raise Invalid(gettext("The file lacks the column %(name)s.") % {"name": missing[0]})
    report = report or RowsReport()
    records = islice(rows(sheet), report.done, None)
    while batch := list(islice(records, AT_ONCE)):
        async with db.trial() if dry_run else db.unit() as session:
            categories = {fold(c.name): c.id for c in await consent.offered(session)}
            for record in batch:
                await _take(session, report, record, places, categories)
        report.done += len(batch)
        if keep is not None and not await keep(report):
            break
    return report


async def _take(
    session: AsyncSession, report: RowsReport, record: Record, places: Mapping[str, int],
    categories: Mapping[str, int],
) -> None:  # fmt: skip
    if record.problem:
        return report.refuse(record.line, record.problem)
    said = {name: record.cells[places[name]].strip() if name in places else "" for name in (*NEEDED, *MORE)}
    try:
        at = datetime.fromisoformat(said["when"]) if said["when"] else utcnow()
    except ValueError:
        return report.refuse(record.line, gettext("Not a date and time."))
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    channel = next((c for c in Channel if c.value == (said["channel"].lower() or "email")), None)
    category_id, answer = categories.get(fold(said["category"])), said["subscribed"].lower()
    if category_id is None or channel is None or answer not in YES | NO:
        return report.refuse(record.line, gettext("Unknown: category, channel, or whether they want it."))
    if at > utcnow():
        return report.refuse(record.line, gettext("This lies in the future."))
    found = await _who(session, said["address"])
    if not found:
        return report.refuse(record.line, gettext("Nobody is known under this address."))
    for customer_id, user_id in found:
        changed = await consent.choose(
            session, customer_id=customer_id, user_id=user_id, wanted={(category_id, channel): answer in YES},
            how=How.IMPORT, note=said["source"], at=at,
        )  # fmt: skip
        report.changed += bool(changed)
        report.same += not changed
    return None


async def _who(session: AsyncSession, address: str) -> list[tuple[int, int | None]]:
    """The recipients with this address: (customer, user or None for the customer's own)."""
    own = select(Customer.id, Customer.email).where(Customer.email_folded == fold(address))
    through = (
        select(UserCustomer.customer_id, User.email, User.id)
        .join(User, User.id == UserCustomer.user_id)
        .where(UserCustomer.receives, User.email_folded == fold(address))
    )
    wanted = address.casefold()
    found: list[tuple[int, int | None]] = [
        (row.id, None) for row in await session.execute(own) if row.email.casefold() == wanted and wanted
    ]
    users = [(row[0], row[2]) for row in await session.execute(through) if row[1].casefold() == wanted and wanted]
    return [*found, *users]
