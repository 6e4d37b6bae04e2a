"""tickets: lock, first answer, mails, canned replies; mail that comes in

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-22 17:10:00
"""

import sqlalchemy as sa
from alembic import op

import app.db


revision: str = '0010'
down_revision: str | None = '0009'
branch_labels: str | None = None
depends_on: str | None = None

BIG = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    with op.batch_alter_table('ticket', schema=None) as batch_op:
        batch_op.add_column(sa.Column('first_answered_at', app.db.UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column('lock_staff_id', BIG, nullable=True))
        batch_op.add_column(sa.Column('locked_at', app.db.UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column('lock_until', app.db.UtcDateTime(), nullable=True))
        batch_op.create_index('ix_ticket_updated', ['updated_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_ticket_first_answered_at'), ['first_answered_at'], unique=False)
    with op.batch_alter_table('ticket_message', schema=None) as batch_op:
        batch_op.add_column(sa.Column('email_id', sa.String(length=250), server_default='', nullable=False))
        batch_op.add_column(sa.Column('sender', sa.String(length=254), server_default='', nullable=False))
        batch_op.create_index(batch_op.f('ix_ticket_message_email_id'), ['email_id'], unique=False)

    op.execute(
        'UPDATE ticket SET first_answered_at = (SELECT MIN(m.created_at) FROM ticket_message m'
        ' WHERE m.ticket_id = ticket.id AND NOT m.from_customer AND NOT m.internal)'
    )

    op.create_table('canned_reply',
    sa.Column('id', BIG, nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('name_folded', sa.Text(), server_default='', nullable=False),
    sa.Column('category_id', BIG, nullable=True),
    sa.Column('project_id', BIG, nullable=True),
    sa.Column('texts', app.db.Json, nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('search_text', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['category_id'], ['message_category.id'], name=op.f('fk_canned_reply_category_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_canned_reply_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_canned_reply')),
    sa.UniqueConstraint('name', name=op.f('uq_canned_reply_name'))
    )

    op.create_table('inbound_mail',
    sa.Column('id', BIG, nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('source', sa.String(length=40), nullable=False),
    sa.Column('message_id', sa.String(length=250), nullable=False),
    sa.Column('sender', sa.String(length=254), nullable=False),
    sa.Column('recipient', sa.String(length=254), nullable=False),
    sa.Column('subject', sa.String(length=300), nullable=False),
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.Enum('new', 'taken', 'bounce', 'ignored', 'aside', 'dropped', name='inboundstate', native_enum=False, length=24), nullable=False),
    sa.Column('reason', sa.String(length=500), nullable=False),
    sa.Column('customer_id', BIG, nullable=True),
    sa.Column('ticket_id', BIG, nullable=True),
    sa.Column('received_at', app.db.UtcDateTime(), nullable=False),
    sa.Column('search_text', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_inbound_mail_customer_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['ticket_id'], ['ticket.id'], name=op.f('fk_inbound_mail_ticket_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_inbound_mail')),
    sa.UniqueConstraint('fingerprint', name=op.f('uq_inbound_mail_fingerprint'))
    )
    with op.batch_alter_table('inbound_mail', schema=None) as batch_op:
        batch_op.create_index('ix_inbound_mail_state', ['state', 'id'], unique=False)
        batch_op.create_index('ix_inbound_mail_sender', ['sender', 'received_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_inbound_mail_customer_id'), ['customer_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_inbound_mail_ticket_id'), ['ticket_id'], unique=False)


def downgrade() -> None:
    op.drop_table('inbound_mail')
    op.drop_table('canned_reply')
    with op.batch_alter_table('ticket_message', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_ticket_message_email_id'))
        batch_op.drop_column('sender')
        batch_op.drop_column('email_id')
    with op.batch_alter_table('ticket', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_ticket_first_answered_at'))
        batch_op.drop_index('ix_ticket_updated')
        batch_op.drop_column('lock_until')
        batch_op.drop_column('locked_at')
        batch_op.drop_column('lock_staff_id')
        batch_op.drop_column('first_answered_at')
