from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from app import db
from app.domain import tickets
from app.errors import Conflict, Invalid, NotFound
from app.models.customers import Customer
from app.models.messaging import Campaign, Channel, DeliveryState
from app.models.tickets import Ticket, TicketAttachment, TicketMessage, TicketStatus
from app.observe import Actor, Kind, acting
from tests import factories as make

pytestmark = pytest.mark.usefixtures("database")


async def a_sent_message(**kw: Any) -> tuple[Campaign, Customer]:
    async with db.unit() as session:
        customer = await make.create_customer(session, name="Ada")
        staff = await make.create_staff(session)
        texts = {"en": ("News for {{ customer.name }}", "Hello")}
        kw = {"staff_id": staff.id, "assign_replies": True} | kw
        campaign = await make.create_campaign(session, texts=texts, **kw)
        for channel in Channel:
            await make.create_delivery(
                session, campaign=campaign, customer=customer, channel=channel, state=DeliveryState.SENT,
                address="" if channel is Channel.INBOX else "a@example.org", values={"customer.name": "Ada"},
            )  # fmt: skip
    return campaign, customer


async def answer(campaign: Campaign, customer: Customer, text: str = "Thank you", **kw: Any) -> Ticket:
    async with db.unit() as session:
        return await tickets.answer_delivery(
            session, campaign_id=campaign.id, customer_id=customer.id, text=text, **{"user_id": None} | kw
        )


async def messages(ticket: Ticket) -> list[TicketMessage]:
    async with db.reads() as session:
        found = await session.scalars(
            select(TicketMessage).where(TicketMessage.ticket_id == ticket.id).order_by(TicketMessage.id)
        )
        return list(found)


async def test_the_first_answer_opens_a_ticket_of_the_sender() -> None:
    campaign, customer = await a_sent_message()
    async with db.unit() as session:
        user = await make.create_user(session, customer=customer)
    ticket = await answer(campaign, customer, "  Thank you  ", user_id=user.id)
    assert ticket.subject == "Re: News for Ada"
    assert (ticket.customer_id, ticket.category_id, ticket.campaign_id, ticket.assigned_id, ticket.status) == (
        customer.id, campaign.category_id, campaign.id, campaign.staff_id, TicketStatus.OPEN,
    )  # fmt: skip
    (message,) = await messages(ticket)
    assert (message.text, message.from_customer) == ("Thank you", True)
    assert (message.user_id, message.staff_id) == (user.id, None)


async def test_replies_go_to_nobody_when_the_sender_did_not_ask_for_them() -> None:
    campaign, customer = await a_sent_message(assign_replies=False)
    assert (await answer(campaign, customer)).assigned_id is None


async def test_a_second_answer_goes_into_the_same_ticket_and_opens_it_again() -> None:
    campaign, customer = await a_sent_message()
    first = await answer(campaign, customer)
    async with db.unit() as session:
        await tickets.close(session, ticket_id=first.id)
    second = await answer(campaign, customer, "One more thing")
    assert second.id == first.id and second.status is TicketStatus.OPEN
    assert [message.text for message in await messages(first)] == ["Thank you", "One more thing"]


async def test_two_first_answers_at_once_make_one_ticket() -> None:
    campaign, customer = await a_sent_message()
    opened = await asyncio.gather(*[answer(campaign, customer, f"answer {n}") for n in range(6)])
    assert len({ticket.id for ticket in opened}) == 1
    assert len(await messages(opened[0])) == 6


async def test_only_a_message_that_the_customer_has_can_be_answered() -> None:
    campaign, customer = await a_sent_message()
    async with db.unit() as session:
        other = await make.create_customer(session)
        waiting = await make.create_campaign(session)
        await make.create_delivery(session, campaign=waiting, customer=customer)
    for wrong_campaign, wrong_customer in ((campaign, other), (waiting, customer)):
        with pytest.raises(NotFound):
            await answer(wrong_campaign, wrong_customer)


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 20_001, "a\0b", "a\ud800b"])
async def test_a_text_that_cannot_be_kept_is_refused(text: str) -> None:
    campaign, customer = await a_sent_message()
    with pytest.raises(Invalid) as refusal:
        await answer(campaign, customer, text)
    assert set(refusal.value.fields) == {"text"}
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Ticket)) == 0


