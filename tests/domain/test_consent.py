"""Who wants what, whom an audience leaves out for it, and what a refusal does to a campaign that is on its way."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app import db
from app.db import utcnow
from app.domain.messaging import audience, campaigns, consent, delivery, starting, suppression
from app.domain.messaging.audience import Audience
from app.domain.messaging.content import load_content
from app.errors import Conflict, Invalid, NotFound
from app.models.audit import Audit
from app.models.consent import How, Subscription, Suppression, Why
from app.models.customers import Customer
from app.models.messaging import Campaign, Category, Channel, Delivery, DeliveryState, Policy
from app.models.users import User
from app.observe import Actor, Kind, acting
from tests import factories as make

MAIL = Channel.EMAIL
Reasons = set[tuple[str, str, str | None]]


async def news(**kw: Any) -> Category:
    async with db.unit() as session:
        return await make.create_category(session, name="News", **{"subscribable": True} | kw)


async def reached(category: Category, **kw: Any) -> Reasons:
    """(channel, address, reason) of everybody whom an audience names."""
    async with db.reads() as session:
        who = Audience({"everyone": True}, ("en",), "en", category_id=category.id, **kw)
        found = audience.recipients(who).c
        return {tuple(row) for row in await session.execute(select(found.channel, found.address, found.reason))}  # type: ignore[misc]


async def say(customer: Customer, category: Category, wanted: bool, channel: Channel = MAIL, **kw: Any) -> int:
    async with db.unit() as session:
        changed = await consent.choose(
            session, customer_id=customer.id, wanted={(category.id, channel): wanted}, **{"how": How.CLIENT} | kw
        )
    return len(changed)


async def due(campaign: Campaign, customer: Customer, **kw: Any) -> Delivery:
    async with db.unit() as session:
        kw = {"channel": MAIL, "address": customer.email} | kw
        return await make.create_delivery(session, campaign=campaign, customer=customer, **kw)


async def states() -> dict[str, tuple[DeliveryState, str]]:
    async with db.reads() as session:
        rows = await session.execute(select(Delivery.message_id, Delivery.state, Delivery.error))
        return {row.message_id: (row.state, row.error) for row in rows}


@pytest.fixture
async def ada(database: str) -> Customer:
    async with db.unit() as session:
        await make.create_project(session)
        return await make.create_customer(session, name="Ada", email="Ada@example.org")


# ---- choosing -------------------------------------------------------------------------------------------------------


async def test_advertising_needs_a_yes_other_categories_take_no_no(ada: Customer) -> None:
    asked, usual, service = await news(), await news_named("Status", opt_in=False), await news_named("Bills", off=True)
    async with db.reads() as session:
        lines = await consent.chosen(session, customer_id=ada.id, user_id=None)
    got = {(c.category.name, c.channel): c.wanted for c in lines}
    assert got == {("News", c): False for c in Channel} | {("Status", c): True for c in Channel}
    assert await reached(asked, channels=("email",)) == {("email", "Ada@example.org", "no_consent")}
    assert await reached(usual, channels=("email",)) == {("email", "Ada@example.org", None)}
    assert await reached(service, channels=("email",)) == {("email", "Ada@example.org", None)}
    assert await say(ada, asked, True) == 1 and await say(ada, usual, False) == 1
    assert await reached(asked) == {("email", "Ada@example.org", None), ("inbox", "", "no_consent")}
    assert await reached(usual) == {("email", "Ada@example.org", "no_consent"), ("inbox", "", None)}
    with pytest.raises(Conflict, match="cannot be refused"):
        await say(ada, service, False)


async def news_named(name: str, *, off: bool = False, **kw: Any) -> Category:
    async with db.unit() as session:
        return await make.create_category(session, name=name, subscribable=not off, **kw)


async def test_every_choice_is_kept_with_who_when_and_how(ada: Customer) -> None:
    category = await news()
    async with db.unit() as session:
        staff = await make.create_staff(session)
    before = utcnow()
    with acting(Actor(Kind.STAFF, staff.id, ip="192.0.2.9")):
        assert await say(ada, category, True, how=How.STAFF, note="by phone") == 1
        assert await say(ada, category, True, how=How.STAFF) == 0, "said already"
    with acting(Actor(Kind.NOBODY, ip="192.0.2.7")):
        assert await say(ada, category, False, how=How.LINK) == 1
    async with db.reads() as session:
        first, second = (await session.scalars(select(Subscription).order_by(Subscription.id))).all()
        audit = (await session.scalars(select(Audit).where(Audit.noun == "subscription").order_by(Audit.id))).all()
    assert (first.wanted, first.how, first.staff_id, first.note, first.ip) == (
        True, How.STAFF, staff.id, "by phone", "192.0.2.9",
    )  # fmt: skip
    assert (second.wanted, second.how, second.staff_id, second.ended_at) == (False, How.LINK, None, None)
    assert before <= first.since and first.ended_at == second.since
    assert [a.action for a in audit] == ["create", "update", "create"]


async def test_what_is_the_case_anyway_writes_no_row(ada: Customer) -> None:
    asked, usual = await news(), await news_named("Status", opt_in=False)
    assert await say(ada, asked, False) == 0 and await say(ada, usual, True) == 0
    async with db.reads() as session:
        assert (await session.scalars(select(Subscription))).all() == []


async def test_staff_limited_to_projects_choose_for_nobody_else(ada: Customer) -> None:
    category = await news()
    async with db.unit() as session:
        other = await make.create_project(session)
    with acting(Actor(Kind.STAFF, None, projects=frozenset({other.id}))):
        with pytest.raises(NotFound):
            await say(ada, category, True)
        async with db.reads() as session:
            assert (await session.scalars(select(Subscription))).all() == []


# ---- the audience ---------------------------------------------------------------------------------------------------


async def test_users_choose_for_themselves(ada: Customer) -> None:
    category = await news()
    async with db.unit() as session:
        users = [
            await make.create_user(session, customer=ada, email=f"{n}@example.net", receives=True) for n in ("a", "b")
        ]
    await say(ada, category, True)
    await say(ada, category, True, user_id=users[1].id)
    assert await reached(category, channels=("email",)) == {
        ("email", "Ada@example.org", None), ("email", "a@example.net", "no_consent"), ("email", "b@example.net", None),
    }  # fmt: skip


async def test_one_address_is_one_recipient_whatever_else_is_said(ada: Customer) -> None:
    """The customer's own row decides; of several users the first."""
    category = await news(opt_in=False)
    async with db.unit() as session:
        same = await make.create_user(session, customer=ada, email=" ada@EXAMPLE.org ", receives=True)
        for _n in range(2):
            await make.create_user(session, customer=ada, email="c@example.net", receives=True)
    await say(ada, category, False)
    assert await reached(category, channels=("email",)) == {
        ("email", "Ada@example.org", "no_consent"), ("email", "c@example.net", None),
    }  # fmt: skip
    assert same.id


