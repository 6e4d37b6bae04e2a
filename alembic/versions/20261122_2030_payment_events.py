"""payments: what gateways said, what does not fit, where the payer goes

Revision ID: 0014
Revises: 0013
Create Date: 2026-11-22 20:30:00
"""

import sqlalchemy as sa
from alembic import op

import app.db


revision: str = '0014'
down_revision: str | None = '0013'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    with op.batch_alter_table('payment', schema=None) as batch_op:
        batch_op.add_column(sa.Column('doubt', sa.String(length=300), server_default='', nullable=False))
        batch_op.add_column(sa.Column('charge_ref', sa.String(length=120), nullable=True))
        batch_op.add_column(sa.Column('pay_url', sa.Text(), server_default='', nullable=False))
        batch_op.add_column(sa.Column('looked_at', app.db.UtcDateTime(), nullable=True))
        batch_op.create_index(batch_op.f('ix_payment_charge_ref'), ['charge_ref'], unique=False)
        batch_op.create_index('ix_payment_doubt', ['id'], unique=False, postgresql_where=sa.text("doubt <> ''"), sqlite_where=sa.text("doubt <> ''"))
    op.create_table('payment_event',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('payment_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('key', sa.String(length=160), nullable=False),
    sa.Column('at', app.db.UtcDateTime(), nullable=False),
    sa.Column('kind', sa.Enum('started', 'pending', 'paid', 'failed', 'mismatch', 'refund', 'refund_failed', 'disputed', 'noted', name='paymenteventkind', native_enum=False, length=24), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=True),
    sa.Column('currency', sa.String(length=3), server_default='', nullable=False),
    sa.Column('said', sa.String(length=500), server_default='', nullable=False),
    sa.Column('details', app.db.Json, server_default='{}', nullable=False),
    sa.Column('transaction_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.ForeignKeyConstraint(['payment_id'], ['payment.id'], name=op.f('fk_payment_event_payment_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['transaction_id'], ['ledger_transaction.id'], name=op.f('fk_payment_event_transaction_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payment_event')),
    sa.UniqueConstraint('payment_id', 'key', name=op.f('uq_payment_event_payment_id_key')),
    sa.UniqueConstraint('transaction_id', name=op.f('uq_payment_event_transaction_id'))
    )
    with op.batch_alter_table('payment_event', schema=None) as batch_op:
        batch_op.create_index('ix_payment_event_key', ['key'], unique=False)


def downgrade() -> None:
    op.drop_table('payment_event')
    with op.batch_alter_table('payment', schema=None) as batch_op:
        batch_op.drop_index('ix_payment_doubt')
        batch_op.drop_index(batch_op.f('ix_payment_charge_ref'))
        batch_op.drop_column('looked_at')
        batch_op.drop_column('pay_url')
        batch_op.drop_column('charge_ref')
        batch_op.drop_column('doubt')
