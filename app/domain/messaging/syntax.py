"""
From the text of a template to Jinja's tree, in bounded time, and every mistake with its line and position.

Jinja only splits the text and makes the tree. It is given each piece with the place where it stands instead of the
number of its line, and never more pieces than `MAX_TOKENS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import TokenStream
from jinja2.parser import Parser

from app.errors import AppError
from app.i18n import _

MAX_LENGTH: Final = 100_000
MAX_TOKENS: Final = 4_000
MAX_IN_TAG: Final = 250
"""Pieces of one {{ field }} or {% if %}."""
MAX_NESTED: Final = 40
"""Conditions inside of each other."""

_JINJA = Environment(lstrip_blocks=True, keep_trailing_newline=True, autoescape=True)
_JINJA.globals.clear()
_BREAKS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
# Tags alone on a line take the line with them. trim_blocks would also join "Dear {% if %}..{% endif %}" with the next.
_TAG_LINE = re.compile(r"^([ \t]*(?:\{%(?:[^%\n]|%(?!\}))*%\}[ \t]*)+)\n", re.MULTILINE)
_JOINED = "{#\n#}"
_RAW = re.compile(r"\{%[-+]?\s*raw\b")
STRANGE: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
"""Characters that are no text."""

LOOPS: Final = _("loops (for)")
NOT_ALLOWED: Final = _("%(what)s is not allowed. Allowed are fields, if, elif, else, endif and comparisons.")


class TemplateProblem(AppError):
    """A template that cannot be used: what is wrong, and where. line: 0 when it is the text as a whole."""

    def __init__(self, what: str, line: int = 0, column: int = 0) -> None:
        place = _("Line %(line)s, position %(column)s: %(what)s") % {"line": line, "column": column, "what": what}
        super().__init__(place if line else what[:1].upper() + what[1:], status=400)
        self.what = what
        self.line = line
        self.column = column


class Misplaced(Exception):
    """Something that may not stand at `at`, an offset in the text that `tree` has read."""

    def __init__(self, what: str, at: int) -> None:
        super().__init__(what)
        self.what = what
        self.at = at


class Source:
    """The text of a template as Jinja reads it, and the way back to the lines that the author sees."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise TemplateProblem(_("the text is longer than %(most)s characters.") % {"most": MAX_LENGTH})
        text = _BREAKS.sub("\n", text)
        self.text = text
        if strange := STRANGE.search(text):
            raise self.problem(_("there is an invisible control character."), strange.start())
        if raw := _RAW.search(text):
            raise self.problem(_('"raw" is not allowed.'), raw.start())
        self.text = _TAG_LINE.sub(rf"\1{_JOINED}", text)

    def problem(self, what: str, at: int) -> TemplateProblem:
        start = self.text.rfind("\n", 0, at) + 1
        added = 2 if self.text[max(start - 3, 0) : start + 2] == _JOINED else 0
        return TemplateProblem(what, self.text.count("\n", 0, at) + 1, max(at - start - added, 0) + 1)

    def tree(self) -> nodes.Template:
        """Jinja's tree; `lineno` of a node is its offset in `text`. Raises TemplateProblem."""
        try:
            parser = Parser(_JINJA, "")
            parser.stream = TokenStream(_JINJA.lexer.wrap(self._pieces()), None, None)
            return parser.parse()
        except Misplaced as problem:
            raise self.problem(problem.what, problem.at) from None
        except TemplateSyntaxError as error:
            raise self.problem(explain(error.message or ""), self._place(error)) from None
        except (ValueError, RecursionError, MemoryError, OverflowError, TypeError):
            # int() of thousands of digits, a bad \u escape, thousands of brackets
            raise self.problem(_("a number, a text in quotes or a nesting cannot be read."), self._at) from None

    def _pieces(self) -> Iterator[tuple[int, str, str]]:
        """What Jinja's lexer finds, counted, with offsets in place of lines."""
        self._at = self._tag = end = in_tag = 0
        self._open: list[int] = []
        block = False
        try:
            for number, (_line, kind, value) in enumerate(_JINJA.lexer.tokeniter(self.text, None)):
                at = self._at = max(self.text.find(value, end), end)
                end = at + len(value)
                if kind in ("data", "variable_begin", "block_begin", "comment_begin"):
                    in_tag, block, self._tag = 0, kind == "block_begin", at
                in_tag += 1
                if block and kind == "name":
                    block = False  # only the first word of a tag says what it is
                    if value == "if":
                        self._open.append(self._tag)
                    elif value == "endif" and self._open:
                        self._open.pop()
                    elif value == "for":
                        raise Misplaced(NOT_ALLOWED % {"what": LOOPS}, at)
                if number >= MAX_TOKENS:
                    raise Misplaced(_("there are too many fields and conditions."), at)
                if in_tag > MAX_IN_TAG:
                    raise Misplaced(_("this field or condition is too long."), at)
                if len(self._open) > MAX_NESTED:
                    raise Misplaced(_("conditions are nested too deeply."), at)
                yield at, kind, value
        except TemplateSyntaxError as error:
            message = error.message or ""
            raise TemplateSyntaxError(message, self._tag if "end of comment" in message else end) from None

    def _place(self, error: TemplateSyntaxError) -> int:
        """Where the mistake is: what has no end is shown at its beginning."""
        message = error.message or ""
        if "looking for the following tags" in message and self._open:
            return self._open[-1]
        return self._tag if "nexpected end of template" in message else error.lineno


_SAID: Final = (
    (r"unknown tag 'end\w+'", _('there is an "end" without its beginning.')),
    (r"unknown tag '(?:elif|else)'", _('"else" and "elif" stand between if and endif.')),
    (r"unknown tag '(?P<name>[^']{1,40})'", _('"%(name)s" is not known. Known are if, elif, else and endif.')),
    (r"expected token 'end of print statement', got '?(?P<name>[^']{1,40})'?",
     _('the field should end here with }}, but there is "%(name)s".')),
    (r"expected token 'end of statement block', got '?(?P<name>[^']{1,40})'?",
     _('the condition should end here with %%}, but there is "%(name)s".')),
    (r"looking for the following tags", _("this condition has no endif.")),
    (r"nexpected end of template", _("what begins here has no end.")),
    (r"Missing end of comment", _("the comment has no end: #} is missing.")),
    (r"Expected an expression", _("something is missing between the brackets.")),
    (r"tag name expected", _("behind {%% comes if, elif, else or endif.")),
    (r"unexpected '(?P<name>[^']{1,40})'", _('there is "%(name)s" too much.')),
    (r"unexpected char '(?P<name>[^']{1,40})'", _('the sign "%(name)s" has no place here.')),
)  # fmt: skip


def explain(message: str) -> str:
    """What Jinja says of a text that it cannot read, in plain words."""
    for pattern, said in _SAID:
        if found := re.search(pattern, message):
            return str(said) % {"name": short(found.groupdict().get("name") or "")}
    return str(_("this cannot be read."))


def short(text: str, most: int = 60) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= most else text[: most - 1] + "…"
