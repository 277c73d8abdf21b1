"""Reader of YAML 1.2 files, as plain data with the line and column of each part."""

from __future__ import annotations

import codecs
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLWarning
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from sret_search.config.addresses import masked, masked_value
from sret_search.config.problems import Problem, StudyError
from sret_search.errors import encodable

KeyPath = tuple[str | int, ...]

_LARGEST = 50_000
"""Largest number of bytes of a file, and of values in it, with repetitions by aliases."""
_DEEPEST = 50
"""Largest depth of lists and mappings inside of each other."""
_DEEP = f"more than {_DEEPEST} lists and mappings inside of each other"
_MOST = 2**63
"""Bound of whole numbers, excluded."""


_OTHER_VERSION = re.compile(r"^%YAML[ \t]+(?!1\.2\s)", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_][\w.*]{0,39}")
"""Form of a key of these files. Messages show no other keys, which may be of a wrong file."""


@dataclass(slots=True)
class SourceFile:
    """A file that was read.

    Attributes:
        file: path of the file.
        data: its content as plain data.
        text: its text.
        keys, values: line and column of each key and value, counted from 1, by path.
    """

    file: File
    data: dict[str, Any]
    text: str = ""
    keys: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    values: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)

    def problem(self, path: KeyPath, message: str, *, at_key: bool = False) -> Problem:
        """Make a problem at the deepest part of `path` that the file has.

        Args:
            at_key: whether the place is that of the key, not of the value.
        """
        for end in range(len(path), -1, -1):
            places = (self.keys, self.values) if at_key else (self.values, self.keys)
            place = places[0].get(path[:end]) or places[1].get(path[:end])
            if place is not None:
                return Problem(message, self.file, *place)
        return Problem(message, self.file, 1, 1)


def read(file: File) -> SourceFile:
    """Read a mapping from a file.

    Raises:
        StudyError: the file does not exist, is no UTF-8 text, no YAML or no mapping, or has a
            key twice.
    """
    try:
        if file.exists() and not (file.is_file() or file.is_dir()):
            raise StudyError([Problem("cannot be read: it is not a file", file)])
        if file.is_file() and file.stat().st_size > _LARGEST:
            raise StudyError([Problem(f"is larger than {_LARGEST:,} bytes", file, 1, 1)])
        content = file.read_bytes()
    except FileNotFoundError:
        raise StudyError([Problem(f"no such file{_beside(file)}", file)]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StudyError([Problem(f"cannot be read: {reason}", file)]) from None
    text = _decoded(content, file)
    other = _OTHER_VERSION.search(text)
    if other is not None:
        message = "these files are YAML 1.2: leave out this line, or write %YAML 1.2"
        raise StudyError([Problem(message, file, *_place(text, other.start()))])
    return parse(text, file)


def _decoded(content: bytes, file: File) -> str:
    # In UTF-16 and UTF-32, each character that these files use has a byte 0.
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:4]:
        message = "cannot be read: it is UTF-16 or UTF-32 text; save it as UTF-8"
        raise StudyError([Problem(message, file, 1, 1)])
    try:
        return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        place = _place(content[: error.start].decode(), error.start)
        message = "cannot be read: it is not UTF-8 text from here on; save it as UTF-8"
        raise StudyError([Problem(message, file, *place)]) from None


def _place(text: str, position: int) -> tuple[int, int]:
    """Line and column of a position in a text, counted from 1."""
    before = text[:position]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def parse(text: str, file: File) -> SourceFile:
    """Read a mapping from the text of a file.

    Raises:
        StudyError: the text is no YAML or no mapping, or has a key twice.
    """
    with warnings.catch_warnings():
        # YAML allows a repeated anchor. The parser would print twelve lines of warning for it.
        warnings.simplefilter("ignore", YAMLWarning)
        return _parsed(text, file)


def _parsed(text: str, file: File) -> SourceFile:
    try:
        yaml = YAML(typ="safe", pure=True)
        root = yaml.compose(text)
    except RecursionError:
        raise StudyError([_too_deep(text, file)]) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise StudyError(
            [Problem(f"not valid YAML: {_unquoted(error.problem or error.context)}", file, *place)]
        ) from None
    except ReaderError as error:
        message = f"not valid YAML: the character U+{error.character:04X} stands here; remove it"
        raise StudyError([Problem(message, file, *_place(text, error.position))]) from None
    except YAMLError as error:
        raise StudyError(
            [Problem(f"not valid YAML: {str(error).splitlines()[0]}", file, 1, 1)]
        ) from None
    if not isinstance(root, MappingNode):
        raise StudyError([Problem("a mapping of keys to values is needed", file, 1, 1)])
    document = SourceFile(file, {}, text)
    document.data = _plain(root, (), document, yaml)
    return document


