"""Hostile templates and hostile values: none gets through, none takes long, none becomes large."""

from __future__ import annotations

import email
import email.policy
import re
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from app.domain.messaging.macros import LONGEST, MacroSpec
from app.domain.messaging.render import MACROS, TemplateProblem, check_message, compile_message, parse
from app.domain.messaging.shell import wrap_html
from app.integrations.mail import build_message
from tests.domain.tags import Tags

EXAMPLES = {name: spec.example for name, spec in MACROS.items()}
SECONDS = 0.05
"""Of the processor, that any template may take."""
BYTES = 1_000_000
"""What any message may become."""


def used(work: Callable[[], object], tries: int = 3) -> float:
    """Processor seconds of the best of some tries: the machine may be busy with others."""
    best = 9.0
    for _n in range(tries):
        began = time.thread_time()
        try:
            work()
        except TemplateProblem:
            pass
        best = min(best, time.thread_time() - began)
        if best < SECONDS:
            break
    return best


def assert_safe(page: str) -> None:
    for tag, attributes in Tags(page).tags:
        assert tag in {"p", "br", "strong", "em", "code", "pre", "blockquote", "ul", "ol", "li", "hr", "a", "img",
                       "h1", "h2", "h3", "h4", "h5", "h6"}, tag  # fmt: skip
        assert set(attributes) <= {"href", "src", "alt", "title", "rel", "start"}
        for name in ("href", "src"):
            assert re.match(r"(#$|https?://|mailto:|$)", attributes.get(name) or "", re.IGNORECASE)


# ---- templates that are refused ----------------------------------------------------------------------------

