"""The rows that the generated tests look at: everything of a project A and of a foreign B, and people signed in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import cookies, db
from app.db import Base, utcnow
from app.domain import custom
from app.domain.demo.dictionaries import ROLES
from app.domain.sessions import token_hash
from app.integrations.storage import DirectoryStorage
from app.models.audit import Audit
from app.models.billing import InvoiceStatus
from app.models.bulk import BulkKind, BulkRun, BulkState
from app.models.customers import Customer
from app.models.messaging import CampaignAttachment, Segment
from app.models.projects import Project
from app.models.sessions import LoginSession, SessionKind
from app.models.staff import Staff, StaffProject
from app.models.tickets import TicketAttachment, TicketMessage
from app.models.users import CustomerRole, Right, UserCustomer, UserRole
from app.observe import SYSTEM, Actor, Kind, acting
from tests import factories

FOREIGN = "Zfremd"
"""Stands in every row of project B and nowhere else: who is limited to A must never read it."""
MESSAGES = {"Mine": "test.mine", FOREIGN: "test.foreign"}
"""The mail of each project, as the links in it name it."""
FILE = b"what was attached"
KEY = hashlib.sha256(FILE).hexdigest()
MAIL = b"From: mine@example.org\r\nSubject: Mine mail\r\n\r\nIt came by mail.\r\n"
MAIL_KEY = hashlib.sha256(MAIL).hexdigest()
PASSWORD = "correct horse battery"
MISSING = 999_999
STAFF = ("owner", "support", "marketing", "read-only", "limited")
CLIENTS = ("user", "other", "finance", "technical", "reader", "visit", "acting")
"""An owner of customer A, one of B, users of A in the other roles; staff inside A's account, looking and acting."""

OUTSIDE = ("disabled", "closed", "off")
"""A user who may not sign in any more, one of a closed account, one of a project that is switched off. Their sessions
are still there."""
CUSTOM_RIGHTS = frozenset({Right.WRITE, Right.SEE_MONEY})
"""Of `custom`, a user of A in a role that this customer has made."""

Dump = dict[str, list[dict[str, Any]]]


@dataclass
class World:
    own: dict[str, int] = field(default_factory=dict)
    """Table -> id of a row of project A (or of no project)."""
    foreign: dict[str, int] = field(default_factory=dict)
    """Table -> id of a row of project B; tables that know no project are missing."""
    cookies: dict[str, str] = field(default_factory=dict)
    """Person -> the Cookie header of their browser."""
    sessions: dict[str, int] = field(default_factory=dict)

    def id_of(self, table: str, target: str) -> int:
        return MISSING if target == "missing" else getattr(self, target)[table]

    def targets(self, table: str) -> tuple[str, ...]:
        return ("own", "foreign", "missing") if table in self.foreign else ("own", "missing")


async def furnish(url: str) -> World:
    """Fill a migrated, empty database."""
    db.configure(url)
    world = World()
    with acting(SYSTEM):
        async with db.unit() as session:
            people = await _staff(session, world)
            of_a = await _project(session, world.own, "Mine", people["limited"])
            of_b = await _project(session, world.foreign, FOREIGN, people["owner"])
            await _limit(session, people["limited"], of_a)
            await _shared(session, world, people["owner"])
            await _signed_in(session, world, people, of_a[1], of_b[1])
    with acting(Actor(Kind.STAFF, people["limited"].id)):
        async with db.unit() as session:
            await factories.create_attitude(session, name="Made by the limited colleague")
    with acting(Actor(Kind.STAFF, people["owner"].id)):
        async with db.unit() as session:
            await factories.create_attitude(session, name="Made by the owner")
    with acting(SYSTEM):
        async with db.reads() as session:
            for where, who in ((world.own, "limited"), (world.foreign, "owner")):
                query = select(Audit.id).where(Audit.staff_id == people[who].id).limit(1)
                where["audit"] = (await session.execute(query)).scalar_one()
    await db.dispose()
    return world


async def _staff(session: AsyncSession, world: World) -> dict[str, Staff]:
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    granted: dict[str, list[tuple[str, str]]] = {"owner": [("*", "*")], "limited": [("*", "*")]}
    for known, (_help, grants) in ROLES.items():
        granted[known.lower()] = [(screen, action) for screen, actions in grants for action in actions]
    people = {}
    for name in STAFF:
        role = await factories.create_role(session, name=name.capitalize(), grants=granted[name])
        people[name] = await factories.create_staff(
            session, username=name, full_name=f"{name.capitalize()} Colleague", role=role, password_hash=hashed
        )
    world.own["role"] = (await factories.create_role(session, name="Spare", grants=[("ticket", "list")])).id
    world.own["staff"] = people["support"].id
    return people