async def test_suppressed_addresses_are_left_out_and_counted(ada: Customer) -> None:
    category = await news()
    async with db.unit() as session:
        await make.create_suppression(session, address="ada@example.org")
        lifted = await make.create_suppression(session, address="bob@example.org", lifted_at=utcnow())
        bob = await make.create_customer(session, email="bob@example.org")
        eve = await make.create_customer(session, email="eve@example.org")
    for customer in (ada, bob):
        await say(customer, category, True)
    assert await reached(category, channels=("email",)) == {
        ("email", "Ada@example.org", "suppressed"), ("email", "bob@example.org", None),
        ("email", "eve@example.org", "no_consent"),
    }  # fmt: skip
    async with db.reads() as session:
        who = Audience({"everyone": True}, ("en",), "en", channels=("email",), category_id=category.id)
        counted = await audience.count(session, who)
    assert counted.customers == 1 and counted.deliveries == {"email": 1}
    assert {r.reason: r.count for r in counted.left_out} == {"suppressed": 1, "no_consent": 1}
    assert lifted.id and eve.id


async def test_a_campaign_writes_down_why_it_leaves_somebody_out(ada: Customer) -> None:
    category = await news()
    async with db.unit() as session:
        bob = await make.create_customer(session, email="bob@example.org")
        campaign = await make.create_campaign(session, category=category, state="starting", channels=["email"])
    await say(bob, category, True)
    async with db.unit() as session:
        await starting.materialise(session, campaign_id=campaign.id)
    async with db.reads() as session:
        rows = await session.execute(select(Delivery.address, Delivery.state, Delivery.error))
        assert {tuple(r) for r in rows} == {
            ("Ada@example.org", DeliveryState.SKIPPED, "The customer does not want messages of this kind."),
            ("bob@example.org", DeliveryState.DUE, ""),
        }  # fmt: skip


# ---- what is on its way ---------------------------------------------------------------------------------------------


