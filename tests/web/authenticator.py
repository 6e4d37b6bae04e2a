"""A device with passkeys, in software: what a browser would send for a question (WebAuthn, ES256, no attestation)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def data(given: str) -> bytes:
    return base64.urlsafe_b64decode(given + "=" * (-len(given) % 4))


@dataclass
class Device:
    """One key for one host. verified: the owner has given the PIN or finger."""

    origin: str = "http://localhost"
    host: str = "localhost"
    verified: bool = True
    count: int = 0
    counts: bool = True
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = field(default_factory=lambda: secrets.token_bytes(20))
    handle: str = ""

    def _client(self, kind: str, question: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": question["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _state(self, new: bool) -> bytes:
        self.count += 1 if self.counts else 0
        flags = 0x01 | (0x04 if self.verified else 0) | (0x40 if new else 0)
        return hashlib.sha256(self.host.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def make(self, question: dict[str, Any]) -> str:
        """The answer of a new passkey."""
        self.handle = question["user"]["id"]
        numbers = self.key.public_key().public_numbers()
        public = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})
        state = self._state(True) + bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public
        return self._answer(
            {
                "clientDataJSON": text(self._client("webauthn.create", question)), "transports": ["internal"],
                "attestationObject": text(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": state})),
            }
        )  # fmt: skip

    def sign(self, question: dict[str, Any]) -> str:
        """The answer that signs in."""
        client, state = self._client("webauthn.get", question), self._state(False)
        signature = self.key.sign(state + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            {
                "clientDataJSON": text(client), "authenticatorData": text(state), "signature": text(signature),
                "userHandle": self.handle,
            }
        )  # fmt: skip

    def _answer(self, response: dict[str, Any]) -> str:
        return json.dumps(
            {"id": text(self.id), "rawId": text(self.id), "type": "public-key", "response": response,
             "clientExtensionResults": {}}
        )  # fmt: skip
