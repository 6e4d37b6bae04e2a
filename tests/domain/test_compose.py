"""The letters of a campaign, read back by Python's own parser: nothing is lost, nothing can be added."""

from __future__ import annotations

import email
import email.policy
import random
import re
import unicodedata
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path

import pytest

from app import links
from app.domain.messaging import compose
from app.domain.messaging.content import Content
from app.domain.messaging.delivery import Row
from app.domain.messaging.headers import headers
from app.domain.messaging.shell import HUES, wrap_html
from app.domain.messaging.values import Recipient
from app.integrations.mail import MailAttachment, Rejected
from app.models.attachments import Attachment
from app.models.messaging import CampaignState, Policy
from app.settings import Settings


@pytest.fixture(autouse=True, scope="module")
def signing() -> None:
    links.configure(Settings(database_url="", secret_key="k" * 40, data_dir=Path()))


NAMES = (
    "Ada", "Jürgen Müller & Söhne GmbH", "Иванов Пётр Сергеевич", "田中 花子", "فاطمة علي", "😀 Emoji 👩‍👩‍👧",
    'Quote " and \\ back', "Ünïcödé " * 20, "x" * 200, "<script>alert(1)</script>", "=?utf-8?q?Encoded?=",
    "a, b; c: d <e@f>", ".dot", "..", "=3D", "Eve\r\nBcc: thief@example.org", "Eve\nX-Evil: 1\n\nbody",
    "tab\tand\x00null\x1b", "  spaces   inside  ", "\u2028line\u2029", "- item", "**bold** [a](http://x)",
    "{{ customer.id }}", "\u202eright to left", "", "From here", "e\u0301 combining",
)  # fmt: skip
TEXTS = (
    "Dear {{ customer.name }},\n\nall is well.",
    "{{ customer.name }}\n.\n..\n.dots {{ customer.contact_person }}\n\nFrom the start\n\n-- \n{{ customer.id }}",
    "{% if customer.contact_person == 'nobody' %}words{% endif %}",
    "Long: " + "y" * 3000 + " {{ customer.name }} " + "z " * 900,
    "Привет, {{ customer.name }}!\n\nСегодня ночью {{ customer.contact_person }} переезжает сервер.\n\n.точка",
    "Grüße = 100 % {{ customer.name }}={{ customer.name }}\ttab  \n\ntrailing spaces   \n\n"
    "[link](https://x.example/{{ customer.id }})",
    "日本語 {{ customer.name }} テスト " + "長い" * 400 + "\n\n{{ customer.contact_person }}",
    "{% if customer.id > 50 %}A{% else %}B {{ customer.name }}{% endif %} = end.",
)
SUBJECTS = (
    "Maintenance", "Für {{ customer.name }}", "{{ customer.name }}", "Привет " * 12,
    ". {{ customer.contact_person }} =",
)  # fmt: skip
SENDERS = (("Desk", "desk@nordhost.example"), ("Müller, Hosting", "büro@example.org"), ("", "a@münchen.example"))
FILES = (
    MailAttachment("Plan ü.pdf", "application/pdf", bytes(range(256)) * 40),
    MailAttachment("a" * 90 + ".txt", "text/plain", b".\r\n..\r\n"),
    MailAttachment("leer", "x/y", b""),
)


def plain(value: str) -> str:
    """A header value as it may stand: controls taken out, line breaks as spaces, no double spaces."""
    value = re.sub("[\t\n\v\f\r\x85\u2028\u2029]", " ", value)
    value = "".join(c for c in value if unicodedata.category(c) != "Cc")
    return re.sub(" {2,}", " ", value).strip(" ")


def raw_header(raw: bytes, name: str) -> str:
    return re.search(rf"(?s)\r\n{name}: (.*?)\r\n(?! )", "\r\n" + raw.decode())[1].replace("\r\n", "")  # type: ignore[index]


