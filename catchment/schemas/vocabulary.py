"""The words of JSON Schema, drafts 4 to 2020-12."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from catchment.schemas.nodes import Steps

SCHEMA_MAPS = ("properties", "patternProperties", "definitions", "$defs", "dependentSchemas", "dependencies")
SCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
CONDITIONS = ("not", "if", "propertyNames", "contains")
"""Keywords whose subschema describes no value that has a place of its own."""
SCHEMAS = (
    *CONDITIONS,
    "items",
    "additionalItems",
    "additionalProperties",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
)
ASSERTIONS = frozenset(
    {
        *SCHEMA_MAPS,
        *SCHEMA_LISTS,
        *SCHEMAS,
        "$ref",
        "$dynamicRef",
        "$recursiveRef",
        "const",
        "dependentRequired",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "maxContains",
        "maximum",
        "maxItems",
        "maxLength",
        "maxProperties",
        "minContains",
        "minimum",
        "minItems",
        "minLength",
        "minProperties",
        "multipleOf",
        "pattern",
        "required",
        "type",
        "uniqueItems",
    }
) - {"definitions", "$defs", "contentSchema"}
"""Keywords by which a value can be refused."""
KEYWORDS = ASSERTIONS | {
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$id",
    "$recursiveAnchor",
    "$schema",
    "$vocabulary",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "format",
    "id",
    "readOnly",
    "title",
    "writeOnly",
}
FORMATS = frozenset(
    """
    date date-time duration email hostname idn-email idn-hostname ipv4 ipv6 iri iri-reference json-pointer regex
    relative-json-pointer time uri uri-reference uri-template uuid
    """.split()  # noqa: SIM905  # a list would be a line for each word
)


def subschemas(node: Mapping[str, Any], steps: Steps) -> Iterator[tuple[Any, Steps, str]]:
    """The subschemas directly inside one, with their places and the keyword that holds them."""
    for key in SCHEMA_MAPS:
        inner = node.get(key)
        if isinstance(inner, Mapping):
            yield from ((value, (*steps, key, name), key) for name, value in inner.items())
    for key in SCHEMA_LISTS:
        inner = node.get(key)
        if isinstance(inner, list):
            yield from ((value, (*steps, key, number), key) for number, value in enumerate(inner))
    for key in SCHEMAS:
        if isinstance(node.get(key), Mapping):
            yield node[key], (*steps, key), key
