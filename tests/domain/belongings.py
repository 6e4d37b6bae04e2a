"""A customer who has a row in every table that can name one."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain import customers
from app.models.billing import Invoice, InvoiceStatus, PaymentStatus
from app.models.consent import DeliveryEvent, EventKind
from app.models.customers import Customer, ExternalRef
from app.models.messaging import Channel, DeliveryState
from app.models.sessions import DoorCode, LoginSession, SessionKind
from app.models.tickets import TicketAttachment, TicketMessage
from app.models.users import User
from tests import factories as make


async def furnish(session: AsyncSession, word: str, **kw: Any) -> tuple[Customer, User]:
    """`word` stands wherever something personal can stand. The customer is in the first project."""
    who = dict.fromkeys(("name", "contact_person", "phone", "address", "legal_name", "vat_number", "note"), word)
    customer = await make.create_customer(session, **{**who, "email": f"{word}@example.org", **kw})
    customer.registration_number = customer.director = customer.came_from = word
    customer.verified_phone, customer.registration_ip, customer.phone_verified_by = word, "10.9.8.7", word
    customer.custom = {"shoe": word}
    staff = await make.create_staff(session)
    role = await make.create_customer_role(session, customer=customer, name="Desk")
    user = await make.create_user(
        session, customer=customer, username=f"{word}.login", full_name=word, email=f"{word}@example.net",
        receives=True, custom={"shoe": word}, password_hash="secret",
    )  # fmt: skip
    group, category = await make.create_group(session), await make.create_category(session)
    await make.create_membership(session, customer=customer, group=group)
    other = await make.create_project(session)
    await make.create_available_project(session, customer=customer, project=other)
    file = await make.create_attachment(session, customer_id=customer.id, name=f"{word}.pdf")
    await make.create_confirmation(session, customer=customer, value=f"{word}@new.example", user_id=user.id)
    await make.create_data_request(session, customer=customer, user_id=user.id, reason=word)
    campaign = await make.create_campaign(session, category=category)
    for channel, address in ((Channel.INBOX, ""), (Channel.EMAIL, f"{word}@example.org")):
        delivery = await make.create_delivery(
            session, campaign=campaign, customer=customer, channel=channel, address=address,
            state=DeliveryState.SENT, sent_at=utcnow(), values={"customer.name": word}, user_id=user.id,
        )  # fmt: skip
    session.add(DeliveryEvent(
        campaign_id=campaign.id, customer_id=customer.id, message_id=delivery.message_id, kind=EventKind.HARD_BOUNCE,
        detail=f"no such user {word}", first_at=utcnow(), last_at=utcnow(),
    ))  # fmt: skip
    await make.create_discount(session, customer_id=customer.id, target="customer")
    session.add(DoorCode(customer_id=customer.id, code_hash="0" * 64, expires_at=utcnow()))
    for kind, whose in ((SessionKind.CLIENT, {"user_id": user.id}), (SessionKind.VISIT, {"staff_id": staff.id})):
        session.add(LoginSession(
            token_hash=sha256(f"{word}{kind.value}".encode()).hexdigest(), kind=kind, customer_id=customer.id,
            last_seen_at=utcnow(), expires_at=utcnow() + timedelta(hours=1), ip="10.9.8.7", agent=word, reason=word,
            **whose,
        ))  # fmt: skip
    await make.create_note(session, customer=customer, text=f"note about {word}")
    payer = await make.create_payer(
        session, customer=customer, name=word, contact=word, phone=word, email=f"{word}@pays.example", usual=True,
        postal_address=word, legal_address=word, vat_number=word, director=word, position=word, grounds=word,
        custom={"shoe": word},
    )  # fmt: skip
    service = await make.create_service(session, customer=customer, name=f"{word}.example", payer_id=payer.id)
    await make.create_subscription(session, customer=customer, category=category, note=word, ip="10.9.8.7")
    ticket = await make.create_ticket(session, customer=customer, subject=f"About {word}", text=f"I am {word}")
    message = (await session.scalars(select(TicketMessage).where(TicketMessage.ticket_id == ticket.id))).one()
    message.user_id, message.sender, message.email_id = user.id, f"{word}@example.org", f"{word}@mail.example"
    session.add(TicketAttachment(message_id=message.id, attachment_id=file.id))
    await make.create_inbound(
        session, customer=customer, sender=f"{word}@example.org", subject=word, message_id=word, reason=word
    )
    await make.create_rule_run(
        session, rule=await make.create_rule(session), customer=customer,
        event={"what": "changed", "field": "name", "was": "", "now": word},
    )  # fmt: skip
    await make.create_document(session, customer=customer, title=f"Act for {word}", body=word)
    account = await make.create_account(session, customer=customer, balance=5000, payer_id=payer.id, credit_limit=100)
    await make.create_expense(session, account=account, service_id=service.id)
    await make.create_payment(session, account=account, payer_id=payer.id, status=PaymentStatus.CANCELLED, note=word)
    sides = {"payer": {"name": word}}
    await make.create_invoice(session, account=account, payer_id=payer.id, sides=sides, status=InvoiceStatus.PAID,
                              number=f"{word}-1", paid=0, total=0)  # fmt: skip
    draft: Invoice = await make.create_invoice(session, account=account, payer_id=payer.id, note=word)
    draft.sides = sides
    session.add(ExternalRef(source="csv", ref=f"{word}-7", noun="customer", noun_id=customer.id))
    await session.flush()
    await customers.change_customer(session, customer=customer, values={"note": f"{word}, see the file"})
    assert role.id
    return customer, user
