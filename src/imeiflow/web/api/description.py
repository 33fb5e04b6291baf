"""The description of the API in OpenAPI 3.1, made from its operations and their types."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import msgspec

from imeiflow.domain.user import Scope
from imeiflow.operations.json_text import dump_json
from imeiflow.web.api.catalog import OPERATIONS
from imeiflow.web.api.operation import Operation
from imeiflow.web.api.problem import MEDIA_TYPE, TITLES, describe_problem
from imeiflow.web.api.reading import NUMBERS
from imeiflow.web.api.repeat import KEY_HEADER
from imeiflow.web.api.value import LEAST_AMOUNT

BASE: Final = "/api/v1"
_REFERENCE: Final = "#/components/schemas/{name}"
_ABOUT: Final = """The same flow as the command line: create a draft from a list, look at what it would order and cost,
confirm it, follow the job, settle what is in doubt, take the results.

Every request needs a token: `Authorization: Bearer …`, made with `imeiflow token create`. Amounts of money are
numbers that are exact to their last digit: read them as decimals. Times are ISO 8601 with their zone. Lists come in
pages: give the `next` of a page as `cursor` for the one behind it.

What goes wrong is told as problem details (RFC 9457), with the field, the value and a `remedy`: 400, 413, 415 and 422
for what this description does not allow, 404 and 409 for what it allows and cannot be done as things stand; the last
part of the `type` names the kind.

Requests that change something take an `Idempotency-Key`: the same key with the same request gives the same answer for
two days, and orders nothing twice."""
_ALWAYS: Final = (401, 403, 429)
_NUMBER: Final = {"type": "integer", "minimum": 1, "maximum": 999_999_999_999_999_999}
_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[A-Za-z0-9._-]+$"}
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "What went wrong, and what can be done about it (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "remedy": {"type": "string"},
        "exit_status": {
            "type": "integer",
            "description": "What `imeiflow` ends with where the same goes wrong on the command line.",
        },
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "problem"],
                "properties": {
                    "field": {"type": "string"},
                    "problem": {"type": "string"},
                    "value": {},
                    "remedy": {"type": "string"},
                },
            },
        },
    },
}


@cache
def write_description() -> str:
    """Give the whole description as JSON."""
    return dump_json(describe())


@cache
def describe() -> dict[str, Any]:
    """Give the whole description."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe_operation(operation)
    tags = dict.fromkeys(operation.tag for operation in OPERATIONS)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imeiflow",
            "version": version("imeiflow"),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": BASE}],
        "security": [{"token": []}],
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"Scopes: {', '.join(scope.value for scope in Scope)}.",
                }
            },
            "schemas": {**_describe_types(), "Problem": _PROBLEM},
            "responses": {f"Problem{status}": _describe_problem(status) for status in TITLES},
        },
    }


def _describe_operation(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": "\n\n".join(filter(None, (operation.about, f"Scope: `{operation.scope.value}`."))),
        "parameters": list(_describe_parameters(operation)),
        "responses": _describe_answers(operation),
        "x-scope": operation.scope.value,
    }
    body = _describe_body(operation)
    return {**told, "requestBody": body} if body is not None else told


