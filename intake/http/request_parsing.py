"""Parsing of JSON bodies and queries, and JSON responses."""

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
        raise ValidationError(*(FieldError(name, "given more than once") for name in repeated))
    try:
        return model.model_validate(given)
    except PydanticError as error:
        raise _invalid(error) from error


def _fields(value: object) -> dict[str, Any]:
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True)
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


def _invalid(error: PydanticError) -> ValidationError:
    return ValidationError(
        *(
            FieldError(".".join(map(str, fault["loc"])) or "body", _lower_first(fault["msg"]))
            for fault in _faults(error)
        )
    )


def _faults(error: PydanticError) -> list[ErrorDetails]:
    """Return the first errors: a small body can cause thousands, which take long to format."""
    return error.errors(include_url=False, include_context=False, include_input=False)[:MAX_FIELD_ERRORS]


def _lower_first(message: str) -> str:
    return message[:1].lower() + message[1:]
