"""jobs of visits: the customer inside whose account staff began a job

Revision ID: 0029
Revises: 0028
Create Date: 2026-11-23 01:10:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = '0029'
down_revision: str | None = '0028'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column('job', sa.Column('visited_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True))


def downgrade() -> None:
    op.drop_column('job', 'visited_id')