async def test_a_refusal_stops_what_is_not_sent_yet_and_nothing_else(ada: Customer) -> None:
    category, other = await news(opt_in=False), await news_named("Status", opt_in=False)
    async with db.unit() as session:
        mine = await make.create_campaign(session, category=category)
        old = await make.create_campaign(session, category=category)
        status = await make.create_campaign(session, category=other)
        user = await make.create_user(session, customer=ada, receives=True)
        bob = await make.create_customer(session)
    soon = utcnow() + timedelta(minutes=1)
    leased = {"state": "leased", "lease_token": "t", "lease_until": soon}
    await due(mine, ada, message_id="due")
    await due(old, ada, message_id="claimed", **leased)
    await due(mine, ada, message_id="user", address=user.email, user_id=user.id)
    await due(mine, ada, message_id="inbox", channel="inbox", address="")
    await due(status, ada, message_id="status")
    await due(mine, bob, message_id="bob")
    async with db.unit() as session:
        third = await make.create_campaign(session, category=category)
        fourth = await make.create_campaign(session, category=category)
    await due(third, ada, message_id="on the wire", started_at=utcnow(), **leased)
    await due(fourth, ada, message_id="sent", state="sent", sent_at=utcnow())
    await say(ada, category, False, how=How.LINK)
    found = await states()
    stopped = {name for name, (state, _e) in found.items() if state is DeliveryState.SKIPPED}
    assert stopped == {"due", "claimed"}
    assert found["due"][1] == "The customer does not want messages of this kind."
    assert found["on the wire"][0] is DeliveryState.LEASED and found["sent"][0] is DeliveryState.SENT


async def test_who_refuses_while_recipients_are_chosen_is_found_right_after(ada: Customer) -> None:
    category = await news(opt_in=False)
    async with db.unit() as session:
        campaign = await make.create_campaign(session, category=category)
        bob = await make.create_customer(session)
        eve = await make.create_customer(session, email="EVE@example.org")
        user = await make.create_user(session, customer=bob, receives=True)
    began = utcnow() - timedelta(seconds=1)
    await say(ada, category, False)
    await say(bob, category, False, user_id=user.id)
    async with db.unit() as session:
        await suppression.suppress(session, address="eve@example.org", why=Why.STAFF)
    for customer in (ada, bob, eve):  # as if the statement that chose them had begun before
        await due(campaign, customer, message_id=customer.email)
    async with db.unit() as session:
        assert await consent.recheck(session, campaign_id=campaign.id, since=utcnow() + timedelta(hours=1)) == 0
        assert await consent.recheck(session, campaign_id=campaign.id, since=began) == 2
    found = await states()
    assert [found[c.email][0].value for c in (ada, bob, eve)] == ["skipped", "due", "skipped"]


async def test_sending_failed_ones_again_leaves_out_who_refused_since(ada: Customer) -> None:
    category = await news(opt_in=False)
    async with db.unit() as session:
        campaign = await make.create_campaign(session, category=category, state="done")
        bob = await make.create_customer(session)
    await due(campaign, ada, message_id="ada", state="failed")
    await due(campaign, bob, message_id="bob", state="failed")
    await say(ada, category, False)
    async with db.unit() as session:
        assert await campaigns.resend_failed(session, campaign_id=campaign.id) == 1
    found = await states()
    assert (found["ada"][0], found["bob"][0]) == (DeliveryState.SKIPPED, DeliveryState.DUE)


TRIES = [delivery.End.LATER, delivery.End.UNREACHABLE, delivery.End.UNSURE, delivery.End.RELEASED, None]


@pytest.mark.parametrize("end", TRIES, ids=lambda end: end.name if end else "crash")
@pytest.mark.parametrize("how", ["refused", "suppressed"])
async def test_who_refuses_during_a_try_is_not_tried_again(ada: Customer, end: delivery.End | None, how: str) -> None:
    category = await news(opt_in=False)
    async with db.unit() as session:
        campaign = await make.create_campaign(session, category=category, policy=Policy.RESEND)
        bob = await make.create_customer(session)
    await due(campaign, ada, message_id="ada")
    await due(campaign, bob, message_id="bob")
    async with db.unit() as session:
        content = await load_content(session, campaign.id)
        lease = 60 if end else 0.01
        _n, tried, _last = await delivery.claim(session, content=content, n=9, token="me", lease_seconds=lease)
    assert len(tried) == 2
    if how == "refused":
        await say(ada, category, False)
    else:
        async with db.unit() as session:
            await suppression.suppress(session, address=ada.email, why=Why.STAFF)
    assert (await states())["ada"][0] is DeliveryState.LEASED, "it may be on the wire"
    async with db.unit() as session:
        if end is not None:
            ends = [delivery.Outcome(row, end, "450 busy") for row in tried]
            await delivery.finish(session, campaign_id=campaign.id, outcomes=ends, token="me", policy=Policy.RESEND)
        else:
            await asyncio.sleep(0.1)
            of = delivery.Abandoned("me", campaign.id)
            await delivery.return_expired(session, of=of, notes=None)
    found = await states()
    assert (found["ada"][0], found["bob"][0]) == (DeliveryState.SKIPPED, DeliveryState.DUE)
    assert found["ada"][1] in (str(consent.NO_CONSENT), str(consent.SUPPRESSED))


