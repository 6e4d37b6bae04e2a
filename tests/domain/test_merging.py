"""Merging two customers: what moves, what stays, what is refused, and undoing it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app import db, filters
from app.db import Base, utcnow
from app.domain import catalog, customers, ledger
from app.domain.customers import merge_rules, merging, unmerging
from app.domain.ledger import invariants
from app.domain.ledger.moving import transfer
from app.errors import Conflict
from app.models import scope
from app.models.audit import Audit
from app.models.billing import Invoice, InvoiceStatus, PaymentStatus
from app.models.consent import Subscription
from app.models.customers import Customer, CustomerStatus, ExternalRef, Membership
from app.models.ledger import Account
from app.models.messaging import Channel, Delivery
from app.models.tickets import Ticket
from app.models.users import UserCustomer
from app.observe import Actor, Kind, acting
from tests import factories as make
from tests.domain.belongings import furnish

assert scope
pytestmark = pytest.mark.usefixtures("database", "redis")
LEFT = {"audit", "audit_detail", "ledger_transaction", "ledger_entry", "job"}
"""Tables that only grow."""


def test_each_foreign_key_to_customers_has_a_rule() -> None:
    """A table that is added says what becomes of its rows when two customers are merged."""
    found = {name for name, _model, _attribute in merge_rules.foreign_keys()}
    assert found == set(merge_rules.RULES), "say in merge_rules.RULES what becomes of these rows"
    assert {name.partition(".")[0] for name in found} <= set(unmerging.NOUNS) | {"door_code"}
    columns = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if column.name in ("customer_id", "merged_into_id")
    }
    assert columns - found == {"audit.customer_id", "touched.customer_id"}  # they outlive what they tell of


async def _whole() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, without versions and what is derived."""
    found = {}
    async with db.reads() as session:
        for table in Base.metadata.sorted_tables:
            if table.name in LEFT:
                continue
            columns = [c for c in table.columns if c.name not in ("version", "search_text")]
            rows = (await session.execute(select(*columns), execution_options={"unscoped": True})).all()
            found[table.name] = sorted(map(repr, rows))
    return found


async def _merge(kept_id: int, gone_id: int, take: set[str] | None = None) -> int:
    async with db.unit() as session:
        audit_id = await merging.merge(session, kept_id=kept_id, gone_id=gone_id, take=take or set())
        trail = await unmerging.trail_by(session, audit_id)
        done = 0
        while done < merging.messages_of(trail):
            done = await merging.move_messages(session, trail=trail, done=done, most=1)
        return audit_id


async def _unmerge(gone_id: int) -> None:
    async with db.unit() as session:
        audit_id = await unmerging.unmerge(session, gone_id=gone_id)
        await merging.move_messages(session, trail=await unmerging.trail_by(session, audit_id), back=True)
        await merging.move_messages(session, trail=await unmerging.trail_by(session, audit_id), back=True, done=1)
        await merging.move_messages(session, trail=await unmerging.trail_by(session, audit_id), back=True, done=2)


async def test_everything_comes_and_everything_goes_back() -> None:
    async with db.unit() as session:
        kept = await make.create_customer(session, phone="", legal_name="", name="Kept")
        gone, user = await furnish(session, "Zebedee")
        double = await make.create_user(session, customers=[kept, gone])
        group = await make.create_group(session)
        for one in (kept, gone):
            await make.create_membership(session, customer=one, group=group)
        await make.create_customer_role(session, customer=kept, name="Desk")
        category = await make.create_category(session)
        await make.create_subscription(session, customer=kept, category=category)
        await make.create_subscription(session, customer=gone, category=category, wanted=False)
        both = await make.create_campaign(session)
        for one in (kept, gone):
            await make.create_delivery(session, campaign=both, customer=one)
        unit_price = await make.create_account(session, customer=kept, balance=700)
        take = merging.default_choice(kept, gone)
    assert {"phone", "legal_name"} <= take and "name" not in take
    before = await _whole()
    await _merge(kept.id, gone.id, take)

    async with db.reads() as session:
        for name, model, attribute in merge_rules.foreign_keys():
            n = await session.scalar(
                select(func.count()).select_from(model).where(getattr(model, attribute) == gone.id)
            )
            rule = merge_rules.RULES[name]
            stays = {"delivery.customer_id", "invoice.customer_id", "subscription.customer_id"}
            assert not n or not rule.moves or (name in stays and n == 1), name
        now = await session.get(Customer, kept.id)
        assert now is not None and now.name == "Kept" and now.phone == gone.phone == now.verified_phone
        assert now.custom == {"shoe": "Zebedee"} and now.search_text.count("zebedee")
        then = await session.get(Customer, gone.id)
        assert then is not None and then.status is CustomerStatus.CLOSED and then.merged_into_id == kept.id
        held = select(Account.customer_id, Account.balance).where(Account.customer_id.is_not(None))
        balances = {row[0]: row[1] for row in await session.execute(held)}
        assert balances == {gone.id: 0, kept.id: 700 + 4500}
        draft = (await session.scalars(select(Invoice).where(Invoice.status == InvoiceStatus.DRAFT))).one()
        assert (draft.customer_id, draft.account_id) == (kept.id, unit_price.id)
        assert not await invariants.check(session)
        holds = select(Subscription.wanted).where(
            Subscription.customer_id == kept.id, Subscription.category_id == category.id,
            Subscription.ended_at.is_(None),
        )  # fmt: skip
        assert list(await session.scalars(holds)) == [False]  # a refusal outlives the merge
        assert await merging.standing_for(session, gone.id) == kept.id
        reference = (await session.scalars(select(ExternalRef))).one()
        assert reference.noun_id == kept.id
        rows = select(func.count()).select_from(Audit).where(Audit.action == "merge", Audit.noun_id == kept.id)
        assert await session.scalar(rows) == 1
        assert set(await session.scalars(select(UserCustomer.user_id))) == {user.id, double.id}

    await _unmerge(gone.id)
    after = await _whole()
    assert not [(table, set(rows) ^ set(after[table])) for table, rows in before.items() if rows != after[table]]


