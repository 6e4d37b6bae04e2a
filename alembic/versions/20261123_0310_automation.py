"""automation: rules, what became of events, notices

Revision ID: 0037
Revises: 0036
Create Date: 2026-11-23 03:10:00
"""

import sqlalchemy as sa
from alembic import op

import app.db


revision: str = '0037'
down_revision: str | None = '0036'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:

    op.create_table('automation_rule',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('project_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('position', sa.Integer(), server_default='0', nullable=False),
    sa.Column('trigger', sa.Enum('registered', 'changed', 'expiring', 'overdue', 'balance', 'waiting', 'daily', name='trigger', native_enum=False, length=24), nullable=False),
    sa.Column('days', sa.Integer(), server_default='7', nullable=False),
    sa.Column('hours', sa.Integer(), server_default='24', nullable=False),
    sa.Column('amount', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('currency', sa.String(length=3), server_default='EUR', nullable=False),
    sa.Column('field', sa.String(length=80), server_default='', nullable=False),
    sa.Column('was', sa.String(length=200), server_default='', nullable=False),
    sa.Column('becomes', sa.String(length=200), server_default='', nullable=False),
    sa.Column('clock', sa.String(length=5), server_default='09:00', nullable=False),
    sa.Column('zone', sa.String(length=64), server_default='UTC', nullable=False),
    sa.Column('condition', app.db.Json, nullable=True),
    sa.Column('actions', app.db.Json, nullable=False),
    sa.Column('names', app.db.Json, nullable=False),
    sa.Column('enabled', sa.Boolean(), server_default=sa.false(), nullable=False),
    sa.Column('enabled_at', app.db.UtcDateTime(), nullable=True),
    sa.Column('armed', sa.Boolean(), server_default=sa.false(), nullable=False),
    sa.Column('secret', sa.String(length=400), server_default='', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('created_at', app.db.UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_automation_rule_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_automation_rule')),
    sa.UniqueConstraint('name', name=op.f('uq_automation_rule_name'))
    )
    with op.batch_alter_table('automation_rule', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_automation_rule_enabled'), ['enabled'], unique=False)
        batch_op.create_index(batch_op.f('ix_automation_rule_project_id'), ['project_id'], unique=False)

    op.create_table('automation_run',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', app.db.UtcDateTime(), nullable=False),
    sa.Column('rule_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('customer_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('event_key', sa.String(length=160), nullable=False),
    sa.Column('event', app.db.Json, nullable=False),
    sa.Column('state', sa.Enum('due', 'running', 'done', 'failed', 'skipped', 'stopped', 'broken', name='runstate', native_enum=False, length=24), nullable=False),
    sa.Column('reason', sa.String(length=300), server_default='', nullable=False),
    sa.Column('done', app.db.Json, nullable=False),
    sa.Column('held', app.db.Json, nullable=False),
    sa.Column('chain', sa.String(length=80), server_default='', nullable=False),
    sa.Column('depth', sa.Integer(), server_default='0', nullable=False),
    sa.Column('tries', sa.Integer(), server_default='0', nullable=False),
    sa.Column('finished_at', app.db.UtcDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_automation_run_customer_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['rule_id'], ['automation_rule.id'], name=op.f('fk_automation_run_rule_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_automation_run')),
    sa.UniqueConstraint('rule_id', 'event_key', name=op.f('uq_automation_run_rule_id_event_key'))
    )
    with op.batch_alter_table('automation_run', schema=None) as batch_op:
        batch_op.create_index('ix_automation_run_at', ['at', 'id'], unique=False)
        batch_op.create_index('ix_automation_run_customer', ['customer_id', 'at'], unique=False)
        batch_op.create_index('ix_automation_run_state', ['state', 'id'], unique=False)

    op.create_table('automation_notice',
    sa.Column('run_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('action', sa.String(length=12), nullable=False),
    sa.Column('staff_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('text', sa.String(length=500), nullable=False),
    sa.Column('at', app.db.UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['automation_run.id'], name=op.f('fk_automation_notice_run_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('fk_automation_notice_staff_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'action', 'staff_id', name=op.f('pk_automation_notice'))
    )
    with op.batch_alter_table('automation_notice', schema=None) as batch_op:
        batch_op.create_index('ix_automation_notice_staff', ['staff_id', 'at'], unique=False)

    op.create_table('automation_below',
    sa.Column('rule_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('account_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_automation_below_account_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['rule_id'], ['automation_rule.id'], name=op.f('fk_automation_below_rule_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('rule_id', 'account_id', name=op.f('pk_automation_below'))
    )
    with op.batch_alter_table('automation_below', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_automation_below_account_id'), ['account_id'], unique=False)




def downgrade() -> None:

    with op.batch_alter_table('automation_below', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_automation_below_account_id'))

    op.drop_table('automation_below')
    with op.batch_alter_table('automation_notice', schema=None) as batch_op:
        batch_op.drop_index('ix_automation_notice_staff')

    op.drop_table('automation_notice')
    with op.batch_alter_table('automation_run', schema=None) as batch_op:
        batch_op.drop_index('ix_automation_run_state')
        batch_op.drop_index('ix_automation_run_customer')
        batch_op.drop_index('ix_automation_run_at')

    op.drop_table('automation_run')
    with op.batch_alter_table('automation_rule', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_automation_rule_project_id'))
        batch_op.drop_index(batch_op.f('ix_automation_rule_enabled'))

    op.drop_table('automation_rule')

