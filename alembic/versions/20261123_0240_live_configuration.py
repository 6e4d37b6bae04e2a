"""live configuration: its version, and settings by name

Revision ID: 0031
Revises: 0030
Create Date: 2026-11-23 02:40:00
"""

import sqlalchemy as sa
from alembic import op

import app.db

revision: str = '0031'
down_revision: str | None = '0030'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        'config_version',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False),
        sa.Column('version', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_config_version')),
    )
    op.create_table(
        'setting',
        sa.Column('name', sa.String(length=60), nullable=False),
        sa.Column('value', app.db.Json, nullable=False),
        sa.PrimaryKeyConstraint('name', name=op.f('pk_setting')),
    )


def downgrade() -> None:
    op.drop_table('setting')
    op.drop_table('config_version')
