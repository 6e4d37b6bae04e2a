"""work on many rows at once: bulk changes and exports

Revision ID: 0035
Revises: 0034
Create Date: 2026-11-23 03:10:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0035'
down_revision: str | None = '0034'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        'bulk_run',
        sa.Column('id', app.db.BigId, nullable=False),
        sa.Column('name', sa.String(length=200), nullable=False),
        sa.Column('kind', sa.Enum('edit', 'export', name='bulkkind', native_enum=False, length=24), nullable=False),
        sa.Column('noun', sa.String(length=40), nullable=False),
        sa.Column(
            'state',
            sa.Enum('checking', 'checked', 'running', 'done', 'cancelled', 'failed', 'undoing', 'undone',
                    name='bulkstate', native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column('total', sa.Integer(), nullable=False),
        sa.Column('done', sa.Integer(), nullable=False),
        sa.Column('changed', sa.Integer(), nullable=False),
        sa.Column('unchanged', sa.Integer(), nullable=False),
        sa.Column('refused', sa.Integer(), nullable=False),
        sa.Column('undone', sa.Integer(), nullable=False),
        sa.Column('kept', sa.Integer(), nullable=False),
        sa.Column('wanted', app.db.Json, nullable=False),
        sa.Column('looked', app.db.Json, nullable=False),
        sa.Column('query', sa.Text(), nullable=False),
        sa.Column('key', sa.String(length=64), nullable=False),
        sa.Column('size', sa.BigInteger(), nullable=False),
        sa.Column('error', sa.Text(), nullable=False),
        sa.Column('staff_id', app.db.BigId, nullable=True),
        sa.Column('started_at', app.db.UtcDateTime(), nullable=True),
        sa.Column('finished_at', app.db.UtcDateTime(), nullable=True),
        sa.Column('expires_at', app.db.UtcDateTime(), nullable=True),
        sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ['staff_id'], ['staff.id'], name=op.f('fk_bulk_run_staff_id'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_bulk_run')),
    )
    op.create_index('ix_bulk_run_staff', 'bulk_run', ['staff_id', 'id'])
    op.create_index('ix_bulk_run_expires', 'bulk_run', ['expires_at'])
    op.create_index(op.f('ix_bulk_run_key'), 'bulk_run', ['key'])
    op.create_table(
        'bulk_row',
        sa.Column('run_id', app.db.BigId, nullable=False),
        sa.Column('position', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('row_id', sa.BigInteger(), nullable=False),
        sa.Column('reason', sa.Text(), server_default='', nullable=False),
        sa.Column('kept', sa.Text(), server_default='', nullable=False),
        sa.ForeignKeyConstraint(
            ['run_id'], ['bulk_run.id'], name=op.f('fk_bulk_row_run_id'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('run_id', 'position', name=op.f('pk_bulk_row')),
    )


def downgrade() -> None:
    op.drop_table('bulk_row')
    op.drop_table('bulk_run')
