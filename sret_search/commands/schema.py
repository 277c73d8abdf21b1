"""`sret-search schema`: the JSON schemas of study and space files, for editors."""

from __future__ import annotations

import argparse
import json

from sret_search.commands.arguments import command_line
from sret_search.config.json_schema import space_schema, study_schema
from sret_search.config.problems import shown
from sret_search.job.paths import named_path
from sret_search.study import StudyError

_DESCRIPTION = """\
Print the JSON schemas of study and space files, or write them into a folder. Editors with a YAML
language server complete and check a file that begins with

    # yaml-language-server: $schema=study.schema.json
"""

FILES = {"studies/study.schema.json": study_schema, "spaces/space.schema.json": space_schema}
"""The schemas' files in the project, each with the function that makes it."""


def parser(prog: str) -> argparse.ArgumentParser:
    """The parser of `schema`."""
    result = command_line(prog, _DESCRIPTION, "schema\nschema --out .")
    result.add_argument(
        "--out", metavar="DIR", type=named_path, help=f"write {' and '.join(FILES)} there"
    )
    return result


def main(argv: list[str], prog: str) -> None:
    """Print an object with both schemas, or write each to its file.

    Raises:
        StudyError: the folder cannot be written.
    """
    out = parser(prog).parse_args(argv).out
    if out is None:
        print(json.dumps({name: made() for name, made in FILES.items()}, indent=1))
        return
    for name, made in FILES.items():
        try:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(written(made()), encoding="utf-8")
        except OSError as error:
            raise StudyError(f"{shown(out / name)} cannot be written: {error.strerror}") from None
        print(shown(out / name))


def written(schema: dict[str, object]) -> str:
    """The text of a schema's file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
