"""Whether Rayfold's functions are, in this process, still those of their files: own code may replace what judges it.

A module of one's own runs as a part of the job: whatever it assigns to Rayfold's modules and classes when it is
imported stays there. Each loaded module is compared with its file, compiled anew: top-level functions, methods,
constants, what tables hold (such as the gate's criteria), names that it imports, and names that hide a builtin. What a
module does to other libraries, or does while it is called and undoes before the end, is not seen.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from data.own_objects import OWN_NAME
from rayjobs.study.config import TrainConfig

PACKAGES = ("data", "envs", "evaluation", "policies", "rayjobs")
_SOURCE = Path(__file__).resolve().parents[2]
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_INNER = ("__wrapped__", "py_func", "__func__", "fget", "func", "_function")
"""Where decorators keep what they decorate: functools, numba, class methods, properties, cached ones, Ray."""
_GENERATED = frozenset(
    f"__{name}__"
    for name in ("init", "repr", "eq", "lt", "le", "gt", "ge", "hash", "setattr", "delattr", "replace")
)
NAMED = 3
"""Functions that the phrase names."""


def takes_own_code(config: TrainConfig) -> bool:
    """Whether modules of one's own are imported where the folds of this job are trained and scored."""
    named = [*(spec.name for spec in config.features.enabled), config.env.factory, config.env.reward.function]
    source = type(config.data).__module__.partition(".")[0]
    return source not in PACKAGES or any(name is not None and OWN_NAME.fullmatch(name) for name in named)


def patched_phrase(elsewhere: Iterable[str] = ()) -> list[str]:
    """A phrase on what was replaced; empty where nothing was.

    Parameters
    ----------
    elsewhere : names that were found in other processes of the job.
    """
    found = list(dict.fromkeys([*patched_names(), *elsewhere]))
    if not found:
        return []
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return [f"parts of Rayfold are not those of its files: {', '.join(found[:NAMED])}{more}"]


def patched_names() -> list[str]:
    """Full names of what differs from the files, in the order of the modules."""
    found: list[str] = []
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in PACKAGES and file and Path(file).resolve().is_relative_to(_SOURCE):
            found += [f"{name}.{what}" for what in _differences(module, Path(file))]
    return found


def _differences(module: ModuleType, file: Path) -> Iterator[str]:
    tree, codes = _of_file(file)
    held = vars(module)
    bound: set[str] = set()
    for node in tree.body:
        bound.update(_bound(node))
        if isinstance(node, ast.FunctionDef):
            if not _is_function(held.get(node.name), node, codes, node.name):
                yield node.name
        elif isinstance(node, ast.ClassDef):
            yield from _of_class(held.get(node.name), node, codes, module.__name__)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from _of_import(held, node)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and not _constant_holds(held, node):
            yield from _bound(node)
    yield from (name for name in held if name not in bound and _hides(name))


def _hides(name: str) -> bool:
    return hasattr(builtins, name) and not name.startswith("__")


def _bound(node: ast.stmt) -> Iterator[str]:
    """Names that a statement of a module binds."""
    for one in ast.walk(node) if not isinstance(node, ast.FunctionDef | ast.ClassDef) else ():
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
            yield one.id
        elif isinstance(one, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in one.names)
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name


def _of_class(held: Any, node: ast.ClassDef, codes: Mapping[str, set[Any]], module: str) -> Iterator[str]:
    metadata = getattr(held, "__ray_metadata__", None)  # an actor's class
    held = getattr(metadata, "modified_class", held)
    if metadata is not None and isinstance(held, type):
        held = next((one for one in held.__mro__ if one.__module__ == module), held)
    if not isinstance(held, type) or held.__module__ != module:
        yield node.name
        return
    own = [one for one in node.body if isinstance(one, ast.FunctionDef)]
    for one in own:
        name = f"{node.name}.{one.name}"
        if not _is_function(held.__dict__.get(one.name), one, codes, name):
            yield name
    named = {one.name for one in own}
    for name, value in held.__dict__.items():
        code = _code(value) if name not in named else None
        if code is not None and not _is_generated(held, name, code):
            yield f"{node.name}.{name}"


def _is_generated(owner: type, name: str, code: CodeType) -> bool:
    """Whether a function that the class's body does not define is made by a library, or is one of Rayfold's files."""
    if code.co_filename.startswith("<"):
        if name == "__new__":
            return issubclass(owner, tuple)
        return name in _GENERATED and dataclasses.is_dataclass(owner)
    return _of_rayfold(code) or _of_library(code)


