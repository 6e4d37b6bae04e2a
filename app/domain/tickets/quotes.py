"""What of a mail was written now, and what it only carries along from before."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WROTE = re.compile(
    r"^(?:on|am|le|el|il|op|den|em|в|\d{1,4}[./-]).{5,200}"
    r"(?:wrote|schrieb|a écrit|escribió|ha scritto|schreef|skrev|escreveu|написал[аи]?|пишет)\b.{0,120}:$",
    re.IGNORECASE,
)
_ORIGINAL = re.compile(
    r"^[-_\s]{2,}(?:original message|forwarded message|ursprüngliche nachricht|weitergeleitete nachricht|"
    r"mensaje original|mensaje reenviado|исходное сообщение|пересылаемое сообщение)[-_\s]{2,}$",
    re.IGNORECASE,
)
_RULE = re.compile(r"^_{10,}$")
_HEAD = re.compile(r"^\*?(?:from|von|de|от|отправитель)\s*:\s*\*?\s*\S", re.IGNORECASE)


@dataclass(frozen=True)
class Piece:
    text: str
    quoted: bool


def folded(text: str) -> list[Piece]:
    """The text in pieces, in order: own ones, and quoted ones that a page folds away. Nothing is lost: the pieces
    joined by line breaks are the text. A text that is all quotation stays in view."""
    lines = text.replace("\r\n", "\n").split("\n")
    marks = _marks(lines)
    if all(mark or not line.strip() for mark, line in zip(marks, lines, strict=True)):
        return [Piece("\n".join(lines), quoted=False)]
    pieces: list[Piece] = []
    begin = 0
    for at in range(1, len(lines) + 1):
        if at == len(lines) or marks[at] is not marks[begin]:
            pieces.append(Piece("\n".join(lines[begin:at]), marks[begin]))
            begin = at
    return pieces


def _marks(lines: list[str]) -> list[bool]:
    """Line by line: is it quoted."""
    marks = [line.startswith(">") for line in lines]
    for at, line in enumerate(lines):
        told = _WROTE.match(line.strip()) or _WROTE.match(" ".join(lines[at : at + 2]).strip())
        if told and any(marks[at + 1 : at + 5]):
            after = next(i for i in range(at + 1, at + 5) if marks[i])
            marks[at:after] = [True] * (after - at)
        elif _ORIGINAL.match(line.strip()) or (_RULE.match(line.strip()) and _begins(lines, at + 1)):
            marks[at:] = [True] * (len(lines) - at)  # what such a line begins goes on to the end
            break
    follows, following = [False] * len(lines), False
    for at in reversed(range(len(lines))):  # whether the next line with words is quoted
        follows[at] = following
        following = marks[at] if lines[at].strip() else following
    for at, line in enumerate(lines):  # empty lines inside a quotation belong to it
        if not line.strip() and 0 < at < len(lines) - 1 and marks[at - 1]:
            marks[at] = follows[at]
    return marks


def _begins(lines: list[str], at: int) -> bool:
    """Whether the next words are the header of an older mail."""
    following = next((line.strip() for line in lines[at : at + 3] if line.strip()), "")
    return bool(_HEAD.match(following))
