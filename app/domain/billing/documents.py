"""Finance documents: made from a template and kept as they were, or attached as a file. A line of a body that begins
with a bar is a row of a table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Final

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import i18n
from app.db import utcnow
from app.domain import checks, custom
from app.domain.attachments import add_attachment
from app.domain.billing.invoices import sides_of
from app.domain.billing.logos import logo_of
from app.domain.billing.numbers import take_number
from app.domain.custom.messages import macro
from app.domain.ledger.statement import Statement, statement
from app.domain.messaging.macros import MacroSpec
from app.domain.messaging.template import TemplateProblem, parse
from app.domain.messaging.values import of_customer
from app.errors import Invalid, NotFound
from app.i18n import LANGUAGES, SOURCE, _, country_name, gettext, show_amount, show_date, speaking
from app.integrations.pdf import Column, NotAPicture, Pdf
from app.integrations.storage import Content, Storage
from app.models.billing import Document, DocumentKind, DocumentTemplate, Payer
from app.models.customers import Customer
from app.models.ledger import Account
from app.models.projects import Project

LINES = 2000
"""Entries that a reconciliation report lists."""
MACROS: Final = (
    MacroSpec("document.number", _("Number of the document"), "2026-00007"),
    MacroSpec("document.date", _("Date of the document"), "Nov 22, 2026"),
    MacroSpec("payer.name", _("Name of the payer"), "Müller & Söhne GmbH"),
    MacroSpec("payer.address", _("Address of the payer"), "Hauptstr. 1, 10115 Berlin"),
    MacroSpec("payer.vat_number", _("VAT number of the payer"), "DE136695976"),
    MacroSpec("payer.director", _("Director of the payer"), "Jana Müller"),
    MacroSpec("payer.grounds", _("On the grounds of what the director acts"), "Statute"),
    MacroSpec("seller.name", _("Legal name of the project"), "Nordhost GmbH"),
    MacroSpec("seller.address", _("Legal address of the project"), "Hafenstr. 1, 20457 Hamburg"),
    MacroSpec("seller.vat_number", _("VAT number of the project"), "DE123456788"),
    MacroSpec("account.balance", _("Balance of the account, with its currency"), "1,284.50 EUR"),
    MacroSpec("period.from", _("First day of the period"), "Nov 1, 2026"),
    MacroSpec("period.until", _("Last day of the period"), "Nov 30, 2026"),
)

PAYER = "payer.custom."
"""Before the key of a payer's custom field."""


def macros() -> tuple[MacroSpec, ...]:
    """What the text of a document may use besides the fields of messages."""
    return (*MACROS, *(macro(spec, PAYER + spec.key) for spec in custom.fields(Payer)))


_of = DocumentTemplate.__table__.c
FIELDS: dict[str, checks.Check] = {
    "kind": checks.one_of(DocumentKind),
    "project_id": checks.row_id,
    "language": checks.language,
    "title": checks.line(_of.title, required=True),
    "body": checks.area(_of.body),
}


async def save_document_template(
    session: AsyncSession, *, values: Mapping[str, Any], template: DocumentTemplate | None = None
) -> DocumentTemplate:
    """Make a template or change one; documents that were made from it stay as they are. Raises Invalid at the field,
    also for a field in the text that does not exist."""
    checks.refuse_for_all(template, values)
    wanted = checks.clean(values, FIELDS)
    await checks.known(session, "project_id", Project, wanted.get("project_id"))
    for name in ("title", "body"):
        try:
            parse(wanted.get(name, ""), macros())
        except TemplateProblem as problem:
            raise Invalid(**{name: str(problem)}) from None
    if template is None:
        template = DocumentTemplate(**wanted)
        session.add(template)
    else:
        checks.change(template, wanted)
    same = (
        DocumentTemplate.kind == template.kind, DocumentTemplate.language == template.language,
        DocumentTemplate.project_id.is_not_distinct_from(template.project_id),
    )  # fmt: skip
    with session.no_autoflush:
        if await session.scalar(select(DocumentTemplate.id).where(*same, DocumentTemplate.id != (template.id or 0))):
            raise Invalid(language=gettext("There is a template of this kind in this language already."))
    await session.flush()
    return template


async def make_document(
    session: AsyncSession,
    *,
    customer_id: int,
    kind: DocumentKind,
    day: date | None = None,
    first: date | None = None,
    until: date | None = None,
) -> Document:
    """Make a document for a customer from the template of its kind: the project's own, else that for all, in the
    customer's language as well as there is one. Its text is frozen. A reconciliation report lists what was booked on
    the account in its period. Raises NotFound, and Invalid at `kind` when there is no template."""
    [customer, project], values = await of_customer(session, customer_id, Customer, Project)
    day = day or utcnow().date()
    template = await _template(session, project.id, kind, customer.language or project.default_language)
    if template is None:
        raise Invalid(kind=gettext("There is no template of this kind. Write one under Document templates first."))
    payer = await session.scalar(select(Payer).where(Payer.customer_id == customer_id).order_by(Payer.id).limit(1))
    account = await session.scalar(
        select(Account).where(Account.customer_id == customer_id, Account.project_id == project.id).order_by(Account.id)
    )
    listed: Statement | None = None
    if kind is DocumentKind.RECONCILIATION and account is not None:
        listed = await statement(session, account_id=account.id, first=first, until=until, limit=LINES)
    number = await take_number(session, project_id=project.id, kind=kind.value, day=day, taken=Document.number)
    with speaking(i18n.best(template.language, tuple(LANGUAGES)) or SOURCE, "UTC"):
        values |= _values(customer, project, payer, account, number, day, first, until)
        title = " ".join(parse(template.title, macros()).render(values).split())[:200]
        body = parse(template.body, macros()).render(values)
        if listed is not None:
            body = f"{body}\n\n{_table(listed)}"
    document = Document(
        kind=kind, number=number, title=title or str(kind.label), customer_id=customer_id, project_id=project.id,
        on_day=day, body=body,
    )  # fmt: skip
    session.add(document)
    await session.flush()
    return document