def _of_import(held: Mapping[str, Any], node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    for alias in node.names:
        name = alias.asname or alias.name.partition(".")[0]
        if isinstance(node, ast.Import):
            wanted = sys.modules.get(alias.name if alias.asname else name)
        else:
            origin = sys.modules.get(node.module or "")
            wanted = getattr(origin, alias.name, None)
        if wanted is not None and held.get(name) is not wanted:
            yield name


def _constant_holds(held: Mapping[str, Any], node: ast.Assign | ast.AnnAssign) -> bool:
    """Whether a constant is the one of the file: written out, or a table that was not empty from the start."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if node.value is None or len(targets) != 1 or not isinstance(targets[0], ast.Name):
        return True
    name = targets[0].id
    if not name.isupper():
        return True
    try:
        value = ast.literal_eval(node.value)
    except ValueError:
        return name.startswith("_") or _table_holds(held, name, node.value)
    if not isinstance(value, int | float | str | tuple):
        return not value or alike(held.get(name), value)
    return repr(held.get(name)) == repr(value)


def _table_holds(held: Mapping[str, Any], name: str, written: ast.expr) -> bool:
    """Whether a table holds what its expression gives, worked out anew among the names of its module."""
    if not isinstance(held.get(name), Mapping | list | tuple | set | frozenset):
        return True
    try:
        value = eval(compile(ast.Expression(written), "<table>", "eval"), dict(held))
    except Exception:  # it needs names that the module deleted
        return True
    return not value or alike(held[name], value)


def alike(one: Any, two: Any) -> bool:
    """Whether two values say the same; what cannot be compared is taken as being so."""
    if one is two:
        return True
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return one.keys() == two.keys() and all(alike(one[key], two[key]) for key in one)
    if type(one) is not type(two):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(alike, one, two))
    if isinstance(one, bool | int | float | str | bytes | set | frozenset):
        return bool(one == two) or (one != one and two != two)
    if isinstance(
        one, FunctionType
    ):  # made anew by each evaluation: a lambda, or the inside of another function
        inner = "<" in one.__qualname__ and one.__qualname__ == two.__qualname__
        return inner and (_of_rayfold(one.__code__) or _of_library(one.__code__))
    if isinstance(one, partial):
        return alike((one.func, one.args, one.keywords), (two.func, two.args, two.keywords))
    if dataclasses.is_dataclass(one):
        return all(alike(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(one))
    return True


def _is_function(
    held: Any, node: ast.FunctionDef, codes: Mapping[str, set[Any]], qualified_name: str
) -> bool:
    code = _code(held)
    return (
        code is not None and _signature(code) in codes.get(qualified_name, ()) and _defaults_hold(held, node)
    )


def _defaults_hold(held: Any, node: ast.FunctionDef) -> bool:
    if not isinstance(held, FunctionType) or hasattr(held, "__wrapped__"):
        return True
    given = [
        *zip(node.args.defaults, held.__defaults__ or (), strict=False),
        *(
            (default, (held.__kwdefaults__ or {}).get(argument.arg))
            for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            if default is not None
        ),
    ]
    for written, value in given:
        try:
            if repr(ast.literal_eval(written)) != repr(value):
                return False
        except ValueError:  # not written out
            continue
    return len(held.__defaults__ or ()) == len(node.args.defaults)


def _code(held: Any) -> CodeType | None:
    """The code of what a decorator was given; None where a layer is neither a library's nor known."""
    for _ in range(10):
        if isinstance(held, FunctionType):
            if not hasattr(held, "__wrapped__"):
                return held.__code__
            if not (_of_library(held.__code__) or (_of_rayfold(held.__code__) and _calls_wrapped(held))):
                return None
            held = held.__wrapped__
            continue
        inner = next((getattr(held, name) for name in _INNER if getattr(held, name, None) is not None), None)
        if inner is None or not _made_by_library(type(held)):
            return None
        held = inner
    return None


def _of_rayfold(code: CodeType) -> bool:
    """Whether a function is what one of Rayfold's files says, such as the inside of a decorator of ours."""
    file = Path(code.co_filename)
    if file.is_relative_to(_SOURCE) and file.is_file() and file.parts[len(_SOURCE.parts)] in PACKAGES:
        return _signature(code) in _of_file(file)[1].get(code.co_qualname, ())
    return False


def _calls_wrapped(held: FunctionType) -> bool:
    """Whether the only function that a wrapper holds is the one that it names."""
    inside = [cell.cell_contents for cell in held.__closure__ or ()]
    return all(one is held.__wrapped__ for one in inside if isinstance(one, FunctionType))  # type: ignore[attr-defined]


def _of_library(code: CodeType) -> bool:
    return code.co_filename.startswith(_LIBRARIES)


def _made_by_library(kind: type) -> bool:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return file is None or str(file).startswith(_LIBRARIES)  # builtins have no file


@cache
def _of_file(file: Path) -> tuple[ast.Module, Mapping[str, set[Any]]]:
    """A file's syntax, and what its functions compile to by their qualified name."""
    text = file.read_text()
    found: dict[str, set[Any]] = {}

    def walk(code: CodeType) -> None:
        found.setdefault(code.co_qualname, set()).add(_signature(code))
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                walk(constant)

    walk(compile(text, str(file), "exec", dont_inherit=True))
    return ast.parse(text), found


def _signature(code: CodeType) -> Any:
    """What a function does, whichever file it was compiled from."""
    constants = tuple(
        _signature(one)
        if isinstance(one, CodeType)
        else (type(one).__name__, sorted(map(repr, one)) if isinstance(one, frozenset) else repr(one))
        for one in code.co_consts
    )
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (
        code.co_code,
        repr(constants),
        *names,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags,
    )
