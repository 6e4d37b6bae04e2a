"""confirmations: what is still to be confirmed; usual and archived payers

Revision ID: 0018
Revises: 0017
Create Date: 2026-11-22 23:40:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0018'
down_revision: str | None = '0017'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'confirmation',
        sa.Column('id', key, nullable=False),
        sa.Column('kind', sa.String(length=24), nullable=False),
        sa.Column('customer_id', key, nullable=False),
        sa.Column('user_id', key, nullable=True),
        sa.Column('value', sa.String(length=254), nullable=False),
        sa.Column('args', app.db.Json, nullable=False),
        sa.Column('salt', sa.String(length=32), nullable=False),
        sa.Column('tries', sa.Integer(), nullable=False),
        sa.Column('expires_at', app.db.UtcDateTime(), nullable=False),
        sa.Column('ended_at', app.db.UtcDateTime(), nullable=True),
        sa.Column('done', sa.Boolean(), nullable=False),
        sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ['customer_id'], ['customer.id'], name=op.f('fk_confirmation_customer_id'), ondelete='CASCADE'
        ),
        sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_confirmation_user_id'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_confirmation')),
    )
    op.create_index('ix_confirmation_customer', 'confirmation', ['customer_id', 'kind', 'ended_at'])
    op.create_index(op.f('ix_confirmation_user_id'), 'confirmation', ['user_id'])
    with op.batch_alter_table('payer') as batch_op:
        batch_op.add_column(sa.Column('usual', sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column('archived', sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    with op.batch_alter_table('payer') as batch_op:
        batch_op.drop_column('archived')
        batch_op.drop_column('usual')
    op.drop_table('confirmation')