async def test_what_changed_since_stands_in_the_way() -> None:
    async with db.unit() as session:
        kept = await make.create_customer(session)
        gone, _user = await furnish(session, "Zebedee")
    await _merge(kept.id, gone.id, {"name"})
    async with db.unit() as session:
        ticket = (await session.scalars(select(Ticket))).one()
        ticket.subject = "Another one"
        customer = (await session.scalars(select(Customer).where(Customer.id == kept.id))).one()
        await customers.change_customer(session, customer=customer, values={"name": "Other"})
        membership = (await session.scalars(select(Membership).where(Membership.customer_id == kept.id))).one()
        await session.delete(membership)
        account = (await session.scalars(select(Account).where(Account.customer_id == kept.id))).one()
        await make.create_expense(session, account=account, amount=100)
    async with db.unit() as session:
        said = await unmerging.refusals_to_unmerge(session, gone_id=gone.id)
        assert [s.partition(":")[0] for s in said] == [
            "Name", "Groups", "Tickets", "The balance that came with the merge was spent since.",
        ]  # fmt: skip
        with pytest.raises(Conflict, match="spent since"):
            await unmerging.unmerge(session, gone_id=gone.id)
        await session.execute(update(Audit).values(at=utcnow() - timedelta(days=2)).execution_options(audited=True))
        assert await unmerging.refusals_to_unmerge(session, gone_id=gone.id) == [
            "A merge can be undone for a day. That is over."
        ]


async def test_refusals() -> None:
    async with db.unit() as session:
        one, other = await make.create_customer(session), await make.create_customer(session, name="Bo")
        far = await make.create_customer(session, project=await make.create_project(session))

        async def why(kept: Customer, gone: Customer) -> str:
            return " ".join(await merging.refusals_to_merge(session, kept=kept, gone=gone))

        assert await why(one, other) == ""
        assert "different customers" in await why(one, one)
        assert "different projects" in await why(one, far)
        account = await make.create_account(session, customer=other, post_paid=True)
        await make.create_invoice(session, account=account, status=InvoiceStatus.ISSUED, number="1")
        await make.create_payment(session, account=account, status=PaymentStatus.PENDING)
        await make.create_expense(session, account=account)
        said = await why(one, other)
        assert all(s in said for s in ("not paid: 1", "on their way: 1", "no invoice yet: 1")), said
        assert await why(other, one) == ""
        with pytest.raises(Conflict, match="not paid"):
            await merging.merge(session, kept_id=one.id, gone_id=other.id)
        await merging.merge(session, kept_id=other.id, gone_id=one.id)
        await session.refresh(one)
        assert "already" in await why(other, one) and "already" in await why(one, other)
        with pytest.raises(Conflict, match="Undo the merge"):
            await customers.reopen_customer(session, customer=one)


