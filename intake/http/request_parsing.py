"""Parsing of JSON bodies and queries, and JSON responses."""

import re
from typing import Any, TypeVar, get_origin

import orjson
from pydantic import BaseModel
from pydantic import ValidationError as PydanticError
from pydantic_core import ErrorDetails
from starlette.datastructures import QueryParams
from starlette.responses import Response

from intake.errors import (
    MAX_FIELD_ERRORS,
    BodyTooLarge,
    FieldError,
    MalformedBody,
    UnsupportedMediaType,
    ValidationError,
)
from intake.http.request_state import AppRequest

MAX_BODY_BYTES = 2**16  # unless the model has its own `max_body_bytes`
# pydantic's types of errors: our texts and codes, and the limits in their contexts
_TEXTS = {"missing": "is required", "extra_forbidden": "unknown field; leave it out"}
_CODES = {
    "missing": "required",
    "extra_forbidden": "unknown",
    "string_too_long": "too_long",
    "string_too_short": "too_short",
    "too_long": "too_long",
    "too_short": "too_short",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
    "timestamp_range": "out_of_range",
}
_LIMITS = {"min_length": "min", "max_length": "max", "ge": "min", "le": "max"}
_EXPECTED = {  # the start of a type
    "string_type": "text",
    "int_": "number",
    "digits": "number",
    "bool_": "boolean",
    "list_": "list",
    "uuid_": "uuid",
    "datetime_": "timestamp",
    "timezone_": "timestamp",
    "rfc_3339": "timestamp",
    "model_": "object",
}

Model = TypeVar("Model", bound=BaseModel)


def json_bytes(value: object) -> bytes:
    """Return a value, or models, as JSON, with timestamps as RFC 3339 in UTC."""
    return orjson.dumps(value, default=_fields, option=orjson.OPT_UTC_Z)


def json_response(value: object, status: int = 200) -> Response:
    """Return a response with the value as JSON."""
    return Response(json_bytes(value), status, media_type="application/json")


async def read_json(request: AppRequest, model: type[Model]) -> Model:
    """Return the request's JSON body as a `model`.

    Raises UnsupportedMediaType, BodyTooLarge, MalformedBody or ValidationError.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType("the body must be application/json")
    max_bytes = getattr(model, "max_body_bytes", MAX_BODY_BYTES)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise BodyTooLarge(f"the body is larger than {max_bytes} bytes")
    try:
        return model.model_validate_json(bytes(body), strict=True)  # else `true` would be parsed as 1
    except PydanticError as error:
        if (first := _faults(error)[0])["type"] == "json_invalid":
            detail = first["msg"].removeprefix("Invalid JSON: ")
            raise MalformedBody(f"the body is not valid JSON: {detail}") from error
        raise _invalid(error) from error


def read_query(params: QueryParams, model: type[Model]) -> Model:
    """Return the query as a `model`; only list fields may be given more than once. Raises ValidationError."""
    lists = {name for name, field in model.model_fields.items() if get_origin(field.annotation) is list}
    given = {name: params.getlist(name) if name in lists else params[name] for name in params}
    repeated = [name for name in given if name not in lists and len(params.getlist(name)) > 1]
    if repeated:
        raise ValidationError(*(FieldError(name, "given more than once; send one", "repeated") for name in repeated))
    try:
        return model.model_validate(given)
    except PydanticError as error:
        raise _invalid(error) from error


def _fields(value: object) -> dict[str, Any]:
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True)
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


def _invalid(error: PydanticError) -> ValidationError:
    return ValidationError(*map(_field_error, _faults(error)))


def _field_error(fault: ErrorDetails) -> FieldError:
    kind, context = fault["type"], fault.get("ctx", {})
    name = ".".join(map(str, fault["loc"])) or "body"
    detail = _TEXTS.get(kind) or re.sub(r"^\w+ should ", "must ", fault["msg"])
    if kind == "literal_error":
        return FieldError(name, detail, "not_one_of", {"choices": re.findall("'([^']*)'", context["expected"])})
    if expected := next((value for start, value in _EXPECTED.items() if kind.startswith(start)), None):
        return FieldError(name, detail, "wrong_type", {"expected": expected})
    code = _CODES.get(kind, "invalid")
    params: dict[str, object] = {_LIMITS[limit]: context[limit] for limit in _LIMITS if limit in context}
    if code in ("too_long", "too_short"):
        params["unit"] = "characters" if kind.startswith("string") else "items"
    return FieldError(name, detail, code, params if code != "invalid" else {})


def _faults(error: PydanticError) -> list[ErrorDetails]:
    """Return the first errors: a small body can cause thousands, which take long to format."""
    return error.errors(include_url=False, include_input=False)[:MAX_FIELD_ERRORS]