def _describe_parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name in operation.parameters:
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _NUMBER if name in NUMBERS else _TEXT,
            **_example((operation.path_example or {}).get(name)),
        }
    if operation.query is not None:
        schema = _inline(operation.query)
        for name, one in schema.get("properties", {}).items():
            described = dict(one)
            about = described.pop("description", "") or _find_description(one)
            yield {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                **({"description": about} if about else {}),
                "schema": described,
                **_example((operation.query_example or {}).get(name)),
            }
    if operation.is_repeatable:
        yield {
            "name": KEY_HEADER,
            "in": "header",
            "required": False,
            "description": "A key of your own, a UUID for instance: asked again with it, nothing is done twice.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        }


def _describe_body(operation: Operation) -> dict[str, Any] | None:
    content: dict[str, Any] = {}
    if operation.body is not None:
        content["application/json"] = {
            "schema": {"$ref": _REFERENCE.format(name=operation.body.__name__)},
            **_example(operation.body_example),
        }
    if operation.form is not None:
        schema = _replace_amounts(_inline(operation.form), _AMOUNT_TEXT)
        file = {"type": "string", "format": "binary", "description": "The file."}
        content["multipart/form-data"] = {
            "schema": {
                **schema,
                "properties": {"file": file, **schema.get("properties", {})},
                "required": ["file", *schema.get("required", [])],
            }
        }
    needed = operation.needs_body or operation.body is None
    return {"required": needed, "content": content} if content else None


def _describe_answers(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if operation.answer is not None:
        content["application/json"] = {
            "schema": {"$ref": _REFERENCE.format(name=operation.answer.__name__)},
            **_example(operation.example),
        }
    for media_type in operation.media_types:
        # What an event holds is no string, and OpenAPI 3.1 has no word for it.
        content[media_type] = {} if media_type == "text/event-stream" else {"schema": {"type": "string"}}
    done = {"description": operation.summary, **({"content": content} if content else {})}
    answers = {str(operation.status): done}
    if operation.scope is Scope.ORDER and operation.status == 200:
        answers["202"] = {
            **done,
            "description": "It runs, or calls are still under way: the job tells when they ended.",
        }
    has_body = operation.body is not None or operation.form is not None
    errors = {*_ALWAYS, *operation.errors, *((400, 413, 415, 422) if has_body else ()), 503}
    if operation.is_repeatable:
        errors |= {409, 422}
    for status in sorted(errors):
        answers[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    return answers


def _describe_problem(status: int) -> dict[str, Any]:
    example = describe_problem(status, "What exactly, with the value.", remedy="What can be done about it.")
    schema = {"$ref": _REFERENCE.format(name="Problem")}
    return {
        "description": TITLES[status][1],
        "content": {MEDIA_TYPE: {"schema": schema, "example": example}},
    }


def _describe_types() -> dict[str, Any]:
    given = [one.answer for one in OPERATIONS if one.answer is not None]
    taken = [one.body for one in OPERATIONS if one.body is not None]
    return {
        **_components(taken, amount=_TAKEN_AMOUNT),
        **_components(given, amount={"type": "number"}),
    }


#: What is taken as an amount: exact numbers are not everybody's, and a form has texts only.
_AMOUNT_TEXT: Final = {
    "type": "string",
    "pattern": r"^([1-9][0-9]{0,14}(\.[0-9]{1,12})?|0\.0{0,5}[1-9][0-9]{0,6})$",
}
_TAKEN_AMOUNT: Final = {
    "anyOf": [{"type": "number", "minimum": float(LEAST_AMOUNT), "exclusiveMaximum": 10**15}, _AMOUNT_TEXT]
}


def _components(types: list[Any], *, amount: Mapping[str, Any]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    made: dict[str, Any] = _replace_amounts(components, amount)
    return made


def _inline(kind: type) -> dict[str, Any]:
    """Give a type's schema with all that it refers to in its place."""
    (top,), components = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    found: dict[str, Any] = _resolve(top, components)
    return found


def _resolve(value: Any, components: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        if "$ref" in value:
            inner = _resolve(components[value["$ref"].rpartition("/")[2]], components)
            return {**inner, **{key: one for key, one in value.items() if key != "$ref"}}
        made = {key: _resolve(one, components) for key, one in value.items()}
        return _drop_null(made)
    return [_resolve(one, components) for one in value] if isinstance(value, list) else value


def _drop_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Let what may be left out be left out, and not be null: a query has no null."""
    parts = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(parts) != 1 or len(parts) == len(schema["anyOf"]):
        return schema
    rest = {key: one for key, one in schema.items() if key != "anyOf"}
    return {**parts[0], **{key: one for key, one in rest.items() if not (key == "default" and one is None)}}


def _replace_amounts(value: Any, amount: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        if value.get("format") == "decimal" and value.get("type") == "string":
            return {**amount, **{key: one for key, one in value.items() if key not in {"type", "format"}}}
        return {key: _replace_amounts(one, amount) for key, one in value.items()}
    return [_replace_amounts(one, amount) for one in value] if isinstance(value, list) else value


def _find_description(schema: Mapping[str, Any]) -> str:
    return next((str(one["description"]) for one in schema.get("anyOf", ()) if "description" in one), "")


def _example(value: Any) -> dict[str, Any]:
    return {} if value is None else {"example": json.loads(dump_json(value))}
