"""Payment gateways behind one Protocol: Stripe Checkout, and one for demos that pays at the press of a button.

A gateway knows no database. It is told what is wanted, says where to send the payer, and turns what it hears into
`Happened`. Amounts are minor units of the currency as everywhere; what a gateway counts differently, it converts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from app.errors import AppError
from app.i18n import _, exponent
from app.models.billing import Gateway
from app.settings import Settings

if TYPE_CHECKING:
    import stripe

WAIT = 8.0
"""Seconds that a gateway has to answer, whatever happens; a person waits for it."""
TOLERANCE = 300
"""Seconds that a signed webhook may be old."""
MARK = "bursar"
"""Our key in what a gateway keeps for us; its value is signed, so what other installations started is not ours."""


class GatewayError(AppError):
    """The gateway could not be reached, or did not do it. final: it will not do it later either."""

    status = 502

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class BadWebhook(AppError):
    """Not signed by the gateway, too old, or not readable."""

    status = 400


@dataclass(frozen=True)
class Order:
    """What is to be paid. key: the same for every try, so that a repeated call starts nothing twice."""

    key: str
    mark: str
    amount: int
    currency: str
    description: str
    return_url: str
    cancel_url: str
    email: str = ""
    language: str = ""


@dataclass(frozen=True)
class Started:
    """external_id: the gateway's name for it. url: where to send the payer."""

    external_id: str
    url: str


class What(StrEnum):
    PAID = "paid"
    PENDING = "pending"
    FAILED = "failed"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    DISPUTED = "disputed"


@dataclass(frozen=True)
class Happened:
    """What a gateway says. key: its id of the event, once each. amount: of a refund all that went back so far; None
    where none was said."""

    key: str
    what: What
    mark: str = ""
    external_id: str | None = None
    charge_ref: str | None = None
    amount: int | None = None
    currency: str = ""
    said: str = ""
    refund_key: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


class PaymentGateway(Protocol):
    refunds: bool
    """Whether money can be sent back through it."""

    def takes(self, amount: int, currency: str) -> bool:
        """Whether it can take exactly this amount."""
        ...

    async def start(self, order: Order) -> Started:
        """Where to send the payer. Raises GatewayError."""
        ...

    def read(self, body: bytes, headers: Mapping[str, str]) -> Happened | None:
        """What a webhook says; None for what does not concern us. Raises BadWebhook."""
        ...

    async def look(self, external_id: str) -> Happened | None:
        """What has become of it; None: nothing yet. Raises GatewayError."""
        ...

    async def refund(self, *, charge_ref: str, amount: int, currency: str, key: str, mark: str) -> str:
        """Send money back; the gateway's name for it. Raises GatewayError."""
        ...


# ---- Stripe ---------------------------------------------------------------------------------------------------------

ZERO_DECIMALS = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)  # fmt: skip
THREE_DECIMALS = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])
"""Currencies that Stripe counts otherwise than in hundredths (https://docs.stripe.com/currencies); the last digit of
the three has to be a zero. ISK and UGX have no decimals and are counted in hundredths all the same."""


def _digits(currency: str) -> int:
    return 0 if currency in ZERO_DECIMALS else 3 if currency in THREE_DECIMALS else 2


def to_stripe(amount: int, currency: str) -> int | None:
    """Our minor units as Stripe counts them; None where it cannot count that exactly."""
    by = _digits(currency) - exponent(currency)
    whole, rest = (amount * 10**by, 0) if by >= 0 else divmod(amount, 10**-by)
    return None if rest or (currency in THREE_DECIMALS and whole % 10) else whole


def from_stripe(amount: int, currency: str) -> int | None:
    """Stripe's units as ours; None where ours cannot say it."""
    by = exponent(currency) - _digits(currency)
    whole, rest = (amount * 10**by, 0) if by >= 0 else divmod(amount, 10**-by)
    return None if rest else whole


