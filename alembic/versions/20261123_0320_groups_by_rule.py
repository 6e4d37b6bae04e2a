"""groups by rule: the condition of a group, and which members it has made

Revision ID: 0038
Revises: 0037
Create Date: 2026-11-23 03:20:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = '0038'
down_revision: str | None = '0037'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    json = sa.JSON().with_variant(postgresql.JSONB(), 'postgresql')
    op.add_column('customer_group', sa.Column('condition', json, nullable=True))
    op.add_column('membership', sa.Column('by_rule', sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    with op.batch_alter_table('membership') as batch_op:
        batch_op.drop_column('by_rule')
    with op.batch_alter_table('customer_group') as batch_op:
        batch_op.drop_column('condition')
