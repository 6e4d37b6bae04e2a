"""Signing in and out: passwords, throttling, and sessions that are rows of the database.

A browser holds a random token, the row only its SHA-256. A token is made anew at each sign-in; a token that we did not
make is never taken over. Signing in is not one unit of work: the hash must not be computed inside a transaction, and a
refusal is written although nothing else is; so `sign_in_staff` and `sign_in_user` open their own units.
"""

from app.domain.sessions.entering import (
    CLIENT_LIFE,
    STAFF_LIFE,
    Came,
    SecondStep,
    customers_of,
    second_step,
    second_step_by_passkey,
    sign_in_by_passkey,
    step_of,
)  # fmt: skip
from app.domain.sessions.passkeys import Place
from app.domain.sessions.passwords import (
    STAFF_PASSWORD,
    USER_PASSWORD,
    check_new_password,
    hash_password,
    set_password,
    verify_password,
)  # fmt: skip
from app.domain.sessions.person import Person
from app.domain.sessions.rows import (
    Grants,
    SessionView,
    end_sessions_of,
    granted,
    living_of_staff,
    open_session,
    session_of,
    shut_project,
    sign_out,
    token_hash,
    touch,
)  # fmt: skip
from app.domain.sessions.signing import (
    WRONG,
    change_own_password,
    pick_customer,
    sign_in_staff,
    sign_in_user,
)  # fmt: skip

__all__ = [
    "CLIENT_LIFE",
    "STAFF_LIFE",
    "STAFF_PASSWORD",
    "USER_PASSWORD",
    "WRONG",
    "Came",
    "Grants",
    "Person",
    "Place",
    "SecondStep",
    "SessionView",
    "change_own_password",
    "check_new_password",
    "customers_of",
    "end_sessions_of",
    "granted",
    "hash_password",
    "living_of_staff",
    "open_session",
    "pick_customer",
    "second_step",
    "second_step_by_passkey",
    "session_of",
    "set_password",
    "shut_project",
    "sign_in_by_passkey",
    "sign_in_staff",
    "sign_in_user",
    "sign_out",
    "step_of",
    "token_hash",
    "touch",
    "verify_password",
]  # fmt: skip
