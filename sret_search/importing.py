"""What a user names in a study by its import path."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sret_search.errors import nearest


class NotImportedError(Exception):
    """An import path leads to nothing that can be called: one line that says where it ends."""


def load(path: str) -> Callable[..., Any]:
    """The function or class at "package.module:name". The working directory is looked into after
    everything that is installed.

    Raises:
        NotImportedError: there is no such module, it cannot be imported, or has no such name.
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
        raise NotImportedError(f"the module {name} cannot be imported: {told(error)}") from error
    found = getattr(module, attribute, None)
    if not callable(found):
        place = getattr(module, "__file__", None) or name
        own = [n for n, value in vars(module).items() if _is_own(value, name)]
        what = "has no" if found is None else "has something else than a function as"
        raise NotImportedError(f"{place} {what} {attribute}; {nearest(attribute, own)}")
    result: Callable[..., Any] = found
    return result


def check_options(function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """See that a function takes these keyword arguments and no others.

    Raises:
        TypeError: it does not; goes on from the name of the function.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:  # some that are not written in Python have none
        return
    try:
        signature.bind(**options)
    except TypeError as error:
        raise TypeError(f"takes {signature}: {error}") from None


def told(error: BaseException) -> str:
    """What went wrong in code of the user's, and in which line of it, on one line."""
    said = next(iter(str(error).strip().splitlines()), "")
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    # Lines of libraries, further in, say less to who wrote the code here.
    place = [frame for frame in frames if _is_of_user(Path(frame.filename))][-1:]
    return f"{text} ({place[0].filename}:{place[0].lineno})" if place else text


def _is_of_user(file: Path) -> bool:
    installed = "site-packages" in file.parts or file.is_relative_to(Path(__file__).parent)
    return file.is_relative_to(Path.cwd()) and not installed


def _is_own(value: Any, module: str) -> bool:
    return (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module
