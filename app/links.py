"""Addresses of this installation, short signed texts that come back to it from mails, and secrets kept sealed.

`configure()` is called once per process. A text is signed or sealed with the newest key and accepted with the older
ones too, so a link in an old mail outlives a change of the key (`BURSAR_OLD_SECRET_KEYS`).
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.settings import Settings

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

MAC_BYTES = 16
MAC_LENGTH = 22
"""Characters of a signature: 128 bits in base64url."""
LONGEST = 4000

_keys: tuple[bytes, ...] = ()
_base = ""


def configure(settings: Settings) -> None:
    """Take the keys, the newest first, and the address where people reach this installation."""
    global _keys, _base
    _keys = tuple(hashlib.sha256(key.encode()).digest() for key in (settings.secret_key, *settings.old_secret_keys))
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    shown = f"[{host}]" if ":" in host else host
    _base = settings.public_url or f"http://{shown}:{settings.port}"


def url(path: str, *, host: str = "") -> str:
    """The whole address of a path of ours, as it stands in a mail. host: of a brand that has one of its own."""
    if not _base:
        raise RuntimeError("app.links.configure() was not called")
    if not host:
        return _base + path
    parts = urlsplit(_base)
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{path}"


def host() -> str:
    """The host name of this installation, without a port; empty before `configure()`."""
    return urlsplit(_base).hostname or ""


class Signer:
    """Signs texts for one purpose: what is signed for another is refused. Cheap enough for each of a million mails:
    the keys are hashed once."""

    def __init__(self, purpose: str) -> None:
        self._person = purpose.encode()[:16]
        self._of: tuple[bytes, ...] = ()
        self._macs: list[Any] = []

    def _keyed(self) -> list[Any]:
        if self._of is not _keys or not _keys:
            if not _keys:
                raise RuntimeError("app.links.configure() was not called")
            self._macs = [hashlib.blake2b(key=key, digest_size=MAC_BYTES, person=self._person) for key in _keys]
            self._of = _keys
        return self._macs

    def mac(self, text: str) -> str:
        """The signature alone."""
        return _mac(self._keyed()[0], text)

    def sign(self, text: str) -> str:
        """The text with its signature behind it."""
        return f"{text}.{_mac(self._keyed()[0], text)}"

    def fits(self, text: str, mac: str) -> bool:
        """Whether this is our signature of the text, by any of the keys."""
        given = mac.encode("ascii", "replace")
        return any(hmac.compare_digest(_mac(keyed, text).encode(), given) for keyed in self._keyed())

    def read(self, token: str) -> str | None:
        """The text of a token that we have signed; None for any other."""
        text, dot, mac = token[:LONGEST].rpartition(".")
        return text if dot and len(mac) == MAC_LENGTH and self.fits(text, mac) else None


def _mac(keyed: Any, text: str) -> str:
    one = keyed.copy()
    one.update(text.encode("utf-8", "surrogatepass"))
    return urlsafe_b64encode(one.digest())[:MAC_LENGTH].decode()


def _sealer(purpose: str) -> MultiFernet:
    from cryptography.fernet import Fernet, MultiFernet  # eight megabytes, which no worker needs

    if not _keys:
        raise RuntimeError("app.links.configure() was not called")
    made = (hmac.digest(key, f"seal {purpose}".encode(), "sha256") for key in _keys)
    return MultiFernet([Fernet(urlsafe_b64encode(key)) for key in made])


def seal(text: str, purpose: str) -> str:
    """The text encrypted, for the database: whoever has only that cannot read it."""
    return _sealer(purpose).encrypt(text.encode()).decode()


def unseal(sealed: str, purpose: str) -> str | None:
    """What was sealed; None when no key of ours opens it."""
    from cryptography.fernet import InvalidToken

    try:
        return _sealer(purpose).decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None
