import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.messaging.render import MACROS, TemplateProblem, compile_message, parse
from app.domain.messaging.shell import mail_shell, wrap_html
from tests.domain.tags import Tags

EXAMPLES = {name: spec.example for name, spec in MACROS.items()}


def html(body: str, **values: str) -> str:
    return compile_message("s", body).render({name.replace("_", ".", 1): v for name, v in values.items()}).html


# Templates


def test_fields_are_filled_and_named() -> None:
    template = parse("Dear {{ customer.name }}, {{ staff.name|upper }} of {{ project.name }}")
    assert template.macros == {"customer.name", "staff.name", "project.name"}
    assert template.render(EXAMPLES) == "Dear Müller & Söhne GmbH, ALEX BERG of Nordhost"


def test_fields_of_conditions_are_named_too() -> None:
    assert parse('{% if customer.language == "de" %}x{% endif %}').macros == {"customer.language"}


def test_a_field_without_value_is_empty() -> None:
    assert parse("[{{ customer.phone }}]").render({}) == "[]"


@pytest.mark.parametrize(
    ("source", "values", "result"),
    [
        ('{{ customer.name|default("friend") }}', {}, "friend"),
        ('{{ customer.name|default("friend", true) }}', {"customer.name": "X"}, "X"),
        ("{{ customer.name|trim|title }}", {"customer.name": " anna o'neil-berg "}, "Anna O'neil-Berg"),
        ("{{ customer.name|lower }}", {"customer.name": "ÄB"}, "äb"),
        ('{% if customer.country in ["DE", "AT"] %}a{% else %}b{% endif %}', {"customer.country": "AT"}, "a"),
        ('{% if customer.country not in ("DE", "AT") %}a{% else %}b{% endif %}', {"customer.country": "AT"}, "b"),
        ('{% if "Gmb" in customer.name %}a{% endif %}', {"customer.name": "X GmbH"}, "a"),
        ("{% if customer.id > 99 %}a{% else %}b{% endif %}", {"customer.id": "100"}, "a"),
        ("{% if customer.id == 7 %}a{% else %}b{% endif %}", {"customer.id": "x"}, "b"),
        ("{% if customer.id != 7 %}a{% else %}b{% endif %}", {"customer.id": "x"}, "a"),
        ("{% if not customer.phone or customer.id %}a{% endif %}", {}, "a"),
        (
            "{% if customer.phone and customer.id %}a{% elif user.name %}b{% else %}c{% endif %}",
            {"user.name": "n"},
            "b",
        ),
        ("{% if customer.phone %}a{% endif %}", {"customer.phone": "  "}, ""),
        ('{% if customer.name < "m" %}a{% endif %}', {"customer.name": "b"}, "a"),
        ("a{# not shown #}b", {}, "ab"),
        ("{{ 'text' }}{{ 5 }}", {}, "text5"),
        ("x {% if customer.id %}y{% endif %}\nz", {}, "x \nz"),
        ("x\n  {% if customer.id %}\ny\n  {% endif %}\nz", {}, "x\nz"),
        ("x\n{% if customer.id %}\ny\n{% endif %}\nz\n", {"customer.id": "1"}, "x\ny\nz\n"),
        ("a\r\nb\rc\vd", {}, "a\nb\nc\nd"),
    ],
)
def test_conditions_and_filters(source: str, values: dict[str, str], result: str) -> None:
    assert parse(source).render(values) == result


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a\nb\n {{ customer.nam }}", '3/5 unknown field "customer.nam". Did you mean "customer.name"?'),
        ("{% if customer.id %}\n{% endif %}\n{{ customer.name", "3/1 what begins here has no end."),
        ("a {% if x %}\n{% endif %}", '1/9 unknown field "x".'),
        (
            "{% if customer.id %}\n\n{% if customer.id %}\nz\nä{{ qqq }}{% endif %}{% endif %}",
            '5/5 unknown field "qqq".',
        ),
        (
            "{{ customer.name|rot13 }}",
            '1/18 "|rot13" is not allowed. Allowed are default("..."), upper, lower, title and trim.',
        ),
        ("a\n  {% if customer.id %}\nb", "2/3 this condition has no endif."),
        ("a\n{% if customer.id %}\n{{ qqq }}\n{% endif %}", '3/4 unknown field "qqq".'),
        ("\n{% for x in customer.name %}{% endfor %}", "2/4 loops (for) is not allowed."),
        ("\nab\x00", "2/3 there is an invisible control character."),
        ("a {% endif %}", '1/6 there is an "end" without its beginning.'),
        ("a\nb {{ customer.name customer.id }}", '2/20 the field should end here with }}, but there is "customer".'),
        ("{% if customer.id } x", None),
        ("{# never closed", "1/1 the comment has no end: #} is missing."),
        ("{{ }}", "1/4 something is missing between the brackets."),
        ("{{ customer.name ? }}", '1/18 the sign "?" has no place here.'),
        ("{% foo %}", '1/4 "foo" is not known. Known are if, elif, else and endif.'),
        ("{% %}", "1/4 behind {% comes if, elif, else or endif."),
        ("{{ customer.name) }}", '1/17 there is ")" too much.'),
    ],
)
def test_a_problem_names_its_line(source: str, message: str | None) -> None:
    with pytest.raises(TemplateProblem) as caught:
        parse(source)
    problem = caught.value
    assert problem.status == 400
    assert str(problem) == f"Line {problem.line}, position {problem.column}: {problem.what}"
    if message:
        assert f"{problem.line}/{problem.column} {problem.what}".startswith(message)