async def test_a_link_speaks_for_everybody_with_that_address(ada: Customer) -> None:
    category = await news(opt_in=False)
    async with db.unit() as session:
        campaign = await make.create_campaign(session, category=category)
        await make.create_user(session, customer=ada, email="ada@example.org", receives=True)
        await make.create_user(session, customer=ada, email="else@example.org", receives=True)
    await due(campaign, ada, message_id="sent", state="sent", sent_at=utcnow())
    async with db.unit() as session:
        to = await consent.addressee(session, "sent")
        assert len(await consent.unsubscribe(session, to=to)) == 1
    async with db.reads() as session:
        rows = (await session.scalars(select(Subscription).order_by(Subscription.id))).all()
        first = await session.scalar(select(User.id).order_by(User.id).limit(1))
    assert [(r.user_id, r.channel, r.wanted, r.how) for r in rows] == [
        (None, MAIL, False, How.LINK), (first, MAIL, False, How.LINK),
    ]  # fmt: skip
    with pytest.raises(NotFound):
        async with db.unit() as session:
            await consent.addressee(session, "another")


# ---- suppressed addresses -------------------------------------------------------------------------------------------


async def test_suppressing_stops_every_kind_of_mail_and_lifting_lets_it_go_again(ada: Customer) -> None:
    service = await news_named("Bills", off=True)
    async with db.unit() as session:
        campaign = await make.create_campaign(session, category=service)
        bob = await make.create_customer(session)
        user = await make.create_user(session, customer=bob, email="ADA@example.org", receives=True)
    await due(campaign, ada, message_id="own")
    await due(campaign, bob, message_id="user", address=user.email, user_id=user.id)
    await due(campaign, bob, message_id="other")
    async with db.unit() as session:
        row = await suppression.suppress(session, address=" Ada@Example.org ", why=Why.STAFF, detail="asked for it")
        again = await suppression.suppress(session, address="ada@example.org", why=Why.HARD)
        assert (again.id, row.address) == (row.id, "ada@example.org")
        assert await suppression.is_suppressed(session, "ADA@example.org")
    found = await states()
    assert {n: s.value for n, (s, _e) in found.items()} == {"own": "skipped", "user": "skipped", "other": "due"}
    assert found["own"][1] == "Nothing is sent to this address."
    assert ("email", "Ada@example.org", "suppressed") in await reached(service)
    async with db.unit() as session:
        with pytest.raises(Invalid):
            await suppression.lift(session, suppression_id=row.id, reason="  ")
        await suppression.lift(session, suppression_id=row.id, reason="New mailbox")
        assert not await suppression.is_suppressed(session, "ada@example.org")
        with pytest.raises(Conflict):
            await suppression.lift(session, suppression_id=row.id, reason="again")
        later = await suppression.suppress(session, address="ada@example.org", why=Why.HARD)
    assert later.id != row.id, "the history is kept"


async def test_limited_staff_see_and_suppress_only_addresses_of_their_customers(ada: Customer) -> None:
    async with db.unit() as session:
        other = await make.create_project(session)
        bob = await make.create_customer(session, project=other, email="bob@example.org")
        await make.create_user(session, customer=bob, email="carl@example.org")
        for name in ("ada", "bob", "carl", "nobody"):
            await make.create_suppression(session, address=f"{name}@example.org")
    with acting(Actor(Kind.STAFF, None, projects=frozenset({other.id}))):
        async with db.unit() as session:
            seen = await session.scalars(select(Suppression.address).order_by(Suppression.address))
            assert seen.all() == ["bob@example.org", "carl@example.org"]
            with pytest.raises(Invalid, match="No customer"):
                await suppression.suppress(session, address="eve@example.org", why=Why.STAFF)
            foreign = select(Suppression.id).where(Suppression.address == "ada@example.org")
            hidden = await session.scalar(foreign, execution_options={"unscoped": True})
            assert hidden is not None
            with pytest.raises(NotFound):
                await suppression.lift(session, suppression_id=hidden, reason="x")
