"""``POST /webhooks/stripe``: what Stripe says of payments, signed. Where payers come back to: `client.payments`."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post

from app.domain.billing import gateways
from app.errors import NotFound
from app.integrations.payments import gateway_of
from app.models.billing import Gateway


@post("/webhooks/stripe", name="webhooks.stripe", status_code=200)
async def take_stripe(request: Request[Any, Any, Any]) -> Response[dict[str, bool]]:
    """200 once it is taken in, also when it was before or does not concern us; 400 when it is not signed by Stripe, and
    409 for what comes before its time: Stripe then says it again."""
    gateway = gateway_of(Gateway.STRIPE, request.app.state.settings)
    if gateway is None:
        raise NotFound
    happened = gateway.read(await request.body(), request.headers)  # the guard counts
    taken = happened is not None and await gateways.take(happened, Gateway.STRIPE)
    return Response({"taken": taken}, status_code=200)
