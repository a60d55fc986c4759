"""The column type of a lead's words."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect, Text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.types import TypeDecorator


class Words(TypeDecorator[Sequence[str]]):
    """Words of letters, digits, marks and `_`: a tsvector on PostgreSQL, on SQLite text with a space before each."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Return the type of the column."""
        return dialect.type_descriptor(TSVECTOR() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> str | None:
        """Return the words as the text of the column's type."""
        if value is None:
            return None
        return "".join([f" '{word}'" if dialect.name == "postgresql" else f" {word}" for word in value])

    def process_result_value(self, value: str | None, dialect: Dialect) -> Sequence[str] | None:  # noqa: ARG002
        """Return the words; PostgreSQL sorts them."""
        return None if value is None else [word.strip("'") for word in value.split()]
