"""The questions to passkeys and their answers, by the webauthn library (W3C Web Authentication, level 2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers.options_to_json_dict import options_to_json_dict
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

Known = Iterable[tuple[bytes, Sequence[str]]]
"""Passkeys: id, and the ways by which they are reached."""
_TRANSPORTS = {t.value: t for t in AuthenticatorTransport}


def _named(known: Known) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(id=key, transports=[_TRANSPORTS[t] for t in ways if t in _TRANSPORTS])
        for key, ways in known
    ]


def to_sign_in(host: str, question: bytes, known: Known, *, verified: bool) -> dict[str, Any]:
    """What navigator.credentials.get is asked. verified: the person's PIN or finger is needed."""
    need = UserVerificationRequirement.REQUIRED if verified else UserVerificationRequirement.DISCOURAGED
    return options_to_json_dict(
        generate_authentication_options(
            rp_id=host, challenge=question, allow_credentials=_named(known) or None, user_verification=need
        )
    )


def to_add(host: str, site: str, handle: bytes, name: str, question: bytes, known: Known) -> dict[str, Any]:
    """What navigator.credentials.create is asked; none of those known is made twice."""
    return options_to_json_dict(
        generate_registration_options(
            rp_id=host, rp_name=site, user_id=handle, user_name=name, challenge=question,
            exclude_credentials=_named(known),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
        )
    )  # fmt: skip


def added(answer: dict[str, Any], question: bytes, host: str, origin: str) -> VerifiedRegistration:
    """Raises whatever a strange answer makes the library stumble over."""
    return verify_registration_response(
        credential=answer, expected_challenge=question, expected_rp_id=host, expected_origin=origin,
        require_user_verification=True,
    )  # fmt: skip


def signed_in(
    answer: dict[str, Any], question: bytes, host: str, origin: str, *, key: bytes, count: int, verified: bool
) -> int:
    """The new count of signatures. Raises as `added`."""
    return verify_authentication_response(
        credential=answer, expected_challenge=question, expected_rp_id=host, expected_origin=origin,
        credential_public_key=key, credential_current_sign_count=count, require_user_verification=verified,
    ).new_sign_count  # fmt: skip
