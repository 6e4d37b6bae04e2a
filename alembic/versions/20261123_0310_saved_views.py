"""saved views of lists

Revision ID: 0036
Revises: 0035
Create Date: 2026-11-23 03:10:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0036'
down_revision: str | None = '0035'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    big = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'saved_view',
        sa.Column('id', big, nullable=False),
        sa.Column('name', sa.String(length=80), nullable=False),
        sa.Column('screen', sa.String(length=40), nullable=False),
        sa.Column('kind', sa.String(length=24), nullable=False),
        sa.Column('staff_id', big, nullable=True),
        sa.Column('role_id', big, nullable=True),
        sa.Column('columns', app.db.Json, nullable=False),
        sa.Column('sort', sa.String(length=60), nullable=False),
        sa.Column('search', sa.String(length=1000), nullable=False),
        sa.Column('condition', app.db.Json, nullable=False),
        sa.Column('size', sa.Integer(), nullable=False),
        sa.Column('position', sa.Integer(), nullable=False),
        sa.Column('version', sa.Integer(), server_default='1', nullable=False),
        sa.ForeignKeyConstraint(['role_id'], ['role.id'], name=op.f('fk_saved_view_role_id_role'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(
            ['staff_id'], ['staff.id'], name=op.f('fk_saved_view_staff_id_staff'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_saved_view')),
    )
    look = sa.text("kind = 'look'")
    op.create_index(
        'uq_saved_view_look', 'saved_view', ['staff_id', 'screen'], unique=True, sqlite_where=look,
        postgresql_where=look,
    )
    op.create_index('ix_saved_view_screen', 'saved_view', ['screen', 'position', 'id'])
    op.create_index(op.f('ix_saved_view_staff_id'), 'saved_view', ['staff_id'])
    op.create_index(op.f('ix_saved_view_role_id'), 'saved_view', ['role_id'])


def downgrade() -> None:
    op.drop_table('saved_view')