async def _project(session: AsyncSession, ids: dict[str, int], mark: str, sender: Staff) -> tuple[Project, Customer]:
    """A row of every table that belongs to a project, `mark` in its name."""
    project = await factories.create_project(
        session, name=f"{mark} Project", languages=["en", "de"], terms=f"{mark} terms"
    )
    customer = await factories.create_customer(
        session, project=project, name=f"{mark} Customer", email=f"{mark}@example.org".lower(), note=f"{mark} secret",
        country="DE",
    )  # fmt: skip
    user = await factories.create_user(
        session, customer=customer, username=f"{mark}-first".lower(), full_name=f"{mark} First"
    )
    file = await factories.create_attachment(session, name=f"{mark}.txt", key=KEY, size=len(FILE), staff_id=sender.id)
    theirs = await factories.create_attachment(
        session, name=f"{mark}-theirs.txt", key=KEY, size=len(FILE), customer_id=customer.id
    )
    category = await factories.create_category(
        session, name="Service" if mark == "Mine" else "News", subscribable=True, opt_in=False
    )
    texts = {
        "en": (f"{mark} message", "Hello {{ customer.name }}, **we** work."),
        "de": (f"{mark} Nachricht", "Hallo."),
    }
    template = await factories.create_template(session, name=f"{mark} template", project_id=project.id, texts=texts)
    campaign = await factories.create_campaign(
        session, category=category, texts=texts, staff_id=sender.id, audience={"ids": [customer.id]}, total=2
    )
    session.add(CampaignAttachment(campaign_id=campaign.id, attachment_id=file.id))
    values = {"customer.name": customer.name, "project.sender_name": project.name}
    now = utcnow()
    await factories.create_delivery(
        session, campaign=campaign, customer=customer, state="sent", sent_at=now, values=values
    )
    await factories.create_delivery(
        session, campaign=campaign, customer=customer, channel="email", address=customer.email, state="failed",
        error="550 no such user", values=values, message_id=MESSAGES[mark],
    )  # fmt: skip
    wants = await factories.create_subscription(session, customer=customer, category=category, note=f"{mark} proof")
    gone = await factories.create_suppression(session, address=customer.email, detail=f"{mark} bounce")
    ticket = await factories.create_ticket(session, customer=customer, subject=f"{mark} ticket", text=f"{mark} text")
    answer = TicketMessage(ticket_id=ticket.id, from_customer=False, staff_id=sender.id, text=f"{mark} answer")
    note = TicketMessage(ticket_id=ticket.id, from_customer=False, internal=True, text=f"{mark} internal")
    session.add_all([answer, note])
    await session.flush()
    session.add(TicketAttachment(message_id=answer.id, attachment_id=theirs.id))
    group = await factories.create_group(session, name="Members" if mark == "Mine" else "Guests")
    await factories.create_membership(session, customer=customer, group=group)
    role = await factories.create_customer_role(session, customer=customer, name=f"{mark} role")
    invited = await factories.create_confirmation(session, customer=customer, value=f"{mark}-new@example.org".lower())
    service = await factories.create_service(session, customer=customer, name=f"{mark}-service.example".lower())
    payer = await factories.create_payer(session, customer=customer, name=f"{mark} Payer")
    report = {"errors": [[3, "email", f"{mark} error"]], "notes": [[4, f"{mark} note"]], "mapping": {"Mail": "email"}}
    upload = await factories.create_import(
        session, name=f"{mark}.csv", project_id=project.id, staff_id=sender.id, report=report, created=1, failed=1,
        looked={"columns": [{"name": "Mail", "samples": [f"{mark} sample"], "values": []}]},
        plan={"columns": {"Mail": "email"}},
    )  # fmt: skip
    canned = await factories.create_canned(
        session, name=f"{mark} canned", project_id=project.id, texts={"en": f"{mark} canned text"}
    )
    came = await factories.create_inbound(
        session, customer=customer, sender=f"{mark}@example.org".lower(), subject=f"{mark} mail", key=MAIL_KEY,
        size=len(MAIL),
    )  # fmt: skip
    account = await factories.create_account(session, customer=customer, balance=10_000)
    payment = await factories.create_payment(session, account=account, number=f"{mark}-payment")
    invoice = await factories.create_invoice(session, account=account, note=f"{mark} invoice")
    expense = await factories.create_expense(session, account=account, description=f"{mark} expense")
    issued = await factories.create_invoice(
        session, account=account, note=f"{mark} issued", status=InvoiceStatus.ISSUED, number=f"{mark}-7",
        issued_on=utcnow().date(), due_on=utcnow().date(), sides={
            "payer": {"name": f"{mark} payer", "email": ""}, "seller": {"name": f"{mark} seller"},
        },
    )  # fmt: skip
    document = await factories.create_document(session, customer=customer, title=f"{mark} act", number=f"{mark}-1")
    now = utcnow()
    visit = LoginSession(
        token_hash=token_hash(f"visit of {mark}"), kind=SessionKind.VISIT, staff_id=sender.id, customer_id=customer.id,
        reason=f"{mark} visit", last_seen_at=now, expires_at=now, ended_at=now,
    )  # fmt: skip
    session.add(visit)
    copy = await factories.create_data_request(session, customer=customer, user_id=user.id, key=KEY, size=len(FILE))
    form = await factories.create_document_template(session, title=f"{mark} act", project_id=project.id)
    tax = await factories.create_tax_rate(session, name=f"{mark} tax", project_id=project.id)
    discount = await factories.create_discount(session, name=f"{mark} discount", project_id=project.id)
    rule = await factories.create_rule(session, name=f"{mark} rule", project_id=project.id)
    rule_run = await factories.create_rule_run(
        session, rule=rule, customer=customer,
        event={"what": "changed", "field": "note", "was": "", "now": f"{mark} event"},
    )  # fmt: skip
    written = await factories.create_note(session, customer=customer, text=f"{mark} note")
    condition = {"field": "name", "op": "contains", "value": mark}
    segment = Segment(name=f"{mark} segment", condition=condition, staff_id=sender.id)
    session.add(segment)
    await session.flush()
    run = BulkRun(
        kind=BulkKind.EXPORT, noun="customer", name=f"{mark} export", state=BulkState.DONE, staff_id=sender.id, key=KEY,
        size=len(FILE), expires_at=now + timedelta(days=7), finished_at=now, wanted={"ending": "csv", "columns": []},
        looked={"projects": [project.id]},
    )  # fmt: skip
    session.add(run)
    await session.flush()
    ids |= {
        "bulk_run": run.id, "project": project.id, "customer": customer.id, "user": user.id, "attachment": file.id,
        "message_template": template.id, "campaign": campaign.id, "ticket": ticket.id, "service": service.id,
        "payer": payer.id, "note": written.id, "segment": segment.id, "import_run": upload.id,
        "ticket file": theirs.id, "delivery": campaign.id, "subscription": wants.id, "suppressed_address": gone.id,
        "canned_reply": canned.id, "inbound_mail": came.id, "account": account.id, "payment": payment.id,
        "invoice": invoice.id, "issued invoice": issued.id, "expense": expense.id,
        "finance_document": document.id, "document_template": form.id,
        "tax_rate": tax.id, "discount": discount.id, "login_session": visit.id,
        "automation_rule": rule.id, "automation_run": rule_run.id,
        "customer_role": role.id, "confirmation": invited.id, "data_request": copy.id,
    }  # fmt: skip
    return project, customer


