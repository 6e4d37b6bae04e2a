"""The database: base class, portable types, two kinds of session, and what differs between SQLite and PostgreSQL."""

from app.db.base import (
    AppSession,
    Base,
    BigId,
    Choice,
    Customised,
    Email,
    Json,
    Name,
    Searchable,
    Stamped,
    UtcDateTime,
    Versioned,
    about,
    choice,
    fold,
    folded,
    folded_of,
    like,
    model_of,
    moment,
    unindexed,
    utcnow,
)
from app.db.bulk import insert_all, insert_rows
from app.db.extra import Extra, extras
from app.db.inside import IsoDay, day_in, holds, number_in, text_in, truth_in
from app.db.prepared import Prepared, ask, given
from app.db.sessions import (
    AfterCommit,
    after_commit,
    configure,
    database,
    dispose,
    engine,
    estimated_rows,
    is_sqlite,
    kept,
    make_engine,
    read_sessions,
    reads,
    snapshot,
    took_too_long,
    trial,
    unit,
    violated,
)
from app.db.trigrams import Narrowed, narrow, weigh

__all__ = [
    "AfterCommit", "AppSession", "Base", "BigId", "Choice", "Customised", "Email", "Extra", "IsoDay", "Json", "Name",
    "Narrowed", "Prepared", "Searchable", "Stamped", "UtcDateTime", "Versioned", "about", "after_commit", "ask",
    "choice", "configure", "database", "day_in", "dispose", "engine", "estimated_rows", "extras", "fold", "folded",
    "folded_of", "given", "holds", "insert_all", "insert_rows", "is_sqlite", "kept", "like", "make_engine", "model_of",
    "moment", "narrow", "number_in", "read_sessions", "reads", "snapshot", "text_in", "took_too_long", "trial",
    "truth_in", "unindexed", "unit", "utcnow", "violated", "weigh",
]  # fmt: skip
