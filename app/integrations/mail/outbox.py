"""Mail without a server: each message becomes a file."""

import asyncio
import hashlib
import os
import re
import secrets
import tempfile
from pathlib import Path

from app.integrations.mail.address import envelope
from app.integrations.mail.errors import Deferred


class OutboxMailer:
    """Writes each message as one .eml file. The same message sent twice is two files that begin with the same name."""

    def __init__(self, directory: Path) -> None:
        self._directory = Path(directory)

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """Write the message. Raises Rejected for a bad address and Deferred when the disk refuses."""
        envelope(sender, recipient)
        try:
            await asyncio.to_thread(self._write, message, recipient)
        except OSError as error:
            raise Deferred(f"the outbox cannot be written: {error.strerror or error}") from error

    async def close(self) -> None:
        """Nothing is open."""

    def _write(self, message: bytes, recipient: str) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        found = re.search(rb"(?im)^message-id:\s*<?([^>\r\n]*)", message.partition(b"\r\n\r\n")[0])
        message_id = re.sub(r"[^A-Za-z0-9@._+-]", "_", found[1].decode("ascii", "replace") if found else "")[:120]
        to = hashlib.sha256(recipient.encode()).hexdigest()[:8]
        name = f"{message_id.lstrip('.') or 'message'}.{to}.{secrets.token_hex(4)}.eml"
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=self._directory)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(message)
            os.replace(temporary, self._directory / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
