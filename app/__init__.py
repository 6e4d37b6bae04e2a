"""Bursar: the customer desk of a service provider."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def _when_used(name: str) -> None:
    """Have a package loaded by whoever first reads something of it, and not by who only imports it."""
    if name in sys.modules or find_spec(name) is None:
        return
    stand_in = ModuleType(name)

    def read(attribute: str) -> Any:
        if attribute.startswith("__") and attribute != "__path__":
            raise AttributeError(attribute)  # the import itself asks
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        package = import_module(name)
        vars(stand_in).update((k, v) for k, v in vars(package).items() if not k.startswith("__"))  # from now on at once
        return getattr(package, attribute)

    stand_in.__getattr__ = read  # type: ignore[method-assign]
    sys.modules[name] = stand_in


_when_used("jwt")  # redis imports it for a way of signing in that is not used here: 11 MB in each process
_when_used("phonenumbers")  # only where somebody enters a telephone number
_when_used("pyotp")  # only where somebody proves who they are by a second factor
