"""What lies in the outbox of a worker's resources."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

from tasks.base import Resources


def mails_in(resources: Resources) -> list[EmailMessage]:
    found = []
    for path in sorted(resources.settings.outbox.glob("*.eml")):
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        found.append(mail)
    return found
