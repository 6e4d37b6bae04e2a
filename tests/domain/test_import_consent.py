"""Consent out of a CSV file: known recipients only, with when and how, and never over what was said later."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from app import db
from app.domain.imports.consents import import_consent
from app.domain.imports.filed import RowsReport
from app.domain.messaging import consent
from app.errors import Invalid
from app.models.consent import How, Subscription
from app.models.customers import Customer
from app.models.messaging import Category, Channel
from tests import factories as make

pytestmark = pytest.mark.usefixtures("database")
HEAD = "Address,category,channel,subscribed,when,source\n"


@pytest.fixture
async def ada(database: str) -> Customer:
    async with db.unit() as session:
        await make.create_category(session, name="News", subscribable=True, opt_in=True)
        await make.create_category(session, name="Offers", subscribable=True, opt_in=False)
        await make.create_category(session, name="Invoices", subscribable=False)
        customer = await make.create_customer(session, name="Ada", email="Ada@example.org")
        await make.create_user(session, customer=customer, email="bob@example.org", receives=True)
        await make.create_user(session, customer=customer, email="eve@example.org")
    return customer


async def take(tmp_path: Path, *lines: str, head: str = HEAD, **kw: bool) -> RowsReport:
    path = tmp_path / "consent.csv"
    path.write_text(head + "\n".join(lines) + "\n")
    return await import_consent(path, **kw)


async def said() -> list[tuple[str, str, bool, bool, str]]:
    """Category, channel, wanted, whether it is a user's, and the source of all that holds now."""
    async with db.reads() as session:
        rows = await session.execute(
            select(Category.name, Subscription)
            .join(Subscription, Subscription.category_id == Category.id)
            .where(Subscription.ended_at.is_(None))
            .order_by(Subscription.id)
        )
        found = [(name, s) for name, s in rows]
    assert all(s.how is How.IMPORT for _name, s in found)
    return [(name, s.channel.value, s.wanted, s.user_id is not None, s.note) for name, s in found]


async def test_what_was_said_elsewhere_is_taken_once(ada: Customer, tmp_path: Path) -> None:
    lines = (
        "ada@EXAMPLE.org,news,email,yes,2025-03-01T10:00:00+02:00,paper form", "bob@example.org,Offers,,no,2025-03-02,",
        "ada@example.org,News,inbox,1,,",
    )  # fmt: skip
    assert (await take(tmp_path, *lines, dry_run=True)).changed == 3 and await said() == []
    report = await take(tmp_path, *lines)
    assert (report.changed, report.same, report.wrong) == (3, 0, 0)
    now = [("News", "email", True, False, "paper form"), ("Offers", "email", False, True, ""),
           ("News", "inbox", True, False, "")]  # fmt: skip
    assert await said() == now
    async with db.reads() as session:
        first = (await session.scalars(select(Subscription).order_by(Subscription.id))).first()
        assert first is not None and first.since == datetime(2025, 3, 1, 8, tzinfo=UTC)
    again = await take(tmp_path, *lines)
    assert (again.changed, again.same) == (0, 3) and await said() == now


async def test_what_was_said_later_stays(ada: Customer, tmp_path: Path) -> None:
    async with db.unit() as session:
        news = await session.scalar(select(Category.id).where(Category.name == "News"))
        assert news is not None
        for wanted in (True, False):
            await consent.choose(
                session, customer_id=ada.id, wanted={(news, Channel.EMAIL): wanted}, how=How.IMPORT, note="now"
            )
    report = await take(tmp_path, "ada@example.org,News,email,yes,2025-03-01,old list")
    assert (report.changed, report.same) == (0, 1)
    assert await said() == [("News", "email", False, False, "now")]
    assert (await take(tmp_path, "ada@example.org,News,email,yes,,asked again")).changed == 1


async def test_rows_that_cannot_be_taken_are_told_and_the_others_are(ada: Customer, tmp_path: Path) -> None:
    report = await take(
        tmp_path, "nobody@example.org,News,email,yes,,", "ada@example.org,Nothing,email,yes,,",
        "ada@example.org,News,pigeon,yes,,", "ada@example.org,News,email,perhaps,,",
        "ada@example.org,News,email,yes,x,",
        "ada@example.org,News,email,yes,2999-01-01,", "ada@example.org,Invoices,email,no,,", ",News,email,yes,,",
        "eve@example.org,News,email,yes,,", "ada@example.org,News,email,yes,,",
    )  # fmt: skip
    assert (report.changed, report.wrong) == (1, 9)
    assert [line for line, _why in report.problems] == list(range(2, 11))
    assert len(report.lines()) == 10 and "9" in report.lines()[0]


async def test_a_file_without_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="subscribed"):
        await take(tmp_path, "a@b.example,News", head="address,category\n")
