"""versions of message templates, and templates for the system's own mails

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-22 17:15:00
"""

import sqlalchemy as sa
from alembic import op

import app.db


revision: str = '0009'
down_revision: str | None = '0008'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    with op.batch_alter_table('message_template', schema=None) as batch_op:
        batch_op.add_column(sa.Column('kind', sa.Enum('welcome', 'password_reset', 'email_changed', 'ticket_answered', name='mailkind', native_enum=False, length=24), nullable=True))
    op.create_table('message_template_version',
    sa.Column('template_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('number', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('at', app.db.UtcDateTime(), nullable=True),
    sa.Column('staff_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('restored', sa.Integer(), nullable=True),
    sa.Column('texts', app.db.Json, nullable=False),
    sa.Column('changed', app.db.Json, nullable=False),
    sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('fk_message_template_version_staff_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['template_id'], ['message_template.id'], name=op.f('fk_message_template_version_template_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('template_id', 'number', name=op.f('pk_message_template_version'))
    )
    with op.batch_alter_table('message_template_version', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_message_template_version_staff_id'), ['staff_id'], unique=False)
    # a template of this name was the welcome message
    op.execute(sa.text("UPDATE message_template SET kind = 'welcome' WHERE name = 'Welcome'"))


def downgrade() -> None:
    op.drop_table('message_template_version')
    with op.batch_alter_table('message_template', schema=None) as batch_op:
        batch_op.drop_column('kind')