class Stripe:
    refunds = True

    def __init__(self, secret_key: str, webhook_secret: str, url: str = "") -> None:
        self.secret_key, self.webhook_secret, self.url = secret_key, webhook_secret, url

    def takes(self, amount: int, currency: str) -> bool:
        found = to_stripe(amount, currency)
        return found is not None and found < 10**8  # eight digits are the most that Stripe takes

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[stripe.StripeClient]:
        import stripe  # takes a third of a second: who needs no card does not wait for it

        http = stripe.HTTPXClient(timeout=WAIT / 2)
        more: dict[str, Any] = {"base_addresses": {"api": self.url}} if self.url else {}
        try:
            async with asyncio.timeout(WAIT):
                yield stripe.StripeClient(self.secret_key, http_client=http, max_network_retries=1, **more)
        except TimeoutError:
            raise GatewayError(_("The payment service does not answer. Please try again.")) from None
        except stripe.APIConnectionError:
            raise GatewayError(_("The payment service cannot be reached. Please try again.")) from None
        except (stripe.InvalidRequestError, stripe.CardError, stripe.IdempotencyError) as problem:
            raise GatewayError(problem.user_message or str(problem), final=True) from None
        except stripe.StripeError as problem:
            raise GatewayError(problem.user_message or str(problem)) from None
        finally:
            await http.close_async()  # type: ignore[no-untyped-call]

    async def start(self, order: Order) -> Started:
        line = {
            "quantity": 1,
            "price_data": {
                "currency": order.currency.lower(), "unit_amount": to_stripe(order.amount, order.currency),
                "product_data": {"name": order.description},
            },
        }  # fmt: skip
        params: dict[str, Any] = {
            "mode": "payment", "line_items": [line], "success_url": order.return_url, "cancel_url": order.cancel_url,
            "metadata": {MARK: order.mark}, "payment_intent_data": {"metadata": {MARK: order.mark}},
        }  # fmt: skip
        if order.email:
            params["customer_email"] = order.email
        if order.language in ("en", "de", "ru", "es"):
            params["locale"] = order.language
        async with self._client() as client:
            made = await client.v1.checkout.sessions.create_async(
                params,  # type: ignore[arg-type]
                {"idempotency_key": order.key},
            )
        return Started(made.id, made.url or "")

    def read(self, body: bytes, headers: Mapping[str, str]) -> Happened | None:
        import stripe

        try:
            stripe.WebhookSignature.verify_header(
                body, headers.get("stripe-signature", ""), self.webhook_secret, TOLERANCE
            )
            event = json.loads(body)
            key, kind, thing = str(event["id"]), str(event["type"]), event["data"]["object"]
            return self._happened(key, kind, thing)
        except stripe.SignatureVerificationError:
            raise BadWebhook(_("This is not signed by the payment service, or too old.")) from None
        except (ValueError, LookupError, TypeError, AttributeError):
            raise BadWebhook(_("This cannot be read.")) from None

    def _happened(self, key: str, kind: str, thing: Mapping[str, Any]) -> Happened | None:
        if kind.startswith("checkout.session."):
            return self._of_session(key, kind.removeprefix("checkout.session."), thing)
        if kind == "charge.refunded":
            return self._of_money(key, What.REFUNDED, thing, "amount_refunded")
        if kind in ("refund.failed", "refund.updated", "charge.refund.updated"):
            if thing.get("status") not in ("failed", "canceled"):
                return None
            said = str(thing.get("failure_reason") or thing["status"])
            ours = str((thing.get("metadata") or {}).get("refund", ""))
            # one refund fails once, whichever of the events says it
            return self._of_money(f"failed:{thing['id']}", What.REFUND_FAILED, thing, "amount", said, ours)
        if kind == "charge.dispute.created":
            return self._of_money(key, What.DISPUTED, thing, "amount", str(thing.get("reason") or ""))
        return None

    @staticmethod
    def _of_money(
        key: str, what: What, thing: Mapping[str, Any], amount: str, said: str = "", refund_key: str = ""
    ) -> Happened:
        currency = str(thing["currency"]).upper()
        return Happened(
            key, what, mark=str((thing.get("metadata") or {}).get(MARK, "")),
            charge_ref=thing.get("payment_intent") or None, amount=from_stripe(int(thing[amount]), currency),
            currency=currency, said=said, refund_key=refund_key, details={"id": thing["id"]},
        )  # fmt: skip

    @staticmethod
    def _of_session(key: str, what: str, session: Mapping[str, Any]) -> Happened | None:
        if what in ("completed", "async_payment_succeeded"):
            found = What.PAID if session.get("payment_status") == "paid" else What.PENDING
        elif what in ("async_payment_failed", "expired"):
            found = What.FAILED
        else:
            return None
        currency = str(session["currency"]).upper()
        return Happened(
            key, found, mark=str((session.get("metadata") or {}).get(MARK, "")), external_id=str(session["id"]),
            charge_ref=session.get("payment_intent") or None, currency=currency,
            amount=from_stripe(int(session["amount_total"]), currency),
            said="" if found is not What.FAILED else what, details={"id": session["id"]},
        )  # fmt: skip

    async def look(self, external_id: str) -> Happened | None:
        async with self._client() as client:
            session = json.loads(str(await client.v1.checkout.sessions.retrieve_async(external_id)))
        if session["status"] == "open":
            return None
        what = "expired" if session["status"] == "expired" else "completed"
        return self._of_session(f"look:{external_id}:{session['status']}:{session['payment_status']}", what, session)

    async def refund(self, *, charge_ref: str, amount: int, currency: str, key: str, mark: str) -> str:
        counted = to_stripe(amount, currency)
        if counted is None:
            raise GatewayError(_("The payment service cannot send back exactly this amount."), final=True)
        params: Any = {"payment_intent": charge_ref, "amount": counted, "metadata": {MARK: mark, "refund": key}}
        async with self._client() as client:
            made = await client.v1.refunds.create_async(params, {"idempotency_key": key})
        return made.id

    async def probe(self) -> None:
        """Whether it answers, and takes our key. Raises GatewayError."""
        async with self._client() as client:
            await client.v1.checkout.sessions.list_async({"limit": 1})


# ---- for demos ------------------------------------------------------------------------------------------------------


class TestGateway:
    """Pays at the press of a button on a page of ours; nothing leaves the machine."""

    __test__ = False
    refunds = True

    def takes(self, amount: int, currency: str) -> bool:
        return True

    async def start(self, order: Order) -> Started:
        path = urlsplit(order.return_url).path
        return Started(f"test:{order.key}", f"{path}/test")

    def read(self, body: bytes, headers: Mapping[str, str]) -> Happened | None:
        raise BadWebhook(_("This cannot be read."))  # nobody writes to it

    async def look(self, external_id: str) -> Happened | None:
        return None

    async def refund(self, *, charge_ref: str, amount: int, currency: str, key: str, mark: str) -> str:
        return f"test:{key}"


def gateway_of(kind: Gateway, settings: Settings) -> PaymentGateway | None:
    """The gateway behind a method; None where there is none: by hand, by bank, not set up, or off in production."""
    if kind is Gateway.STRIPE and settings.stripe_secret_key:
        return Stripe(settings.stripe_secret_key, settings.stripe_webhook_secret, settings.stripe_url)
    if kind is Gateway.TEST and not settings.production:
        return TestGateway()
    return None
