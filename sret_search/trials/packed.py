"""The packed ledger: a small file from which a report is drawn without the study's folder.

`reports/<study>/ledger.json.xz` has the description, the declarations and every trial of a ledger.
It also has a bit for each trial and test image: whether the trial classified the image right. Of
monitored trials it has the effect of each execution after the last epoch. It has no weights, so no
trial can be continued, exported or evaluated from it.
`reports/shipped/<study>/` may have it too: a repository keeps that folder, and no run writes there.
"""

from __future__ import annotations

import base64
import json
import lzma
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sret_search.config.problems import Problem
from sret_search.study import Study, StudyError
from sret_search.study.description import StudyDescription
from sret_search.trials import compatibility, sqlite
from sret_search.trials.declarations import Declaration
from sret_search.trials.depth_records import DepthRecords, KnownRecords
from sret_search.trials.depth_records import read as read_depth
from sret_search.trials.predictions import Known, Outcomes
from sret_search.trials.trial import TrialRecord

FILE = "ledger.json.xz"
_SHIPPED = Path("reports/shipped")
_LARGEST = 2**30
"""Largest size of an unpacked ledger in bytes. A larger one is refused before it is read."""


@dataclass(frozen=True)
class Packed:
    """The content of a packed ledger.

    Attributes:
        description: of the study, from its last run.
        entries: every trial, in order of number.
        only_retrainable: numbers of the complete trials without a full checkpoint.
        outcomes: the test images that each trial classified right.
        depths: the effect of each execution in monitored trials. Earlier programs packed none.
    """

    description: StudyDescription
    declarations: list[Declaration]
    entries: list[TrialRecord]
    only_retrainable: list[int]
    outcomes: Outcomes
    depths: DepthRecords = field(default_factory=KnownRecords)


def file_of(study: Study) -> Path:
    """Path of the packed ledger of a study: in its report, or else among the shipped ones."""
    packed_here = study.report_folder / FILE
    return packed_here if packed_here.is_file() else _SHIPPED / study.name / FILE


def stands_for(study: Study) -> bool:
    """Whether a study has a packed ledger here, and no other ledger."""
    if study.file.storage.url is not None or not file_of(study).is_file():
        return False
    return not sqlite.has_content(study)


def write(study: Study, content: Packed) -> bytes:
    """The bytes of a packed ledger, which are the same for the same content.

    They do not contain the path of the study's folder.
    """
    plain = {
        "description": content.description.at_no_place(study.path.name).to_json(),
        "declarations": [
            replace(each, description=each.description.at_no_place(study.path.name)).to_json()
            for each in content.declarations
        ],
        "entries": [entry.to_dict() for entry in content.entries],
        "only_retrainable": content.only_retrainable,
        "right": {
            str(entry.number): {
                network: _bits(right)
                for network in content.outcomes.known(entry.number)
                if (right := content.outcomes.right(entry.number, network)) is not None
            }
            for entry in content.entries
        },
    }
    depths = {
        str(entry.number): record.to_dict()
        for entry in content.entries
        if entry.state == "complete" and entry.plain.get("monitor")
        if (record := content.depths.last(entry.number)) is not None
    }
    if depths:
        plain["depths"] = depths
    text = json.dumps(plain, separators=(",", ":"))
    return lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)


def read(study: Study) -> Packed:
    """Read the packed ledger of a study.

    Raises:
        StudyError: it is damaged, or another version wrote it.
    """
    file = file_of(study)
    try:
        with lzma.open(file) as packed:
            text = packed.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise ValueError(f"it unpacks to more than {_LARGEST:,} bytes")
        plain = json.loads(text)
        description = StudyDescription.from_json(plain["description"])
        if description.name != study.name:
            raise ValueError(f"it is of the study {description.name}, not of {study.name}")
        content = Packed(
            description,
            [Declaration.from_json(each) for each in plain["declarations"]],
            [TrialRecord.from_dict(each) for each in plain["entries"]],
            [int(number) for number in plain["only_retrainable"]],
            Known(
                {
                    int(number): {network: _right(bits) for network, bits in by_network.items()}
                    for number, by_network in plain["right"].items()
                }
            ),
            KnownRecords(
                {int(number): read_depth(each) for number, each in plain.get("depths", {}).items()}
            ),
        )
    except (
        OSError,
        EOFError,
        lzma.LZMAError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as e:
        message = f"the packed ledger cannot be read: {e or type(e).__name__}"
        raise StudyError([Problem(message, file)]) from None
    compatibility.refuse_other_format(str(file), description)
    return content


def _bits(right: np.ndarray) -> list[Any]:
    return [len(right), base64.b64encode(np.packbits(right).tobytes()).decode()]


def _right(plain: list[Any]) -> np.ndarray:
    images, text = plain
    bits = np.frombuffer(base64.b64decode(text), np.uint8)
    return np.unpackbits(bits, count=images).astype(bool)
