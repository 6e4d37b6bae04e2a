"""Making the demo: three brands, their customers of the last two years, and what was said between them."""

from __future__ import annotations

import random
import re
import string
from datetime import datetime, timedelta
from typing import Any, TypeVar

import phonenumbers
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from stdnum.eu import vat as eu_vat

from app.db import Base, fold
from app.domain import checks
from app.domain.demo import charging, invoices, money, paying
from app.domain.demo.dictionaries import Dictionaries
from app.domain.demo.people import COUNTRIES, FAMILY_FIRST, Country
from app.domain.demo.texts import CONVERSATIONS, INTERNAL, NOTES, TEMPLATES
from app.i18n import best
from app.models.billing import Payer, PayerKind
from app.models.catalog import Period, Service, ServiceStatus
from app.models.consent import How, Subscription
from app.models.customers import Customer, CustomerKind, CustomerProject, CustomerStatus, ExternalRef, Membership, Note
from app.models.messaging import (
    Campaign,
    CampaignState,
    CampaignText,
    Channel,
    Delivery,
    DeliveryState,
    MailKind,
    Template,
    TemplateText,
)  # fmt: skip
from app.models.tickets import Ticket, TicketMessage, TicketPriority, TicketStatus
from app.models.users import User, UserCustomer, UserRole

SOURCE = "demo"
SEED = 20_261_122
BRANDS = {"Kupol": ("ru", "uk", "ka"), "Mirador": ("es", "pt")}
"""Which brand serves customers of these languages; Nordhost serves all others."""
T = TypeVar("T", bound=Base)
_LATIN = "a|b|v|g|d|e|e|zh|z|i|y|k|l|m|n|o|p|r|s|t|u|f|kh|ts|ch|sh|shch||y||e|yu|ya"
_LETTERS = dict(zip("абвгдеёжзийклмнопрстуфхцчшщъыьэюя", _LATIN.split("|"), strict=True))
_LETTERS |= {
    "ә": "a", "ғ": "g", "қ": "k", "ң": "n", "ө": "o", "ұ": "u", "ү": "u", "һ": "h", "і": "i", "ї": "yi", "є": "ye",
    "ґ": "g", "ў": "u", "ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe",
}  # fmt: skip
_RESERVED_PHONES = {"DE": "+49 30 23125{:03d}", "GB": "+44 20 79460{:03d}", "US": "+1 202 5550{:03d}"}
"""Blocks that the numbering authorities keep free for films (Bundesnetzagentur, Ofcom, NANPA: 555-0100 to 0199)."""


def ascii_word(text: str) -> str:
    """Letters and digits of ASCII for an address; empty for scripts that we cannot write with them."""
    latin = "".join(_LETTERS.get(c, c) for c in text.lower())
    return "".join(c for c in fold(latin) if c in string.ascii_lowercase + string.digits)


