"""registrations: customers sign up by themselves, each project says how

Revision ID: 0027
Revises: 0026
Create Date: 2026-11-23 00:20:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0027'
down_revision: str | None = '0026'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'registration',
        sa.Column('id', key, nullable=False),
        sa.Column('project_id', key, nullable=False),
        sa.Column('email', sa.String(length=254), nullable=False),
        sa.Column('password_hash', sa.String(length=200), nullable=False),
        sa.Column('fields', app.db.Json, nullable=False),
        sa.Column('terms_at', app.db.UtcDateTime(), nullable=True),
        sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ['project_id'], ['project.id'], name=op.f('fk_registration_project_id'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_registration')),
    )
    with op.batch_alter_table('registration') as batch_op:
        batch_op.create_index(batch_op.f('ix_registration_project_id'), ['project_id'])
        batch_op.create_index(batch_op.f('ix_registration_created_at'), ['created_at'])
    op.add_column('project', sa.Column('signup', app.db.Json, server_default='{}', nullable=False))
    op.add_column('customer', sa.Column('came_from', sa.String(length=200), server_default='', nullable=False))
    op.add_column('customer', sa.Column('terms_accepted_at', app.db.UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column('customer', 'terms_accepted_at')
    op.drop_column('customer', 'came_from')
    op.drop_column('project', 'signup')
    op.drop_table('registration')