REFUSED = [
    # looking into objects
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ customer.__class__ }}",
    "{{ customer.name.__class__.__init__.__globals__ }}",
    "{{ customer.__init__.__globals__['os'] }}",
    "{{ customer['name'] }}",
    "{{ customer['__class__'] }}",
    "{{ [].__class__ }}",
    "{{ {}.__class__ }}",
    "{{ ().__class__.__bases__[0] }}",
    "{{ self }}",
    "{{ self._TemplateReference__context }}",
    "{{ config }}",
    "{{ request.application.__globals__ }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ namespace.__init__ }}",
    "{{ joiner }}",
    "{{ customer }}",
    "{{ customer.name.upper }}",
    "{{ _ }}",
    "{{ loop.index }}",
    # calling
    "{{ customer.name.upper() }}",
    "{{ customer.name.format(customer) }}",
    "{{ '{0.__class__}'.format(customer) }}",
    "{{ '%s' % customer.name }}",
    "{{ range(10**9) }}",
    "{{ dict(a=1) }}",
    "{{ lipsum(n=100000) }}",
    "{{ super() }}",
    "{{ caller() }}",
    "{{ ''.join(['a']*1000) }}",
    # filters and tests
    "{{ customer|attr('__class__') }}",
    "{{ customer.name|attr('__class__') }}",
    "{{ [1]|map('string') }}",
    "{{ '%s'|format(customer.name) }}",
    "{{ customer.name|safe }}",
    "{{ customer.name|tojson }}",
    "{{ customer.name|list }}",
    "{{ customer.name|center(1000000000) }}",
    "{{ customer.name|replace('a', 'b' * 1000) }}",
    "{{ customer.name|default(customer.id) }}",
    "{{ customer.name|default(default='x') }}",
    "{{ customer.name|default(*[1]) }}",
    "{{ customer.name|upper(1) }}",
    "{{ customer.name|trim('abc') }}",
    "{{ customer.name is defined }}",
    "{% filter upper %}x{% endfilter %}",
    "{% if customer.name is string %}{% endif %}",
    "{% if customer.name|attr('x') %}{% endif %}",
    # statements
    "{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}{% endfor %}",
    "{% for c in customer.name %}{{ c }}{% endfor %}",
    "{% set x = customer %}{{ x.name }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import system %}",
    "{% extends 'x' %}",
    "{% block x %}{% endblock %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% call x() %}{% endcall %}",
    "{% with a=1 %}{% endwith %}",
    "{% do x() %}",
    "{% autoescape false %}{% endautoescape %}",
    "{% raw %}{{ customer.name }}{% endraw %}",
    "{% print(customer) %}",
    "{% debug %}",
    "{% trans %}x{% endtrans %}",
    # sums and sizes
    "{{ 10 ** 10 ** 10 }}",
    "{{ 'a' * 10 ** 9 }}",
    "{{ 1 / 0 }}",
    "{{ -1 }}",
    "{{ customer.name ~ customer.id }}",
    "{{ 'a' if customer.id else 'b' }}",
    "{{ customer.id == 1 }}",
    "{{ true }}",
    "{{ none }}",
    "{{ [1, 2] }}",
    "{{ {'a': 1} }}",
    "{% if 1 < customer.id < 5 %}{% endif %}",
    "{% if customer.id in [customer.name] %}{% endif %}",
    "{% if customer.id in [[1]] %}{% endif %}",
    "{{ " + "9" * 5000 + " }}",
    "{{ " + "9" * 4000 + " }}",
    "{{ 0x" + "f" * 5000 + " }}",
    "{{ '\\ud800' }}",
    "{{ '\\x00' }}",
    "{{ '\\x' }}",
    "{{ " + "(" * 5000 + "customer.id" + ")" * 5000 + " }}",
    "{{ " + "(" * 100_000,
    "{% if " + "not " * 20_000 + "customer.id %}{% endif %}",
    "{% if " + " and ".join(["customer.id"] * 5000) + " %}{% endif %}",
    "{% if customer.id %}" * 60 + "{% endif %}" * 60,
    "{% if customer.id %}" * 5000 + "{% endif %}" * 5000,
    "{{ customer.name" + "|upper" * 5000 + " }}",
    "{{ customer" + ".name" * 20_000 + " }}",
    "{{ customer.name }}" * 5000,
    "x" * 100_001,
    "{{",
    "{%",
    "{{ }}",
    "{% endif %}",
    "{{ customer..name }}",
    "{{" * 50_000,
    "{%" * 50_000,
    # letters that look like others, or are not seen
    "{{ ｃustomer.name }}",
    "{{ cust\u043emer.name }}",
    "{{ customer.na\u200bme }}",
    "{{ customer\u2024name }}",
    "{{ \u202eeman.remotsuc }}",
    "{{ customer.ﬁ }}",
    "{{ customer.__clªss__ }}",
    "{{ 𝓬ustomer.name }}",
    "{{ customer.name｜upper }}",
    "{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "{{ customer.name['\\u005f\\u005fclass__'] }}",
    # text formats
    "{{ '%s%s'|format('a', 'b') }}",
    "{{ '{0}'.format(1) }}",
    "{{ f'{customer}' }}",
    "{{ customer.name.format_map(customer) }}",
    "{{ customer.name.__mul__(10 ** 9) }}",
    "{{ customer.name.encode.__self__ }}",
    "{{ customer.name.__getattribute__('__class__') }}",
    "{{ customer.name.translate.__doc__ }}",
    # what else Jinja knows
    "{% include ['a', 'b'] ignore missing %}",
    "{% import 'x' as y with context %}",
    "{% set ns = namespace(a=1) %}{% set ns.a = 2 %}",
    "{% set x %}{{ x }}{% endset %}",
    "{%- macro a(b=c) -%}{%- endmacro -%}",
    "{% call(x) y() %}{% endcall %}",
    "{% for a in customer recursive %}{{ loop(a) }}{% endfor %}",
    "{% if loop %}{% endif %}",
    "{% continue %}",
    "{% pluralize %}",
    "{% if x is defined and x %}{% endif %}",
    "{% elif customer.id %}",
    "{{ customer.name if true }}",
    "{{ [customer.name for x in y] }}",
    "{{ (customer.name, customer.id) }}",
    "{{ customer.name[0:1] }}",
    "{{ *customer }}",
    "{{ customer.id + 1 }}",
    "{{ not customer.id }}",
    "{{ customer.name|upper|center(9999999) }}",
    "{{ customer.name|default('a', 'b') }}",
    "{{ customer.name|default(('a' * 99999)) }}",
    "{% if 'a' * 10 ** 10 %}{% endif %}",
    "{% if customer.name == range(10) %}{% endif %}",
    "{% if customer.name in customer %}{% endif %}",
    "{% if customer.id == 1e999999 %}{{ x }}{% endif %}",
    "{{ 1e5000 ** 2 }}",
    "{{ 1_0 ** 1_0 }}",
    "{{ reset.link }}",
    "{{ ticket.answer }}",
]


@pytest.mark.parametrize("source", REFUSED, ids=range(len(REFUSED)))
def test_an_attack_is_refused_quickly(source: str) -> None:
    with pytest.raises(TemplateProblem) as caught:
        check_message("s", source)
    assert used(lambda: check_message("s", source)) < SECONDS
    assert len(str(caught.value)) < 400
    with pytest.raises(TemplateProblem):
        check_message(source, "b")


