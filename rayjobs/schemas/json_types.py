"""JSON Schemas of Python types: what `rayjobs.config.typed_config` takes for a dataclass, in a YAML file.

A file holds only what differs from others, so no key is required. Any value may be an interpolation
(``${run.directory}``) or, as a default, ``???``: one that must be given.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Schema = dict[str, Any]

DEFERRED = r"^\$\{.*\}$|^\?\?\?$"
"""An interpolation, or what must be given."""
OWN_OBJECT = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
"""``package.module:NAME``, something of the user's own."""
_SCALARS: Mapping[Any, str] = {
    float: "number", int: "integer", bool: "boolean", str: "string", Path: "string", type(None): "null",
}  # fmt: skip


def type_schema(kind: Any) -> Schema:
    """The schema of an annotation; of one that YAML cannot write, one that takes anything."""
    if kind in _SCALARS:
        return _typed(_SCALARS[kind])
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return dataclass_schema(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any_of(type_schema(argument) for argument in arguments)
    if origin is Literal:
        return any_of([{"enum": list(arguments)}, _deferred()])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _typed("object", additionalProperties=type_schema(arguments[1]))
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return _sequence_schema(origin, arguments)
    return {}


def _sequence_schema(origin: type, arguments: tuple[Any, ...]) -> Schema:
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        items = [type_schema(argument) for argument in arguments]
        return _typed("array", prefixItems=items, minItems=len(items), maxItems=len(items))
    return _typed("array", items=type_schema(arguments[0]))


def dataclass_schema(cls: type, **others: Any) -> Schema:
    """The schema of a dataclass's fields, and of further keys: their annotations, or schemas."""
    return object_schema({**fields_of(cls), **{name: _as_schema(kind) for name, kind in others.items()}})


def fields_of(cls: type) -> dict[str, Schema]:
    """Field -> schema."""
    hints = get_type_hints(cls)
    return {field.name: type_schema(hints[field.name]) for field in dataclasses.fields(cls) if field.init}


def object_schema(properties: Mapping[str, Schema]) -> Schema:
    """A mapping that has these keys and no others."""
    return _typed("object", properties=dict(properties), additionalProperties=False)


def choice_schema(names: Iterable[str]) -> Schema:
    """One of these names."""
    return {"anyOf": [{"enum": list(names)}, _deferred()]}


def schema_by_kind(
    key: str, kinds: Mapping[str, Mapping[str, Schema]], common: Mapping[str, Schema], *, own: bool = False
) -> Schema:
    """A mapping whose key ``key`` says which others it has; a file that leaves it out has any kind's.

    Parameters
    ----------
    kinds : value of ``key`` -> its fields. common : fields of every kind.
    own : ``key`` may be a ``package.module:NAME`` too, which takes any field.
    """
    names: dict[str, list[Schema]] = {}
    for fields in (*kinds.values(), common):
        for name, schema in fields.items():
            names.setdefault(name, []).append(schema)
    named: list[Schema] = [{"enum": list(kinds)}, _deferred()]
    if own:
        named.append({"type": "string", "pattern": OWN_OBJECT})
    schema = object_schema({key: any_of(named)} | {name: any_of(found) for name, found in names.items()})
    schema["allOf"] = [
        {
            "if": {"type": "object", "properties": {key: {"const": kind}}, "required": [key]},
            "then": {"propertyNames": {"enum": [key, *fields, *common, "defaults"]}},
        }
        for kind, fields in kinds.items()
    ]
    if own:
        schema["additionalProperties"] = {}
        schema["allOf"].append(
            {
                "if": {
                    "type": "object",
                    "not": {"properties": {key: {"pattern": OWN_OBJECT}}, "required": [key]},
                },
                "then": {"propertyNames": {"enum": [key, *names, "defaults"]}},
            }
        )
    return schema


def any_of(schemas: Iterable[Schema]) -> Schema:
    """One that takes what any of them takes; scalars are told in one line of types, which editors show better."""
    distinct: list[Schema] = []
    for schema in schemas:
        for one in schema["anyOf"] if set(schema) == {"anyOf"} else [schema]:
            if one not in distinct:
                distinct.append(one)
    if {} in distinct:
        return {}
    kinds = [kind for one in distinct if _is_scalar(one) for kind in one["type"]]
    types = list(dict.fromkeys(kinds))
    others = [one for one in distinct if not _is_scalar(one) and one != _deferred()]
    if not types:
        deferred = [_deferred()] if _deferred() in distinct else []
        return {"anyOf": [*others, *deferred]} if len(distinct) > 1 else distinct[0]
    free = any(_is_scalar(one) and "pattern" not in one and "string" in one["type"] for one in distinct)
    scalar: Schema = {"type": types} if free else {"type": types, "pattern": DEFERRED}
    return scalar if not others else {"anyOf": [*others, scalar]}


def _is_scalar(schema: Schema) -> bool:
    return (
        isinstance(schema.get("type"), list)
        and not {"object", "array"} & {*schema["type"]}
        and set(schema) <= {"type", "pattern"}
        and schema.get("pattern", DEFERRED) == DEFERRED
    )


def _typed(kind: str, **more: Any) -> Schema:
    if kind == "string":
        return {"type": ["string"], **more}
    return {"type": [kind, "string"], "pattern": DEFERRED, **more}


def _deferred() -> Schema:
    return {"type": "string", "pattern": DEFERRED}


def _as_schema(kind: Any) -> Schema:
    return kind if isinstance(kind, dict) else type_schema(kind)
