"""imports of rows of any table

Revision ID: 0041
Revises: 0040
Create Date: 2026-11-23 06:00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = '0041'
down_revision: str | None = '0040'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    with op.batch_alter_table('import_run') as batch_op:
        batch_op.add_column(sa.Column('noun', sa.String(length=40), server_default='customer', nullable=False))
        batch_op.alter_column('project_id', existing_type=key, nullable=True)


def downgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.execute('DELETE FROM import_run WHERE project_id IS NULL')
    with op.batch_alter_table('import_run') as batch_op:
        batch_op.alter_column('project_id', existing_type=key, nullable=False)
        batch_op.drop_column('noun')
