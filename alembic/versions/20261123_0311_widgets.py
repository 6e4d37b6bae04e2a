"""widgets: what staff have on their first page

Revision ID: 0033
Revises: 0032
Create Date: 2026-11-23 03:11:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = '0033'
down_revision: str | None = '0032'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'widget',
        sa.Column('id', key, nullable=False),
        sa.Column('staff_id', key, nullable=False),
        sa.Column('kind', sa.String(24), nullable=False),
        sa.Column('screen', sa.String(40), nullable=False),
        sa.Column('query', sa.Text(), nullable=False),
        sa.Column('column', sa.String(60), nullable=False),
        sa.Column('pace', sa.String(24), nullable=False),
        sa.Column('title', sa.String(200), nullable=False),
        sa.Column('position', sa.Integer(), nullable=False),
        sa.Column('wide', sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('fk_widget_staff_id'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_widget')),
    )
    op.create_index('ix_widget_staff', 'widget', ['staff_id', 'position'])


def downgrade() -> None:
    op.drop_table('widget')
