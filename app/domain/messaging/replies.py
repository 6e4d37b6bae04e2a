"""Where answers by e-mail go: addresses of our own that say what is answered, and that nobody else can make.

`desk+t16.k2v6...@example.com`: the kind of thing, its ids, and a signature. Whoever was written to has the address;
that the sender belongs to the customer is checked besides.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
SIGNATURE = 16
"""Characters of base32: 80 bits."""

_CODE = re.compile(rf"(t[0-9a-z]{{1,13}}|d[0-9a-z]{{1,13}}-[0-9a-z]{{1,13}})\.([a-z2-7]{{{SIGNATURE}}})")

_keys: tuple[bytes, ...] = (b"",)
_local, _host = "", ""


@dataclass(frozen=True)
class Answered:
    """What an address stands for: a ticket, or the message of a campaign to one customer."""

    ticket_id: int | None = None
    campaign_id: int | None = None
    customer_id: int | None = None


def configure(secret_key: str, address: str, old_secret_keys: Collection[str] = ()) -> None:
    """address: `desk@example.com`, or `@example.com` where all mail comes in; empty: no such addresses are written.
    What older keys have signed is still read."""
    global _keys, _local, _host
    _keys = tuple(hmac.digest(key.encode(), b"bursar.replies", "sha256") for key in (secret_key, *old_secret_keys))
    _local, _at, _host = address.lower().rpartition("@")
    _signature.cache_clear()


def inbound_address() -> str:
    """The address without anything in it; empty when none is configured, or all of a domain."""
    return f"{_local}@{_host}" if _local else ""


def reply_address(
    *, ticket_id: int | None = None, campaign_id: int | None = None, customer_id: int | None = None
) -> str:
    """The Reply-To of a mail about a ticket, or of the message of a campaign to a customer. Empty: write none."""
    if not _host:
        return ""
    what = f"t{_short(ticket_id)}" if ticket_id is not None else f"d{_short(campaign_id)}-{_short(customer_id)}"
    code = f"{what}.{_signature(what, _keys[0])}"
    return f"{_local}+{code}@{_host}" if _local else f"{code}@{_host}"


def read_address(address: str) -> Answered | None:
    """What an address of ours stands for; None for any other, also one whose signature is not ours."""
    local, _at, host = address.strip().lower().rpartition("@")
    if not _host or host != _host:
        return None
    if _local:
        own, _plus, local = local.partition("+")
        if own != _local:
            return None
    found = _CODE.fullmatch(local)
    if found is None or not any(hmac.compare_digest(_signature(found[1], key), found[2]) for key in _keys):
        return None
    ids = [int(part, 36) for part in found[1][1:].split("-")]
    if found[1][0] == "t":
        return Answered(ticket_id=ids[0])
    return Answered(campaign_id=ids[0], customer_id=ids[1])


@lru_cache(maxsize=1024)
def _signature(what: str, key: bytes) -> str:
    """In small letters and digits only, unlike `links`: mail servers may change the case of an address."""
    signed = hmac.digest(key, what.encode(), hashlib.sha256)
    return base64.b32encode(signed)[:SIGNATURE].decode().lower()


def _short(number: int | None) -> str:
    if number is None or number < 0:
        raise ValueError("an id is missing")
    text = ""
    while number or not text:
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
    return text
