"""own names of columns and screens

Revision ID: 0039
Revises: 0038
Create Date: 2026-11-23 03:30:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = '0039'
down_revision: str | None = '0038'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        'label',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('screen', sa.String(length=40), nullable=False),
        sa.Column('item', sa.String(length=60), nullable=False),
        sa.Column('language', sa.String(length=12), nullable=False),
        sa.Column('text', sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_label')),
        sa.UniqueConstraint('screen', 'item', 'language', name=op.f('uq_label_screen_item_language')),
    )


def downgrade() -> None:
    op.drop_table('label')
