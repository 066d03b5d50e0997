"""What a JSON Schema says of one value, in words: its bounds, for tables and for comments."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.export.documents import Schema

_KNOWN_NUMBERS: dict[float | None, str] = {2**31 - 1: "2^31-1", 2**63 - 1: "2^63-1"}


def name_of(schema: Schema) -> str:
    """The definition that a `$ref` points to."""
    return str(schema["$ref"]).removeprefix("#/$defs/")


def without_null(schema: Schema) -> tuple[Schema, bool]:
    """The schema of the value where there is one, and whether null may stand in its place."""
    options = schema.get("anyOf", [])
    others = [option for option in options if option != {"type": "null"}]
    if len(others) == len(options):
        return schema, False
    return (others[0] if len(others) == 1 else {"anyOf": others}), True


def fields_of_all(document: Schema) -> Schema:
    """What all shapes of a message have alike; nothing where the message has one shape only."""
    members = [document["$defs"][name_of(option)]["properties"] for option in document.get("anyOf", ())]
    if not members:
        return {}
    first, *others = members
    return {name: said for name, said in first.items() if all(other.get(name) == said for other in others)}


def bounds_of(schema: Schema) -> str:
    """`1 to 128 characters`, `at most 200` …; empty where there are none."""
    value, _ = without_null(schema)
    return ", ".join(filter(None, _bounds(value)))


def _bounds(value: Schema) -> Iterator[str]:
    yield _span(value.get("minimum"), value.get("maximum"), "")
    yield _span(value.get("minLength"), value.get("maxLength"), " characters")
    yield _span(value.get("minItems"), value.get("maxItems"), " items")
    yield _span(value.get("minProperties"), value.get("maxProperties"), " entries")
    if pattern := value.get("pattern"):
        yield f"matches `{pattern}`"
    if value.get("format") == "date-time":
        yield "RFC 3339, with its offset"
    if value.get("contentEncoding") == "base64":
        yield "Base64"
    yield _each("each key", value.get("propertyNames"))
    yield _each("each value", value.get("additionalProperties"))
    yield _each("each", value.get("items"))


def _each(which: str, schema: object) -> str:
    inner = bounds_of(schema) if isinstance(schema, dict) else ""
    return f"{which} {inner}" if inner else ""


def _span(low: float | None, high: float | None, unit: str) -> str:
    match low, high:
        case None, None:
            return ""
        case None, _:
            return f"at most {_number(high)}{unit}"
        case 1, None:
            return f"at least one{unit.removesuffix('s')}"
        case _, None:
            return f"at least {_number(low)}{unit}"
        case _:
            return f"{_number(low)} to {_number(high)}{unit}"


def _number(value: float | None) -> str:
    return _KNOWN_NUMBERS.get(value, f"{value:,.15g}" if value is not None else "")
