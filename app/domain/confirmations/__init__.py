"""What was sent to be confirmed: codes for a phone, links for a new e-mail address or an invitation."""

from app.domain.confirmations.addresses import ask_address, confirm_address
from app.domain.confirmations.phone import check_code, send_code
from app.domain.confirmations.rows import (
    DIGITS,
    GONE,
    LIFE,
    MOST_TRIES,
    begin,
    by_token,
    code_of,
    end,
    link_of,
    open_ones,
)  # fmt: skip

__all__ = [
    "DIGITS", "GONE", "LIFE", "MOST_TRIES", "ask_address", "begin", "by_token", "check_code", "code_of",
    "confirm_address", "end", "link_of", "open_ones", "send_code",
]  # fmt: skip
