"""indexes of the timeline

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-22 14:25:10.301512
"""

from alembic import op


revision: str = '0003'
down_revision: str | None = '0002'
branch_labels: str | None = None
depends_on: str | None = None

NEW = (
    ('ix_audit_noun', 'audit', ['noun', 'noun_id', 'at']),
    ('ix_audit_customer', 'audit', ['customer_id', 'at']),
    ('ix_login_session_customer', 'login_session', ['customer_id', 'kind', 'created_at']),
    ('ix_ticket_message_ticket', 'ticket_message', ['ticket_id', 'created_at', 'id']),
    ('ix_note_customer', 'note', ['customer_id', 'created_at']),
)
OLD = (
    ('ix_audit_noun', 'audit', ['noun', 'noun_id']),
    ('ix_audit_customer', 'audit', ['customer_id', 'id']),
    ('ix_login_session_customer_id', 'login_session', ['customer_id']),
    ('ix_ticket_message_ticket_id', 'ticket_message', ['ticket_id']),
    ('ix_note_customer_id', 'note', ['customer_id']),
)


def upgrade() -> None:
    _put(NEW, in_place_of=OLD)


def downgrade() -> None:
    _put(OLD, in_place_of=NEW)


def _put(wanted: tuple[tuple[str, str, list[str]], ...], *, in_place_of: tuple[tuple[str, str, list[str]], ...]) -> None:
    for name, table, _columns in in_place_of:
        op.drop_index(name, table_name=table)
    for name, table, columns in wanted:
        op.create_index(name, table, columns)
