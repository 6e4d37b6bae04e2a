"""E-mail addresses: which ones we take, and how they are written in commands and headers."""

import re
import unicodedata

import idna

from app.integrations.mail.errors import Rejected, one_line

_NOT_IN_LOCAL = frozenset('@<>()[]\\,;:"')
_LABEL = re.compile(r"[^\W_]([\w-]*[^\W_])?")
_LITERAL = re.compile(r"\[(\d{1,3}(\.\d{1,3}){3}|IPv6:[0-9A-Fa-f:.]{2,45})\]")


def valid_address(text: str) -> bool:
    """
    Say whether mail can be sent to this address: `name@host` with limits of RFC 5321 4.5.3.1, without quoted names,
    comments and display names. The host has a dot, or is `localhost`, or an address in brackets.
    """
    try:
        wire_address(text)
    except ValueError:
        return False
    return True


def wire_address(text: str) -> str:
    """Return the address as it stands in commands and headers, the host in ASCII (RFC 5891). Raises ValueError."""
    local, at, host = text.partition("@")
    if not at or not local or len(text) > 254 or len(local.encode(errors="replace")) > 64:
        raise ValueError("not an address")
    if local.startswith(".") or local.endswith(".") or ".." in local:
        raise ValueError("a dot in the wrong place")
    if any(c in _NOT_IN_LOCAL or unicodedata.category(c)[0] in "CZ" for c in local):
        raise ValueError("a character that is not allowed")
    if not _LITERAL.fullmatch(host) and host.lower() != "localhost":
        labels = host.split(".")
        if len(labels) < 2 or not all(_LABEL.fullmatch(label) and len(label) <= 63 for label in labels):
            raise ValueError("not a host name")
        if labels[-1].isdecimal():
            raise ValueError("not a host name")
        if not host.isascii():
            try:
                host = idna.encode(host, uts46=True).decode("ascii")
            except idna.IDNAError:
                raise ValueError("not a host name") from None
        elif "_" in host:
            raise ValueError("not a host name")
    address = f"{local}@{host}"
    if len(address.encode()) > 254:
        raise ValueError("too long")
    return address


def host_of(address: str) -> str:
    """The host of an address in ASCII, as it stands in a Message-ID; `localhost` for none."""
    host = address.rpartition("@")[2] or "localhost"
    return host if host.isascii() else host.encode("idna").decode()


def envelope(sender: str, recipient: str) -> tuple[str, str]:
    try:
        rcpt_to = wire_address(recipient)
    except ValueError:
        raise Rejected(f"{one_line(recipient, 100)!r} is not a valid e-mail address") from None
    try:
        return wire_address(sender) if sender else "", rcpt_to
    except ValueError:
        raise Rejected(f"the sender {one_line(sender, 100)!r} is not a valid e-mail address") from None