async def _limit(session: AsyncSession, staff: Staff, of_a: tuple[Project, Customer]) -> None:
    session.add(StaffProject(staff_id=staff.id, project_id=of_a[0].id))
    await session.flush()


async def _shared(session: AsyncSession, world: World, owner: Staff) -> None:
    """Rows of tables that know no project. Those with a screen are made to be deleted: nothing hangs on them."""
    world.own |= {
        "customer_group": (await factories.create_group(session, name="Spare group")).id,
        "custom_field": (await custom.create(session, target="customer", labels={"en": "Tier"}, access="edit")).id,
        "attitude": (await factories.create_attitude(session, name="Loyal")).id,
        "message_category": (await factories.create_category(session, name="Spare category")).id,
        "product_group": (await factories.create_product_group(session, name="Spare product group")).id,
        "product": (await factories.create_product(session, name="Spare product")).id,
        "payment_method": (await factories.create_payment_method(session, name="Card")).id,
        "exchange_rate": (await factories.create_exchange_rate(session)).id,
        "job": (await factories.create_job(session, state="failed", error="it broke", owner_id=owner.id)).id,
        "label": (await factories.create_label(session)).id,
        "saved_view": (await factories.create_view(session, name="Spare view")).id,
    }


async def _signed_in(session: AsyncSession, world: World, people: dict[str, Staff], a: Customer, b: Customer) -> None:
    for name, staff in people.items():
        world.cookies[name] = await _open(
            session, world, name, cookies.STAFF, kind=SessionKind.STAFF, staff_id=staff.id
        )
    for name, customer, role in (
        ("user", a, UserRole.OWNER), ("other", b, UserRole.OWNER), ("finance", a, UserRole.FINANCE),
        ("technical", a, UserRole.TECHNICAL), ("reader", a, UserRole.READ_ONLY),
    ):  # fmt: skip
        mark = FOREIGN if customer is b else "Mine"
        hashed = people["owner"].password_hash
        user = await factories.create_user(
            session, customer=customer, username=f"{mark}-{name}".lower(), full_name=f"{mark} {name}", role=role,
            email=f"{name}.{mark}@example.net".lower(), password_hash=hashed,
        )  # fmt: skip
        world.cookies[name] = await _open(
            session, world, name, cookies.CLIENT, kind=SessionKind.CLIENT, user_id=user.id, customer_id=customer.id
        )
    await _outside(session, world, a)
    second = await factories.create_customer(session, project_id=a.project_id, name="Mine Second")
    session.add(UserCustomer(user_id=user.id, customer_id=second.id, role=UserRole.READ_ONLY))  # an account to choose
    parent = world.sessions["owner"]
    for name, act in (("visit", False), ("acting", True)):
        world.cookies[name] = await _open(
            session, world, name, cookies.VISIT, kind=SessionKind.VISIT, staff_id=people["owner"].id,
            customer_id=a.id, parent_id=parent, reason="Ticket 7", may_act=act,
        )  # fmt: skip
    world.cookies["nobody"] = ""


