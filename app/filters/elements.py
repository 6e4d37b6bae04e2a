"""What the filters say to both databases in words of their own."""

from __future__ import annotations

import typing as t

from sqlalchemy import Boolean, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class Among(FunctionElement[bool]):
    """A row is among the rows of a link table, said twice: asked of each row (EXISTS), which PostgreSQL plans as it
    likes, and as a list of ids (IN), for SQLite would look through the link table again for every row."""

    type = Boolean()
    name = "among"
    inherit_cache = True

    def self_group(self, against: t.Any = None) -> t.Any:
        return self


@compiles(Among)
def _among(element: Among, compiler: t.Any, **kw: t.Any) -> str:
    return str(compiler.process(next(iter(element.clauses)), **kw))


@compiles(Among, "sqlite")
def _among_sqlite(element: Among, compiler: t.Any, **kw: t.Any) -> str:
    return f"({compiler.process(list(element.clauses)[1], **kw)})"


class ascii_lower(FunctionElement[str]):
    """A to Z folded, nothing else: what SQLite's lower() does, and PostgreSQL's in the C collation."""

    type = String()
    name = "ascii_lower"
    inherit_cache = True


@compiles(ascii_lower, "sqlite")
def _lower_sqlite(element: ascii_lower, compiler: t.Any, **kw: t.Any) -> str:
    return f"lower({compiler.process(element.clauses, **kw)})"


@compiles(ascii_lower, "postgresql")
def _lower_postgresql(element: ascii_lower, compiler: t.Any, **kw: t.Any) -> str:
    return f'lower(({compiler.process(element.clauses, **kw)}) COLLATE "C")'
