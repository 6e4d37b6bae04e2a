"""A server that speaks the part of Stripe's API that we use, over real HTTP, and signs webhooks as Stripe does."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

SECRET_KEY = "sk_test_" + "x" * 24
WEBHOOK_SECRET = "whsec_" + "y" * 24


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """``a[b][0][c]=1`` as Stripe reads it."""
    made: dict[str, Any] = {}
    for name, value in pairs:
        parts = name.replace("]", "").split("[")
        at = made
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        at[parts[-1]] = value
    return made


class FakeStripe:
    """`sessions` and `refunds` by id. down: it answers 503. slow: seconds until it answers."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.answered: dict[str, tuple[str, dict[str, Any]]] = {}
        self.down, self.slow, self.no_refunds = False, 0.0, False
        self.url = ""
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, form: dict[str, Any], key: str) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.calls.append((method, path, key))
            time.sleep(self.slow)
            if self.down:
                return 503, {"error": {"type": "api_error", "message": "down"}}
            if method == "POST" and key in self.answered:
                asked, before = self.answered[key]
                same = asked == json.dumps(form, sort_keys=True)
                problem = {"error": {"type": "idempotency_error", "message": "other parameters with the same key"}}
                return (200, before) if same else (400, problem)
            status, found = self._do(method, path, form)
            if method == "POST" and status == 200 and key:
                self.answered[key] = (json.dumps(form, sort_keys=True), found)
            return status, found

    def _do(self, method: str, path: str, form: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        n = next(self._numbers)
        if (method, path) == ("POST", "/v1/checkout/sessions"):
            price = form["line_items"]["0"]["price_data"]
            session = {
                "id": f"cs_test_{n}", "object": "checkout.session", "url": f"{self.url}/pay/cs_test_{n}",
                "amount_total": int(price["unit_amount"]), "currency": price["currency"], "status": "open",
                "payment_status": "unpaid", "payment_intent": None, "metadata": form.get("metadata", {}),
                "success_url": form["success_url"], "customer_email": form.get("customer_email"),
            }  # fmt: skip
            self.sessions[session["id"]] = session
            return 200, session
        if method == "GET" and path == "/v1/checkout/sessions":
            return 200, {"object": "list", "data": [], "has_more": False, "url": path}
        if method == "GET" and path.startswith("/v1/checkout/sessions/"):
            found = self.sessions.get(path.rpartition("/")[2])
            return (200, found) if found else (404, {"error": {"type": "invalid_request_error", "message": "none"}})
        if (method, path) == ("POST", "/v1/refunds"):
            if self.no_refunds:
                message = "Charge has already been refunded."
                return 400, {"error": {"type": "invalid_request_error", "message": message}}
            session = next(s for s in self.sessions.values() if s["payment_intent"] == form["payment_intent"])
            refund = {
                "id": f"re_{n}", "object": "refund", "amount": int(form["amount"]), "currency": session["currency"],
                "payment_intent": form["payment_intent"], "status": "succeeded", "metadata": form.get("metadata", {}),
            }  # fmt: skip
            self.refunds[refund["id"]] = refund
            return 200, refund
        return 404, {"error": {"type": "invalid_request_error", "message": f"no {method} {path}"}}

    # ---- what happens at Stripe

    def pay(self, session_id: str, **changes: Any) -> dict[str, Any]:
        """The payer pays; gives the event."""
        session = self.sessions[session_id]
        session |= {"status": "complete", "payment_status": "paid", "payment_intent": f"pi_{session_id}"} | changes
        return self.event("checkout.session.completed", session)

    def expire(self, session_id: str) -> dict[str, Any]:
        self.sessions[session_id]["status"] = "expired"
        return self.event("checkout.session.expired", self.sessions[session_id])

    def refunded(self, session_id: str, amount: int) -> dict[str, Any]:
        """The charge after so much went back, in all."""
        session = self.sessions[session_id]
        charge = {
            "id": f"ch_{session_id}", "object": "charge", "amount": session["amount_total"], "amount_refunded": amount,
            "currency": session["currency"], "payment_intent": session["payment_intent"],
            "metadata": session["metadata"],
        }  # fmt: skip
        return self.event("charge.refunded", charge)

    def event(self, kind: str, thing: dict[str, Any]) -> dict[str, Any]:
        return {"id": f"evt_{next(self._numbers)}", "object": "event", "type": kind, "data": {"object": dict(thing)}}


def signed(event: dict[str, Any] | bytes, *, secret: str = WEBHOOK_SECRET, at: float | None = None) -> dict[str, Any]:
    """Body and headers of a webhook, for ``client.post("/webhooks/stripe", **signed(event))``."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    when = int(time.time() if at is None else at)
    made = hmac.new(secret.encode(), f"{when}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"stripe-signature": f"t={when},v1={made}", "content-type": "application/json"}
    return {"content": body, "headers": headers | {"sec-fetch-site": "cross-site"}}


@contextmanager
def stripe_server() -> Iterator[FakeStripe]:
    fake = FakeStripe()

    class Handler(BaseHTTPRequestHandler):
        def _go(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            right = self.headers.get("authorization") == f"Bearer {SECRET_KEY}"
            key = self.headers.get("idempotency-key", "")
            if right:
                status, found = fake.answer(method, self.path.partition("?")[0], nested(parse_qsl(body)), key)
            else:
                status, found = 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}
            text = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self) -> None:
            self._go("GET")

        def do_POST(self) -> None:
            self._go("POST")

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
