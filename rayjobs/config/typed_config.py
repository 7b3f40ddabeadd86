"""From a plain mapping (what YAML gives) to a frozen dataclass; errors name the nearest known key."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

DataclassT = TypeVar("DataclassT")


class ConfigError(ValueError):
    """A configuration that a user can fix: one sentence that says what was found and what to do."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, or None where none is like it. Case does not matter."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[matches[0]] if matches else None


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """``did you mean x?``, or the list of what is known where nothing comes near."""
    match = nearest(name, known)
    if match is not None:
        return f"did you mean {match}?"
    return f"known: {', '.join(sorted(set(known)))}" if known else "there is none"


def build_dataclass(cls: type[DataclassT], values: Any, path: str = "") -> DataclassT:
    """Build ``cls`` from a mapping, checking every key and type on the way down.

    Parameters
    ----------
    cls : a dataclass; its fields are the known keys. Nested dataclasses, tuples, mappings, ``Literal`` and
        unions with None are followed. A field without default is a required key.
    values : plain mapping of field names, as `OmegaConf.to_container` gives it.
    path : where ``values`` stands in the whole configuration (``env.sizing``), for the messages.

    Raises
    ------
    ConfigError
        Unknown or missing key, wrong type, or a value that the dataclass itself refuses.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path or 'the configuration'} is {values!r}; it must be a group of keys")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ConfigError(f"{_join(path, key)}: unknown key; {did_you_mean(str(key), list(fields))}")
    hints = get_type_hints(cls)
    arguments = {}
    for name, field in fields.items():
        if name in values:
            arguments[name] = convert(hints[name], values[name], _join(path, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{_join(path, name)}: missing; give it as {in_words(hints[name])}")
    try:
        return cls(**arguments)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(_with_path(path, str(error))) from error


def convert(kind: Any, value: Any, path: str) -> Any:
    """Convert one value to the annotated type ``kind``; see :func:`build_dataclass`."""
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return value if isinstance(value, kind) else build_dataclass(kind, value, path)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _convert_union(kind, arguments, value, path)
    if origin is Literal:
        if value in arguments and type(value) in {type(argument) for argument in arguments}:
            return value
        match = nearest(value, map(str, arguments)) if isinstance(value, str) else None
        hint = f" (did you mean {match}?)" if match else ""
        raise ConfigError(f"{path} is {value!r}; it must be {in_words(kind)}{hint}")
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong_type(kind, value, path)
        return {str(k): convert(arguments[1], v, _join(path, str(k))) for k, v in value.items()}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return _convert_sequence(kind, origin, arguments, value, path)
    return _convert_scalar(kind, value, path)


def _convert_union(kind: Any, options: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None:
        if type(None) in options:
            return None
        raise _wrong_type(kind, value, path)
    real_options = [option for option in options if option is not type(None)]
    if len(real_options) == 1:
        return convert(real_options[0], value, path)
    errors = []
    for option in _likeliest_first(real_options, value):
        try:
            return convert(option, value, path)
        except ConfigError as error:
            errors.append(error)
    if isinstance(value, Mapping):
        raise errors[0]
    raise _wrong_type(kind, value, path)


def _likeliest_first(options: list[Any], value: Any) -> list[Any]:
    """Order the options of a union: first the exact type, or the dataclass that shares most keys."""
    if isinstance(value, Mapping):

        def misfit(option: Any) -> int:
            if not dataclasses.is_dataclass(option):
                return len(value) + 1
            return len(set(value) ^ {field.name for field in dataclasses.fields(option)})

        return sorted(options, key=misfit)
    return sorted(options, key=lambda option: option is not type(value))


def _convert_sequence(kind: Any, origin: type, arguments: tuple[Any, ...], value: Any, path: str) -> Any:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise _wrong_type(kind, value, path)
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        if len(value) != len(arguments):
            raise ConfigError(f"{path} has {len(value)} values; it must have {len(arguments)}")
        return tuple(convert(a, v, f"{path}[{i}]") for i, (a, v) in enumerate(zip(arguments, value)))
    items = [convert(arguments[0], item, f"{path}[{index}]") for index, item in enumerate(value)]
    return items if origin is list else tuple(items)


def _convert_scalar(kind: Any, value: Any, path: str) -> Any:
    if kind is type(None) and value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is float and is_number and value == value:
        return float(value)
    if kind is int and is_number and float(value).is_integer():  # YAML reads 1e6 as a float
        return int(value)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str):
        return value
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value)
    if kind in (float, int, bool, str, Path) or not isinstance(kind, type) or not isinstance(value, kind):
        raise _wrong_type(kind, value, path)
    return value


def in_words(kind: Any) -> str:
    """A type in words: ``a number or null``, ``one of 'a', 'b'``."""
    words = {
        float: "a number",
        int: "a whole number",
        bool: "true or false",
        str: "a text",
        type(None): "null",
        Path: "a path",
    }
    if kind in words:
        return words[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(argument) for argument in arguments)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a group of keys"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list of {in_words(arguments[0]).removeprefix('a ')} values"
    return "a group of keys" if dataclasses.is_dataclass(kind) else getattr(kind, "__name__", str(kind))


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _wrong_type(kind: Any, value: Any, path: str) -> ConfigError:
    return ConfigError(f"{path} is {value!r}; it must be {in_words(kind)}")


def _with_path(path: str, message: str) -> str:
    """Put the path before a dataclass's own message, unless the message already begins with where it is."""
    tail = path.rsplit(".", 1)[-1]
    return message if not path or message.startswith((path, tail)) else f"{path}: {message}"
