"""indexes of deliveries: only of the rows that wait and of those in the air

Revision ID: 0012
Revises: 0011
Create Date: 2026-11-22 20:20:00
"""

import sqlalchemy as sa
from alembic import op


revision: str = '0012'
down_revision: str | None = '0011'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    with op.batch_alter_table('delivery', schema=None) as batch_op:
        batch_op.drop_index('ix_delivery_lease')
        batch_op.drop_index('ix_delivery_due')
        batch_op.create_index('ix_delivery_due', ['campaign_id', 'next_at'], unique=False, sqlite_where=sa.text("state = 'due'"), postgresql_where=sa.text("state = 'due'"))
        batch_op.create_index('ix_delivery_lease', ['campaign_id', 'lease_until'], unique=False, sqlite_where=sa.text("state = 'leased'"), postgresql_where=sa.text("state = 'leased'"))


def downgrade() -> None:
    with op.batch_alter_table('delivery', schema=None) as batch_op:
        batch_op.drop_index('ix_delivery_lease', sqlite_where=sa.text("state = 'leased'"), postgresql_where=sa.text("state = 'leased'"))
        batch_op.drop_index('ix_delivery_due', sqlite_where=sa.text("state = 'due'"), postgresql_where=sa.text("state = 'due'"))
        batch_op.create_index('ix_delivery_lease', ['state', 'lease_until'], unique=False)
        batch_op.create_index('ix_delivery_due', ['campaign_id', 'state', 'next_at'], unique=False)
