"""Calling addresses that people have typed: signed as Standard Webhooks, and never inside our own network.

The name is looked up once, each address that it has must be public, and the call goes to the address that was looked
at, so that another answer of the name server a moment later changes nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import secrets
import socket
import time
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from app.i18n import _

WAIT = 10.0
"""Seconds for all of it, from the name to the answer."""
KEPT = 500
"""Characters of the answer that are kept."""
LONGEST = 2000
PREFIX = "whsec_"
UNREACHED = _("it cannot be reached")
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Answer(NamedTuple):
    """What came of a call. status: 0 when there was no answer. final: another try would not help."""

    status: int
    text: str
    final: bool

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


class Refused(ValueError):
    """This address is not called."""


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The key inside a secret. Raises ValueError for what is none."""
    if not secret.startswith(PREFIX):
        raise ValueError(secret[:6])
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as problem:
        raise ValueError("base64") from problem
    if not 24 <= len(key) <= 64:
        raise ValueError("length")
    return key


def signature(secret: str, message_id: str, moment: int, body: bytes) -> str:
    """The header webhook-signature."""
    signed = hmac.digest(key_of(secret), f"{message_id}.{moment}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"


def split(url: str) -> SplitResult:
    """The parts of an address that may be called. Raises Refused."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused(_("this is not an address")) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise Refused(_("it must begin with https://"))
    host_of(parts)
    if parts.username or parts.password or parts.fragment or len(url) > LONGEST or not url.isprintable() or " " in url:
        raise Refused(_("it holds something that does not belong there"))
    return parts


def host_of(parts: SplitResult) -> str:
    """The name of the host as the net spells it. Raises Refused."""
    found = parts.hostname or ""
    if ":" in found:
        return found
    if not found.isascii():
        import idna  # only for such a name: its tables are large

        try:
            found = idna.encode(found, uts46=True).decode()
        except UnicodeError:
            raise Refused(_("this is not an address")) from None
    if not all(0 < len(label) < 64 for label in found.removesuffix(".").split(".")) or len(found) > 253:
        raise Refused(_("this is not an address"))
    return found


def public(address: str) -> bool:
    """Whether this IP address is anybody's on the internet, and not ours, whatever it is wrapped in."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None and not public(str(inner)):
            return False
        if found.ipv4_mapped:
            return True
    return found.is_global and not found.is_multicast and not found.is_reserved and not found.is_unspecified


async def _resolve(host: str, port: int, *, private: bool) -> str:
    """The address to call. Raises Refused when one of those that the name has is not public, OSError for no name."""
    loop = asyncio.get_running_loop()
    found = [str(info[4][0]) for info in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not private and not all(map(public, found)):
        raise Refused(_("the address is not a public one"))
    return found[0]


async def call(url: str, *, secret: str, message_id: str, body: dict[str, Any], private: bool = False) -> Answer:
    """Post `body`; message_id is the same for every try. private: also to addresses that are not public. Never raises
    for what the other side does."""
    try:
        async with asyncio.timeout(WAIT):
            return await _call(url, secret, message_id, body, private)
    except TimeoutError:
        return Answer(0, _("it has not answered in time"), False)
    except Refused as problem:
        return Answer(0, str(problem), True)
    except socket.gaierror:
        return Answer(0, _("nobody knows this name"), False)
    except OSError:
        return Answer(0, UNREACHED, False)


async def _call(url: str, secret: str, message_id: str, body: dict[str, Any], private: bool) -> Answer:
    import httpx  # only where a rule calls: it is large

    parts = split(url)
    host, port = host_of(parts), parts.port or (443 if parts.scheme == "https" else 80)
    named_host = parts.netloc if parts.netloc.isascii() else host + (f":{parts.port}" if parts.port else "")
    address = await _resolve(host, port, private=private)
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    moment = int(time.time())
    headers = {
        "host": named_host, "content-type": "application/json", "user-agent": "Bursar", "webhook-id": message_id,
        "webhook-timestamp": str(moment), "webhook-signature": signature(secret, message_id, moment, content),
        "accept-encoding": "identity",
    }  # fmt: skip
    named = {"sni_hostname": host} if parts.scheme == "https" else {}
    try:
        target = httpx.URL(url).copy_with(host=address)
        async with (
            httpx.AsyncClient(timeout=WAIT, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", target, content=content, headers=headers, extensions=named) as answer,
        ):
            got = b""
            async for chunk in answer.aiter_raw():
                got += chunk
                if len(got) >= 4 * KEPT:
                    break
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        return Answer(0, UNREACHED, isinstance(problem, httpx.InvalidURL))
    text = "".join(c for c in got[: 4 * KEPT].decode("utf-8", "replace") if c.isprintable() or c in "\n\t")[:KEPT]
    final = 300 <= status < 500 and status not in (408, 425, 429)
    return Answer(status, text, final)
