"""Invoices and credit notes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from wtforms.fields.core import UnboundField

from admin_views.base import AppView, LookupField
from admin_views.base.fields import PickField
from admin_views.base.plan import Plan
from admin_views.billing import invoice_card
from admin_views.billing.invoice_buttons import BUTTONS
from admin_views.billing.invoice_form import LinesField
from app.domain import billing
from app.domain.billing import LineIn, sending
from app.domain.billing.einvoice import e_invoice, with_e_invoice
from app.domain.billing.lines import as_entered
from app.domain.billing.logos import logo_of
from app.domain.billing.papers import title_of
from app.errors import Conflict, Invalid, NotFound
from app.i18n import _, exponent, gettext, show_money
from app.integrations.pdf import picture_kind
from app.integrations.storage import DirectoryStorage
from app.models.billing import Invoice, InvoiceKind, InvoiceStatus, LineKind
from app.models.customers import Customer
from app.models.projects import Project
from app.render import page


def storage_of(request: Request) -> DirectoryStorage:
    return DirectoryStorage(request.app.state.settings.data_dir / "attachments")


def as_file(content: bytes, name: str, media: str = "application/pdf") -> Response:
    """A file to keep; the browser runs nothing in it."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=media, headers=headers)


class MaybeField(PickField):
    """One of a long list, or none."""

    def iter_choices(self) -> Any:
        yield "", "–", not self.data, {}
        yield from super().iter_choices()

    def pre_validate(self, form: Any) -> None:
        if self.data:
            super().pre_validate(form)


