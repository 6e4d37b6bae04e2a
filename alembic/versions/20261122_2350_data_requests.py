"""data requests: what customers ask about their data, a copy or its deletion

Revision ID: 0023
Revises: 0022
Create Date: 2026-11-22 23:40:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0023'
down_revision: str | None = '0022'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'data_request',
        sa.Column('id', key, nullable=False),
        sa.Column('customer_id', key, nullable=False),
        sa.Column('user_id', key, nullable=True),
        sa.Column('kind', sa.String(length=24), nullable=False),
        sa.Column('state', sa.String(length=24), nullable=False),
        sa.Column('reason', sa.String(length=2000), server_default='', nullable=False),
        sa.Column('ticket_id', key, nullable=True),
        sa.Column('job_id', key, nullable=True),
        sa.Column('key', sa.String(length=64), server_default='', nullable=False),
        sa.Column('size', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('finished_at', app.db.UtcDateTime(), nullable=True),
        sa.Column('expires_at', app.db.UtcDateTime(), nullable=True),
        sa.Column('version', sa.Integer(), server_default='1', nullable=False),
        sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ['customer_id'], ['customer.id'], name=op.f('fk_data_request_customer_id'), ondelete='CASCADE'
        ),
        sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_data_request_user_id'), ondelete='SET NULL'),
        sa.ForeignKeyConstraint(
            ['ticket_id'], ['ticket.id'], name=op.f('fk_data_request_ticket_id'), ondelete='SET NULL'
        ),
        sa.ForeignKeyConstraint(['job_id'], ['job.id'], name=op.f('fk_data_request_job_id'), ondelete='SET NULL'),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_data_request')),
    )
    with op.batch_alter_table('data_request') as batch_op:
        waits = sa.text("state = 'waiting'")
        batch_op.create_index('ix_data_request_customer', ['customer_id', 'kind', 'id'])
        batch_op.create_index(
            'ix_data_request_waiting', ['customer_id', 'kind'], unique=True,
            sqlite_where=waits, postgresql_where=waits,
        )  # fmt: skip
        batch_op.create_index('ix_data_request_expires', ['expires_at'])
        batch_op.create_index(batch_op.f('ix_data_request_user_id'), ['user_id'])
        batch_op.create_index(batch_op.f('ix_data_request_ticket_id'), ['ticket_id'])
        batch_op.create_index(batch_op.f('ix_data_request_job_id'), ['job_id'])


def downgrade() -> None:
    op.drop_table('data_request')
