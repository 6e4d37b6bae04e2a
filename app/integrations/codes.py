"""Sending a code to a phone: by a gateway that is spoken to over HTTP, or into a file where none is set.

What the gateway gets is signed as a Standard Webhook (webhook-id, webhook-timestamp, webhook-signature), so that it can
know the sender, and refuse what was replayed. A repeated call has the same webhook-id.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Protocol

from app.db import Choice
from app.errors import AppError
from app.i18n import _
from app.settings import Settings

WAIT = 8.0


class Way(Choice):
    """How a code reaches somebody."""

    SMS = "sms", _("SMS")
    EMAIL = "email", _("E-mail")


class NotTaken(AppError):
    """The gateway did not take it. final: nor will it later."""

    status = 502

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class CodeSender(Protocol):
    """Carries a short text to a phone."""

    async def send(self, *, key: str, to: str, text: str) -> None:
        """key: the same for every try. to: +49301234567. Raises NotTaken."""
        ...


def signature(secret: str, key: str, moment: int, body: bytes) -> str:
    """The header webhook-signature."""
    signed = hmac.digest(secret.encode(), f"{key}.{moment}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"


class SmsGateway:
    """Posts {"to", "text"} as JSON. Any answer of 2xx is "taken"; 4xx but 408 and 429 is "never"."""

    def __init__(self, url: str, secret: str) -> None:
        self._url, self._secret = url, secret

    async def send(self, *, key: str, to: str, text: str) -> None:
        import httpx  # only where a gateway is set: it is large

        body = json.dumps({"to": to, "text": text}, ensure_ascii=False).encode()
        moment = int(time.time())
        headers = {
            "content-type": "application/json", "webhook-id": key, "webhook-timestamp": str(moment),
            "webhook-signature": signature(self._secret, key, moment, body),
        }  # fmt: skip
        try:
            async with httpx.AsyncClient(timeout=WAIT, follow_redirects=False) as client:
                answer = await client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as problem:
            raise NotTaken(f"the SMS gateway cannot be reached: {type(problem).__name__}") from None
        if not answer.is_success:
            final = 400 <= answer.status_code < 500 and answer.status_code not in (408, 429)
            raise NotTaken(f"the SMS gateway answered {answer.status_code}", final=final)


class OutboxCodes:
    """Writes the text beside the mails that are not sent either."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, *, key: str, to: str, text: str) -> None:
        await asyncio.to_thread(self._write, key, f"To: {to}\n\n{text}\n")

    def _write(self, key: str, text: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"sms-{key}.txt").write_text(text, "utf-8")


def sms_of(settings: Settings) -> CodeSender | None:
    """The gateway; on a development machine without one, the outbox; else None."""
    if settings.sms_url:
        return SmsGateway(settings.sms_url, settings.sms_secret)
    return None if settings.production else OutboxCodes(settings.outbox)
