"""Addresses for answers: only ours are read, and they name what is answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.domain.messaging.replies import Answered, configure, inbound_address, read_address, reply_address


@pytest.fixture(autouse=True)
def nobody_answers_afterwards() -> Iterator[None]:
    yield
    configure("", "")


@pytest.mark.parametrize("address", ["desk@example.com", "@example.com", "DESK@Example.com"])
def test_an_address_leads_back_and_no_other_does(address: str) -> None:
    configure("k" * 40, address)
    ticket, sent = reply_address(ticket_id=4711), reply_address(campaign_id=12, customer_id=99)
    assert read_address(ticket) == Answered(ticket_id=4711)
    assert read_address(ticket.upper()) == Answered(ticket_id=4711), "mail servers may change the case"
    assert read_address(sent) == Answered(campaign_id=12, customer_id=99)
    local, _at, host = ticket.rpartition("@")
    other = "a" if local[-1] != "a" else "b"
    for wrong in (f"{local[:-1]}{other}@{host}", ticket.replace(host, "example.net"), f"x{ticket}", "desk@example.com",
                  ticket.replace(".", "1.", 1), "", "@", "+@example.com"):  # fmt: skip
        assert read_address(wrong) is None, wrong
    assert len(local) <= 64
    configure("another key" * 4, address)
    assert read_address(ticket) is None
    configure("another key" * 4, address, ("k" * 40,))
    assert read_address(ticket) == Answered(ticket_id=4711), "the key was changed since"
    assert reply_address(ticket_id=4711) != ticket


def test_a_signature_for_one_thing_is_none_for_another() -> None:
    configure("k" * 40, "desk@example.com")
    code = reply_address(ticket_id=1).partition("+")[2]
    forged = "t2." + code.partition(".")[2]
    assert read_address(f"desk+{forged}") is None


def test_without_an_address_none_is_written_or_read() -> None:
    configure("k" * 40, "desk@example.com")
    made = reply_address(ticket_id=1)
    configure("k" * 40, "")
    assert reply_address(ticket_id=1) == "" and read_address(made) is None and inbound_address() == ""
