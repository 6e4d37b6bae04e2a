"""HTML that others have written, as text: nothing is fetched, nothing is run."""

from __future__ import annotations

import re
from html import unescape

LONGEST_HTML = 600_000
"""Characters of HTML in one mail that are turned into text."""

_BLOCKS = frozenset(
    ["p", "div", "table", "tr", "ul", "ol", "section", "article", "header", "footer", "blockquote", "pre", "form"]
    + [f"h{n}" for n in range(1, 7)]
)
_UNSEEN = frozenset({"script", "style", "head", "title", "template", "noscript", "svg", "object", "select"})


_RAW = frozenset({"script", "style", "title"})
_TAG = re.compile(r"(/?)([a-zA-Z][^\s/>]*)")
_TAG_END = re.compile(r"(?:[^>\"']++|\"[^\"]*\"|'[^']*')*+>")
_HREF = re.compile(r"""(?<![^\s"'/])href\s*+=\s*+(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_LONGEST_TAG = 4000
_MOST_TAGS = 210_000


class _Text:
    """Collects what a reader would see; targets of links stand behind their words. Looks at each character a few
    times at most, whatever is left open: the library's parser looks for each end anew."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.now: list[str] = []
        self.full = False
        """Whether the line that is written now has words."""
        self.unseen = self.quotes = 0
        self.target = ""
        self.words: list[str] = []

    def feed(self, html: str) -> None:
        first, *pieces = html.split("<", _MOST_TAGS)
        self._data(first)
        comment, raw = False, ""
        for piece in pieces[: _MOST_TAGS - 1]:
            if comment or (not raw and piece.startswith("!--")):
                _inside, end, after = piece.partition("-->")
                comment = not end
                self._data(after)
                continue
            tag = _TAG.match(piece)
            if raw and (tag is None or not tag[1] or tag[2].lower() != raw):
                continue
            end_of_tag = _TAG_END.match(piece)
            end_at = end_of_tag.end() if end_of_tag else piece.find(">") + 1
            if tag is not None and end_at:
                name, raw = tag[2].lower(), ""
                if tag[1]:
                    self._close(name)
                else:
                    self._open(name, piece[: min(end_at - 1, _LONGEST_TAG)])
                    raw = name if name in _RAW else ""
                if not raw:
                    self._data(piece[end_at:])
            elif piece.startswith(("!", "?")):
                self._data(piece[end_at:] if end_at else "")
            else:
                self._data("<" + piece)
        self._line()

    def _open(self, tag: str, inside: str) -> None:
        if tag in _UNSEEN:
            self.unseen += 1
        if tag in _BLOCKS:
            self._break()
        if tag == "blockquote":
            self.quotes += 1
        elif tag in ("br", "hr"):
            self._line()
        elif tag == "li":
            self._break()
            self.now.append("- ")
            self.full = True
        elif tag in ("td", "th") and self.now:
            self.now.append(" ")
        elif tag == "a":
            found = _HREF.search(inside)
            self.target, self.words = _unescaped(next(filter(None, found.groups()), "")) if found else "", []

    def _close(self, tag: str) -> None:
        if tag in _UNSEEN:
            self.unseen = max(0, self.unseen - 1)
        if tag == "a" and not self.unseen:
            target, words = self.target.strip(), "".join(self.words).strip()
            if re.match(r"https?://", target, re.IGNORECASE) and target.rstrip("/") != words.rstrip("/"):
                self.now.append(f" <{target[:500]}>")
                self.full = True
            self.target, self.words = "", []
        if tag in _BLOCKS:
            self._break(end=tag not in ("div", "tr"))
        if tag == "blockquote":
            self.quotes = max(0, self.quotes - 1)

    def _data(self, data: str) -> None:
        if self.unseen or not data:
            return
        data = _unescaped(data)
        if self.target:
            self.words.append(data)
        text = re.sub(r"\s+", " ", data)
        if not self.full:
            text = text.lstrip()
        if text and not self.now and self.quotes:
            self.now.append("> " * min(self.quotes, 5))
        if text:
            self.now.append(text)
            self.full = self.full or not text.isspace()

    def _line(self) -> None:
        self.done.append("".join(self.now).rstrip())
        self.now, self.full = [], False

    def _break(self, *, end: bool = False) -> None:
        if self.full:
            self._line()
        if end and self.done and self.done[-1]:
            self._line()


def _unescaped(text: str) -> str:
    try:
        return unescape(text)
    except ValueError:  # a number of thousands of digits
        return text


def html_to_text(html: str) -> str:
    """The text of an HTML mail: nothing is fetched, nothing is run, and what a reader would not see is left out."""
    reader = _Text()
    reader.feed(html[:LONGEST_HTML])
    return re.sub(r"\n{3,}", "\n\n", "\n".join(reader.done)).strip()
