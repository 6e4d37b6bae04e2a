"""The configuration: what people set while everything runs."""

from app.domain.config import live
from app.domain.config.settings import put, setting

__all__ = ["live", "put", "setting"]
