"""Models on the Hugging Face hub. It needs the extra `hub`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from sret_search.architecture import Architecture
from sret_search.artifacts.names import WEIGHTS
from sret_search.cost import MEMORY_BUDGET
from sret_search.export.extras import require_extra
from sret_search.job.paths import expanded
from sret_search.model import SReT, load, save

require_extra("hub")

from huggingface_hub import PyTorchModelHubMixin, hf_hub_download  # noqa: E402


class HubSReT(  # type: ignore[call-arg]
    SReT,
    PyTorchModelHubMixin,
    library_name="sret_search",
    tags=["sret", "image-classification"],
    coders={Architecture: (Architecture.to_dict, Architecture.from_dict)},
):
    """SReT with `from_pretrained`, `save_pretrained` and `push_to_hub`.

    They write and read the project's `model.safetensors`. An exported folder can be uploaded
    unchanged, and `load` reads files of `save_pretrained`.
    """

    def __init__(self, architecture: Architecture, memory_budget: int = MEMORY_BUDGET) -> None:
        super().__init__(architecture, memory_budget)

    @classmethod
    def of(cls, model: SReT) -> Self:
        """A model with the same weights, copied, and in the same mode."""
        twin = cls(model.architecture, model.memory_budget)
        twin.to(model.positions_1DSS).load_state_dict(model.state_dict())
        return twin.train(model.training)

    def _save_pretrained(self, save_directory: Path) -> None:
        save(self, save_directory / WEIGHTS)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, map_location: str = "cpu", **options: Any) -> Self:
        """A model from a folder, or from the hub.

        Raises:
            CheckpointError: the file was not written by this project, or is damaged.
        """
        folder = Path(expanded(model_id))
        path = folder / WEIGHTS
        if not folder.is_dir():
            names = ("revision", "cache_dir", "force_download", "token", "local_files_only")
            path = hf_hub_download(model_id, WEIGHTS, **{n: options.get(n) for n in names})
        return cls.of(load(path)).to(map_location)