class Invoices(AppView, model=Invoice):
    name, name_plural, icon, category = _("Invoice"), _("Invoices"), "file-invoice", "Money"
    purpose = _("What customers are asked to pay. What is issued stays as it is.")
    search_hint = _("Number")
    create_label = _("New invoice")
    letter, in_palette, palette_hints = "i", True, ("customer_id", "status")
    columns = ("id", "number", "customer_id", "project_id", "status", "issued_on", "due_on", "total")
    form_template = "sqladmin/invoice_form.html"
    leave_out = (
        "number", "kind", "account_id", "status", "issued_on", "net", "tax", "total", "paid", "reverse_charge",
        "credits_id", "reminded_on",
    )  # fmt: skip
    buttons = BUTTONS

    # ---- list and card ------------------------------------------------------------------------------------------

    def title(self, obj: Any) -> str:
        return title_of(obj) if obj.number else gettext("Draft #%(id)s") % {"id": obj.id}

    @staticmethod
    def cell_number(invoice: Any) -> str:
        shown = invoice.number or gettext("Draft #%(id)s") % {"id": invoice.id}
        return f'<a href="/admin/invoice/details/{int(invoice.id)}"><bdi>{Markup.escape(shown)}</bdi></a>'

    def card_options(self) -> list[Any]:
        return [*super().card_options(), selectinload(Invoice.lines)]

    def edit_options(self) -> list[Any]:
        return [selectinload(Invoice.lines)]

    def facts(self, obj: Any) -> list[Markup | str]:
        return [self.shown_id(obj), *invoice_card.facts(obj)]

    def links(self, plan: Plan, obj: Any) -> list[tuple[Any, ...]]:
        base = f"/admin/invoice/file/{obj.id}"
        shown = [
            (gettext("PDF"), f"{base}/pdf", "file-type-pdf", False, False, False),
            (gettext("Print"), f"{base}/print", "printer", False, False, True),
        ]
        if obj.number:
            for label, name in (
                (gettext("E-invoice (PDF with Factur-X)"), "facturx"),
                (gettext("E-invoice (XML)"), "xml"),
            ):
                shown.append((label, f"{base}/{name}", "file-export", False, False, True))
        return shown

    def editable(self, obj: Any) -> bool:
        return bool(obj.status is InvoiceStatus.DRAFT and obj.kind is InvoiceKind.INVOICE)

    async def strip(self, session: AsyncSession, obj: Any, request: Request) -> list[dict[str, Any]]:
        return invoice_card.figures(obj, await billing.credited(session, obj.id))

    async def sections(self, session: AsyncSession, obj: Any, request: Request) -> list[dict[str, Any]]:
        return await invoice_card.sections(session, obj, request)

    async def side(self, session: AsyncSession, obj: Any, request: Request) -> list[dict[str, Any]]:
        return await invoice_card.side(session, obj, request)

    # ---- files --------------------------------------------------------------------------------------------------

    async def file_pdf(self, session: AsyncSession, obj: Any, request: Request) -> Response:
        invoice, pdf = await sending.pdf_of(session, storage_of(request), obj.id)
        return as_file(pdf, sending.file_name(invoice))

    async def file_print(self, session: AsyncSession, obj: Any, request: Request) -> Response:
        """The same words as a page for a printer."""
        _invoice, paper = await sending.load_paper(session, storage_of(request), obj.id)
        logo = f"/admin/invoice/file/{obj.id}/logo" if paper.logo else None
        return HTMLResponse(page("sqladmin/paper.html", paper=paper, logo_url=logo, back=self.card_url(obj.id)))

    async def file_logo(self, session: AsyncSession, obj: Any, request: Request) -> Response:
        logo = await logo_of(session, storage_of(request), obj.project_id)
        if logo is None:
            raise NotFound
        return Response(logo, media_type=picture_kind(logo), headers={"X-Content-Type-Options": "nosniff"})

    async def file_xml(self, session: AsyncSession, obj: Any, request: Request) -> Response:
        xml = await self._xml(session, obj)
        return as_file(xml, sending.file_name(obj, "xml"), "application/xml")

    async def file_facturx(self, session: AsyncSession, obj: Any, request: Request) -> Response:
        xml = await self._xml(session, obj)
        _invoice, paper = await sending.load_paper(session, storage_of(request), obj.id)
        about = {"title": paper.title, "author": paper.author, "language": paper.language}
        made = await asyncio.to_thread(lambda: with_e_invoice(paper.pdf(), xml, **about))
        return as_file(made, sending.file_name(obj))

    @staticmethod
    async def _xml(session: AsyncSession, obj: Invoice) -> bytes:
        credits = await sending.credited_number(session, obj)
        return await asyncio.to_thread(e_invoice, obj, credits=credits)

    # ---- drafts -------------------------------------------------------------------------------------------------

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        fields: dict[str, Any] = {"lines": LinesField(_("Lines"), currency=obj.currency if obj is not None else "EUR")}
        if obj is None:
            fields["project"] = LookupField(
                _("Project"), target="project", description=_("Empty: the one of the customer.")
            )
            fields["currency"] = MaybeField(
                _("Currency"), kind="currency", description=_("Empty: that of the project.")
            )
        else:
            if not self.editable(obj):
                raise Conflict(gettext("It is issued and stays as it is. Make a credit note instead."))
            fields |= dict.fromkeys(("customer", "project", "currency"))
        fields["language"] = MaybeField(_("Language"), kind="language", description=_("Empty: that of the customer."))
        return fields

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        if obj is None:
            return {"language": "", "currency": ""}
        return {"lines": [row for row in obj.lines if row.kind is not LineKind.EXPENSE]}

    async def form_context(self, session: AsyncSession, obj: Any, form: Any) -> dict[str, Any]:
        form.lines.set_currency(await self._currency(session, obj, form))
        kept = [row for row in obj.lines if row.kind is LineKind.EXPENSE] if obj is not None else []
        return {"charged_before": [(row.description, show_money(row.total, obj.currency)) for row in kept]}

    @staticmethod
    async def _currency(session: AsyncSession, obj: Any, form: Any) -> str:
        """That of the draft, else what was chosen, else of the customer's project."""
        if obj is not None:
            return cast(str, obj.currency)
        if form.currency.data:
            return cast(str, form.currency.data)
        query = select(Customer).where(Customer.id == form.customer.data).options(selectinload(Customer.project))
        customer = await session.scalar(query) if form.customer.data else None
        return customer.project.currency if customer is not None else cast(str, form.lines.currency)

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Invoice:
        entered: Sequence[tuple[int | None, LineIn]] = values.pop("lines")
        if obj is None:
            await self._sure_of_currency(session, values)
            return await billing.draft_invoice(
                session, customer_id=values["customer_id"], project_id=values["project_id"],
                currency=values["currency"] or None, payer_id=values["payer_id"], usual_payer=True,
                due_on=values["due_on"], language=values["language"], note=values["note"],
                lines=[line for _id, line in entered],
            )  # fmt: skip
        known = {row.id: row for row in obj.lines}
        lines = [as_entered(row) for row in obj.lines if row.kind is LineKind.EXPENSE]
        for number, line in entered:
            before = known.get(number or 0)
            if before is not None and before.unit_price == line.price:  # what a script or a discount had put there
                line = replace(line, service_id=before.service_id, explained=before.explained)
            lines.append(line)
        return await billing.change_draft(
            session, invoice=obj, lines=lines, payer_id=values["payer_id"], due_on=values["due_on"],
            language=values["language"], note=values["note"],
        )  # fmt: skip

    @staticmethod
    async def _sure_of_currency(session: AsyncSession, values: dict[str, Any]) -> None:
        """Amounts were read with two decimals where no currency was chosen: the one that follows must have two."""
        if values["currency"]:
            return
        query = select(Project.currency)
        if values["project_id"]:
            query = query.where(Project.id == values["project_id"])
        else:
            query = query.join(Customer, Customer.project_id == Project.id).where(Customer.id == values["customer_id"])
        usual = await session.scalar(query)
        if usual and exponent(usual) != 2:
            said = gettext("Please choose the currency: that of the project is %(code)s.")
            raise Invalid(currency=said % {"code": usual})

    async def refusals(self, session: AsyncSession, obj: Any) -> list[str]:
        return [] if self.editable(obj) else [gettext("It is issued and stays as it is. Make a credit note instead.")]

    async def remove(self, session: AsyncSession, obj: Any) -> None:
        await billing.delete_draft(session, invoice=obj)
