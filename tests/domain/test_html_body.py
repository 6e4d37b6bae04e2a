"""Texts written as HTML: what may stay, what a field may do, and the plain text made from them."""

from __future__ import annotations

import time

import pytest

from app.domain.messaging import html_body
from app.domain.messaging.render import TemplateProblem, check_message, compile_message


@pytest.mark.parametrize(
    ("body", "html"),
    [
        ("<p>Hello</p>", True),
        ("  \n<table><tr><td>x</td></tr></table>", True),
        ("<!DOCTYPE html><html><body>x</body></html>", True),
        ("{% if customer.name %}<h1>x</h1>{% endif %}", True),
        ("Hello <p>", False),
        ("<b@example.com>", False),
        ("**bold**", False),
    ],
)
def test_a_text_that_begins_with_a_tag_is_html(body: str, html: bool) -> None:
    shown = compile_message("s", body).render({"customer.name": "x"}).html
    as_markdown = shown.startswith("<p>") and not body.startswith("<p>")
    assert as_markdown != html


def test_html_is_sent_as_html_and_as_plain_text() -> None:
    body = """<h1>Maintenance</h1>
<p>Dear   {{ customer.name }},<br>we <b>work</b> on
<a href="https://status.example/{{ customer.id }}">our servers</a>.</p>
<ol start="3"><li>First</li><li>Second <ul><li>inner</li></ul></li></ol>
<table><tr><td>When</td><td>Sunday</td></tr><tr><td>Where</td><td>Falkenstein</td></tr></table>
<p><a href="mailto:desk@example.com">desk@example.com</a></p><img src="https://x.example/a.png" alt="A cat"><hr>Bye"""
    made = compile_message("s", body).render({"customer.name": "Köhler & <Co>", "customer.id": "7/8"})
    assert (
        made.text
        == """Maintenance

Dear Köhler & <Co>,
we work on our servers (https://status.example/7/8).

3. First
4. Second
- inner

When Sunday
Where Falkenstein

desk@example.com

A cat

---
Bye"""
    )
    assert "Köhler &amp; &lt;Co&gt;" in made.html and "<b>work</b>" in made.html and "<td>When</td>" in made.html
    assert 'href="https://status.example/7%2F8"' in made.html


@pytest.mark.parametrize(
    ("body", "never"),
    [
        ("<p>x</p><script>alert(1)</script>", "alert"),
        ("<p onclick=alert(1)>x</p>", "alert"),
        ("<p>x</p><style>p{color:red}</style>", "color"),
        ('<p><a href="javascript:alert(1)">x</a></p>', "javascript"),
        ('<p><a href="{{ customer.name }}">x</a></p>', "javascript"),
        ('<p><a href="here.html">x</a></p>', "here"),
        ("<p><img src=x onerror=alert(1)></p>", "onerror"),
        ("<p>x<iframe src='https://evil.example'></iframe></p>", "evil"),
        ("<p>x</p><form action='https://evil.example'><input></form>", "evil"),
        ("<p style='position:fixed'>x</p>", "fixed"),
        ('<p title="{{ customer.name }}">{{ customer.name }}</p>', "<script"),
        ('<p><img src="https://x.example/a" alt="{{ customer.phone }}"></p>', '" onerror'),
        ("<{{ customer.name }}>x</p>", "<script"),
        ("<p {{ customer.phone }}>x</p>", "onerror"),
    ],
)
def test_nothing_that_acts_gets_through(body: str, never: str) -> None:
    values = {"customer.name": "javascript:alert(1)<script>", "customer.phone": '" onerror="alert(1)'}
    made = compile_message("s", body).render(values)
    shown = made.html.replace("&lt;script", "").replace(
        "javascript:alert(1)", "" if "href" not in body else "javascript"
    )
    assert never not in shown, made.html


# ---- in bounded time ------------------------------------------------------------------------------------------------

INVOLVED = {
    "a tag that is not closed": "<p>" + "".join(f"<i a={n} <u>" for n in range(2_000)) + "<p>x" * 5_000,
    "blocks in each other": "<div>" * 19_000, "lists in each other": "<ul><li>" * 12_000,
    "misnested": "<p>" + "<b><i><p>" * 11_000, "many small ones": "<p>" + "<b><p>x" * 14_000,
}  # fmt: skip


@pytest.mark.parametrize("body", INVOLVED.values(), ids=INVOLVED)
def test_html_made_to_take_long_is_refused_and_soon(body: str) -> None:
    begin = time.thread_time()
    with pytest.raises(TemplateProblem, match="too involved"):
        check_message("Hi", body)
    assert time.thread_time() - begin < 4
    begin = time.thread_time()
    with pytest.raises(TemplateProblem, match="too involved"):  # in the branch that nobody takes at first
        check_message("Hi", f"<p>{{% if customer.name == 'x' %}}{body}{{% endif %}}</p>")
    assert time.thread_time() - begin < 4


@pytest.mark.parametrize("mark", ['<b title="{}">', "<b a='>{}<'>", "<i/a={}>"])
def test_marks_are_not_opened_again_in_each_block_without_end(mark: str) -> None:
    body = "<p>" + "".join(mark.format(n) for n in range(2_000)) + "<p>x" * 5_000
    begin = time.thread_time()
    assert len(html_body.clean(body)) < 5 * len(body)
    assert time.thread_time() - begin < html_body.SECONDS


def test_an_ordinary_newsletter_is_far_from_the_limit() -> None:
    row = '<tr><td align="center"><b style="color:red">Ада</b> &amp; <a href="https://x.example/{}">all</a></td></tr>'
    body = "<table>" + "".join(row.format(n) for n in range(500)) + "</table>"
    begin = time.thread_time()
    html = html_body.clean(body)
    assert "<b>Ада</b>" in html and "Ада & all (https://x.example/499)" in html_body.to_text(html)
    assert time.thread_time() - begin < html_body.SECONDS / 2
    check_message("Hi", body)
