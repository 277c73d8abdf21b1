"""The walls between the rooms of the package: data flows one way, left to right."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sret_search

PACKAGE = Path(sret_search.__file__).parent
ROOMS = [
    "errors", "terminal", "environment", "units", "importing", "writing", "pareto", "wilson", "architecture", "cost", "job",
    "config", "machine", "space", "study", "artifacts", "model", "training", "planning",
    "export", "trials", "search", "execution", "reporting", "run", "api", "commands", "__main__",
]  # fmt: skip
HEAVY = {"torch", "torchvision", "ray", "optuna"}
OF_STUDIES = {
    "pydantic", "sret_search.config", "sret_search.space", "sret_search.study",
}  # fmt: skip
FORBIDDEN = {
    "errors": HEAVY,
    "terminal": HEAVY,
    "environment": HEAVY,
    "units": HEAVY,
    "importing": HEAVY,
    "writing": HEAVY,
    "pareto": HEAVY,
    "wilson": HEAVY,
    "architecture": HEAVY,
    "cost": HEAVY,
    "job": HEAVY,
    "config": HEAVY,
    "machine": HEAVY,
    "space": HEAVY,
    "study": HEAVY,
    "artifacts": HEAVY,
    "model": {"ray", "optuna", "torchvision"} | OF_STUDIES,
    "training": {"ray", "optuna"} | OF_STUDIES,
    "planning": {"ray", "optuna"},
    "export": {"ray", "optuna"} | OF_STUDIES,
    "trials": {"torch", "torchvision", "ray"},
    "search": {"torchvision", "ray", "sqlalchemy"},
    "reporting": {"torch", "torchvision", "ray", "sret_search.execution"},
}
FORBIDDEN_ON_IMPORT = FORBIDDEN | {
    "planning": HEAVY,
    "search": {"torch", "torchvision", "ray", "sqlalchemy"},
    "execution": {"torch", "torchvision"},
    "run": {"torch", "torchvision", "ray"},
    "api": {"torch", "torchvision", "ray"},
    "commands": {"torch", "torchvision", "ray"},
    "__main__": {"torch", "torchvision", "ray"},
}
MAX_LINES = 350


def _module_name(file):
    parts = ["sret_search", *file.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {_module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}
INSIDE = sorted(set(FILES) - {"sret_search"})


def _room(module):
    return module.split(".")[1]


def _walk(tree, into_functions):
    """The nodes of a module; without those that run only when a function is called."""
    for node in ast.iter_child_nodes(tree):
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if into_functions or not function:
            yield node
            yield from _walk(node, into_functions)


def imported(module, source, is_package, into_functions=True):
    """Every module that a module imports, by its full name."""
    found = set()
    for node in _walk(ast.parse(source), into_functions):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            names = {f"{base}.{alias.name}" for alias in node.names}
            found.update({base} | {name for name in names if name in FILES})
    return found


def _imports(module, into_functions=True):
    file = FILES[module]
    source = file.read_text(encoding="utf-8")
    return imported(module, source, file.name == "__init__.py", into_functions)


def _reached_on_import(module):
    """Everything that importing a module imports, through the package but not beyond it."""
    reached, waiting = set(), {module}
    while waiting:
        name = waiting.pop()
        parts = name.split(".")
        found = {".".join(parts[:end]) for end in range(1, len(parts))}
        if name in FILES:
            found |= _imports(name, into_functions=False)
        reached.add(name)
        waiting |= found - reached
    return reached


def _hits(names, forbidden):
    return sorted(n for n in names for f in forbidden if n == f or n.startswith(f"{f}."))


def test_reading_imports_sees_every_way_to_write_one():
    source = (
        "import os.path as p\n"
        "from sret_search import cost\n"
        "from ..model import sret as s\n"
        "from . import load\n"
        "class A:\n"
        "    import ray\n"
        "def f():\n"
        "    from torch import nn\n"
    )
    always = {
        "os.path", "sret_search", "sret_search.cost", "sret_search.model",
        "sret_search.model.sret", "sret_search.study", "sret_search.study.load", "ray",
    }  # fmt: skip
    assert imported("sret_search.study.study", source, False, into_functions=False) == always
    assert imported("sret_search.study.study", source, False) == always | {"torch"}


def test_every_module_lies_in_a_known_room():
    assert {_room(module) for module in INSIDE} <= set(ROOMS)
    assert {"study", "model", "training", "search", "reporting"} <= {_room(m) for m in INSIDE}


def test_no_module_imports_itself_in_a_circle():
    after = {module: _imports(module) & set(INSIDE) - {module} for module in INSIDE}
    # A package's own file stands for its modules, which it may gather.
    after = {m: names for m, names in after.items() if FILES[m].name != "__init__.py"}
    while ended := [m for m, names in after.items() if not names & after.keys()]:
        for module in ended:
            del after[module]
    assert sorted(after) == []


def test_the_package_itself_imports_none_of_its_rooms():
    assert not [name for name in _imports("sret_search") if name.startswith("sret_search")]


@pytest.mark.parametrize("module", INSIDE)
def test_a_room_imports_only_rooms_to_its_left(module):
    own = ROOMS.index(_room(module))
    inside = [name for name in _imports(module) if name in FILES and name != "sret_search"]
    assert [name for name in inside if ROOMS.index(_room(name)) > own] == []


@pytest.mark.parametrize("module", [m for m in INSIDE if _room(m) in FORBIDDEN])
def test_a_room_never_imports_what_it_does_without(module):
    assert _hits(_imports(module), FORBIDDEN[_room(module)]) == []


@pytest.mark.parametrize("module", [m for m in INSIDE if _room(m) in FORBIDDEN_ON_IMPORT])
def test_importing_a_room_loads_nothing_that_it_does_without(module):
    assert _hits(_reached_on_import(module), FORBIDDEN_ON_IMPORT[_room(module)]) == []


@pytest.mark.parametrize(
    "module", ["study", "reporting.write", "run", "commands.cost", "commands.plan"]
)
def test_a_fresh_interpreter_loads_neither_torch_nor_ray_with(module):
    code = (
        f"import sys, sret_search.{module}\n"
        "print(sorted({'torch', 'ray'} & {name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", sorted(FILES))
def test_a_module_is_short(module):
    assert len(FILES[module].read_text(encoding="utf-8").splitlines()) <= MAX_LINES
