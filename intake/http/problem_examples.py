"""Problems in the OpenAPI description: their schema, meanings and examples."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from inspect import getdoc
from typing import Any

from pydantic import BaseModel, Field

from intake import errors
from intake.http.problems import PROBLEM_TYPES, ProblemType

_EXAMPLE_ERRORS: Mapping[type[errors.IntakeError], tuple[errors.FieldError, ...]] = {
    errors.ValidationError: (
        errors.FieldError("f_name", "is required", "required"),
        errors.FieldError(
            "email",
            "must be an email address, such as ada@example.com",
            "not_an_email",
            {"suggestion": None},
        ),
    ),
    errors.ExternalIdTaken: (
        errors.FieldError(
            "external_id", "4711 belongs to lead 42, ada@example.com; use another id", "another_person", {"lead_id": 42}
        ),
    ),
}

Json = dict[str, Any]


class FieldError(BaseModel):
    """An error in one field."""

    field: str
    detail: str
    code: str = Field(json_schema_extra={"enum": list(errors.FIELD_ERROR_CODES)})
    params: dict[str, Any]


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = Field(default=None, max_length=errors.MAX_FIELD_ERRORS)
    request_id: str | None = None


def problem_examples(classes: Iterable[type[errors.IntakeError]], *, docs: str) -> Json:
    """Return an example of each problem, with its meaning. `docs` is the path of the page that explains them."""
    types = sorted(((cls, PROBLEM_TYPES[cls]) for cls in classes), key=lambda item: (item[1].status, item[1].title))
    return {kind.anchor: _example(cls, kind, docs) for cls, kind in types}


def _example(cls: type[errors.IntakeError], kind: ProblemType, docs: str) -> Json:
    meaning = (getdoc(cls) or "").partition("\n")[0]
    value: Json = {"type": f"{docs}#{kind.anchor}", "title": kind.title, "status": kind.status}
    if faults := _EXAMPLE_ERRORS.get(cls):
        value |= {"detail": str(errors.ValidationError(*faults)), "errors": [asdict(fault) for fault in faults]}
    else:
        value["detail"] = f"{meaning[0].lower()}{meaning[1:]}".rstrip(".").replace("`", "")
    return {"summary": kind.title, "description": meaning, "value": value}
