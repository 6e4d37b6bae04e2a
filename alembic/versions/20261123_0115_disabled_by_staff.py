"""disabled by staff: the customer cannot switch such a user on again

Revision ID: 0030
Revises: 0029
Create Date: 2026-11-23 01:15:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = '0030'
down_revision: str | None = '0029'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    with op.batch_alter_table('user') as batch_op:
        batch_op.add_column(
            sa.Column('disabled_by_staff', sa.Boolean(), server_default=sa.false(), nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table('user') as batch_op:
        batch_op.drop_column('disabled_by_staff')
