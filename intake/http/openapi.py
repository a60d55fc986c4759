"""OpenAPI 3.1 description, generated from the tables of operations."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from intake import errors
from intake.http.problem_examples import Problem, problem_examples
from intake.http.problems import MEDIA_TYPE, PROBLEM_TYPES, ProblemType
from intake.http.request_parsing import json_bytes
from intake.http.routing import Access, Operation, ResponseSpec
from intake.http.security_headers import page_policy
from intake.request_models import LEAD_FORM_FIELDS, MAX_ID
from intake.settings.trusted_templates import templates
from intake.users.accounts import MAX_USERNAME_CHARACTERS

RATE_LIMIT_FIELDS = {  # draft-ietf-httpapi-ratelimit-headers
    "RateLimit-Policy": '`"minute";q=60;w=60, "day";q=600;w=86400`: quota (q) and window in seconds (w).',
    "RateLimit": '`"minute";r=59;t=1, …`: remaining requests (r), and seconds until the whole quota is available (t).',
}
_PROBLEM_HEADERS = {
    "401": {"WWW-Authenticate": "`Bearer`"},
    "408": {"Connection": "`close`"},
    "416": {"Content-Range": "`bytes */SIZE`"},
    "429": {"Retry-After": "Seconds to wait before a retry."},
    "503": {"Retry-After": "Seconds to wait before a retry."},
}
_PATH_PARAMETERS: Mapping[str, Mapping[str, object]] = {
    "/internal/leads/{id}": {"type": "integer", "format": "int64", "minimum": 1, "maximum": MAX_ID, "examples": [42]},
    "/internal/changes/{id}": {
        "type": "string",
        "format": "uuid",
        "examples": ["3e0f6a3c-6a0e-4b7e-9d3c-2f1b8f5f4a10"],
    },
    "/internal/users/{name}": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_USERNAME_CHARACTERS,
        "examples": ["grace"],
    },
}
_ALWAYS = (errors.InvalidHostHeader, errors.MisdirectedRequest, errors.ServiceBusy)  # any operation may raise these
_REF = "#/components/schemas/{model}"

Json = dict[str, Any]
Examples = Mapping[type[BaseModel], Any]


class Description:
    """The OpenAPI document of some operations as JSON and as HTML, each generated when first requested.

    `path` serves the JSON, `about` introduces the operations, `examples` has one for each model, and `cv` is the schema
    of the field CV.
    """

    def __init__(self, operations: Sequence[Operation], path: str, *, about: str, examples: Examples, cv: Json) -> None:
        self._operations, self._path = operations, path
        self._about, self._examples, self._cv = about, examples, cv

    @cached_property
    def document(self) -> bytes:
        """The document as JSON."""
        return json_bytes(self._describe())

    @cached_property
    def page(self) -> str:
        """The document as HTML."""
        return docs_page(self._describe(), path=self._path)

    @cached_property
    def policy(self) -> str:
        """The Content-Security-Policy of the page."""
        return page_policy(self.page)

    def _describe(self) -> Json:
        docs = self._path.replace("openapi.json", "docs")
        return describe(self._operations, about=self._about, examples=self._examples, cv=self._cv, docs=docs)


def cv_schema(max_bytes: int, extensions: Sequence[str]) -> Json:
    """Return the schema of the field CV; without extensions any is accepted."""
    accepted = f" Accepted: {', '.join(f'.{extension}' for extension in extensions)}." if extensions else ""
    cv = LEAD_FORM_FIELDS["CV"]
    return {**cv, "maxLength": max_bytes, "description": f"{cv['description']}{accepted}"}


def describe(operations: Sequence[Operation], *, about: str, examples: Examples, cv: Json, docs: str) -> Json:
    """Return the OpenAPI document of some operations; see `Description`. `docs` is the path of the page."""
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, examples, cv)
    models: dict[str, type[BaseModel]] = {"Problem": Problem}
    models |= {model.__name__: model for operation in operations for model in _models(operation)}
    bodies = {operation.body for operation in operations}
    named: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
        (model, "validation" if model in bodies else "serialization") for _, model in sorted(models.items())
    ]
    raised = {cls for operation in operations for cls in (*operation.problems, *_implied_problems(operation), *_ALWAYS)}
    _, schemas = models_json_schema(named, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "intake",
            "version": version("leadctl"),
            "description": f"Lead intake. {about}",
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "examples": problem_examples(raised, docs=docs),
            **_security(operations),
        },
    }


def _security(operations: Sequence[Operation]) -> Json:
    if all(operation.access is Access.OPEN for operation in operations):
        return {}
    return {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}}


def docs_page(document: Json, *, path: str) -> str:
    """Return the document as HTML without scripts and external resources; `path` serves the document."""
    template = templates("intake.http", is_strict=False).get_template("docs.html.jinja")
    return template.render(document=document, path=path, quote=shlex.quote)


def schema_of(value: Any) -> Json:
    """Return the JSON schema of a model, of `[model]`, or the given schema without its examples."""
    if isinstance(value, list):
        return {"type": "array", "items": schema_of(value[0])}
    if isinstance(value, type) and issubclass(value, BaseModel):
        return {"$ref": _REF.format(model=value.__name__)}
    return {key: content for key, content in value.items() if key != "examples"}


def example_of(value: Any, examples: Examples) -> Any:
    """Return an example of a model, of `[model]`, or of the given schema."""
    if isinstance(value, list):
        return [example_of(value[0], examples)]
    return examples[value] if isinstance(value, type) else value["examples"][0]


def _models(operation: Operation) -> Iterator[type[BaseModel]]:
    for candidate in (operation.body, *_flat(operation.response.schema)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            yield candidate


def _flat(schema: Any) -> list[Any]:
    return schema if isinstance(schema, list) else [schema]


def _operation(operation: Operation, examples: Examples, cv: Json) -> Json:
    described: Json = {
        "summary": operation.summary,
        "operationId": operation.endpoint.__name__,
        "responses": _responses(operation, examples),
    }
    if parameters := [*_path_parameters(operation), *_query_parameters(operation), *_header_parameters(operation)]:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = _content(["application/json"], operation.body, examples, required=True)
    if operation.form is not None:
        described["requestBody"] = _content(["multipart/form-data"], _form(operation.form, cv), examples, required=True)
    if operation.access is not Access.OPEN:
        described["security"] = [{"bearer": []}, {}] if operation.access is Access.OPTIONAL else [{"bearer": []}]
    return described


def _form(form: Mapping[str, Any], cv: Json) -> Json:
    return {**form, "properties": {**form["properties"], "CV": cv}}


def _responses(operation: Operation, examples: Examples) -> Json:
    fields = RATE_LIMIT_FIELDS if operation.is_rate_limited else {}
    successes = {
        str(response.status): _response(response, fields, examples)
        for response in (operation.response, *operation.also)
    }
    problems = _problems(operation)
    if operation.is_rate_limited:
        problems["429"]["headers"] |= _headers(RATE_LIMIT_FIELDS)
    return {**successes, **problems}


def _content(media_types: Iterable[str], value: Any, examples: Examples, **more: Any) -> Json:
    described = {"schema": schema_of(value), "example": example_of(value, examples)}
    return {"content": dict.fromkeys(media_types, described), **more}


def _response(response: ResponseSpec, fields: Mapping[str, str], examples: Examples) -> Json:
    described: Json = {"description": response.description}
    if response.schema is not None:
        described |= _content(response.media_types, response.schema, examples)
    if headers := {**response.headers, **fields}:
        described["headers"] = _headers(headers)
    return described


def _headers(descriptions: Mapping[str, str]) -> Json:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in descriptions.items()}


def _problems(operation: Operation) -> Json:
    by_status: dict[str, list[ProblemType]] = {}
    kinds = (PROBLEM_TYPES[cls] for cls in dict.fromkeys((*operation.problems, *_implied_problems(operation))))
    for kind in sorted(kinds, key=lambda kind: kind.status):
        by_status.setdefault(str(kind.status), []).append(kind)
    return {
        **{status: _problem(status, kinds) for status, kinds in by_status.items()},
        "default": {"description": "Any other problem", "content": {MEDIA_TYPE: {"schema": schema_of(Problem)}}},
    }


def _problem(status: str, kinds: Sequence[ProblemType]) -> Json:
    """Return the response of one status, with a reference to the example of each problem."""
    examples = {kind.anchor: {"$ref": f"#/components/examples/{kind.anchor}"} for kind in kinds}
    return {
        "description": " or ".join(kind.title for kind in kinds),
        "headers": _headers(_PROBLEM_HEADERS.get(status, {})),
        "content": {MEDIA_TYPE: {"schema": schema_of(Problem), "examples": examples}},
    }


def _implied_problems(operation: Operation) -> Iterable[type[errors.IntakeError]]:
    if operation.access is not Access.OPEN:
        yield errors.AuthenticationRequired
        if operation.access is Access.ADMIN:
            yield errors.PermissionDenied
        yield errors.DatabaseUnavailable
    if operation.body is not None or operation.form is not None:
        yield from (
            errors.MalformedBody,
            errors.RequestTimeout,
            errors.BodyTooLarge,
            errors.UnsupportedMediaType,
            errors.ValidationError,
        )
    if operation.query is not None:
        yield errors.ValidationError
    if operation.is_rate_limited:
        yield errors.RateLimited
    yield errors.ServiceBusy  # every operation runs in a bounded thread pool


def _path_parameters(operation: Operation) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", operation.path):
        prefix = f"{operation.path.partition('}')[0]}}}"
        yield {"name": name, "in": "path", "required": True, "schema": _PATH_PARAMETERS[prefix]}


def _header_parameters(operation: Operation) -> Iterator[Json]:
    for name, schema in operation.headers.items():
        shape = {key: value for key, value in schema.items() if key != "description"}
        described = {"required": False, "description": schema["description"], "schema": {"type": "string", **shape}}
        yield {"name": name, "in": "header", **described}


def _query_parameters(operation: Operation) -> Iterator[Json]:
    if operation.query is None:
        return
    model = operation.query.model_json_schema()
    for name, schema in model["properties"].items():
        described = schema.pop("description")
        # null stands for an absent parameter
        variants = [variant for variant in schema.pop("anyOf", []) if variant != {"type": "null"}]
        shape = {**schema, **(variants[0] if variants else {})}
        shape = {key: value for key, value in shape.items() if (key, value) != ("default", None)}
        required = name in model.get("required", [])
        yield {"name": name, "in": "query", "required": required, "description": described, "schema": shape}
