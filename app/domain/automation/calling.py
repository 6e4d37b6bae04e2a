"""Webhooks of rules: their secret, what they say, and what came of a call."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.errors import Invalid
from app.i18n import gettext
from app.integrations import webhooks
from app.integrations.webhooks import Answer
from app.links import seal, unseal
from app.models.automation import Rule, RuleRun, RunState
from app.models.customers import Customer

TASK = "automation.call"
PURPOSE = "webhook of a rule"


def check_url(url: str, at: str) -> str:
    """Raises Invalid at `at` for what cannot be called. Where the name leads to is looked at when it is called."""
    url = url.strip()
    try:
        webhooks.split(url)
    except webhooks.Refused:
        raise Invalid(**{at: gettext("This is not an address such as https://example.com/hook.")}) from None
    return url


def check_secret(secret: str) -> str:
    """Raises Invalid at `secret`."""
    secret = secret.strip()
    try:
        webhooks.key_of(secret)
    except ValueError:
        raise Invalid(secret=gettext("A secret begins with whsec_, and holds 24 to 64 bytes in base64.")) from None
    return secret


def sealed(secret: str) -> str:
    return seal(secret, PURPOSE)


def secret_of(rule: Rule) -> str | None:
    """None: there is none, or no key of ours opens it."""
    return unseal(rule.secret, PURPOSE) if rule.secret else None


def message_id(run_id: int, action: str) -> str:
    """The same for every try."""
    return f"rule_run_{run_id}_{action}"


async def said(session: AsyncSession, run: RuleRun, rule: Rule) -> dict[str, Any] | None:
    """What the other side is told; None: the customer is gone."""
    customer = await session.scalar(select(Customer).where(Customer.id == run.customer_id))
    if customer is None:
        return None
    return {
        "type": f"rule.{rule.trigger.value}",
        "timestamp": run.at.isoformat(),
        "data": {
            "rule": {"id": rule.id, "name": rule.name},
            "event": run.event,
            "customer": {
                "id": customer.id, "name": customer.name, "email": customer.email, "kind": customer.kind.value,
                "status": customer.status.value, "project_id": customer.project_id, "country": customer.country,
                "language": customer.language,
            },
        },
    }  # fmt: skip


async def note(session: AsyncSession, *, run_id: int, action: str, answer: Answer, last: bool) -> None:
    """Write into the log what came of a call. last: it is not tried again."""
    run = await session.scalar(
        select(RuleRun).where(RuleRun.id == run_id).with_for_update().execution_options(populate_existing=True)
    )
    if run is None:
        return
    state = "ok" if answer.taken else "failed" if last else "waiting"
    what = "answered" if answer.status else "unreached"
    told = {"kind": "webhook", "state": state, "what": what, "note": answer.text[:600], "ref": answer.status or None}
    run.done = {**run.done, action: {k: v for k, v in told.items() if v}}
    close(run)
    await session.flush()


def close(run: RuleRun) -> None:
    """The state that follows from what its actions have done."""
    states = {told["state"] for told in run.done.values()}
    if "waiting" in states:
        run.state = RunState.RUNNING
        return
    run.state, run.finished_at = RunState.FAILED if "failed" in states else RunState.DONE, utcnow()
