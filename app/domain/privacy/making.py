"""Making an export: a ZIP in a temporary file, then in the store, then a mail to whoever has asked for it."""

from __future__ import annotations

import asyncio
import csv
import json
import tempfile
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app import db
from app.db import utcnow
from app.domain import brands, keeping
from app.domain.billing import sending
from app.domain.customers.merging import family
from app.domain.messaging import system
from app.domain.privacy.contents import PARTS, Row, Source, read_me
from app.domain.privacy.requests import KEPT_DAYS
from app.domain.sheets import neutral
from app.i18n import LANGUAGES, SOURCE, best, show_date, speaking
from app.integrations.storage import FileMissing, Storage, StoredFile
from app.models.billing import Invoice, InvoiceStatus
from app.models.customers import Customer
from app.models.messaging import MailKind
from app.models.privacy import DataRequest, DataState

BLOCK = 1024 * 1024
Told = Callable[[int, int], Awaitable[None]]
"""Hears (steps done, steps)."""


async def make(storage: Storage, *, request_id: int, told: Told) -> None:
    """Write the ZIP of a waiting request, keep it, and mail that it is ready. Done twice it changes nothing."""
    async with db.reads() as session:
        request = await session.scalar(
            select(DataRequest)
            .where(DataRequest.id == request_id)
            .options(
                joinedload(DataRequest.user), joinedload(DataRequest.customer).joinedload(Customer.project)
            )
        )  # fmt: skip
    if request is None or request.state is not DataState.WAITING:
        return
    customer, user = request.customer, request.user
    wanted = (user.language if user else "") or customer.language or customer.project.default_language
    with speaking(best(wanted, tuple(LANGUAGES)) or SOURCE, customer.timezone or customer.project.timezone or "UTC"):
        with tempfile.TemporaryDirectory(prefix="bursar-data-") as folder:
            path = await _write(storage, Path(folder), customer, told)
            stored = await storage.save(_blocks(path))
        await _keep(storage, request, stored)


async def _write(storage: Storage, folder: Path, customer: Customer, told: Told) -> Path:
    path, source = folder / "data.zip", Source(customer.id)
    async with db.reads() as session:
        issued = await session.scalars(
            select(Invoice.id)
            .where(Invoice.customer_id.in_(family(customer.id)), Invoice.status != InvoiceStatus.DRAFT)
            .order_by(Invoice.id)
        )
        invoices = issued.all()
    done, total = 0, len(PARTS) + len(invoices)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", read_me(customer.name))
        for name, part in PARTS.items():
            await _part(archive, folder, name, part(source))
            done += 1
            await told(done, total + len(source.files))
        for invoice_id in invoices:
            async with db.reads() as session:
                invoice, pdf = await sending.pdf_of(session, storage, invoice_id)
            archive.writestr(f"invoices/{invoice_id}-{sending.file_name(invoice)}", pdf)
            done += 1
            if done % 20 == 0:
                await told(done, total + len(source.files))
        for name, key in source.files.items():
            await _file(storage, archive, name, key)
            done += 1
            if done % 20 == 0:
                await told(done, total + len(source.files))
    await told(done, done)
    return path


async def _part(archive: zipfile.ZipFile, folder: Path, name: str, rows: AsyncIterator[Row]) -> None:
    """One part, as JSON and as CSV. What is long is packed beside the other work of this process."""
    as_json, as_csv = folder / f"{name}.json", folder / f"{name}.csv"
    with as_json.open("w", encoding="utf-8") as out, as_csv.open("w", encoding="utf-8-sig", newline="") as sheet:
        writer, between = csv.writer(sheet), "["
        async for row in rows:
            if between == "[":
                writer.writerow(row)
            out.write(between + json.dumps(row, ensure_ascii=False, indent=1))
            writer.writerow([_cell(value) for value in row.values()])
            between = ",\n"
        out.write("[]\n" if between == "[" else "]\n")
    for path in (as_json, as_csv):
        await asyncio.to_thread(archive.write, path, path.name)
        path.unlink()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return neutral(value)
    return str(value) if isinstance(value, int) else neutral(json.dumps(value, ensure_ascii=False))


async def _file(storage: Storage, archive: zipfile.ZipFile, name: str, key: str) -> None:
    try:
        content = await storage.open(key)
    except FileMissing:
        archive.writestr(f"{name}.missing.txt", "")
        return
    with archive.open(name, "w", force_zip64=True) as out:
        async for block in content:
            await asyncio.to_thread(out.write, block)


async def _blocks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while block := await asyncio.to_thread(file.read, BLOCK):
            yield block


async def _keep(storage: Storage, request: DataRequest, stored: StoredFile) -> None:
    """Note where the file lies; nobody waits for it any more: then it goes."""
    async with db.unit() as session:
        made = await session.get(DataRequest, request.id, with_for_update=True)
        if made is None or made.state is not DataState.WAITING:
            await keeping.forget(storage, session, [stored.key])
            return
        now = utcnow()
        made.state, made.key, made.size = DataState.READY, stored.key, stored.size
        made.finished_at, made.expires_at = now, now + timedelta(days=KEPT_DAYS)
        await session.flush()
        user = request.user
        link = await brands.url_for(request.customer.project_id, "/client/data")
        macros = {"data.link": link, "data.until": show_date(made.expires_at)}
        await system.send(
            session, kind=MailKind.DATA_READY, customer_id=made.customer_id, key=f"data.ready:{made.id}",
            to=user.email if user else "", language=user.language if user else "",
            macros=macros | ({"user.name": str(user)} if user else {}),
        )  # fmt: skip