async def _outside(session: AsyncSession, world: World, a: Customer) -> None:
    """People whom matrix.txt has no column for."""
    project = await factories.create_project(session, name=f"{FOREIGN} Off", enabled=False)
    closed = await factories.create_customer(session, project_id=a.project_id, name="Mine Closed", status="closed")
    off = await factories.create_customer(session, project=project, name=f"{FOREIGN} Off")
    for name, customer in (("custom", a), ("disabled", a), ("closed", closed), ("off", off)):
        user = await factories.create_user(
            session, customer=customer, username=f"a-{name}", full_name=f"A {name}", enabled=name != "disabled",
            email=f"{name}@example.net",
        )  # fmt: skip
        if name == "custom":
            role = CustomerRole(customer_id=a.id, name="Own role", rights=[r.value for r in CUSTOM_RIGHTS])
            session.add(role)
            await session.flush()
            link = await session.get_one(UserCustomer, (user.id, a.id))
            link.role, link.own_role_id = UserRole.READ_ONLY, role.id
        world.cookies[name] = await _open(
            session, world, name, cookies.CLIENT, kind=SessionKind.CLIENT, user_id=user.id, customer_id=customer.id
        )


async def _open(session: AsyncSession, world: World, name: str, cookie: str, **columns: Any) -> str:
    token = f"token-of-{name}-{'x' * 30}"
    seen = utcnow() - timedelta(minutes=5)
    row = LoginSession(
        token_hash=token_hash(token), last_seen_at=seen, expires_at=utcnow() + timedelta(hours=8), **columns
    )
    session.add(row)
    await session.flush()
    world.sessions[name] = row.id
    return f"{cookie}={token}"


async def store_files(data: Path) -> None:
    """What the attachments' rows point at."""
    for content in (FILE, MAIL):
        await DirectoryStorage(data / "attachments").save(content)


# ---- all rows of all tables -----------------------------------------------------------------------------------------


async def dump() -> Dump:
    """Every row of every table, read past the mappers and the scope."""
    found: Dump = {}
    async with db.engine().connect() as connection:
        for table in Base.metadata.sorted_tables:
            rows = await connection.execute(select(table).order_by(*table.primary_key.columns))
            found[table.name] = [dict(r._mapping) for r in rows]
    return found


def differences(before: Dump, after: Dump, *, ignore: frozenset[str] = frozenset()) -> list[str]:
    """What was added, removed or changed: one line each. ignore: "table.column"."""

    def shown(rows: list[dict[str, Any]], table: str) -> list[str]:
        return [repr({k: v for k, v in r.items() if f"{table}.{k}" not in ignore}) for r in rows]

    lines = []
    for table in before:
        old, new = shown(before[table], table), shown(after[table], table)
        if old != new:
            lines += [f"{table}: - {r}" for r in old if r not in new] + [f"{table}: + {r}" for r in new if r not in old]
    return lines


SEEN = frozenset({"login_session.last_seen_at"})
"""The only thing that looking may change."""