async def test_merged_twice_over_and_what_comes_late() -> None:
    """Who stood for another one may be merged in turn; money that comes late can be fetched."""
    async with db.unit() as session:
        first, second, third = [await make.create_customer(session) for _n in range(3)]
        late = await make.create_account(session, customer=first)
    await _merge(second.id, first.id)
    await _merge(third.id, second.id)
    async with db.unit() as session:
        assert await merging.standing_for(session, first.id) == third.id
        assert set(await session.scalars(merging.family(third.id))) == {first.id, second.id, third.id}
        await make.book(session, late, 500)
        customer = (await session.scalars(select(Customer).where(Customer.id == third.id))).one()
        into = await ledger.account_of(session, customer=customer, currency="EUR")
        await transfer(session, account_id=late.id, to_id=into.id, amount=500, key="late")
        await session.refresh(into, ["balance"])
        assert into.balance == 500
    async with db.unit() as session:
        customer = (await session.scalars(select(Customer).where(Customer.id == third.id))).one()
        assert "Entries of the ledger" in " ".join(await customers.refusals(session, customer))


async def test_a_service_that_was_charged_since_holds_the_merge() -> None:
    async with db.unit() as session:
        kept, gone = await make.create_customer(session), await make.create_customer(session)
        service = await make.create_service(session, customer=gone)
        account = await make.create_account(session, customer=kept)
    await _merge(kept.id, gone.id)
    async with db.unit() as session:
        moved = (await session.scalars(select(type(service)).where(type(service).id == service.id))).one()
        assert moved.customer_id == kept.id
        await make.create_expense(session, account=account, service_id=service.id)
    async with db.reads() as session:
        assert await unmerging.refusals_to_unmerge(session, gone_id=gone.id) == ["Services: used since."]
    assert catalog


async def test_doubles_go_with_who_stayed() -> None:
    """Nothing is booked: the customer can be deleted, and takes those along who were merged into them."""
    async with db.unit() as session:
        kept, gone = await make.create_customer(session), await make.create_customer(session)
        user = await make.create_user(session, customers=[kept, gone])
        campaign = await make.create_campaign(session)
        await make.create_delivery(session, campaign=campaign, customer=gone, channel=Channel.EMAIL, address="a@b.cd")
    await _merge(kept.id, gone.id)
    async with db.unit() as session:
        assert list(await session.scalars(select(Delivery.customer_id))) == [kept.id]
        customer = (await session.scalars(select(Customer).where(Customer.id == kept.id))).one()
        await customers.delete_customer(session, customer=customer)
        assert await session.scalar(select(func.count()).select_from(Customer)) == 0
        assert await session.get(type(user), user.id) is None


async def test_the_filter_finds_those_who_share_an_address_a_phone_or_a_vat_number() -> None:
    async with db.unit() as session:
        here = (await make.create_customer(session)).project_id
        far = await make.create_project(session, name="Far")
        made = {
            name: (await make.create_customer(session, project_id=here, **{"email": "", **kw})).id
            for name, kw in {
                "mail": {"email": "a@example.org"}, "mail too": {"email": "A@Example.org"}, "phone": {"phone": "+1"},
                "phone too": {"phone": "+1"}, "vat": {"vat_number": "X1"}, "alone": {"vat_number": "X2"}, "empty": {},
                "empty too": {}, "merged": {"vat_number": "X1"},
            }.items()
        }  # fmt: skip
        await make.create_customer(session, project_id=far.id, email="", vat_number="X2")
        await merging.merge(session, kept_id=made["alone"], gone_id=made["merged"])

    async def doubled(yes: bool) -> set[int]:
        condition = filters.parse({"field": "doubled", "op": "is", "value": yes}, Customer)
        async with db.reads() as session:
            return set(await session.scalars(select(Customer.id).where(filters.compile(condition, Customer))))

    found = {made[name] for name in ("mail", "mail too", "phone", "phone too")}
    assert await doubled(True) == found
    assert not await doubled(False) & found and made["vat"] in await doubled(False)
    with acting(Actor(Kind.STAFF, 1, projects=frozenset({far.id}))):
        assert await doubled(True) == set()


async def test_members_by_rule_follow_the_rule_and_a_merged_customer_is_no_double() -> None:
    async with db.unit() as session:
        kept = await make.create_customer(session, country="", email="a@example.org")
        gone = await make.create_customer(session, country="DE", email="a@example.org")
        rule = {"field": "country", "op": "in", "value": ["DE"]}
        group = await make.create_group(session, condition=rule)
        session.add(Membership(customer_id=gone.id, group_id=group.id, by_rule=True))
    await _merge(kept.id, gone.id, {"country"})
    members = select(Membership.customer_id).where(Membership.group_id == group.id)
    async with db.reads() as session:
        assert kept.id in set(await session.scalars(members))
        found = await customers.duplicates(session, email="a@example.org", except_id=kept.id)
        assert found == []
    await _unmerge(gone.id)
    async with db.reads() as session:
        assert list(await session.scalars(members)) == [gone.id]
