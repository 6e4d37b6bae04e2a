"""What can happen to a message: refused, put off, or nobody knows."""

MAX_REASON = 300


class MailError(Exception):
    """A message was not, or perhaps not, sent. `code` is the server's answer, `reason` one printable line (max 300)."""

    def __init__(self, reason: str, *, code: int | None = None) -> None:
        self.code = code
        self.reason = one_line(reason, MAX_REASON) or "no reason given"
        super().__init__(self.reason if code is None else f"{code} {self.reason}")


class Rejected(MailError):
    """The server refuses this message for good (5xx): sending it again is useless."""


class Deferred(MailError):
    """Certainly not delivered, but may work later: 4xx, no connection, or a cut before the message's end was sent."""


class Unsure(MailError):
    """The end of the message was sent and no answer came: perhaps delivered, perhaps not (RFC 1047, RFC 5321 6.1)."""


class Gone(Deferred):
    """The server closed the session before anything of the message was sent."""


def one_line(text: str, limit: int) -> str:
    """Return the text as one printable line of at most `limit` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "\u2026"
