"""Queries: the words that a lead must have."""

from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from intake.request_models import FilterText
from intake.search.tokenizer import query_tokens

MAX_WORDS = 16


def _check_words(text: str) -> str:
    if not (tokens := query_tokens(text)):
        raise PydanticCustomError("no_words", "must contain a letter or a digit")
    if len(tokens) > MAX_WORDS:
        raise PydanticCustomError(
            "too_many_words",
            "must have at most {max} words; a hyphen, a dot or an @ separates words",
            {"max": MAX_WORDS},
        )
    return text


SearchText = Annotated[FilterText, AfterValidator(_check_words)]
DESCRIPTION = (
    f"Up to {MAX_WORDS} words; each must begin a word of the names, the address or the CV. Ignores case and accents."
)
