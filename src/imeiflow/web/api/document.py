"""The page that shows the API to a person: static, from its description, without any script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from imeiflow.web.api.description import BASE, describe
from imeiflow.web.api.problem import TITLES
from imeiflow.web.page_template import environment

_TEMPLATE: Final = "api/document.html"


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter, or one field of a body or an answer."""

    name: str
    kind: str
    about: str
    is_needed: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """One operation as it is shown."""

    id: str
    method: str
    path: str
    summary: str
    about: str
    scope: str
    parameters: list[Field]
    body: list[Field]
    body_types: list[str]
    body_example: str
    status: str
    answer: list[Field]
    answer_types: list[str]
    example: str
    problems: list[str]
    curl: str


@cache
def draw_document() -> str:
    """Draw the page."""
    return (
        environment()
        .get_template(_TEMPLATE)
        .render(sections=list_sections(), info=describe()["info"], base=BASE, problems=TITLES)
    )


@cache
def list_sections() -> dict[str, list[Shown]]:
    """Give all operations by their tag, as they are shown."""
    described = describe()
    sections: dict[str, list[Shown]] = {}
    for path, methods in described["paths"].items():
        for method, told in methods.items():
            sections.setdefault(told["tags"][0], []).append(_show(path, method.upper(), told, described))
    return sections


def _show(path: str, method: str, told: Mapping[str, Any], described: Mapping[str, Any]) -> Shown:
    contents = told.get("requestBody", {}).get("content", {})
    status = next(code for code in told["responses"] if code.startswith("2"))
    answers = told["responses"][status].get("content", {})
    body = next((_pick(one["schema"], described) for one in contents.values()), {})
    answer = next((_pick(one.get("schema", {}), described) for one in answers.values()), {})
    example = next((one["example"] for one in answers.values() if "example" in one), None)
    body_example = next((one["example"] for one in contents.values() if "example" in one), None)
    return Shown(
        id=told["operationId"],
        method=method,
        path=path,
        summary=told["summary"],
        about=told["description"].rpartition("Scope:")[0].strip(),
        scope=told["x-scope"],
        parameters=[
            Field(f"{one['name']}", say_kind(one["schema"], described), one.get("description", ""), one["required"])
            for one in told["parameters"]
        ],
        body=list(_fields(body, described)),
        body_types=list(contents),
        body_example=_write(body_example),
        status=status,
        answer=list(_fields(answer, described)),
        answer_types=list(answers),
        example=_write(example),
        problems=[code for code in told["responses"] if not code.startswith("2")],
        curl=write_curl(path, method, told, body_example),
    )


def write_curl(path: str, method: str, told: Mapping[str, Any], body: Any) -> str:
    """Write a call as it would be typed."""
    for one in told["parameters"]:
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", str(one.get("example", one["name"])))
    query = "&".join(
        f"{one['name']}={one['example']}" for one in told["parameters"] if one["in"] == "query" and "example" in one
    )
    parts = ["curl"] + (
        [f"-X {method}"] if method not in {"GET", "POST"} or (method == "POST" and body is None) else []
    )
    parts.append(f'"$IMEIFLOW_SERVER{BASE}{path}{"?" + query if query else ""}"')
    lines = [" ".join(parts), '  -H "Authorization: Bearer $IMEIFLOW_TOKEN"']
    if any(one["name"] == "idempotency-key" for one in told["parameters"]):
        lines.append('  -H "Idempotency-Key: $(uuidgen)"')
    contents = told.get("requestBody", {}).get("content", {})
    if "application/json" in contents and body is not None:
        lines.append(f"  --json '{json.dumps(body)}'")
    elif contents:
        lines.append("  -F file=@list.csv")
    return " \\\n".join(lines)


def say_kind(schema: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    """Say in a few words what a value is."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        inner = _pick(schema, described)
        return say_kind(inner, described) if "enum" in inner else name
    if "anyOf" in schema:
        kinds = dict.fromkeys(say_kind(one, described) for one in schema["anyOf"])
        return " or ".join(kinds)
    if "enum" in schema:
        return " · ".join("null" if one is None else str(one) for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {say_kind(schema.get('items', {}), described)}"
    return str(schema.get("format") or schema.get("type") or "any")


def _fields(schema: Mapping[str, Any], described: Mapping[str, Any]) -> Iterator[Field]:
    needed = schema.get("required", ())
    for name, one in schema.get("properties", {}).items():
        about = one.get("description", "")
        yield Field(name, say_kind(one, described), about, name in needed)


def _pick(schema: Mapping[str, Any], described: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in schema:
        found: Mapping[str, Any] = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _write(value: Any) -> str:
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
