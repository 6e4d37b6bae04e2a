"""touched: customers of whom something has changed that rules look at

Revision ID: 0042
Revises: 0041
Create Date: 2026-11-23 06:00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = '0042'
down_revision: str | None = '0041'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table('touched',
    sa.Column('id', key, nullable=False),
    sa.Column('customer_id', sa.BigInteger(), nullable=False),
    sa.Column('what', sa.String(length=24), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=True),
    sa.Column('balance', sa.BigInteger(), nullable=True),
    sa.Column('chain', sa.String(length=80), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_touched')),
    sqlite_autoincrement=True,
    )
    op.add_column('automation_rule', sa.Column('armed_upto', sa.BigInteger(), server_default='0', nullable=False))


def downgrade() -> None:
    with op.batch_alter_table('automation_rule') as batch_op:
        batch_op.drop_column('armed_upto')
    op.drop_table('touched')
