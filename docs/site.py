"""Hooks of MkDocs: they add to the site what does not lie in this folder.

That is the README as its start, the other pages of the repository's root, each file that a page links to,
and each file that such a file links to in its turn. The reference of study and space files is made from
their JSON schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from sret_search.commands.schema import FILES

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
}
"""Pages of the repository's root, and what they are in the site."""
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in this folder: called by MkDocs before it reads any page."""
    from mkdocs.structure.files import File, InclusionLevel

    linked = {
        link.removeprefix("../")
        for path in (ROOT / "docs").glob("*.md")
        for link in _LINK.findall(path.read_text(encoding="utf-8"))
        if link.startswith("../")
    }
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        linked |= {link for link in _LINK.findall(text) if not link.startswith("docs/")}
        files.append(File.generated(config, page, content=text.replace("](docs/", "](")))
    for page in [link for link in linked - PAGES.keys() if link.endswith(".md")]:
        text = (ROOT / page).read_text(encoding="utf-8")
        linked |= {str(PurePosixPath(page).parent / link) for link in _LINK.findall(text)}
    for link in sorted(linked - PAGES.keys()):
        beside = {"abs_src_path": str(ROOT / link), "inclusion": InclusionLevel.NOT_IN_NAV}
        files.append(File.generated(config, link, **beside))
    for name, made in FILES.items():
        page = f"reference/{Path(name).name.partition('.')[0]}.md"
        files.append(File.generated(config, page, content=reference(made())))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """What lies beside this folder in the repository lies in it in the site."""
    return markdown.replace("](../", "](")


def reference(schema: dict[str, Any]) -> str:
    """A page of a file's keys, a table for each mapping in it."""
    kind = str(schema["title"]).removesuffix("File")
    lines = [f"# {kind} files", "", "Made from the schema that checks them.", ""]
    lines += [str(schema.get("description", "")), "", *_table(schema, schema)]
    for name, one in schema["$defs"].items():
        lines += ["", f"## {name}", "", str(one.get("description", "")), ""]
        lines += _table(one, schema)
    return "\n".join(lines) + "\n"


def _table(mapping: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    yield "| key | takes | default | |"
    yield "|---|---|---|---|"
    for key, one in mapping.get("properties", {}).items():
        needed = key in mapping.get("required", ())
        plain = "needed" if needed else _default(one)
        about = " ".join(str(one.get("description", "")).split()).replace("|", "\\|")
        yield f"| `{key}` | {_kind(one)} | {plain} | {about} |"


def _default(one: dict[str, Any]) -> str:
    value = one.get("default")
    return "" if value is None or isinstance(value, dict) else f"`{json.dumps(value)}`"


def _kind(one: dict[str, Any]) -> str:
    """What a value may be, in words; mappings that have a table of their own are linked."""
    if "$ref" in one:
        name = str(one["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in one or "oneOf" in one:
        kinds = [_kind(part) for part in one.get("anyOf", one.get("oneOf"))]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind != "nothing"))
    if "const" in one:
        return f"`{one['const']}`"
    if "enum" in one:
        return ", ".join(f"`{value}`" for value in one["enum"])
    if one.get("type") == "array":
        return f"list of {_kind(one.get('items', {}))}"
    words = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "yes or no",
    }
    words |= {"null": "nothing", "object": "mapping"}
    kind = words.get(str(one.get("type")), "anything")
    ends = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {one[end]}" for end, sign in ends.items() if end in one]
    return " ".join([kind, *limits])