async def attach_document(
    session: AsyncSession, storage: Storage, *, customer_id: int, kind: DocumentKind, title: str, name: str,
    chunks: Content, max_bytes: int, staff_id: int | None = None,
) -> Document:  # fmt: skip
    """Keep a file as a document of a customer, such as a signed contract. Raises Invalid, TooLarge, NotFound."""
    customer = await session.scalar(select(Customer).where(Customer.id == customer_id))
    if customer is None:
        raise NotFound
    file = await add_attachment(
        session, storage, name=name, chunks=chunks, max_bytes=max_bytes, customer_id=customer_id, staff_id=staff_id
    )
    day = utcnow().date()
    number = await take_number(session, project_id=customer.project_id, kind=kind.value, day=day, taken=Document.number)
    document = Document(
        kind=kind, number=number, title=title.strip()[:200] or file.name, customer_id=customer_id,
        project_id=customer.project_id, on_day=day, attachment_id=file.id,
    )  # fmt: skip
    session.add(document)
    await session.flush()
    return document


async def document_pdf(session: AsyncSession, storage: Storage, document: Document) -> Pdf:
    """The document as it is drawn; `bytes()` of it takes a while, so ask for them in a thread."""
    project = (
        await session.scalars(
            select(Project).where(Project.id == document.project_id).execution_options(unscoped=True)
        )
    ).one()  # fmt: skip
    made = Pdf(
        title=document.title, author=project.legal_name or project.name, language=project.default_language,
        created=datetime.combine(document.on_day, time(12), UTC), foot=f"{project.legal_name or project.name} · "
        f"{document.number}",
    )  # fmt: skip
    if (logo := await logo_of(session, storage, project.id)) is not None:
        try:
            made.logo(logo)
        except NotAPicture:
            pass
    made.heading(document.title)
    rows: list[list[str]] = []
    for line in [*document.body.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
            continue
        if rows:
            _draw(made, rows)
            rows = []
        if line.strip():
            made.paragraph(line)
        else:
            made.space(1.5)
    return made


def _draw(made: Pdf, rows: list[list[str]]) -> None:
    """A table out of its rows; the first is its head, and figures stand on the right."""
    width = max(len(row) for row in rows)
    full = [row + [""] * (width - len(row)) for row in rows]
    right = (
        [any(c.isdigit() for cell in row for c in cell) for row in zip(*full[1:], strict=True)]
        if len(full) > 1
        else [False] * width
    )
    columns = [
        Column(label, 3 if at == 1 else 1.2, "R" if right[at] and at > 1 else "L") for at, label in enumerate(full[0])
    ]
    made.table(columns, full[1:])


async def _template(
    session: AsyncSession, project_id: int, kind: DocumentKind, language: str
) -> DocumentTemplate | None:
    rows = (
        await session.scalars(
            select(DocumentTemplate)
            .where(
                DocumentTemplate.kind == kind,
                or_(DocumentTemplate.project_id == project_id, DocumentTemplate.project_id.is_(None)),
            )
            .order_by(DocumentTemplate.id)
        )
    ).all()
    if not rows:
        return None
    wanted = i18n.best(language, tuple(row.language for row in rows))

    def fit(row: DocumentTemplate) -> tuple[bool, bool, bool]:
        return row.language == wanted, row.project_id is not None, row.language == SOURCE

    return max(rows, key=fit)


def _values(
    customer: Customer, project: Project, payer: Payer | None, account: Account | None, number: str, day: date,
    first: date | None, until: date | None,
) -> dict[str, str]:  # fmt: skip
    sides = sides_of(customer, project, payer)
    to, seller = sides["payer"], sides["seller"]

    def place(side: dict[str, Any]) -> str:
        lines = [*side.get("address", "").splitlines(), country_name(side["country"]) if side.get("country") else ""]
        return ", ".join(line.strip() for line in lines if line.strip())

    held = payer.custom if payer is not None else {}
    balance = f"{show_amount(account.balance, account.currency)} {account.currency}" if account is not None else ""
    return {
        "document.number": number, "document.date": show_date(day), "payer.name": to["name"],
        "payer.address": place(to), "payer.vat_number": to["vat_number"], "seller.name": seller["name"],
        "payer.director": payer.director if payer else "", "payer.grounds": payer.grounds if payer else "",
        "seller.address": place(seller), "seller.vat_number": seller["vat_number"], "account.balance": balance,
        "period.from": show_date(first) if first else "", "period.until": show_date(until or day),
        **{PAYER + spec.key: custom.say(spec, held.get(spec.key)) for spec in custom.fields(Payer)},
    }  # fmt: skip


def _table(found: Statement) -> str:
    """What was booked, as rows with bars."""
    currency = found.account.currency

    def row(*cells: str) -> str:
        return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"

    def amount(minor: int) -> str:
        return show_amount(minor, currency) if minor else ""

    rows = [
        row(gettext("Date"), gettext("Description"), gettext("Went out"), gettext("Came in"), gettext("Balance")),
        row("", gettext("Opening balance"), "", "", show_amount(found.opening, currency)),
    ]
    rows += [
        row(show_date(x.at), x.description or str(x.kind.label), amount(x.debit), amount(x.credit),
            show_amount(x.balance, currency))
        for x in found.lines
    ]  # fmt: skip
    closing = show_amount(found.closing, currency)
    rows.append(row("", gettext("Closing balance"), amount(found.outgoing), amount(found.incoming), closing))
    return "\n".join(rows)
