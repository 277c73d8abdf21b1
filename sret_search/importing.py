"""Functions and classes that a user names by their import path."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sret_search.errors import nearest, require

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class NotImportedError(Exception):
    """An import path does not lead to a function or class. The message is a line that says why."""


def require_import_path(path: str) -> None:
    """Raise a ValueError unless a text has the form of an import path, package.module:name."""
    formed = _PATH.fullmatch(path) is not None
    require(formed, f"{path!r} is not of the form package.module:name")


def load(path: str) -> Callable[..., Any]:
    """The function or class at "package.module:name". Installed modules come before those of the
    working directory.

    Raises:
        NotImportedError: there is no such module, it cannot be imported, or it has no such
            function.
    """
    name, _, attribute = path.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            message = f"no module {missing}, neither installed nor in {here}"
            raise NotImportedError(message) from None
        raise NotImportedError(f"the module {name} cannot be imported: {summary(error)}") from error
    function = getattr(module, attribute, None)
    if not callable(function):
        place = getattr(module, "__file__", None) or name
        exported = getattr(module, "__all__", ())  # as in packages that only gather their modules
        names = [
            n for n, value in vars(module).items() if n in exported or _is_defined_in(value, name)
        ]
        fault = "has no" if function is None else "has no function or class named"
        raise NotImportedError(f"{place} {fault} {attribute}; {nearest(attribute, names)}")
    result: Callable[..., Any] = function
    return result


def check_options(function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Check that a function takes these keyword arguments and needs no others.

    Raises:
        TypeError: it does not. The message continues a sentence that begins with the function's
            name.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions in C have no signature
        return
    try:
        signature.bind(**options)
    except TypeError as error:
        raise TypeError(f"takes {signature}: {error}") from None


def summary(error: BaseException) -> str:
    """A line that says which error a user's code raised, and in which line of that code."""
    line = next(iter(str(error).strip().splitlines()), "")
    text = f"{type(error).__name__}: {line}" if line else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    # The innermost frame may lie in a library. The user's frame says more.
    place = [frame for frame in frames if _is_of_user(Path(frame.filename))][-1:]
    return f"{text} ({place[0].filename}:{place[0].lineno})" if place else text


def _is_of_user(file: Path) -> bool:
    installed = "site-packages" in file.parts or file.is_relative_to(Path(__file__).parent)
    return file.is_relative_to(Path.cwd()) and not installed


def _is_defined_in(value: Any, module: str) -> bool:
    return (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module
