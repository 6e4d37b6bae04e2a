"""search of the inbox: the texts of messages and tickets as they are searched

Revision ID: 0024
Revises: 0023
Create Date: 2026-11-22 23:55:00
"""

import sqlalchemy as sa
from alembic import op

from app.db.base import fold

revision: str = '0024'
down_revision: str | None = '0023'
branch_labels: str | None = None
depends_on: str | None = None

AT_ONCE = 500


def upgrade() -> None:
    for table, column in (('campaign_text', 'words_folded'), ('ticket_message', 'text_folded')):
        op.add_column(table, sa.Column(column, sa.Text(), server_default='', nullable=False))
    texts = sa.table('campaign_text', *map(sa.column, ('campaign_id', 'language', 'subject', 'body', 'words_folded')))
    said = sa.table('ticket_message', *map(sa.column, ('id', 'text', 'text_folded')))
    connection = op.get_bind()
    for row in connection.execute(sa.select(texts)).all():
        same = (texts.c.campaign_id == row.campaign_id) & (texts.c.language == row.language)
        connection.execute(sa.update(texts).where(same).values(words_folded=fold(f'{row.subject} {row.body}')))
    last = 0
    while True:
        rows = connection.execute(sa.select(said).where(said.c.id > last).order_by(said.c.id).limit(AT_ONCE)).all()
        for row in rows:
            connection.execute(sa.update(said).where(said.c.id == row.id).values(text_folded=fold(row.text)))
        if len(rows) < AT_ONCE:
            return
        last = rows[-1].id


def downgrade() -> None:
    op.drop_column('ticket_message', 'text_folded')
    op.drop_column('campaign_text', 'words_folded')