# Messages


def test_subject_is_one_clean_line() -> None:
    message = compile_message(" Hello\t{{ customer.name }} ", "b").render(
        {"customer.name": "a\r\nBcc: x@y.z\x00\x1b \u2028 b"}
    )
    assert message.subject == "Hello a Bcc: x@y.z b"


def test_values_are_never_markdown_html_or_template() -> None:
    value = "**x** <b>y</b> [l](https://e.example) {{ customer.id }}\n\n# h `c` &amp;"
    message = compile_message("s", "A {{ customer.name }} B").render({"customer.name": value, "customer.id": "ID"})
    assert message.text == f"A {value} B"
    assert message.html == (
        "<p>A **x** &lt;b&gt;y&lt;/b&gt; [l](https://e.example) {{ customer.id }}\n\n# h `c` &amp;amp; B</p>\n"
    )


def test_markdown_round_a_field_works() -> None:
    assert html(
        "**{{ customer.name }}** _{{ customer.name }}_\n- {{ customer.id }}", customer_name="A", customer_id="7"
    ) == ("<p><strong>A</strong> <em>A</em></p>\n<ul>\n<li>7</li>\n</ul>\n")


def test_a_field_between_digits_and_letters_keeps_its_neighbours() -> None:
    assert html("5{{ customer.id }}6zq{{ customer.id }}", customer_id="0") == "<p>506zq0</p>\n"


def test_line_breaks_stay_and_html_of_staff_is_shown_as_text() -> None:
    assert html("a\nb <i>c</i>") == "<p>a<br>\nb &lt;i&gt;c&lt;/i&gt;</p>\n"


@pytest.mark.parametrize(
    ("target", "value", "result"),
    [
        ("{{ project.site }}", "https://n.example/a?b=c&d=e", "https://n.example/a?b=c&amp;d=e"),
        ("{{ project.site }}", "HTTP://N.example", "HTTP://N.example"),
        ("{{ project.site }}/login", "https://n.example", "https://n.example/login"),
        ("{{ project.site }}", "mailto:a@b.example", "mailto:a@b.example"),
        ("{{ project.site }}", "javascript:alert(1)", "#"),
        ("{{ project.site }}", " java\nscript:alert(1)", "#"),
        ("{{ project.site }}", "data:text/html,x", "#"),
        ("{{ project.site }}", "//evil.example", "#"),
        ("{{ project.site }}", "/admin", "#"),
        ("{{ project.site }}", "n.example", "#"),
        ("{{ project.site }}", "", "#"),
        ("{{ project.site }}", 'https://n.example/ " onclick=x', "#"),
        ("{{ project.site }}", "https://n.example/\"onclick='x'", "https://n.example/%22onclick=&#x27;x&#x27;"),
        ("{{ project.site }}", "https://n.example/" + "x" * 3000, "https://n.example/" + "x" * 482),
        ("https://n.example/" + "y" * 1700 + "{{ project.site }}", "x" * 3000, "#"),
        ("/admin/{{ project.site }}", "x", "#"),
        ("/admin", "x", "#"),
        ("//evil.example", "x", "#"),
        ("https://n.example/{{ project.site }}", "../a b/ü", "https://n.example/..%2Fa%20b%2F%C3%BC"),
        ("https://n.example/?u={{ project.site }}&x=1", "a&b=c#d", "https://n.example/?u=a%26b%3Dc%23d&amp;x=1"),
        ("https://{{ project.site }}/x", "n.example", "https://n.example/x"),
        ("https://{{ project.site }}/x", "a@evil.example", "https://a%40evil.example/x"),
        ("mailto:{{ project.site }}", "a+b@c.example", "mailto:a+b@c.example"),
        ("mailto:{{ project.site }}", "a@b.example?bcc=x@y.z", "mailto:a@b.example%3Fbcc%3Dx@y.z"),
        ("mailto:a@b.example?subject={{ project.site }}", "a&bcc=x", "mailto:a@b.example?subject=a%26bcc%3Dx"),
        ("javascript{{ project.site }}", ":alert(1)", "#"),
    ],
)
def test_a_field_in_a_link_gives_only_web_and_mail_addresses(target: str, value: str, result: str) -> None:
    page = html(f"[x]({target})", project_site=value)
    assert page == f'<p><a href="{result}" rel="noopener noreferrer">x</a></p>\n'


