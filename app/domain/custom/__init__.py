"""Custom fields: what a company keeps besides the columns, without a migration and without a restart."""

from app.domain.custom.defining import archive, change, count, create, move, purge, purge_some, restore
from app.domain.custom.indexing import index, index_all
from app.domain.custom.sorting import SORTABLE, order
from app.domain.custom.spec import PREFIX, Named, Option, Spec, by_key, fields, known, named, see
from app.domain.custom.values import CUSTOMER, SIGNING_UP, STAFF, Asked, check, clean, plain, read, say
from app.models.custom import CustomField

__all__ = [
    "CUSTOMER",
    "PREFIX",
    "SIGNING_UP",
    "SORTABLE",
    "STAFF",
    "Asked",
    "CustomField",
    "Named",
    "Option",
    "Spec",
    "archive",
    "by_key",
    "change",
    "check",
    "clean",
    "count",
    "create",
    "fields",
    "index",
    "index_all",
    "known",
    "move",
    "named",
    "order",
    "plain",
    "purge",
    "purge_some",
    "read",
    "restore",
    "say",
    "see",
]  # fmt: skip
