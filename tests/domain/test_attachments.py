from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import db
from app.domain.attachments import add_attachment, content_type, search_attachments
from app.errors import Invalid, TooLarge
from app.integrations.storage import DirectoryStorage
from app.models.attachments import Attachment
from app.observe import Actor, Kind, acting
from tests import factories as make

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def storage(tmp_path: Path) -> DirectoryStorage:
    return DirectoryStorage(tmp_path / "attachments")


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.glob("attachments/**/*") if path.is_file()]


async def rows() -> int:
    async with db.reads() as session:
        return await session.scalar(select(func.count()).select_from(Attachment)) or 0


async def test_a_file_is_kept_under_a_safe_name_and_a_kind_of_our_own(storage: DirectoryStorage) -> None:
    async with db.unit() as session:
        file = await add_attachment(
            session, storage, name="..\\..\\etc/pass\0wd.pdf", chunks=stream(b"%PDF", b"-1.7"), max_bytes=100
        )
    assert (file.name, file.size, file.content_type) == ("passwd.pdf", 8, "application/pdf")
    assert await storage.read(file.key) == b"%PDF-1.7"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", "image/png"),
        ("a.PDF", "application/pdf"),
        ("a.txt", "text/plain"),
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.html", "application/octet-stream"),
        ("a.svg", "application/octet-stream"),
        ("a.js", "application/octet-stream"),
        ("a.xhtml", "application/octet-stream"),
        ("a.csv.gz", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_nothing_that_runs_in_a_browser_keeps_its_kind(name: str, kind: str) -> None:
    assert content_type(name) == kind


async def test_too_large_and_empty_files_leave_nothing_behind(storage: DirectoryStorage, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match=r"big\.bin"):
        async with db.unit() as session:
            await add_attachment(session, storage, name="big.bin", chunks=stream(b"x" * 60, b"x" * 60), max_bytes=100)
    assert kept(tmp_path) == []
    with pytest.raises(Invalid) as refusal:
        async with db.unit() as session:
            await add_attachment(session, storage, name="empty.txt", chunks=stream(), max_bytes=100)
    assert set(refusal.value.fields) == {"attachments"}
    assert await rows() == 0


async def test_files_used_before_are_found_once_without_customers_uploads(storage: DirectoryStorage) -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session)
        for name in ("Price list 2026.pdf", "Price list 2026.pdf", "Terms.pdf"):
            await add_attachment(session, storage, name=name, chunks=b"same", max_bytes=100)
        await add_attachment(
            session, storage, name="Price of mine.pdf", chunks=b"x", max_bytes=9, customer_id=customer.id
        )
    async with db.reads() as session:
        assert [f.name for f in await search_attachments(session, text="PRICE li")] == ["Price list 2026.pdf"]
        assert [f.name for f in await search_attachments(session)] == ["Terms.pdf", "Price list 2026.pdf"]
        assert list(await search_attachments(session, text="nothing")) == []


async def test_scoped_staff_find_only_their_own_files(storage: DirectoryStorage) -> None:
    async with db.unit() as session:
        project = await make.create_project(session)
        staff = await make.create_staff(session, projects=[project])
        await add_attachment(session, storage, name="others.pdf", chunks=b"x", max_bytes=9)
        await add_attachment(session, storage, name="mine.pdf", chunks=b"x", max_bytes=9, staff_id=staff.id)
    with acting(Actor(Kind.STAFF, staff_id=staff.id, projects=frozenset({project.id}))):
        async with db.reads() as session:
            assert [f.name for f in await search_attachments(session)] == ["mine.pdf"]
