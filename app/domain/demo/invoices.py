"""Invoices of the demo: the last months, most of them paid, some overdue, a draft and a credit note; tax rates, what
the brands are called in law, and the templates of finance documents."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from app.domain import billing, ledger
from app.domain.billing import LineIn
from app.domain.billing.invoices import OVERDUE, move
from app.domain.demo.money import SCALE
from app.domain.ledger import Move
from app.models.billing import (
    DocumentKind,
    DocumentTemplate,
    Expense,
    Invoice,
    Payment,
    PaymentMethod,
    PaymentStatus,
    TaxRate,
)  # fmt: skip
from app.models.customers import Customer
from app.models.ledger import AccountKind, TransactionKind
from app.models.projects import Project

if TYPE_CHECKING:
    from app.domain.demo.making import Maker

BRANDS = {
    "Nordhost": ("Nordhost GmbH", "Hafenstraße 12\n20457 Hamburg", "DE", "DE136695976", "USt.", 1900,
                 "Nordbank, IBAN DE89 3704 0044 0532 0130 00", "en"),
    "Kupol": ("ООО «Купол»", "ул. Садовая, 7\n191023 Санкт-Петербург", "RU", "", "НДС", 2000,
              "Банк «Север», р/с 40702810900000000001", "ru"),
    "Mirador": ("Mirador Servicios S.L.", "Calle Mayor 3\n28013 Madrid", "ES", "ESB58378431", "IVA", 2100,
                "Banco del Norte, IBAN ES91 2100 0418 4502 0005 1332", "es"),
}  # fmt: skip
"""Brand -> legal name, address, country, VAT number, its tax and rate, bank account, language of its documents."""
WORK = {
    "en": ("Hosting, one month", "Domain, one year", "Migration by the hour", "Backup, one month"),
    "de": ("Hosting, ein Monat", "Domain, ein Jahr", "Umzug nach Stunden", "Datensicherung, ein Monat"),
    "ru": ("Хостинг, один месяц", "Домен, один год", "Перенос, почасово", "Резервное копирование, месяц"),
    "es": ("Alojamiento, un mes", "Dominio, un año", "Migración por horas", "Copia de seguridad, un mes"),
}
PRICES = (1190, 1500, 7900, 490)
TEMPLATES = {
    "en": (
        (DocumentKind.ACT, "Act of completed work {{ document.number }}",
         "{{ seller.name }} and {{ payer.name }} confirm on {{ document.date }} that the work is done and accepted.\n\n"
         "{{ seller.name }}: ______________\n\n{{ payer.name }}: ______________"),
        (DocumentKind.CONTRACT, "Contract {{ document.number }}",
         "Between {{ seller.name }}, {{ seller.address }}, and {{ payer.name }}, {{ payer.address }}"
         "{% if payer.director %}, represented by {{ payer.director }}{% endif %}.\n\n"
         "1. The provider renders the services that the customer orders.\n2. They are paid in advance."),
        (DocumentKind.RECONCILIATION, "Reconciliation report {{ document.number }}",
         "Between {{ seller.name }} and {{ payer.name }}, until {{ period.until }}."),
    ),
    "ru": (
        (DocumentKind.ACT, "Акт выполненных работ № {{ document.number }}",
         "{{ seller.name }} и {{ payer.name }} подтверждают {{ document.date }}, что работы выполнены и приняты.\n\n"
         "{{ seller.name }}: ______________\n\n{{ payer.name }}: ______________"),
        (DocumentKind.CONTRACT, "Договор № {{ document.number }}",
         "{{ seller.name }}, {{ seller.address }}, и {{ payer.name }}, {{ payer.address }}"
         "{% if payer.director %}, в лице {{ payer.director }}{% endif %}, заключили договор.\n\n"
         "1. Исполнитель оказывает услуги, которые заказал клиент.\n2. Услуги оплачиваются вперёд."),
        (DocumentKind.RECONCILIATION, "Акт сверки № {{ document.number }}",
         "{{ seller.name }} и {{ payer.name }}, по {{ period.until }}"),
    ),
    "es": (
        (DocumentKind.ACT, "Acta de trabajos {{ document.number }}",
         "{{ seller.name }} y {{ payer.name }} confirman el {{ document.date }} que los trabajos están hechos y "
         "aceptados.\n\n{{ seller.name }}: ______________\n\n{{ payer.name }}: ______________"),
        (DocumentKind.RECONCILIATION, "Conciliación {{ document.number }}",
         "Entre {{ seller.name }} y {{ payer.name }}, hasta el {{ period.until }}."),
    ),
}  # fmt: skip
MOST = 30
"""Customers who have invoices."""
OVERDUE_SHARE, UNPAID_SHARE = 0.12, 0.1


async def make_invoices(maker: Maker, customers: list[Customer]) -> None:
    """Write them, as they would have been written on their days. Called before the ledger of the demo is closed."""
    mine = {m["noun_id"] for m in maker.marks if m["noun"] == Project.__tablename__}  # not those that were there before
    await _brands(maker, mine)
    r, today = maker.random, maker.now.date()
    method = await maker.session.scalar(select(PaymentMethod.id).order_by(PaymentMethod.id).limit(1))
    planned = []
    theirs = [customer for customer in customers if customer.project_id in mine]
    for customer in r.sample(theirs, min(MOST, len(theirs))):
        months = min(4, max(0, (today - customer.registered_at.date()).days // 30))
        for month in range(r.randint(0, months)):
            planned.append((today - timedelta(days=30 * month + r.randint(1, 28)), customer))
    planned.sort(key=lambda plan: (plan[0], plan[1].id))  # numbers follow the days
    made: list[Invoice] = []
    for day, customer in planned:
        if day < customer.registered_at.date() or str(customer.status) == "closed":
            continue
        invoice = await _one(maker, customer, day)
        made.append(invoice)
        chance = r.random()
        assert invoice.due_on is not None
        if chance < OVERDUE_SHARE and invoice.due_on < today:
            move(invoice, OVERDUE)
        elif chance > OVERDUE_SHARE + UNPAID_SHARE or invoice.due_on < today:
            await _paid(maker, invoice, min(today, day + timedelta(days=r.randint(0, 10))), method)
    if made:
        settled = [invoice for invoice in made if invoice.paid == invoice.total]
        if settled:
            note = await billing.credit_invoice(maker.session, invoice=settled[-1], reason="Ordered by mistake")
            made.append(note)
        last = made[0]
        lines = [LineIn("Hosting", 1190), LineIn("Work", 7900, quantity=1500)]
        made.append(await billing.draft_invoice(maker.session, customer_id=last.customer_id, lines=lines))
    await maker.session.flush()
    charged = Expense.invoice_id.in_([invoice.id for invoice in made])
    maker.mark(*made, *await maker.session.scalars(select(Expense).where(charged)))


async def _brands(maker: Maker, mine: set[int]) -> None:
    rows: list[TaxRate | DocumentTemplate] = []
    for project in maker.words.projects.values():
        known = BRANDS.get(project.name)
        if known is None or project.id not in mine:
            continue
        name, address, country, number, tax, rate, bank, language = known
        project.legal_name, project.legal_address, project.country = name, address, country
        project.vat_number, project.bank_account = number, bank
        rows.append(TaxRate(name=tax, project_id=project.id, rate=rate, valid_from=date(2020, 1, 1)))
        rows += [
            DocumentTemplate(kind=kind, project_id=project.id, language=language, title=title, body=body)
            for kind, title, body in TEMPLATES[language]
        ]
    maker.session.add_all(rows)
    await maker.session.flush()
    maker.mark(*rows)


async def _one(maker: Maker, customer: Customer, day: date) -> Invoice:
    r = maker.random
    words = WORK.get((customer.language or "en")[:2], WORK["en"])
    currency = next(p.currency for p in maker.words.projects.values() if p.id == customer.project_id)
    scale = SCALE.get(currency, 1)
    lines = [
        LineIn(words[n], PRICES[n] * scale, quantity=r.choice((1000, 1500, 2500)) if n == 2 else 1000)
        for n in sorted(r.sample(range(len(words)), r.randint(1, 3)))
    ]
    draft = await billing.draft_invoice(
        maker.session, customer_id=customer.id, lines=lines, usual_payer=True, today=day
    )
    draft.created_at = datetime.combine(day, time(9, r.randint(0, 59)), UTC)
    return await billing.issue_invoice(maker.session, invoice=draft, day=day)


async def _paid(maker: Maker, invoice: Invoice, day: date, method: int | None) -> None:
    session, moment = maker.session, datetime.combine(day, time(12), UTC)
    cash = await ledger.own_account(
        session, project_id=invoice.project_id, kind=AccountKind.CASH, currency=invoice.currency
    )
    payment = None
    if method is not None:
        payment = Payment(
            number=f"{invoice.number}", customer_id=invoice.customer_id, account_id=invoice.account_id,
            project_id=invoice.project_id, method_id=method, invoice_id=invoice.id, amount=invoice.total,
            currency=invoice.currency, account_amount=invoice.total, account_currency=invoice.currency,
            status=PaymentStatus.PAID, paid_at=moment, created_at=moment,
        )  # fmt: skip
        session.add(payment)
        await session.flush()
        maker.mark(payment)
    transaction_id, _new = await ledger.post(
        session, key=f"payment:{payment.id}" if payment else f"demo:paid:{invoice.id}", kind=TransactionKind.PAYMENT,
        at=moment, moves=[Move(invoice.account_id, invoice.total), Move(cash, -invoice.total)],
    )  # fmt: skip
    if payment is not None:
        payment.transaction_id = transaction_id
        await session.flush()
    await billing.settle_invoice(session, invoice_id=invoice.id, payment=payment, day=day)
