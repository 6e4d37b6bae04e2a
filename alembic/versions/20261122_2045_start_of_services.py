"""start of services: the first period, which has the set-up fee

Revision ID: 0015
Revises: 0014
Create Date: 2026-11-22 20:30:00
"""

import sqlalchemy as sa
from alembic import op


revision: str = '0015'
down_revision: str | None = '0014'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column('service', sa.Column('started_on', sa.Date(), nullable=True))


def downgrade() -> None:
    op.drop_column('service', 'started_on')