# ---- texts that do nothing ----------------------------------------------------------------------------


HARMLESS = [
    "{{ '{{ customer.name }}' }}",
    "{{ '<script>alert(1)</script>' }}",
    "{{ '[x](javascript:alert(1))' }}",
    "%s %(name)s {0.__class__} {customer.name} ${customer.name} #{7*7}",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&#58;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "[x](vbscript:x)",
    "[x]({{ 'javascript:alert(1)' }})",
    "[x](java{{ 'script:alert(1)' }})",
    "[x]({{ 'java' }}script:alert(1))",
    "[x](<{{ 'javascript:alert(1)' }}>)",
    "[r]\n\n[r]: {{ 'javascript:alert(1)' }}",
    "<{{ 'javascript:alert(1)' }}>",
    "![x]({{ 'javascript:alert(1)' }})",
    '[x](https://a.example "{{ \'" onclick="alert(1)\' }}")',
    "![{{ '\" onerror=\"alert(1)' }}](https://a.example/i.png)",
    "```{{ '\"><script>' }}\ncode\n```",
    "# {{ '</h1><script>alert(1)</script>' }}",
    "{% if customer.id %}<b>{% endif %}</b>",
    "[" * 1000 + "x",
    ">" * 2000,
    "*a **b " * 200,
    "<svg/onload=alert(1)>",
    "<style>body{background:url(https://evil.example)}</style>",
    '<p style="position:fixed">x</p>',
    "<iframe src=https://evil.example></iframe>",
    "<form action=https://evil.example><input name=password></form>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<math><mtext><script>alert(1)</script></mtext></math>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "[x](\tjavascript:alert(1))",
    "[x](<java\nscript:alert(1)>)",
    "[x](feed:javascript:alert(1))",
    "[x](//evil.example)",
    "[x](https:javascript:alert(1))",
    "[x](file:///etc/passwd)",
    "<javascript:alert(1)>",
    '![x](https://a.example/x.png "" onerror=alert(1) ")',
    "[x]: javascript:alert(1)\n\n[x]",
    "`<script>`",
    "    <script>alert(1)</script>",
    "\\<script>alert(1)\\</script>",
]


@pytest.mark.parametrize("source", HARMLESS, ids=range(len(HARMLESS)))
def test_an_attack_stays_harmless(source: str) -> None:
    message = compile_message("s", source).render(EXAMPLES)
    assert_safe(message.html)
    assert "49" not in message.html
    assert used(lambda: compile_message.__wrapped__("s", source).render(EXAMPLES)) < SECONDS


# ---- values ----------------------------------------------------------------------------


VALUES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</p></td></table><style>*{display:none}</style>",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/track.png)",
    "**bold** _it_ # h",
    "{{ customer.email }}",
    "{% if customer.id %}x{% endif %}",
    "{{ ''.__class__.__mro__ }}",
    "{% include '/etc/passwd' %}",
    "{# comment",
    "%(password)s %s {0.__class__} {x!r}",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "&lt;script&gt;",
    "&#106;avascript:alert(1)",
    "expression(alert(1))",
    "url(javascript:alert(1))",
    "\u202e<script>",
    "\ufeff<scr\u0000ipt>alert(1)</script>",
    "a\r\nBcc: victim@example.com\r\n\r\nbody",
    "a\nContent-Type: text/html",
    "=?utf-8?q?=0D=0ABcc:_x@y.example?=",
    "x" * 1_000_000,
    "\ud800\udfff",
    "\u0085\u2028\u2029<br>",
    "]]><script>",
    "-->",
    "zq000000000000",
]
AROUND = (
    "{{ customer.name }}", "**{{ customer.name }}**", "[{{ customer.name }}](https://a.example/?q={{ customer.name }})",
    "[x]({{ customer.name }})", "![{{ customer.name }}]({{ customer.name }})", "`{{ customer.name }}`",
    "- {{ customer.name }}\n\n> {{ customer.name }}", "```{{ customer.name }}\n{{ customer.name }}\n```",
    '[x](https://a.example "{{ customer.name }}")', "<{{ customer.name }}>", "# {{ customer.name }}",
    "[x](mailto:{{ customer.name }})", "<b title={{ customer.name }}>",
)  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_value_adds_no_tag_no_link_and_no_header(value: str) -> None:
    for around in AROUND:
        compiled = compile_message("About {{ customer.name }}", around)
        odd, plain = compiled.render({"customer.name": value}), compiled.render({"customer.name": "x"})
        assert_safe(odd.html)
        assert [tag for tag, _attributes in Tags(odd.html).tags] == [tag for tag, _attributes in Tags(plain.html).tags]
        assert len(odd.html) + len(odd.text) + len(odd.subject) < BYTES
        assert odd.subject.isprintable() or not value.isprintable()
        assert not re.search(r"[\r\n\x00-\x1f\x7f\u0085\u2028\u2029]", odd.subject)
    page = wrap_html(odd.html, project_name=value[:200], title=odd.subject, site=value[:200])
    assert "<script" not in page and "onerror" not in re.sub(r"&[^;]+;|>[^<]*<", "", page)
    raw = build_message(
        sender="a@b.example", sender_name=value[:200], recipient="c@d.example", recipient_name=value[:200],
        subject=odd.subject, text=odd.text, html=page, message_id="1@b.example",
    )  # fmt: skip
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert set(mail.keys()) <= {"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"}
    assert mail["Bcc"] is None and [a.addr_spec for a in mail["To"].addresses] == ["c@d.example"]