def test_a_link_in_the_text_of_staff_is_not_taken_for_a_tag() -> None:
    assert html('<a href="{{ customer.name }}">', customer_name="A b") == '<p>&lt;a href="A b"&gt;</p>\n'


CROSSING = """{% if customer.id %}
**bold
{% endif %}
> quote {% if customer.phone %}

- item
{% else %}
  more**
{% endif %}

```
{% if user.name %}code
```
{% endif %}
[x{% if user.email %}](https://a.example){% endif %}
"""


@pytest.mark.parametrize("combination", range(16))
def test_conditions_across_blocks_give_balanced_html(combination: int) -> None:
    names = ("customer.id", "customer.phone", "user.name", "user.email")
    values = {name: "v" for bit, name in enumerate(names) if combination >> bit & 1}
    message = compile_message("s", CROSSING)
    assert message.macros == set(names)
    Tags(message.render(values).html)
    assert message.render(values) == compile_message.__wrapped__("s", CROSSING).render(values)


@settings(deadline=None)
@given(st.text(max_size=200), st.text(alphabet="*_`[]()<>!#-+=&;:/\\\n \"'a1.", max_size=80))
def test_any_value_shows_exactly_as_it_is(value: str, around: str) -> None:
    """Whatever stands around the field, no value adds a tag."""
    compiled = compile_message("s", around + "{{ customer.name }}" + around)
    plain = Tags(compiled.render({"customer.name": "x"}).html)
    odd = Tags(compiled.render({"customer.name": value}).html)
    assert [tag for tag, _ in odd.tags] == [tag for tag, _ in plain.tags]
    for (_, first), (_, second) in zip(odd.tags, plain.tags, strict=True):
        assert set(first) == set(second)


# The frame


def test_the_frame_has_name_colour_language_and_body() -> None:
    page = wrap_html("<p>hi</p>", project_name="N<o>rd & Co", color="#ffcc00", language="ar", title="a</title><script>")
    assert page.count("N&lt;o&gt;rd &amp; Co") == 2
    assert "background:#ffcc00" in page
    assert "color:#14191d; font-size:18px" in page  # dark on yellow
    assert '<html lang="ar" dir="rtl">' in page
    assert "<title>a&lt;/title&gt;&lt;script&gt;</title>" in page
    assert "\n<p>hi</p>\n" in page
    assert "\ue000" not in page
    Tags(page.split("<!doctype html>")[1])


@pytest.mark.parametrize("color", ["", "red", "#fff;background:url(x)", "#12345g", "#0c667c\n"])
def test_a_colour_that_is_none_becomes_petrol(color: str) -> None:
    assert mail_shell(project_name="x", color=color).head == mail_shell(project_name="x", color="#0c667c").head


def test_only_web_addresses_are_linked_in_the_footer() -> None:
    assert 'href="https://n.example"' in mail_shell(project_name="x", site="https://n.example").tail
    assert "href" not in mail_shell(project_name="x", site="javascript:alert(1)").tail


def test_a_project_name_cannot_move_the_body() -> None:
    page = wrap_html("BODY", project_name="\ue000body\ue001", title="T")
    assert page.index("T</title>") < page.index("BODY")
    assert page.count("BODY") == 1
