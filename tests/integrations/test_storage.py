import asyncio
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.integrations.storage import DirectoryStorage, FileMissing, FileTooLarge, safe_filename


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(0)
        yield part


@pytest.mark.asyncio
async def test_saved_content_comes_back_whole_and_in_blocks(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path / "store")
    content = bytes(range(256)) * 4000
    stored = await storage.save(chunks(content[:1], content[1:600_000], content[600_000:]))
    assert stored.size == len(content)
    assert stored.key == stored.sha256
    assert await storage.read(stored.key) == content
    assert b"".join([block async for block in await storage.open(stored.key)]) == content


@pytest.mark.asyncio
async def test_equal_contents_share_one_file(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    many = await asyncio.gather(*(storage.save([b"a", b"b"]) for _ in range(10)), storage.save(b"ab"))
    assert len({stored.key for stored in many}) == 1
    (path,) = files(tmp_path)
    assert path.relative_to(tmp_path).parts == (many[0].key[:2], many[0].key[2:4], many[0].key)


@pytest.mark.asyncio
async def test_an_empty_file_can_be_stored(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    stored = await storage.save(b"")
    assert stored.size == 0
    assert await storage.read(stored.key) == b""


@pytest.mark.asyncio
async def test_a_stream_that_fails_or_is_too_long_leaves_nothing_behind(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 600_000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await storage.save(broken())
    with pytest.raises(FileTooLarge):
        await storage.save(chunks(b"12345", b"67890"), limit=9)
    assert files(tmp_path) == []
    assert (await storage.save(chunks(b"12345", b"67890"), limit=10)).size == 10


@pytest.mark.asyncio
async def test_a_cancelled_save_leaves_nothing_behind(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    waiting = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 600_000
        waiting.set()
        await asyncio.sleep(60)
        yield b""

    task = asyncio.create_task(storage.save(endless()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(tmp_path) == []


@pytest.mark.asyncio
async def test_a_deleted_file_is_missing_and_deleting_twice_is_no_error(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    stored = await storage.save(b"x")
    await storage.delete(stored.key)
    await storage.delete(stored.key)
    with pytest.raises(FileMissing):
        await storage.read(stored.key)
    with pytest.raises(FileMissing):
        await storage.open(stored.key)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "key", ["", "..", "../secret", "/etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "a" * 62 + "/x", "\x00" * 64]
)
async def test_no_key_leads_out_of_the_store(tmp_path: Path, key: str) -> None:
    (tmp_path / "secret").write_text("s")
    storage = DirectoryStorage(tmp_path / "store")
    for verb in (storage.read, storage.open, storage.delete):
        with pytest.raises(FileMissing):
            await verb(key)
    assert (tmp_path / "secret").exists()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\bill.pdf", "bill.pdf"),
        ("C:bill.pdf", "bill.pdf"),
        ("/a/b/", "b"),
        ("..", "file"),
        ("...", "file"),
        ("", "file"),
        ("///", "file"),
        (".htaccess", "htaccess"),
        ("a\x00b\r\nc.txt", "abc.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("file.txt:stream", "file.txt_stream"),
        ('a"b<c>.txt', "a_b_c_.txt"),
        ("u\u0308ber.txt", "\u00fcber.txt"),
        ("Rechnung Müller.pdf", "Rechnung Müller.pdf"),
        ("счёт №5.pdf", "счёт №5.pdf"),
        ("name. . ", "name"),
        ("x" * 200 + ".pdf", "x" * 116 + ".pdf"),
        ("a." + "y" * 200, "a." + "y" * 118),
    ],
)
def test_file_names_are_made_safe(name: str, safe: str) -> None:
    assert safe_filename(name) == safe


@settings(deadline=None)
@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_name_becomes_safe_and_stays_so(name: str) -> None:
    safe = safe_filename(name)
    assert 1 <= len(safe) <= 120
    assert not set('/\\<>:"|?*') & set(safe)
    assert not safe.startswith(".")
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u202a\u202e\u2066" for c in safe)
    assert unicodedata.is_normalized("NFC", safe)
    assert safe_filename(safe) == safe
