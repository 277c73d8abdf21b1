"""The description of a study in its ledger, as a record. Its JSON is read and written only here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from sret_search.config import yaml_source
from sret_search.config.addresses import masked, masked_value
from sret_search.config.space_file import Budget
from sret_search.job import Contents, Recipe
from sret_search.job.paths import is_url
from sret_search.study.study import Study

_KNOWN_NOW = {
    "budget": Budget().model_dump(mode="json"),
    "recipe": TypeAdapter(Recipe).dump_python(Recipe(), mode="json"),
}
"""Fields of the budget and the recipe that this version knows, at their defaults."""


@dataclass(frozen=True, slots=True)
class DescribedData:
    """The data set of a study, as the ledger describes it.

    Attributes:
        plain: the JSON: fields of `Data`, perhaps of an earlier version, and the sizes.
    """

    plain: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The name of the data set, or its folder of images."""
        return str(self.plain.get("imagefolder") or self.plain["name"])

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Number of images for training, validation and test."""
        train, val, test = self.plain["sizes"]
        return train, val, test

    @property
    def split_seed(self) -> int:
        return int(self.plain["split_seed"])

    @property
    def folds(self) -> int | None:
        """Number of folds; None without folds."""
        folds: int | None = self.plain["folds"]
        return folds

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON of the fields, without the sizes."""
        return {name: value for name, value in self.plain.items() if name != "sizes"}

    def differences(self, other: DescribedData) -> Iterator[tuple[str, Any, Any]]:
        """Each field whose value is another in `other`: its name, the value here, the value there."""
        for name, value in self.plain.items():
            there = other.plain.get(name)
            if value != there:
                yield name, value, there


@dataclass(frozen=True, slots=True)
class StudyDescription:
    """A study with its space and data, as a run of it stored them in the ledger.

    Attributes:
        plain: the JSON. Earlier versions stored fewer fields. A field that this version does not
            know stays as it is.
    """

    plain: Mapping[str, Any]

    @classmethod
    def of(cls, study: Study, version: int, trials: int) -> StudyDescription:
        """Describe a study as it is now.

        Args:
            version: version of the ledger's format.
            trials: the number of trials that the study asks for at least.
        """
        root, file, space = study.trials_root, study.file, study.space
        return cls.from_json(
            {
                **file.model_dump(mode="json"),
                "format": version,
                "data": file.data.to_dict() | {"sizes": list(study.sizes)},
                **({} if study.contents is None else {"contents": study.contents.to_dict()}),
                "path": str(study.path.resolve()),
                "root": masked(root if is_url(root) else os.path.abspath(root)),
                "text": study.source.text,
                "space_text": study.space_source.text,
                "architecture": space.architecture.to_dict(),
                "axes": {path: axis.model_dump(mode="json") for path, axis in space.axes.items()},
                "budget": space.budget.model_dump(mode="json"),
                "trials": trials,
                "classes": space.architecture.classes,
            }
        )

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> StudyDescription:
        """Read a description, with *** for each secret. Earlier versions may have stored secrets."""
        texts = {
            name: yaml_source.without_secrets(plain[name])
            for name in ("text", "space_text")
            if name in plain
        }
        kept = {"storage": masked_value(plain["storage"])} if "storage" in plain else {}
        return cls({**plain, **texts, **kept})

    def to_json(self) -> dict[str, Any]:
        """The description as the ledger stores it."""
        return dict(self.plain)

    def changed(self, **parts: Any) -> StudyDescription:
        """The same description with other values of some fields, as JSON."""
        return StudyDescription({**self.plain, **parts})

    def at_no_place(self, file: str) -> StudyDescription:
        """The same description, without the places of the study on this machine.

        Args:
            file: the name of the study file, in place of its path.
        """
        rest = {name: value for name, value in self.plain.items() if name != "root"}
        return StudyDescription({**rest, "path": file})

    def part(self, name: str, default: Any = None) -> Any:
        """The JSON of a field by its name, for comparisons. Earlier versions may not have it.

        Budget and recipe have every field that this version knows: earlier versions knew fewer.
        """
        value = self.plain.get(name, default)
        return value if value is None or name not in _KNOWN_NOW else _KNOWN_NOW[name] | value

    @property
    def name(self) -> str:
        """The name of the study."""
        return str(self.plain["study"])

    @property
    def format(self) -> int:
        """The version of the ledger's format."""
        version: int = self.plain.get("format", 1)
        return version

    @property
    def path(self) -> str | None:
        """The path of the study file."""
        return self.plain.get("path")

    @property
    def root(self) -> str | None:
        """The place of the trials' folders."""
        return self.plain.get("root")

    @property
    def text(self) -> str | None:
        """The text of the study file."""
        return self.plain.get("text")

    @property
    def space_text(self) -> str | None:
        """The text of the space file."""
        return self.plain.get("space_text")

    @property
    def data(self) -> DescribedData:
        """The data set."""
        return DescribedData(self.plain["data"])

    @property
    def contents(self) -> Contents | None:
        """The contents of the data; None if they were not stored."""
        plain = self.plain.get("contents")
        return None if plain is None else Contents.from_dict(plain)

    @property
    def trials(self) -> int:
        """The number of trials that the study asks for at least."""
        return int(self.plain["trials"])

    @property
    def objectives(self) -> list[str]:
        """The names of the objectives."""
        return list(self.plain["objectives"])

    @property
    def order(self) -> str:
        """The order of the search, "strict" or "eager"."""
        return str(self.plain["search"]["order"])

    @property
    def confirmed_on(self) -> str:
        """The images on which the front is confirmed, in a study that confirms it."""
        return str(self.plain["confirm"]["on"])

    @property
    def stored_axes(self) -> dict[str, str]:
        """The distribution of each axis in the database, as JSON text, by path."""
        return dict(self.plain.get("stored", {}))

    @property
    def axes(self) -> Mapping[str, Any]:
        """The JSON of each axis, by path."""
        axes: Mapping[str, Any] = self.plain["axes"]
        return axes
