"""Reading requests: parameters, JSON and forms become values of the types that operations declare.

What is not right is told with its field, its value and the form that it should have; what is unknown is not ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any, Final, get_args, get_origin

import msgspec

from imeiflow.web.api.problem import ApiError, Flaw

_PLACE: Final = re.compile(
    r"(?P<problem>.*?)(?: - at (?:`\$(?P<place>[^`]*)`|`key` in `\$(?P<key>[^`]*)`))?", re.DOTALL
)
_SHOWN: Final = 200
_EXACT: Final = msgspec.json.Decoder(float_hook=Decimal)
_LONGEST_NUMBER: Final = 18
_LONGEST_BITS: Final = 256
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")
_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f/]{1,200}")
#: Texts that are a number or a truth value where one is wanted, written as in JSON; any other stays a text.
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_FLOAT: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,3})?")
_TRUTH: Final[Mapping[str, bool]] = {"true": True, "false": False}
#: Path parameters that are numbers; all others are texts.
NUMBERS: Final = frozenset({"job", "order", "delivery"})


def read_path(values: Mapping[str, Any]) -> dict[str, Any]:
    """Read the parameters of a path. Raises ApiError 404 for what can name nothing."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        text = str(value)
        if not (_NUMBER if name in NUMBERS else _TEXT).fullmatch(text):
            raise ApiError(404, f"There is no {name} {text[:_SHOWN]!r}.", remedy="Look at its number in a list.")
        found[name] = int(text) if name in NUMBERS else text
    return found


def read_query(kind: type | None, pairs: Iterable[tuple[str, str]]) -> Any:
    """Read the parameters of a query. Raises ApiError 422."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return _convert(kind, values, "query")


def read_form(kind: type, pairs: Iterable[tuple[str, Any]]) -> Any:
    """Read the fields of a form. Raises ApiError 422."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(str(value))
    return _convert(kind, values, "body")


def read_json(kind: type, raw: bytes) -> Any:
    """Read a JSON body. Raises ApiError: 400 for what is no JSON, 422."""
    try:
        return msgspec.json.decode(raw or b"null", type=kind)
    except msgspec.ValidationError as error:
        return _read_again(kind, raw, error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"The body is no JSON: {error}", remedy="Send an object in JSON, in UTF-8.") from None


def _read_again(kind: type, raw: bytes, error: msgspec.ValidationError) -> Any:
    """Read a body that has 5.0 where a whole number belongs, as JSON Schema allows it. Raises ApiError 422."""
    try:
        value = _make_whole(_EXACT.decode(raw or b"null"))
    except (msgspec.DecodeError, RecursionError):  # what is wrong is known; only its value cannot be shown
        raise _tell(error, None, "body", kind) from None
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise _tell(error, value, "body", kind) from None


def _make_whole(value: Any) -> Any:
    match value:
        case Decimal() if value == value.to_integral_value() and value.adjusted() < _LONGEST_NUMBER:
            return int(value)
        case dict():
            return {key: _make_whole(one) for key, one in value.items()}
        case list():
            return [_make_whole(one) for one in value]
        case _:
            return value


def _convert(kind: type | None, values: Mapping[str, list[str]], place: str) -> Any:
    fields = {} if kind is None else {one.encode_name: one for one in msgspec.structs.fields(kind)}
    unknown = [name for name in values if name not in fields]
    if unknown:
        known = f"Known are {', '.join(fields)}." if fields else "It takes none."
        flaws = [
            Flaw(field=f"{place}.{name[:_SHOWN]}", problem="there is no such field", remedy=known) for name in unknown
        ]
        raise ApiError(422, f"{flaws[0].field}: there is no such field.", remedy=known, flaws=flaws)
    single: dict[str, Any] = {}
    for name, texts in values.items():
        kinds = frozenset(_list_kinds(fields[name].type))
        given = [_read_text(text, kinds) for text in texts]
        if list in kinds:
            single[name] = given
        elif len(given) > 1:
            flaw = Flaw(
                field=f"{place}.{name}", problem="it is given twice", value=texts[0][:_SHOWN], remedy="Give it once."
            )
            raise ApiError(422, f"{flaw.field}: it is given twice.", flaws=[flaw])
        else:
            single[name] = given[0]
    if kind is None:
        return None
    try:
        return msgspec.convert(single, kind)
    except msgspec.ValidationError as error:
        raise _tell(error, single, place, kind) from None


def _list_kinds(kind: Any) -> Iterator[Any]:
    """Give the plain types that a field's type is made of, `list` among them."""
    origin = get_origin(kind)
    if hasattr(kind, "__metadata__"):
        yield from _list_kinds(kind.__origin__)
    elif origin is None:
        yield kind
    else:
        yield origin
        for one in get_args(kind):
            yield from _list_kinds(one)


def _read_text(text: str, kinds: AbstractSet[Any]) -> Any:
    if bool in kinds and text in _TRUTH:
        return _TRUTH[text]
    if int in kinds and _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if float in kinds and _FLOAT.fullmatch(text) else text


def _tell(error: msgspec.ValidationError, value: Any, place: str, kind: type) -> ApiError:
    match = _PLACE.fullmatch(str(error))
    said = match["problem"] if match else str(error)
    inner = (match["place"] or match["key"] or "") if match else ""
    field = f"{place}{inner}"
    found = _look_up(value, inner)
    missing = re.search(r"missing required field `([^`]+)`", said)
    unknown = re.search(r"unknown field `([^`]+)`", said)
    if missing or unknown:
        named = (missing or unknown)[1]  # type: ignore[index]
        field, found = f"{field}.{named}", None
    remedy = "" if missing else say_form(kind, inner)
    if unknown:
        remedy = f"Known are {', '.join(one.encode_name for one in msgspec.structs.fields(kind))}."
    problem = "it is missing" if missing else "there is no such field" if unknown else said.replace("`", "")
    flaw = Flaw(field=field, problem=problem[:1].lower() + problem[1:], value=_shorten(found), remedy=remedy)
    return ApiError(422, f"{field}: {flaw.problem}.", remedy=remedy, flaws=[flaw])


def say_form(kind: type, inner: str) -> str:
    """Say in words what a field takes, from what its type says of itself."""
    name = inner.lstrip(".").split(".")[0].split("[")[0]
    for one in msgspec.structs.fields(kind):
        if one.encode_name == name:
            schema = msgspec.json.schema(one.type)
            described = schema.get("description") or next(
                (part["description"] for part in schema.get("anyOf", ()) if "description" in part), ""
            )
            return str(described)
    return ""


def _look_up(value: Any, inner: str) -> Any:
    for key, index in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", inner):
        try:
            value = value[key] if key else value[int(index)]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return value


def _shorten(value: Any) -> Any:
    """Give a value as it can be shown: a number only where it is not longer than a text would be."""
    match value:
        case str():
            return value[:_SHOWN]
        case bool() | float():
            return value
        case int():
            return value if value.bit_length() <= _LONGEST_BITS else None
        case Decimal():
            return value if abs(value.adjusted()) <= _LONGEST_NUMBER else str(value)[:_SHOWN]
        case _:
            return None