class Maker:
    """One run of making the demo. The same seed and moment make the same rows."""

    def __init__(self, session: AsyncSession, now: datetime) -> None:
        self.session, self.now = session, now
        self.random = random.Random(SEED)  # noqa: S311 - invented people, no secrets
        self.marks: list[dict[str, Any]] = []
        self.words = Dictionaries(session, self.mark)
        self.usernames: set[str] = set()

    def mark(self, *rows: Any) -> None:
        """Remember that these rows, flushed before, are the demo's."""
        for row in rows:
            noun = row.__tablename__
            self.marks.append({"source": SOURCE, "ref": f"{noun}-{row.id}", "noun": noun, "noun_id": row.id})

    async def keep(self, rows: list[T]) -> list[T]:
        self.session.add_all(rows)
        await self.session.flush()
        return rows

    async def make(self) -> dict[str, int]:
        """Everything, and how many of each."""
        await self.words.make()
        self.usernames = set(await self.session.scalars(select(User.username)))
        customers = await self.make_customers()
        accounts = await money.open_accounts(self, customers)
        await paying.pay(self, customers, accounts)
        await invoices.make_invoices(self, customers)
        self.mark(*await charging.make_charges(self.session, self.now, customers))
        await money.note_the_last(self)
        await self.make_messages(customers)
        await self.make_choices(customers)
        await self.session.execute(insert(ExternalRef).execution_options(audited=True), self.marks)
        counts: dict[str, int] = {}
        for mark in self.marks:
            counts[mark["noun"]] = counts.get(mark["noun"], 0) + 1
        return counts

    def ago(self, most: timedelta, least: timedelta = timedelta()) -> datetime:
        span = (most - least).total_seconds()
        return self.now - least - timedelta(seconds=int(self.random.uniform(0, max(span, 1))))

    def between(self, start: datetime) -> datetime:
        return self.ago(self.now - start)

    # ---- customers

    async def make_customers(self) -> list[Customer]:
        made = [(country, self.customer(country, place)) for country in COUNTRIES for place in range(country.share)]
        self.random.shuffle(made)
        made.sort(key=lambda pair: pair[1].registered_at)  # the youngest get the highest ids, as in life
        customers = await self.keep([customer for _country, customer in made])
        users = await self.keep([self.user(customer) for customer in customers])
        await self.keep([UserCustomer(user_id=u.id, customer_id=c.id, role=UserRole.OWNER)
                         for u, c in zip(users, customers, strict=True)])  # fmt: skip
        more = [c for c in customers if c.kind is CustomerKind.COMPANY and self.random.random() < 0.35]
        colleagues = await self.keep([self.user(customer, "billing") for customer in more])
        await self.keep([UserCustomer(user_id=u.id, customer_id=c.id, role=UserRole.FINANCE, receives=True)
                         for u, c in zip(colleagues, more, strict=True)])  # fmt: skip
        services = await self.keep([s for country, c in made for s in self.services(c)])
        payers = await self.keep([p for country, c in made if (p := self.payer(country, c))])
        notes = await self.keep([n for c in customers for n in self.notes(c)])
        await self.keep([Membership(customer_id=c.id, group_id=g, since=c.registered_at)
                         for country, c in made for g in self.groups(country, c)])  # fmt: skip
        await self.keep([CustomerProject(customer_id=c.id, project_id=p.id) for c in customers
                         for p in self.words.projects.values()
                         if p.id != c.project_id and self.random.random() < 0.03])  # fmt: skip
        self.mark(*customers, *users, *colleagues, *services, *payers, *notes)
        return customers

    async def make_choices(self, customers: list[Customer]) -> None:
        """Most have agreed to news, some to offers, a few have thought better of it. Gone with their customers."""
        choices: list[dict[str, Any]] = []
        for name, share in (("News", 0.7), ("Offers", 0.35)):
            category = self.words.categories[name].id
            for customer in customers:
                if self.random.random() > share:
                    continue
                agreed, left = customer.registered_at, self.random.random() < 0.08
                ended = self.between(agreed) if left else None
                for channel in Channel:
                    key = {"customer_id": customer.id, "category_id": category, "channel": channel}
                    until = ended if channel is Channel.EMAIL else None
                    choices.append({**key, "wanted": True, "since": agreed, "ended_at": until, "how": How.CLIENT})
                    if until is not None:
                        choices.append({**key, "wanted": False, "since": until, "ended_at": None, "how": How.LINK})
        await self.session.execute(insert(Subscription).execution_options(audited=True), choices)

    def customer(self, country: Country, place: int) -> Customer:
        r = self.random
        first, last = self.name(country, place)
        person = f"{last} {first}" if country.code in FAMILY_FIRST else f"{first} {last}"
        kind = r.choices(list(CustomerKind), (55, 35, 10))[0]
        firm = r.choice(country.firms.split("|")).format(last) if kind is CustomerKind.COMPANY else ""
        word = ascii_word(firm)[:24] or ascii_word(last) or f"{country.code.lower()}{place + 1}"
        local = ".".join(p for p in (ascii_word(first), ascii_word(last)) if p) or f"post{place + 1}"
        project = next((p for p, languages in BRANDS.items() if country.language in languages), "Nordhost")
        registered = self.now - timedelta(days=730 * r.betavariate(1, 3.2), seconds=r.randrange(86_400))
        registered = registered.replace(microsecond=0)
        phone = self.phone(country.code)
        verified = r.random() < 0.5
        return Customer(
            name=firm or person, project_id=self.words.projects[project].id, kind=kind, contact_person=person,
            email=f"{local}@{word}.example", phone=phone,
            address=f"{country.street} {r.randrange(1, 140)}\n{r.choice(country.cities.split('|'))}",
            country=country.code, language=country.language if r.random() < 0.95 else "", timezone=country.timezone,
            legal_name=firm, vat_number=self.vat(country) if firm else "",
            registration_number=f"{r.randrange(10_000, 999_999)}" if kind is not CustomerKind.INDIVIDUAL else "",
            director=person if firm else "", registered_at=registered,
            registration_ip=f"198.51.100.{r.randrange(1, 255)}" if r.random() < 0.8 else None,
            verified_phone=phone if verified else "", phone_verified_at=registered if verified else None,
            phone_verified_by="SMS" if verified else "",
            attitude_id=r.choice(self.words.attitudes).id if r.random() < 0.4 else None,
            responsible_id=r.choice(self.words.desk).id if r.random() < 0.5 else None,
        )  # fmt: skip

    def name(self, country: Country, place: int) -> tuple[str, str]:
        """Another pair at each place, until all are used up."""
        firsts, lasts = country.first.split("|"), country.last.split("|")
        first = firsts[place % len(firsts)]
        last = lasts[(place + place // len(firsts)) % len(lasts)]
        if country.code == "RU" and first[-1] in "ая":
            last += "а"
        return first, last

    def phone(self, country: str) -> str:
        if country in _RESERVED_PHONES:
            low = 100 if country == "US" else 0
            return checks.phone(_RESERVED_PHONES[country].format(self.random.randrange(low, low + 100)), country)
        example = phonenumbers.example_number(country)
        if example is None:
            return ""
        typed = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        other = f"{typed[:-3]}{self.random.randrange(1000):03d}"
        return checks.phone(other if checks.readable_phone(other, country) else typed, country)

    def vat(self, country: Country) -> str:
        """A number whose check digits are right, found by trying; empty where we know no shape."""
        if country.code == "FR":  # two digits of 97: computed, trying would take too long
            while country.vat:
                siren = f"{self.random.randrange(10**9):09d}"
                if eu_vat.is_valid(number := f"FR{(12 + 3 * (int(siren) % 97)) % 97:02d}{siren}"):
                    return number
        for _try in range(5000 if country.vat else 0):
            number = re.sub("#", lambda _m: str(self.random.randrange(10)), country.vat)
            if eu_vat.is_valid(number):
                return str(eu_vat.compact(number))
        return ""

    def user(self, customer: Customer, who: str = "") -> User:
        email = f"{who}@{customer.email.partition('@')[2]}" if who else customer.email
        username, n = email, 1
        while username in self.usernames:
            n += 1
            username = f"{email}-{n}"
        self.usernames.add(username)
        signed_in = self.between(customer.registered_at) if self.random.random() < 0.7 else None
        return User(
            project_id=customer.project_id, username=username, email=email, language="" if who else customer.language,
            full_name="" if who else customer.contact_person, created_at=customer.registered_at,
            last_sign_in_at=signed_in,
        )  # fmt: skip

    def services(self, customer: Customer) -> list[Service]:
        """Services in all states, and the customer's status that follows from them."""
        r = self.random
        fate = r.choices(("live", "none", "suspended", "closed"), (76, 14, 5, 5))[0]
        if fate == "none":
            return []
        offered = self.words.products_of(customer.project_id)
        made = []
        for product in r.sample(offered, min(len(offered), r.choices((1, 2, 3, 4), (40, 35, 18, 7))[0])):
            status = {"suspended": ServiceStatus.SUSPENDED, "closed": ServiceStatus.CLOSED}.get(fate) or r.choices(
                list(ServiceStatus), (6, 5, 76, 4, 9)
            )[0]
            start = self.between(customer.registered_at)
            live = status in (ServiceStatus.ACTIVE, ServiceStatus.SUSPENDED)
            due = (self.now + timedelta(days=r.randrange(1, 28 if product.period is Period.MONTH else 360))).date()
            host = customer.email.partition("@")[2]
            machine = r.choice(("web", "shop", "app", "mail", "db"))
            name = host if product.group_id == self.words.domains else f"{machine}.{host}"
            made.append(Service(
                customer_id=customer.id, product_id=product.id, name=name, status=status, price=product.price,
                currency=product.currency, period=product.period, next_charge_on=due if live else None,
                auto_renew=r.random() < 0.85, created_at=start,
            ))  # fmt: skip
        if fate in ("suspended", "closed"):
            customer.status = CustomerStatus(fate)
        elif any(service.status is ServiceStatus.ACTIVE for service in made):
            customer.status = CustomerStatus.ACTIVE
        return made

    def payer(self, country: Country, customer: Customer) -> Payer | None:
        if self.random.random() > 0.62:
            return None
        company = customer.kind is CustomerKind.COMPANY
        return Payer(
            customer_id=customer.id, kind=PayerKind(customer.kind.value),
            name=customer.legal_name or customer.contact_person, contact=customer.contact_person, phone=customer.phone,
            email=customer.email, country=customer.country,
            postal_address=customer.address, legal_address=customer.address if company else "",
            vat_number=customer.vat_number, director=customer.director,
            position="Managing director" if company else "", grounds="Articles of association" if company else "",
            created_at=customer.registered_at,
        )  # fmt: skip

    def notes(self, customer: Customer) -> list[Note]:
        r = self.random
        return [
            Note(customer_id=customer.id, staff_id=r.choice(self.words.desk).id, text=text, sticky=r.random() < 0.15,
                 created_at=self.between(customer.registered_at))
            for text in r.sample(NOTES, r.choices((0, 1, 2), (60, 30, 10))[0])
        ]  # fmt: skip

    def groups(self, country: Country, customer: Customer) -> list[int]:
        r, groups = self.random, self.words.groups
        names = ["DACH"] if country.code in ("DE", "AT", "CH") else []
        if customer.registered_at < self.now - timedelta(days=500):
            names.append("Long-term")
        if customer.kind is CustomerKind.COMPANY:
            names += ["Resellers"] * (r.random() < 0.2) + ["Key accounts"] * (r.random() < 0.12)
        elif r.random() < 0.06:
            names.append("Students")
        if customer.status is CustomerStatus.SUSPENDED:
            names.append("Watched")
        return [groups[name].id for name in names]

    # ---- messages and tickets

    async def make_messages(self, customers: list[Customer]) -> None:
        templates = {name: Template(
            name=name, category_id=self.words.categories[category].id,
            kind=MailKind.WELCOME if name == "Welcome" else None,
            texts=[TemplateText(language=language, subject=s, body=b) for language, (s, b) in texts.items()],
        ) for name, category, texts in TEMPLATES if not await self.words.exists(Template, name=name)}  # fmt: skip
        await self.keep(list(templates.values()))
        self.mark(*templates.values())
        old = await self.campaign("Planned maintenance", timedelta(days=41), customers)
        new = await self.campaign("New data centre", timedelta(days=9), customers)
        self.mark(old, new)
        tickets = []
        for customer in customers:
            if self.random.random() < 0.34:
                tickets.append(self.ticket(customer, None))
        some = self.random.sample(customers, 16)
        tickets += [self.ticket(c, new) for c in some if c.registered_at < new.created_at]
        tickets.sort(key=lambda ticket: ticket.created_at)
        await self.keep(tickets)
        self.mark(*tickets, *(m for t in tickets for m in t.messages))

    async def campaign(self, name: str, ago: timedelta, customers: list[Customer]) -> Campaign:
        category, texts = next((c, t) for n, c, t in TEMPLATES if n == name)
        at, sender = self.now - ago, self.words.staff["marta.solé"]
        key = f"demo-{ascii_word(name)}-{int(self.now.timestamp())}"
        to = [c for c in customers if c.registered_at < at]
        campaign = Campaign(
            subject=texts["en"][0], category_id=self.words.categories[category].id, staff_id=sender.id,
            state=CampaignState.DONE, audience={"everyone": True}, default_language="en", channels=["inbox", "email"],
            assign_replies=True, key=key, total=2 * len(to), created_at=at, started_at=at,
            finished_at=at + timedelta(seconds=len(to) / 8),
            texts=[CampaignText(language=code, subject=s, body=b) for code, (s, b) in texts.items()],
        )  # fmt: skip
        await self.keep([campaign])
        rows = [self.delivery(campaign, c, channel, n, texts) for n, c in enumerate(to) for channel in Channel]
        if rows:
            await self.session.execute(insert(Delivery), rows)  # bookkeeping: not audited row by row
        return campaign

    def delivery(
        self, campaign: Campaign, customer: Customer, channel: Channel, n: int, texts: dict[str, tuple[str, str]]
    ) -> dict[str, Any]:
        r, project = self.random, next(p for p in self.words.projects.values() if p.id == customer.project_id)
        language = best(customer.language or project.default_language, list(texts)) or campaign.default_language
        facts = {
            "customer.contact_person": customer.contact_person, "customer.name": customer.name,
            "project.name": project.name, "project.site": project.site, "project.sender_name": project.sender_name,
            "project.sender_email": project.sender_email, "staff.name": "Marta Solé",
        }  # fmt: skip
        used = {"project.sender_name", "project.sender_email"}
        used.update(re.findall(r"{{ ([a-z_.]+) }}", " ".join(texts[language])))
        failed = channel is Channel.EMAIL and r.random() < 0.02
        sent = campaign.created_at + timedelta(seconds=n / 8)
        read = channel is Channel.INBOX and r.random() < 0.55
        return {
            "campaign_id": campaign.id, "customer_id": customer.id, "channel": channel, "language": language,
            "address": customer.email if channel is Channel.EMAIL else "",
            "state": DeliveryState.FAILED if failed else DeliveryState.SENT,
            "error": "550 5.1.1 There is no such mailbox here" if failed else "",
            "values": {name: facts[name] for name in sorted(used)}, "attempt": 1, "next_at": sent, "started_at": sent,
            "message_id": f"{campaign.key}.{customer.id}.{channel.value[0]}", "sent_at": None if failed else sent,
            "read_at": self.between(sent) if read else None,
        }  # fmt: skip

    def ticket(self, customer: Customer, campaign: Campaign | None) -> Ticket:
        r = self.random
        language = best(customer.language, list(CONVERSATIONS)) or "en"
        subject, texts = r.choice(CONVERSATIONS[language])
        if campaign is not None:  # an answer to the campaign, so far without one from us
            template = next(t for n, _c, t in TEMPLATES if n == "New data centre")
            subject, texts = template[language][0], CONVERSATIONS[language][-1][1][:1]
        helper = self.words.staff["marta.solé"] if campaign is not None else r.choice(self.words.desk)
        at = self.ago(timedelta(days=8 if campaign else 120))
        at = max(at, customer.registered_at)
        ticket = Ticket(
            subject=subject, customer_id=customer.id, campaign_id=campaign.id if campaign else None, created_at=at,
            category_id=self.words.categories["Support"].id, priority=r.choices(list(TicketPriority), (10, 75, 15))[0],
            assigned_id=helper.id if len(texts) > 1 or campaign or r.random() < 0.5 else None,
            status=(TicketStatus.OPEN, TicketStatus.ANSWERED, TicketStatus.CLOSED)[len(texts) - 1],
        )  # fmt: skip
        messages, last = [], at
        for place, text in enumerate(texts):
            ours = place % 2 == 1
            messages.append(TicketMessage(
                from_customer=not ours, staff_id=helper.id if ours else None, text=text, created_at=last,
                read_at=last if place < len(texts) - 1 else None,
            ))  # fmt: skip
            if place == 0 and len(texts) > 1 and r.random() < 0.2:
                messages.append(TicketMessage(from_customer=False, staff_id=helper.id, internal=True,
                                              text=r.choice(INTERNAL), created_at=last))  # fmt: skip
            ticket.updated_at = last
            if ours and ticket.first_answered_at is None:
                ticket.first_answered_at = last
            last = min(last + timedelta(minutes=r.randrange(9, 700)), self.now)
        ticket.messages = messages
        return ticket