def without_secrets(text: str) -> str:
    """The text of a YAML file with *** in place of secrets, in comments too."""
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, RecursionError):
        root = None
    # The last value is replaced first, so that the positions of the others do not change.
    for node in sorted(_scalars(root), key=lambda node: -node.start_mark.index):
        shown = masked_value(node.value)
        if shown != node.value:
            start, end = node.start_mark.index, node.end_mark.index
            end = start + len(text[start:end].rstrip())
            text = text[:start] + json.dumps(shown) + text[end:]
    return masked(text)


def _scalars(node: Node | None) -> Iterator[ScalarNode]:
    """Values and keys below a node, each once, even if aliases repeat it."""
    seen, waiting = set(), [node]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, ScalarNode):
            yield current
        elif isinstance(current, MappingNode):
            waiting += [part for pair in current.value for part in pair]
        elif isinstance(current, SequenceNode):
            waiting += current.value


def _too_deep(text: str, file: File) -> Problem:
    """Problem at the place where lists and mappings are too deep inside of each other."""
    depth = line = column = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        line, column = event.start_mark.line, event.start_mark.column
        if depth > _DEEPEST:
            break
    return Problem(_DEEP, file, line + 1, column + 1)


def _plain(
    node: Node, path: KeyPath, document: SourceFile, yaml: YAML, around: tuple[int, ...] = ()
) -> Any:
    """Convert a node to plain data, and record the places of its keys and values.

    Args:
        around: ids of the nodes that contain it. An alias may name one of them.

    Raises:
        StudyError: the node is too deep or too large, contains itself, or is not plain data.
    """
    place = (node.start_mark.line + 1, node.start_mark.column + 1)
    if id(node) in around:
        raise StudyError(
            [Problem("an alias refers to a value that contains it", document.file, *place)]
        )
    around = (*around, id(node))
    if len(around) > _DEEPEST:
        raise StudyError([Problem(_DEEP, document.file, *place)])
    if len(document.values) >= _LARGEST:
        message = f"with its aliases expanded, the file has more than {_LARGEST:,} values"
        raise StudyError([Problem(message, document.file, *place)])
    # An empty value starts at the next line. The place of its key is better for a message.
    written = node.end_mark.index > node.start_mark.index
    document.values.setdefault(path, place if written else document.keys.get(path, place))
    if isinstance(node, MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, ScalarNode):
                raise StudyError([Problem("a key must be a plain word", document.file, *place)])
            key = key_node.value
            if key in mapping:
                named = masked_value(key) if _NAME.fullmatch(key) else "this key"
                raise StudyError([Problem(f"{named} stands here twice", document.file, *place)])
            if key == "<<":
                message = "YAML 1.2 has no merge keys: write out the keys that << would merge"
                raise StudyError([Problem(message, document.file, *place)])
            document.keys[*path, key] = place
            mapping[key] = _plain(value_node, (*path, key), document, yaml, around)
        return mapping
    if isinstance(node, SequenceNode):
        return [
            _plain(item, (*path, i), document, yaml, around) for i, item in enumerate(node.value)
        ]
    try:
        value = yaml.constructor.construct_object(node, deep=True)
    except (YAMLError, ValueError):
        message = "a value with a tag is not plain data: leave the tag out"
        raise StudyError([Problem(message, document.file, *place)]) from None
    if isinstance(value, int) and abs(value) >= _MOST:
        raise StudyError([Problem("a number is too large", document.file, *place)])
    value = value if value is None or isinstance(value, bool | int | float) else str(node.value)
    if isinstance(value, str) and (encodable(value) != value or "\0" in value):
        message = "this text has an escape that is no character, such as \\0 or half of a pair"
        raise StudyError([Problem(message, document.file, *place)])
    return value


def _unquoted(problem: str) -> str:
    """Message of the parser without quotes from the file, which may be a wrong file."""
    if problem.startswith("but found another document"):
        return "a second document begins here, but a file has only one"
    return re.sub(r"(alias|anchor|tag handle|character) '\w[^\n]*?'", r"\1", problem)


def _beside(file: File) -> str:
    """Text that lists the YAML files in the folder of a missing file."""
    if not file.parent.is_dir():
        return ""
    names = sorted(path.name for path in file.parent.glob("*.yaml"))
    return f"; {file.parent}/ has {', '.join(names[:8])}" if names else ""