def test_a_value_is_cut_and_a_field_of_its_own_may_be_longer() -> None:
    assert parse("{{ customer.name }}").render({"customer.name": "x" * 9_999}) == "x" * LONGEST
    long = MacroSpec("ticket.answer", "", "", longest=20_000)
    assert parse("{{ ticket.answer }}", (long,)).render({"ticket.answer": "x" * 30_000}) == "x" * 20_000
    with pytest.raises(TemplateProblem, match="unknown field"):
        parse("{{ ticket.answer }}")
    with pytest.raises(TemplateProblem, match="too many"):
        parse("{{ ticket.answer }}" * 4, (long,))


def test_the_largest_message_stays_below_the_limit() -> None:
    worst = "'" * LONGEST  # six characters each in HTML
    body = "{{ customer.name }}" * 150
    message = compile_message("{{ customer.name }}" * 15, body + "\n\n" + "word " * 10_000).render(
        {"customer.name": worst}
    )
    assert len(message.subject) + len(message.text) + len(message.html) < BYTES
    with pytest.raises(TemplateProblem, match="too many"):
        compile_message("s", body + "{{ customer.name }}")


# ---- time and size ----------------------------------------------------------------------------


UNITS = (
    "![", "#\n", "[", "a\n", "*a **b ", "<", "{ ", "- ", "`", "> ", "word ", "_a ", "**a** ", "[a](b)", "&amp;", "\\*",
    "1. a\n", "> a\n", "    a\n", "```\n", "- a\n\n", "<a@b>", "[a]: b\n", "|a|b|\n", "a*b_", "\n", "\t", "é", "&#1;",
    "http://a ", "😀", "- - ", "`a``b", "](", "<a href=", "{% if customer.id %}a{% endif %}", "{{ customer.id }}",
    "{# a #}", "{{ 'a' }}", "[a][b] ", "a  \n", "![a](<b> 'c')",
)  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("size", [2_000, 20_000, 99_999])
def test_no_text_takes_long(unit: str, size: int) -> None:
    source = (unit * (size // len(unit) + 1))[:size]

    def work() -> None:
        check_message("s", source)

    assert used(work) < SECONDS
    with suppress(TemplateProblem):
        work()
        message = compile_message("s", source).render(EXAMPLES)
        assert len(message.html) + len(message.text) < BYTES


def test_a_branch_that_is_only_taken_by_some_is_limited_too() -> None:
    source = "{% if customer.phone %}" + "![[" * 20_000 + "{% endif %}ok"
    with pytest.raises(TemplateProblem, match="too long or too involved"):
        check_message("s", source)
    assert used(lambda: check_message("s", source)) < SECONDS


def test_an_ordinary_letter_is_far_from_the_limits() -> None:
    part = "## News\n\nHello **{{ user.name }}**, see [our page]({{ project.site }}/news?x=1).\n\n- one\n- `two`\n\n"
    letter = part * 30  # 3 kB of dense Markdown
    assert compile_message("News", letter).render(EXAMPLES).html.count("<h2>") == 30
    assert used(lambda: compile_message.__wrapped__("News", letter)) < SECONDS / 2


def test_a_text_is_parsed_once_and_kept_without_itself() -> None:
    source = "Dear {{ customer.name }}" + " and more" * 1_000
    first = parse(source)
    assert parse("".join(list(source))) is first
    assert parse(source, (MacroSpec("a.b", "", ""),)) is not first