def made(n: int) -> tuple[Content, tuple[MailAttachment, ...], Row]:
    chance = random.Random(n)
    name, address = chance.choice(SENDERS)
    files = tuple(chance.sample(FILES, chance.choice((0, 0, 1, 2))))
    content = Content(
        campaign_id=1, state=CampaignState.RUNNING, policy=Policy.RESEND, staff_name="",
        texts={"de": (chance.choice(SUBJECTS), chance.choice(TEXTS))}, sender_name=name, sender_email=address,
        attachments=[Attachment(name=file.filename, key=file.filename) for file in files],
    )  # fmt: skip
    frame = {
        "project.name": chance.choice(("Nordhost", "Ünï")),
        "project.site": "https://x.example",
        "project.hue": "3",
    }
    values = {
        "customer.name": chance.choice(NAMES), "customer.contact_person": chance.choice(NAMES),
        "customer.id": str(n), "project.sender_name": "P", "project.sender_email": "p@x.example",
    }  # fmt: skip
    to = chance.choice(("a.b+c@example.org", "jörg@example.org", "x@münchen.example", "y" * 60 + "@example.org"))
    return content, files, Row(f"c1.abc.{n}.e", to, "de", 0, Recipient(values, frame, chance.choice(NAMES)))


def lines(text: str) -> list[str]:
    """What a text is, whatever its line ends; characters that may not stand in mail are taken out."""
    kept = "".join(c for c in text if c in "\t\n\r" or not (ord(c) < 32 or ord(c) == 127))
    return re.split("\r\n|\r|\n", kept)


@pytest.mark.parametrize("n", range(200))
def test_a_letter_is_read_back_field_by_field(n: int) -> None:
    content, files, row = made(n)
    sender, recipient, wire, size = compose.letter(content=content, files=files, row=row)
    assert wire.endswith(b"\r\n.\r\n") and wire.count(b"\r\n.\r\n") == 1, "one end"
    assert b"\n" not in wire.replace(b"\r\n", b"") and b"\r" not in wire.replace(b"\r\n", b"")
    stuffed = wire[:-3].split(b"\r\n")
    assert max(map(len, stuffed)) <= 998 and not any(line.startswith(b".") and line[1:2] != b"." for line in stuffed)
    raw = b"\r\n".join(line[1:] if line.startswith(b".") else line for line in stuffed)
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage) and not message.defects
    rendered = content.text("de").render(row.recipient.values)
    more = headers(content, row, sender)
    assert message.keys() == [
        "From", "To", "Subject", "Date", "Message-ID", *more, "MIME-Version", "Content-Type"
    ], "no header was added"  # fmt: skip
    names = content.sender_name or "P", row.recipient.name
    for header, name, address in (("From", names[0], sender), ("To", names[1], recipient)):
        (found,) = message[header].addresses
        got = f"{found.username}@{found.domain}".encode("utf-8", "surrogateescape").decode()  # RFC 6532
        assert got == address
        # by the older reader, because the new one leaves the space between two encoded words in (RFC 2047 6.2)
        assert str(make_header(decode_header(parseaddr(raw_header(raw, header))[0]))) == plain(name)
    assert str(message["Subject"]) == rendered.subject
    assert message["Message-ID"] == f"<{row.message_id}@{sender.rpartition('@')[2]}>"
    assert abs((message["Date"].datetime - datetime.now(UTC)).total_seconds()) < 60
    assert {name: str(message[name]) for name in more} == more
    frame = row.recipient.frame
    page = wrap_html(
        rendered.html, project_name=frame["project.name"], site=frame["project.site"], language="de",
        title=rendered.subject, color=HUES[frame["project.hue"]],
    )  # fmt: skip
    bodies = [part for part in message.walk() if part.get_content_type() in ("text/plain", "text/html")][:2]
    assert [part.get_content_type() for part in bodies] == ["text/plain", "text/html"]
    assert [lines(part.get_content().rstrip("\r\n")) for part in bodies] == [
        lines(rendered.text.rstrip("\n")), lines(page.rstrip("\n"))
    ]  # fmt: skip
    got = [(part.get_filename(), part.get_payload(decode=True)) for part in message.iter_attachments()]
    assert got == [(file.filename, file.content) for file in files]
    assert size >= len(wire) - 3 - sum(line.startswith(b".") for line in stuffed)
    assert compose.compose(content=content, files=files, row=row)[:5] == b"From:"


@pytest.mark.parametrize("address", ["", "nobody", "a b@x.example", "a@x.example\r\nBcc: b@x.example", "a@x..example"])
def test_what_is_no_address_is_refused(address: str) -> None:
    content, files, row = made(1)
    row.address = address
    with pytest.raises(Rejected):
        compose.letter(content=content, files=files, row=row)
