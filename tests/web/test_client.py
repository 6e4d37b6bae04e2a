"""The client area: what customers read, answer and change; and that nothing of others can be reached."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app import db
from app.db import Base, utcnow
from app.domain.config import modules
from app.integrations.storage import DirectoryStorage
from app.models.attachments import Attachment
from app.models.catalog import ServiceStatus
from app.models.customers import Customer, CustomerStatus
from app.models.messaging import Campaign, CampaignAttachment, Category, Delivery, DeliveryState
from app.models.sessions import LoginSession
from app.models.tickets import Ticket, TicketAttachment, TicketMessage, TicketStatus
from app.models.users import User, UserCustomer, UserRole
from app.observe import SYSTEM, acting
from tests import factories
from tests.web.helpers import PASSWORD, People, Site, sign_in

VALUES = {
    "customer.name": "Ada Lovelace",
    "project.sender_name": "Northwind Desk",
    "project.sender_email": "d@example.com",
}
BODY = "Hello {{ customer.name }}, see [our page](https://example.com/).\n\n<script>alert(1)</script>"


@dataclass
class Post:
    """What lies in the inbox of Ada, and the same of somebody else."""

    category: Category
    campaign: Campaign
    foreign: Campaign
    file: Attachment
    foreign_file: Attachment
    ticket: Ticket
    foreign_ticket: Ticket
    ticket_file: Attachment
    internal_file: Attachment


async def _file(site: Site, session: object, name: str, content: bytes, **more: object) -> Attachment:
    stored = await DirectoryStorage(site.settings.data_dir / "attachments").save(content)
    return await factories.create_attachment(session, name=name, size=stored.size, key=stored.key, **more)  # type: ignore[arg-type]


@pytest.fixture
async def post(site: Site, people: People) -> Post:
    now = utcnow()
    async with db.unit() as session:
        category = await factories.create_category(session, name="Billing", names={"de": "Rechnungen"})
        texts = {"en": ("Price list for {{ customer.name }}", BODY)}
        campaign = await factories.create_campaign(session, category=category, texts=texts)
        foreign = await factories.create_campaign(session, category=category, texts=texts)
        file = await _file(site, session, 'prices "new" äöü.pdf', b"%PDF-1.4 prices")
        foreign_file = await _file(site, session, "secret.pdf", b"secret")
        session.add(CampaignAttachment(campaign_id=campaign.id, attachment_id=file.id))
        session.add(CampaignAttachment(campaign_id=foreign.id, attachment_id=foreign_file.id))
        for sent, customer in ((campaign, people.customer), (foreign, people.other)):
            await factories.create_delivery(
                session, campaign=sent, customer=customer, values=VALUES, state=DeliveryState.SENT, sent_at=now
            )
        ticket = await factories.create_ticket(
            session,
            customer=people.customer,
            subject="It is slow",
            text="Why?\n\nSince <b>Monday</b>.",
            category_id=category.id,
            updated_at=now - timedelta(hours=1),
        )
        foreign_ticket = await factories.create_ticket(session, customer=people.other, subject="Foreign question")
        ticket_file = await _file(site, session, "log.html", b"<script>1</script>", customer_id=people.customer.id)
        internal_file = await _file(site, session, "internal.txt", b"internal")
        said = TicketMessage(ticket_id=ticket.id, from_customer=False, staff_id=people.staff.id, text="We look.")
        note = TicketMessage(ticket_id=ticket.id, from_customer=False, text="A difficult one.", internal=True)
        session.add_all([said, note])
        await session.flush()
        session.add(TicketAttachment(message_id=said.id, attachment_id=ticket_file.id))
        session.add(TicketAttachment(message_id=note.id, attachment_id=internal_file.id))
    return Post(category, campaign, foreign, file, foreign_file, ticket, foreign_ticket, ticket_file, internal_file)


# ---- reading ---------------------------------------------------------------------------------------------------------


async def test_home_welcomes_and_lists_services_and_unread_messages(
    ada: httpx.AsyncClient, people: People, post: Post
) -> None:
    async with db.unit() as session:
        await factories.create_service(
            session, customer=people.customer, name="ada.example", price=1290, status=ServiceStatus.ACTIVE
        )
        await factories.create_service(
            session, customer=people.customer, name="gone.example", status=ServiceStatus.CLOSED
        )
        await factories.create_service(session, customer=people.other, name="charles.example")
    page = (await ada.get("/client/")).text
    assert "Welcome, Ada" in page
    assert "ada.example" in page and "12.90" in page
    assert "gone.example" not in page and "charles.example" not in page
    assert "Price list for Ada Lovelace" in page
    assert "Northwind Hosting" in page


async def test_the_inbox_lists_messages_and_tickets_newest_first(ada: httpx.AsyncClient, post: Post) -> None:
    page = (await ada.get("/client/messages")).text
    assert page.index("Price list for Ada Lovelace") < page.index("It is slow")
    assert "Northwind Desk" in page
    assert "Foreign question" not in page
    assert page.count('class="unread"') == 2
    assert '<span class="badge info num">2</span>' in page


async def test_the_inbox_is_paged(ada: httpx.AsyncClient, people: People) -> None:
    async with db.unit() as session:
        category = await factories.create_category(session)
        for n in range(45):
            campaign = await factories.create_campaign(
                session, category=category, texts={"en": (f"Number {n:02}", "x")}
            )
            await factories.create_delivery(
                session,
                campaign=campaign,
                customer=people.customer,
                state=DeliveryState.SENT,
                sent_at=utcnow() - timedelta(minutes=100 - n),
            )
    seen = []
    for page, expected in ((1, 20), (2, 20), (3, 5), (4, 0)):
        text = (await ada.get(f"/client/messages?page={page}")).text
        found = [n for n in range(45) if f"Number {n:02}" in text]
        assert len(found) == expected
        seen += sorted(found, reverse=True)
    assert seen == list(range(44, -1, -1))
    for odd in ("0", "-1", "x", "99999999999999999999", "١"):
        assert (await ada.get("/client/messages", params={"page": odd})).status_code == 200


async def test_a_message_is_shown_as_it_was_sent(ada: httpx.AsyncClient, post: Post) -> None:
    page = await ada.get(f"/client/messages/{post.campaign.id}")
    assert "<bdi>Price list for Ada Lovelace</bdi>" in page.text
    assert f'src="/client/messages/{post.campaign.id}/body"' in page.text
    assert "prices" in page.text
    body = await ada.get(f"/client/messages/{post.campaign.id}/body")
    assert "Hello Ada Lovelace" in body.text
    assert 'href="https://example.com/"' in body.text
    assert "<script" not in body.text


async def test_the_frame_of_a_message_has_a_policy_of_its_own(ada: httpx.AsyncClient, post: Post) -> None:
    policies = (await ada.get(f"/client/messages/{post.campaign.id}/body")).headers.get_list("content-security-policy")
    assert len(policies) == 1
    assert "sandbox" in policies[0] and "script-src" not in policies[0]
    assert "frame-ancestors 'self'" in policies[0]
    assert "allow-scripts" not in policies[0] and "allow-same-origin" not in policies[0]


async def test_files_are_downloads_and_never_pages(ada: httpx.AsyncClient, post: Post) -> None:
    answer = await ada.get(f"/client/messages/{post.campaign.id}/files/{post.file.id}")
    assert answer.content == b"%PDF-1.4 prices"
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert "filename*=UTF-8''prices%20_new_%20%C3%A4%C3%B6%C3%BC.pdf" in answer.headers["content-disposition"]
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    html = await ada.get(f"/client/tickets/{post.ticket.id}/files/{post.ticket_file.id}")
    assert html.content == b"<script>1</script>"
    assert html.headers["content-type"] == "application/octet-stream"


async def test_a_file_that_is_gone_from_the_store_is_not_found(ada: httpx.AsyncClient, post: Post, site: Site) -> None:
    await DirectoryStorage(site.settings.data_dir / "attachments").delete(post.file.key)
    assert (await ada.get(f"/client/messages/{post.campaign.id}/files/{post.file.id}")).status_code == 404


async def test_a_ticket_shows_the_talk_without_internal_notes(ada: httpx.AsyncClient, post: Post) -> None:
    page = (await ada.get(f"/client/tickets/{post.ticket.id}")).text
    assert "We look." in page and "Grace Hopper" in page
    assert "&lt;b&gt;Monday&lt;/b&gt;" in page
    assert "A difficult one." not in page and "internal.txt" not in page


async def test_the_client_area_needs_a_sign_in(browser: httpx.AsyncClient, post: Post) -> None:
    for path in ("/client", "/client/messages", f"/client/messages/{post.campaign.id}/body", "/client/profile"):
        answer = await browser.get(path)
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/client/login"), path


# ---- nothing of others -----------------------------------------------------------------------------------------------


ODD = ["0", "-1", "1e3", "٣", "9223372036854775808", "99999999999999999999999", "abc", "1.5", "%2e%2e", "1%2f2", "'--"]


@pytest.mark.parametrize(
    "path",
    [
        "/client/messages/{}",
        "/client/messages/{}/body",
        "/client/messages/{}/files/1",
        "/client/messages/1/files/{}",
        "/client/tickets/{}",
        "/client/tickets/{}/files/1",
        "/client/tickets/1/files/{}",
    ],
)
@pytest.mark.parametrize("engine_name", ["postgres"], indirect=True)
async def test_an_id_that_is_none_is_not_found(ada: httpx.AsyncClient, path: str) -> None:
    for odd in ODD:
        assert (await ada.get(path.format(odd))).status_code in (400, 404), odd


async def test_whatever_belongs_to_another_customer_is_not_found(ada: httpx.AsyncClient, post: Post) -> None:
    mine, foreign, ticket = post.campaign.id, post.foreign.id, post.foreign_ticket.id
    for path in (
        f"/client/messages/{foreign}",
        f"/client/messages/{foreign}/body",
        f"/client/messages/{foreign}/files/{post.foreign_file.id}",
        f"/client/messages/{mine}/files/{post.foreign_file.id}",
        f"/client/messages/{mine}/files/{post.ticket_file.id}",
        f"/client/tickets/{ticket}",
        f"/client/tickets/{ticket}/files/{post.ticket_file.id}",
        f"/client/tickets/{post.ticket.id}/files/{post.file.id}",
        f"/client/tickets/{post.ticket.id}/files/{post.internal_file.id}",
    ):
        assert (await ada.get(path)).status_code == 404, path
    before = await _dump()
    for path in (
        f"/client/messages/{foreign}/read",
        f"/client/messages/{foreign}/answer",
        f"/client/tickets/{ticket}/read",
        f"/client/tickets/{ticket}/reply",
        f"/client/tickets/{ticket}/close",
    ):
        assert (await ada.post(path, data={"text": "x"})).status_code == 404, path
    assert await _dump() == before


async def test_a_message_that_is_not_sent_yet_or_went_by_mail_only_is_not_found(
    ada: httpx.AsyncClient, people: People
) -> None:
    async with db.unit() as session:
        waiting = await factories.create_campaign(session)
        mailed = await factories.create_campaign(session)
        await factories.create_delivery(session, campaign=waiting, customer=people.customer)
        await factories.create_delivery(
            session,
            campaign=mailed,
            customer=people.customer,
            channel="email",
            address="a@example.org",
            state=DeliveryState.SENT,
            sent_at=utcnow(),
        )
    for campaign in (waiting, mailed):
        assert (await ada.get(f"/client/messages/{campaign.id}")).status_code == 404


# ---- GET changes nothing ---------------------------------------------------------------------------------------------


async def _dump() -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with acting(SYSTEM):
        async with db.reads() as session:
            return {
                table.name: sorted((tuple(row) for row in await session.execute(select(table))), key=repr)
                for table in Base.metadata.sorted_tables
            }


async def test_no_get_changes_a_row(ada: httpx.AsyncClient, post: Post) -> None:
    before = await _dump()
    for path in (
        "/client",
        "/client/messages",
        f"/client/messages/{post.campaign.id}",
        f"/client/messages/{post.campaign.id}/body",
        f"/client/messages/{post.campaign.id}/files/{post.file.id}",
        f"/client/tickets/{post.ticket.id}",
        f"/client/tickets/{post.ticket.id}/files/{post.ticket_file.id}",
        "/client/tickets/new",
        "/client/profile",
        "/client/profile/password",
        "/client/accounts",
        "/client/login",
    ):
        assert (await ada.get(path)).status_code in (200, 303), path
    for path in (
        "/client/leave",
        "/client/logout",
        "/client/language",
        f"/client/messages/{post.campaign.id}/read",
        f"/client/tickets/{post.ticket.id}/close",
    ):
        assert (await ada.get(path)).status_code == 405, path
    assert await _dump() == before


# ---- answering -------------------------------------------------------------------------------------------------------


async def test_mark_read_is_a_post(ada: httpx.AsyncClient, post: Post) -> None:
    await ada.post(f"/client/messages/{post.campaign.id}/read")
    await ada.post(f"/client/tickets/{post.ticket.id}/read")
    page = (await ada.get("/client/messages")).text
    assert 'class="unread"' not in page
    async with db.reads() as session:
        note = (await session.scalars(select(TicketMessage).where(TicketMessage.internal))).one()
        assert note.read_at is None


async def test_an_answer_with_files_becomes_a_ticket(ada: httpx.AsyncClient, post: Post, people: People) -> None:
    files: list[tuple[str, Any]] = [
        ("files", ("../../etc/pass\\wd.txt", b"one", "text/html")),
        ("files", ("b.png", b"two", "image/png")),
        ("files", ("", b"")),
    ]
    answer = await ada.post(f"/client/messages/{post.campaign.id}/answer", data={"text": "Thank you\0!"}, files=files)
    assert answer.status_code == 303, answer.text
    page = (await ada.get(answer.headers["location"])).text
    assert "Thank you!" in page and "Your answer is sent." in page
    assert "wd.txt" in page and "b.png" in page and "etc" not in page
    async with db.reads() as session:
        ticket = (await session.scalars(select(Ticket).where(Ticket.campaign_id == post.campaign.id))).one()
        assert ticket.customer_id == people.customer.id
        message = (await session.scalars(select(TicketMessage).where(TicketMessage.ticket_id == ticket.id))).one()
        assert (message.from_customer, message.user_id, message.staff_id) == (True, people.user.id, None)
        delivery = (await session.scalars(select(Delivery).where(Delivery.campaign_id == post.campaign.id))).one()
        assert delivery.read_at is not None


@pytest.mark.parametrize("text", ["", "   ", "x" * 20_001])
async def test_an_answer_that_cannot_be_taken_comes_back_with_its_text(
    ada: httpx.AsyncClient, post: Post, text: str
) -> None:
    answer = await ada.post(f"/client/messages/{post.campaign.id}/answer", data={"text": text})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    async with db.reads() as session:
        assert (
            await session.scalar(select(func.count()).select_from(Ticket).where(Ticket.campaign_id.is_not(None))) == 0
        )


async def test_an_empty_file_and_too_many_files_are_refused_at_the_field(ada: httpx.AsyncClient, post: Post) -> None:
    path = f"/client/messages/{post.campaign.id}/answer"
    answer = await ada.post(path, data={"text": "x"}, files=[("files", ("empty.txt", b""))])
    assert answer.status_code == 422
    assert "empty.txt is empty" in answer.text
    many = [("files", (f"{n}.txt", b"x")) for n in range(11)]
    answer = await ada.post(path, data={"text": "x"}, files=many)
    assert answer.status_code == 422
    assert "At most 10 files" in answer.text
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Attachment)) == 4


async def test_a_file_over_the_limit_is_refused_at_the_field(site: Site, ada: httpx.AsyncClient, post: Post) -> None:
    small = site.again(max_upload_mb=1)
    async with small.browser(cookies=ada.cookies) as client:
        answer = await client.post(
            f"/client/messages/{post.campaign.id}/answer",
            data={"text": "kept"},
            files=[("files", ("big.bin", b"x" * (1024 * 1024 + 1)))],
        )
    assert answer.status_code == 422
    assert "larger than 1 MB" in answer.text and "kept" in answer.text


async def test_a_file_in_the_place_of_the_text_is_refused(ada: httpx.AsyncClient, post: Post) -> None:
    answer = await ada.post(f"/client/messages/{post.campaign.id}/answer", files=[("text", ("a.txt", b"x"))])
    assert answer.status_code == 422
    answer = await ada.post(f"/client/messages/{post.campaign.id}/answer", data={"text": "x", "files": "y"})
    assert answer.status_code == 422


async def test_a_question_reply_and_close(ada: httpx.AsyncClient, post: Post, people: People) -> None:
    page = await ada.get("/client/tickets/new")
    assert "Billing" in page.text and page.status_code == 200
    asked = {"category": str(post.category.id), "subject": "How much?", "text": "Please tell me."}
    answer = await ada.post("/client/tickets/new", data=asked)
    assert answer.status_code == 303, answer.text
    where = answer.headers["location"]
    assert (await ada.post(f"{where}/reply", data={"text": "And when?"})).status_code == 303
    assert (await ada.post(f"{where}/close")).status_code == 303
    page = await ada.get(where)
    assert "And when?" in page.text and "Closed" in page.text
    assert (await ada.post(f"{where}/close")).status_code == 409
    async with db.reads() as session:
        ticket = (await session.scalars(select(Ticket).where(Ticket.subject == "How much?"))).one()
        assert (ticket.customer_id, ticket.category_id, ticket.status) == (
            people.customer.id,
            post.category.id,
            TicketStatus.CLOSED,
        )


@pytest.mark.parametrize(
    "changes", [{"category": "999999"}, {"category": "x"}, {"subject": ""}, {"subject": "x" * 301}, {"text": ""}]
)
async def test_a_bad_question_is_refused_in_the_form(
    ada: httpx.AsyncClient, post: Post, changes: dict[str, str]
) -> None:
    asked = {"category": str(post.category.id), "subject": "How much?", "text": "Please tell me."} | changes
    answer = await ada.post("/client/tickets/new", data=asked)
    assert answer.status_code == 422
    assert "Not saved yet." in answer.text


async def test_a_question_without_any_category_works(ada: httpx.AsyncClient, people: People) -> None:
    assert (await ada.get("/client/tickets/new")).status_code == 200
    assert (await ada.post("/client/tickets/new", data={"subject": "S", "text": "T"})).status_code == 303


# ---- profile ---------------------------------------------------------------------------------------------------------


async def test_the_profile_changes_what_it_shows_and_nothing_else(ada: httpx.AsyncClient, people: People) -> None:
    page = await ada.get("/client/profile")
    assert 'value="Ada Lovelace"' in page.text
    assert 'name="email"' not in page.text
    given = {
        "name": "Ada King",
        "contact_person": "Ada",
        "phone": "+44 20 7946 0018",
        "language": "de",
        "timezone": "Europe/Berlin",
        "email": "evil@example.org",
        "project_id": "99",
        "status": "closed",
        "note": "x",
    }
    answer = await ada.post("/client/profile", data=given)
    assert answer.status_code == 303, answer.text
    async with db.reads() as session:
        customer = await session.get_one(Customer, people.customer.id)
        assert (customer.name, customer.contact_person, customer.language, customer.timezone) == (
            "Ada King",
            "Ada",
            "de",
            "Europe/Berlin",
        )
        assert (customer.email, customer.project_id, customer.note) == (people.customer.email, people.project.id, "")


@pytest.mark.parametrize(
    "changes", [{"name": ""}, {"name": "x" * 201}, {"timezone": "Moon/Base"}, {"language": "xx"}, {"phone": "1" * 41}]
)
async def test_a_bad_profile_is_refused_in_the_form(
    ada: httpx.AsyncClient, people: People, changes: dict[str, str]
) -> None:
    given = {"name": "Ada", "contact_person": "", "phone": "", "language": "", "timezone": ""} | changes
    answer = await ada.post("/client/profile", data=given)
    assert answer.status_code == 422
    async with db.reads() as session:
        assert (await session.get_one(Customer, people.customer.id)).name == "Ada Lovelace"


async def test_the_password_needs_the_old_one_and_ends_other_sessions(
    site: Site, ada: httpx.AsyncClient, people: People
) -> None:
    async with site.browser() as elsewhere:
        await sign_in(elsewhere, "ada", area="/client")
        wrong = {"old": "nope", "new": "a new password", "again": "a new password"}
        assert (await ada.post("/client/profile/password", data=wrong)).status_code == 422
        for new, again in (("short", "short"), ("a new password", "another one")):
            assert (
                await ada.post("/client/profile/password", data={"old": PASSWORD, "new": new, "again": again})
            ).status_code == 422
        right = {"old": PASSWORD, "new": "a new password", "again": "a new password"}
        assert (await ada.post("/client/profile/password", data=right)).status_code == 303
        assert (await elsewhere.get("/client")).status_code == 303
        assert (await ada.get("/client")).status_code == 200
        assert (await sign_in(elsewhere, "ada", area="/client")).status_code == 422
        assert (await sign_in(elsewhere, "ada", "a new password", area="/client")).status_code == 303


async def test_guessing_the_old_password_is_slowed_down(ada: httpx.AsyncClient) -> None:
    wrong = {"old": "nope", "new": "a new password", "again": "a new password"}
    for _n in range(5):
        assert (await ada.post("/client/profile/password", data=wrong)).status_code == 422
    assert (await ada.post("/client/profile/password", data=wrong | {"old": PASSWORD})).status_code == 429


async def test_a_read_only_user_changes_nothing_but_their_own_things(
    site: Site, ada: httpx.AsyncClient, people: People, post: Post
) -> None:
    async with db.unit() as session:
        link = await session.get_one(UserCustomer, (people.user.id, people.customer.id))
        link.role = UserRole.READ_ONLY
    assert (await ada.post(f"/client/messages/{post.campaign.id}/answer", data={"text": "x"})).status_code == 403
    assert (await ada.post("/client/profile", data={"name": "x"})).status_code == 403
    assert (await ada.post(f"/client/messages/{post.campaign.id}/read")).status_code == 303
    page = (await ada.get(f"/client/messages/{post.campaign.id}")).text
    assert "Your role in this account does not allow this." in page


# ---- several accounts, and accounts that are closed ------------------------------------------------------------------


@pytest.fixture
async def second(people: People) -> AsyncIterator[Customer]:
    async with db.unit() as session:
        customer = await factories.create_customer(session, name="Zuse KG", project=people.project)
        session.add(UserCustomer(user_id=people.user.id, customer_id=customer.id, role=UserRole.OWNER))
    yield customer


async def test_a_user_of_several_customers_picks_one(ada: httpx.AsyncClient, people: People, second: Customer) -> None:
    assert "Zuse KG" in (await ada.get("/client/accounts")).text
    assert (await ada.post("/client/accounts", data={"customer": str(second.id)})).status_code == 303
    assert "Zuse KG" in (await ada.get("/client")).text
    for foreign in (str(people.other.id), "999999", "x", ""):
        assert (await ada.post("/client/accounts", data={"customer": foreign})).status_code == 404


async def test_taken_off_the_account_the_session_is_over(ada: httpx.AsyncClient, people: People) -> None:
    async with db.unit() as session:
        await session.delete(await session.get_one(UserCustomer, (people.user.id, people.customer.id)))
    assert (await ada.get("/client")).status_code == 303


@pytest.mark.parametrize("what", ["user", "customer", "project", "expired", "ended"])
async def test_who_may_not_come_in_any_more_is_out_at_once(ada: httpx.AsyncClient, people: People, what: str) -> None:
    async with db.unit() as session:
        if what == "user":
            (await session.get_one(User, people.user.id)).enabled = False
        elif what == "customer":
            (await session.get_one(Customer, people.customer.id)).status = CustomerStatus.CLOSED
        elif what == "project":
            (await session.get_one(type(people.project), people.project.id)).enabled = False
        else:
            row = (await session.scalars(select(LoginSession))).one()
            if what == "expired":
                row.expires_at = utcnow() - timedelta(seconds=1)
            else:
                row.ended_at = utcnow()
    answer = await ada.get("/client/messages")
    if what == "project":
        assert answer.status_code == 403 and "Northwind Hosting is closed" in answer.text
        answer = await ada.get("/client/messages")
    assert answer.headers["location"] == "/client/login?next=%2Fclient%2Fmessages"
    assert "bursar_client" not in ada.cookies


async def test_what_is_switched_off_is_not_offered(ada: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        await modules.switch(session, states={"tickets": False, "money": False, "phone": False})
    page = (await ada.get("/client/")).text
    for path in ("/client/invoices", "/client/payments", "/client/tickets/new", "/client/profile/phone"):
        assert f'href="{path}"' not in page
        answer = await ada.get(path)
        assert answer.status_code == 404 and "This page is not offered here." in answer.text
    assert (await ada.post("/client/tickets/new", data={"subject": "x", "text": "y"})).status_code == 404
    assert (await ada.get("/client/messages")).status_code == 200
    async with db.unit() as session:
        await modules.switch(session, states=dict.fromkeys(modules.MODULES, True))
    assert (await ada.get("/client/invoices")).status_code == 200