async def test_customers_attach_only_their_own_files() -> None:
    campaign, customer = await a_sent_message()
    async with db.unit() as session:
        other = await make.create_customer(session)
        mine = await make.create_attachment(session, customer_id=customer.id)
        theirs = await make.create_attachment(session, customer_id=other.id)
        staffs = await make.create_attachment(session)
    for file in (theirs, staffs):
        with pytest.raises(Invalid) as refusal:
            await answer(campaign, customer, attachment_ids=[file.id])
        assert set(refusal.value.fields) == {"attachments"}
    await answer(campaign, customer, attachment_ids=[mine.id, mine.id])
    async with db.reads() as session:
        assert (await session.scalars(select(TicketAttachment.attachment_id))).all() == [mine.id]


async def test_replies_move_the_ticket_back_and_forth_and_notes_do_not() -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session)
        staff = await make.create_staff(session)
    async with db.unit() as session:
        ticket = await tickets.open_ticket(
            session, customer_id=customer.id, subject="Down", text="It is down.", from_customer=True
        )
        assert ticket.status is TicketStatus.OPEN
    with acting(Actor(Kind.STAFF, staff_id=staff.id)):
        async with db.unit() as session:
            note = await tickets.reply(session, ticket_id=ticket.id, text="hm", from_customer=False, internal=True)
            assert note.staff_id == staff.id
            assert (await session.get_one(Ticket, ticket.id)).status is TicketStatus.OPEN
            await tickets.reply(session, ticket_id=ticket.id, text="Try now.", from_customer=False)
            assert (await session.get_one(Ticket, ticket.id)).status is TicketStatus.ANSWERED
            await tickets.close(session, ticket_id=ticket.id)
        async with db.unit() as session:
            with pytest.raises(Conflict):
                await tickets.close(session, ticket_id=ticket.id)
    async with db.unit() as session:
        await tickets.reply(
            session, ticket_id=ticket.id, text="Still down.", from_customer=True, customer_id=customer.id
        )
        assert (await session.get_one(Ticket, ticket.id)).status is TicketStatus.OPEN


async def test_a_customer_cannot_touch_the_ticket_of_another_nor_write_notes() -> None:
    async with db.unit() as session:
        mine, other = await make.create_customer(session), await make.create_customer(session)
        ticket = await make.create_ticket(session, customer=other)
    for kw, error in (
        ({"customer_id": mine.id}, NotFound),
        ({"customer_id": None}, NotFound),
        ({"customer_id": other.id, "internal": True}, Invalid),
    ):
        with pytest.raises(error):
            async with db.unit() as session:
                await tickets.reply(session, ticket_id=ticket.id, text="x", from_customer=True, **kw)
    with pytest.raises(NotFound):
        async with db.unit() as session:
            await tickets.close(session, ticket_id=ticket.id, customer_id=mine.id)


async def test_scoped_staff_do_not_reach_tickets_of_other_projects() -> None:
    async with db.unit() as session:
        mine, other = await make.create_project(session), await make.create_project(session)
        staff = await make.create_staff(session, projects=[mine])
        customer = await make.create_customer(session, project=other)
        ticket = await make.create_ticket(session, customer=customer)
    with acting(Actor(Kind.STAFF, staff_id=staff.id, projects=frozenset({mine.id}))):
        with pytest.raises(NotFound):
            async with db.unit() as session:
                await tickets.reply(session, ticket_id=ticket.id, text="x", from_customer=False)
        with pytest.raises(NotFound):
            async with db.unit() as session:
                await tickets.open_ticket(session, customer_id=customer.id, subject="Hi", text="x", from_customer=False)


async def test_a_ticket_is_assigned_to_somebody_who_may_sign_in() -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session)
        ticket = await make.create_ticket(session, customer=customer)
        gone = await make.create_staff(session, enabled=False)
        here = await make.create_staff(session)
        for staff_id in (gone.id, 4711):
            with pytest.raises(Invalid) as refusal:
                await tickets.assign(session, ticket_id=ticket.id, staff_id=staff_id)
            assert set(refusal.value.fields) == {"assigned"}
        assert (await tickets.assign(session, ticket_id=ticket.id, staff_id=here.id)).assigned_id == here.id
        assert (await tickets.assign(session, ticket_id=ticket.id, staff_id=None)).assigned_id is None
