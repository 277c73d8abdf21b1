"""Correct classifications of each trial by image, from its predictions or a packed ledger."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from zipfile import BadZipFile

import numpy as np

from sret_search.artifacts.names import PREDICTIONS
from sret_search.artifacts.trial_folders import TrialFolders


class Outcomes(Protocol):
    """Correct classifications, by trial."""

    def right(self, number: int, network: str) -> np.ndarray | None:
        """Whether a trial classified each test image right, booleans (images,); None if unknown.

        Args:
            network: "test" for the network as it was trained, or "rerun-<i>" for its i-th rerun at
                another depth.
        """

    def known(self, number: int) -> list[str]:
        """The networks for which `right` has values of a trial."""


@dataclass(frozen=True)
class Predictions:
    """Classifications from the files of trials.

    Attributes:
        attempts: of each trial, oldest first.
    """

    folders: TrialFolders
    attempts: Mapping[int, Sequence[str]]

    def right(self, number: int, network: str) -> np.ndarray | None:
        return self._read(number).get(network)

    def known(self, number: int) -> list[str]:
        return list(self._read(number))

    def _read(self, number: int) -> dict[str, np.ndarray]:
        for attempt in self.attempts.get(number, []):
            # A damaged file counts as absent.
            with suppress(OSError, ValueError, EOFError, KeyError, BadZipFile, zlib.error):
                file = self.folders.open(attempt, PREDICTIONS)
                with np.load(file, allow_pickle=False) as arrays:
                    labels = arrays["labels"]
                    return {
                        network: arrays[network] == labels
                        for network in arrays
                        if network != "labels"
                    }
        return {}


@dataclass(frozen=True)
class Known:
    """Classifications in memory, by trial."""

    by_trial: Mapping[int, Mapping[str, np.ndarray]]

    def right(self, number: int, network: str) -> np.ndarray | None:
        return self.by_trial.get(number, {}).get(network)

    def known(self, number: int) -> list[str]:
        return list(self.by_trial.get(number, {}))
