"""Mail of others is read whatever is in it; mailboxes on disk and behind IMAP lose nothing."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from app.integrations.mail import build_message
from app.integrations.mail.html_text import html_to_text
from app.integrations.mail.inbound import MailboxError, open_mailbox
from app.integrations.mail.reading import Incoming, Unreadable, peek
from tests.integrations.imap import Server, imap_server


def mail(*, headers: str = "", body: bytes = b"Hello\r\n", sender: str = "Ada <ada@example.org>") -> bytes:
    return f"From: {sender}\r\nSubject: Hi\r\n{headers}\r\n".encode("utf-8", "surrogateescape") + body


# ---- reading --------------------------------------------------------------------------------------------------------


def test_what_we_write_is_read_back() -> None:
    raw = build_message(
        sender="desk@example.com", sender_name="Müller & Söhne", recipient="ada@example.org", recipient_name="Ada",
        subject="Grüße – ein langer Betreff, der gefaltet wird, weil er nicht in eine Zeile passt", text="Ja.\n.\nÄ",
        html="<p>Ja</p>", message_id="a.1@example.com",
        headers={"In-Reply-To": "<b@x>", "References": "<a@x> <b@x>"},
    )  # fmt: skip
    letter = Incoming(raw)
    assert letter.message_id == "a.1@example.com"
    assert letter.sender == "desk@example.com" and letter.sender_name == "Müller & Söhne"
    assert letter.recipients == ["ada@example.org"]
    assert letter.subject == "Grüße – ein langer Betreff, der gefaltet wird, weil er nicht in eine Zeile passt"
    assert letter.text == "Ja.\n.\nÄ"
    assert letter.refers_to == ("b@x", "a@x")
    assert letter.files == []


def test_a_header_of_ten_megabytes_is_refused_at_once() -> None:
    raw = b"From: a@example.org\r\nX-Long: " + b"a" * 10 * 2**20 + b"\r\n\r\nHello"
    begin = time.process_time()
    with pytest.raises(Unreadable, match="header is too large"):
        Incoming(raw)
    seen = peek(raw)
    assert time.process_time() - begin < 2
    assert seen.sender == "" and len(seen.fingerprint) == 64


def test_bodies_a_thousand_deep_are_refused_at_once() -> None:
    head = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1000))
    raw = b"From: a@example.org\r\n" + head + b"Content-Type: text/plain\r\n\r\nHello"
    begin = time.process_time()
    with pytest.raises(Unreadable, match="inside each other"):
        Incoming(raw)
    assert peek(raw).sender == "a@example.org"
    assert time.process_time() - begin < 2


def test_control_characters_and_halves_of_characters_are_taken_out() -> None:
    letter = Incoming(mail(body=b"one\x00two\x1b[31m\r\nthree\xff\xfe\r\n"))
    assert "\0" not in letter.text and "\x1b" not in letter.text
    assert letter.text.startswith("onetwo[31m\nthree")
    letter.text.encode()  # nothing that cannot be stored


def test_a_subject_cannot_bring_another_header_or_line() -> None:
    coded = base64.b64encode(b"Hi\r\nBcc: all@example.org\x00").decode()
    raw = f"From: a@example.org\r\nSubject: =?utf-8?b?{coded}?=\r\n\r\nx".encode()
    letter = Incoming(raw)
    assert letter.subject == "Hi Bcc: all@example.org"
    assert letter.subject.isprintable()
    assert letter.values("bcc") == []


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("utf-8", "Grüße".encode(), "Grüße"),
        ("iso-8859-1", "Grüße".encode("latin-1"), "Grüße"),
        ("koi8-r", "Привет".encode("koi8-r"), "Привет"),
        ("x-unknown", "Grüße".encode(), "Grüße"),
        ("us-ascii", "Grüße".encode("cp1252"), "Grüße"),
        ("unicode_escape", b"a\\x41", "a\\x41"),
        ("", "Grüße".encode("latin-1"), "Grüße"),
    ],
)
def test_a_broken_or_missing_charset_is_survived(charset: str, data: bytes, text: str) -> None:
    named = f"Content-Type: text/plain; charset={charset}\r\n" if charset else "Content-Type: text/plain\r\n"
    headers = f"{named}Content-Transfer-Encoding: base64\r\n"
    assert Incoming(mail(headers=headers, body=base64.b64encode(data))).text == text


@pytest.mark.parametrize(
    "sender", ["ada@example.org, eve@example.org", "", "no address", "ada@example.org\r\nFrom: eve@example.net"]
)
def test_a_sender_who_is_not_exactly_one_is_nobody(sender: str) -> None:
    assert Incoming(mail(sender=sender)).sender == ""


def test_a_name_that_looks_like_an_address_is_only_a_name() -> None:
    assert Incoming(mail(sender='"ada@example.org" <eve@example.net>')).sender == "eve@example.net"


def test_only_html_becomes_text_and_nothing_hidden_is_in_it() -> None:
    html = (
        "<html><head><title>t</title><style>p{}</style></head><body><p>Hello&nbsp;<b>you</b></p>"
        "<script>alert(1)</script><ul><li>one</li><li>two</li></ul>"
        '<a href="https://example.org/x">here</a> <a href="javascript:alert(1)">bad</a>'
        "<blockquote><p>before</p></blockquote><img src=x onerror=alert(1)></body></html>"
    )
    text = html_to_text(html)
    assert text == "Hello you\n\n- one\n- two\n\nhere <https://example.org/x> bad\n> before"
    deep = "<div>" * 100_000 + "deep" + "</div>" * 100_000
    assert html_to_text(deep) == "deep"
    assert html_to_text("<!-- half <p>x") in ("", "x", "<!-- half <p>x", "<!-- half")


@pytest.mark.parametrize(
    "piece", [b"<!--", b"<b>a", b"<a ", b"<a b='", b"<a b=", b"<p", b"<", b"</", b"<a href=", b"<td>a", b"<script>"]
)
def test_html_that_is_left_open_is_read_at_once(piece: bytes) -> None:
    raw = mail(headers="Content-Type: text/html\r\n", body=piece * (5_000_000 // len(piece)))
    begin = time.thread_time()
    Incoming(raw).text  # noqa: B018
    assert time.thread_time() - begin < 1


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a<!-- b <p> c -->d<!---->e<!-->f", "adef"),
        ("a < b &amp; c <d", "a < b & c <d"),
        ("<a title='x>y' href='https://e.example/?a=1&amp;b'>Go</a>!", "Go <https://e.example/?a=1&b>!"),
        ("<a data-href=https://no.example HREF=https://e.example>Go</a>", "Go <https://e.example>"),
        ("<a href='javascript:x'>Go</a>", "Go"),
        ("<script>if (a<b) '<title>'</script>Yes<style>p>a{}</style>", "Yes"),
        ("<!DOCTYPE html><?xml?><![if !mso]>Yes<![endif]>", "Yes"),
        (
            "<p>One<p>Two</p><ul><li>a<li>b</ul><blockquote>q<br/>r</blockquote>s",
            "One\nTwo\n\n- a\n- b\n\n> q\n> r\n\ns",
        ),
        ("&#" + "9" * 5000 + ";x", "&#" + "9" * 5000 + ";x"),
    ],
)
def test_html_as_text(html: str, text: str) -> None:
    assert html_to_text(html) == text


def test_a_charset_with_a_charset_that_is_none_is_survived() -> None:
    raw = mail(headers="Content-Type: text/plain; charset*=a\0b''utf-8\r\n", body="Grüße".encode())
    assert Incoming(raw).text == "Grüße"


def test_files_have_clean_names_and_text_beside_them_stays_text() -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "ada@example.org", "x"
    message.set_content("See the file.")
    message.add_attachment(b"bytes", maintype="application", subtype="pdf", filename="../../etc/pass\u202efdp.wd")
    message.add_attachment("inside", filename="notes.txt")
    letter = Incoming(bytes(message))
    assert letter.text == "See the file."
    assert [(f.name, f.content.strip()) for f in letter.files] == [("passfdp.wd", b"bytes"), ("notes.txt", b"inside")]


def test_the_same_mail_has_one_fingerprint_by_whatever_way_it_comes() -> None:
    raw = mail(headers="Message-ID: <1@x>\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n")
    assert peek(raw).fingerprint == peek(b"Received: from a\r\nDelivered-To: d@example.com\r\n" + raw).fingerprint
    assert peek(raw).fingerprint != peek(raw.replace(b"Hello", b"Other")).fingerprint
    assert peek(raw).fingerprint != peek(raw.replace(b"<1@x>", b"<2@x>")).fingerprint
    assert peek(b"").fingerprint and peek(b"\0\xff\r\n\r\n").fingerprint


# ---- mailboxes ------------------------------------------------------------------------------------------------------


async def test_a_maildir_gives_its_new_mails_and_marks_them_as_seen(tmp_path: Path) -> None:
    for folder in ("new", "cur", "tmp"):
        (tmp_path / folder).mkdir()
    (tmp_path / "new" / "1.a").write_bytes(b"first")
    (tmp_path / "new" / "2.b").write_bytes(b"second, longer")
    (tmp_path / "new" / ".hidden").write_bytes(b"not a mail")
    (tmp_path / "cur" / "0.z:2,S").write_bytes(b"read already")
    box = open_mailbox(f"maildir://{tmp_path}")
    assert await box.waiting(10) == ["1.a", "2.b"] and await box.waiting(1) == ["1.a"]
    assert await box.read("1.a", 100) == (b"first", 5)
    assert await box.read("2.b", 6) == (b"second", 14)
    await box.put_away("1.a")
    assert await box.waiting(10) == ["2.b"]
    assert (tmp_path / "cur" / "1.a:2,S").read_bytes() == b"first"


async def test_a_maildir_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(MailboxError, match="Maildir"):
        await open_mailbox(f"maildir://{tmp_path}/none").waiting(1)


@pytest.fixture
def imap() -> Iterator[Server]:
    with imap_server() as server:
        yield server


def url_of(server: Server, password: str = "s3cret%20word") -> str:
    return f"imap://desk:{password}@127.0.0.1:{server.port}/INBOX?done=Processed"


@pytest.mark.parametrize("capabilities", ["IMAP4rev1 MOVE UIDPLUS", "IMAP4rev1 UIDPLUS", "IMAP4rev1"])
async def test_an_imap_folder_is_read_and_emptied_into_another(imap: Server, capabilities: str) -> None:
    imap.capabilities = capabilities
    first, second = imap.add(b"From: a@x\r\n\r\none\r\n"), imap.add(b"From: b@x\r\n\r\ntwo, longer\r\n")
    box = open_mailbox(url_of(imap))
    assert await box.waiting(10) == [str(first), str(second)]
    assert await box.read(str(first), 1000) == (b"From: a@x\r\n\r\none\r\n", 18)
    assert await box.read(str(second), 9) == (b"From: b@x", 26)
    await box.put_away(str(first))
    assert await box.waiting(10) == [str(second)]
    assert imap.folders["Processed"] == {first: b"From: a@x\r\n\r\none\r\n"}
    await box.close()
    assert imap.commands[-1] == "LOGOUT"


async def test_a_wrong_password_is_told_without_the_password(imap: Server) -> None:
    box = open_mailbox(url_of(imap, "wrong%21pass"))
    with pytest.raises(MailboxError) as told:
        await box.waiting(1)
    assert "AUTHENTICATIONFAILED" in str(told.value) and "wrong" not in str(told.value)


async def test_a_connection_that_breaks_is_opened_anew(imap: Server) -> None:
    uid = imap.add(b"From: a@x\r\n\r\none\r\n")
    box = open_mailbox(url_of(imap))
    imap.drop_on = "FETCH"
    with pytest.raises(MailboxError):
        await box.read(str(uid), 100)
    imap.drop_on = ""
    assert await box.waiting(5) == [str(uid)], "nothing is lost"
    await box.close()


def multipart(*parts: bytes, times: int = 1) -> bytes:
    head = b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
    return head + b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) * times + b"--x--\r\n"


SEMICOLONS = b'Content-Type: text/plain; a="' + b";" * 9_000 + b"\r\n\r\nHi"
SLOW = {
    "one long parameter": multipart(b'Content-Type: text/plain; a="' + b";" * 200_000 + b"\r\n\r\nHi"),
    "folded": multipart(b'Content-Type: text/plain; a="' + (b";" * 70 + b"\r\n ") * 2_000 + b"\r\n\r\nHi"),
    "of a file": multipart(b'Content-Disposition: attachment; filename="' + b";" * 200_000 + b"\r\n\r\nHi"),
    "at the top": b'Content-Type: text/plain; a="' + b";" * 100_000 + b"\r\n\r\nHi",
    "in many parts": multipart(SEMICOLONS, times=200),
    "numbered": multipart(
        b"".join(b"; name*%d=x" % n for n in range(40_000)).join([b"Content-Type: a/b", b"\r\n\r\nHi"])
    ),
    "in a mail in the mail": multipart(b"Content-Type: message/rfc822\r\n\r\n" + SEMICOLONS, times=40),
    "many parts": multipart(b"", times=1_000_000),
    "many headers": multipart(b"X: y\r\n" * 1_000_000),
    "bare returns": multipart(b"\rContent-Type: multipart/mixed; boundary=x\r\r--x" * 2_000),
}


@pytest.mark.parametrize("raw", SLOW.values(), ids=SLOW)
def test_a_header_made_to_take_long_is_given_up_soon(raw: bytes) -> None:
    begin = time.thread_time()
    with pytest.raises(Unreadable):
        letter = Incoming(raw)
        assert letter.text or letter.files
    assert peek(raw).fingerprint
    assert time.thread_time() - begin < 3


def test_long_names_and_many_parts_of_honest_mails_are_read() -> None:
    words = ["utf-8''" + "%D0%AF" * 10, *["%D0%AF" * 10] * 29]
    name = "".join(f"; filename*{n}*={word}" for n, word in enumerate(words))
    part = f"Content-Type: a/b\r\nContent-Disposition: attachment{name}\r\n\r\nx".encode()
    letter = Incoming(multipart(*[part] * 100))
    assert len(letter.files) == 100 and letter.files[0].name.startswith("ЯЯЯ")
