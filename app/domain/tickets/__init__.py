"""Tickets: customers answer a message or ask, staff reply."""

from app.domain.tickets.canned import canned_replies, fill, save_canned
from app.domain.tickets.locks import Lock, let_go, lock, lock_of
from app.domain.tickets.moves import TICKET_MOVES, assign, change_tickets, close, move, reopen, set_priority, set_status
from app.domain.tickets.quotes import Piece, folded
from app.domain.tickets.talk import MAX_FILES, MAX_SUBJECT, MAX_TEXT, ByMail, answer_delivery, open_ticket, reply

__all__ = [
    "MAX_FILES",
    "MAX_SUBJECT",
    "MAX_TEXT",
    "TICKET_MOVES",
    "ByMail",
    "Lock",
    "Piece",
    "answer_delivery",
    "assign",
    "canned_replies",
    "change_tickets",
    "close",
    "fill",
    "folded",
    "let_go",
    "lock",
    "lock_of",
    "move",
    "open_ticket",
    "reopen",
    "reply",
    "save_canned",
    "set_priority",
    "set_status",
]  # fmt: skip
