"""The frame round the HTML of an e-mail: the project's name on top in its colour, a footer below."""

import re
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.i18n import gettext, speaking

TEMPLATES = Path(__file__).resolve().parents[3] / "templates" / "mail"
DEFAULT_COLOR = "#0c667c"
HUES = {
    "1": "#2f7d4f", "2": "#2a6fc4", "3": "#6b4fc0", "4": "#b03f86", "5": "#c0392f", "6": "#b86a00", "7": "#5d6b20",
    "8": "#69737c",
}  # fmt: skip
"""The palette of projects on white: the light half of templates/static/tokens.css."""
RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ur", "yi"})

_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_TITLE, _BODY = "\ue000title\ue001", "\ue000body\ue001"


@dataclass(frozen=True, slots=True)
class MailShell:
    """The frame of one project in one language, ready for many messages."""

    head: str
    middle: str
    tail: str

    def wrap(self, html: str, *, title: str = "") -> str:
        """Put the HTML of one message (`RenderedMessage.html`) into the frame; `title` is plain text."""
        return f"{self.head}{escape(title)}{self.middle}{html}{self.tail}"


@lru_cache(maxsize=256)
def mail_shell(*, project_name: str, color: str = "", language: str = "en", site: str = "") -> MailShell:
    """
    Make the frame: once per campaign and language. `color` is #rrggbb (anything else: Bursar's petrol), `site` the
    project's address, shown as a link when it is http(s). The fixed words are in `language` (BCP 47).
    """
    language = language if _LANGUAGE.fullmatch(language) else "en"
    color = color if _COLOR.fullmatch(color) else DEFAULT_COLOR
    clean = str.maketrans("", "", "\ue000\ue001")
    with speaking(language.partition("-")[0]):
        page = (
            _environment()
            .get_template("message.html")
            .render(
                project_name=project_name.translate(clean),
                color=color,
                ink=_ink(color),
                language=language,
                direction="rtl" if language.partition("-")[0].lower() in RIGHT_TO_LEFT else "ltr",
                site=site.translate(clean) if re.match(r"https?://[^\s\"'<>]+$", site, re.IGNORECASE) else "",
                title=_TITLE,
                body=_BODY,
            )
        )
    head, _found, rest = page.partition(_TITLE)
    middle, _found, tail = rest.partition(_BODY)
    return MailShell(head, middle, tail)


def wrap_html(
    html: str, *, project_name: str, color: str = "", language: str = "en", site: str = "", title: str = ""
) -> str:
    """Return a whole HTML page for one message; see `mail_shell`, which this keeps for the next message."""
    return mail_shell(project_name=project_name, color=color, language=language, site=site).wrap(html, title=title)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    environment.globals["_"] = gettext
    return environment


def _ink(color: str) -> str:
    """Return black or white, whichever stands out more on the colour (WCAG 2.2, relative luminance)."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    return "#ffffff" if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] < 0.179 else "#14191d"
