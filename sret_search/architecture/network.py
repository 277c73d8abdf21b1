"""The whole network.

An `Architecture` is hashable and compares by value. It checks every rule when it is created.
`to_dict` gives plain data for YAML. Depth is counted in three ways: *unique blocks* are distinct
sets of weights, *loops* are the runs of each block, *executions* are the runs of all blocks.

Mechanisms: Shen, Liu, Xing, "Sliced Recursive Transformer", ECCV 2022, arXiv 2111.05297.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sret_search.architecture import canonical, rules
from sret_search.architecture.parts import (
    NLL,
    STRICT,
    Loop,
    Norm,
    Order,
    Permutation,
    Relax,
    Residual,
    Stage,
    Stem,
    sides,
    stem_channels,
)


class ArchitectureError(ValueError):
    """A broken rule of the family. `path` names the field, such as ("stages", 0, "groups")."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


PARTS = {"nll": NLL, "residual": Residual, "relax": Relax, "loop": Loop}
"""Types of the architecture's fields that are mappings."""


class Execution(NamedTuple):
    """A run of a block of a stage.

    Attributes:
        block, loop: indices of the block and of its loop.
        nll: index of the NLL after it; None without an NLL.
        is_injected: the stage's input is injected before it, if the architecture injects it.
        ends_loop: it ends a loop of the stage's last blocks. The head may read the state after it.
    """

    block: int
    loop: int
    nll: int | None
    is_injected: bool
    ends_loop: bool


@dataclass(frozen=True, slots=True)
class Architecture:
    """A whole network: stem, stages of recursive blocks, linear head.

    A network with one stage is isotropic (DeiT). With several stages it is a pyramid (SReT, PiT).

    Attributes:
        image_size: side of the square input, in pixels.
        in_channels: channels of the input.
        classes: outputs of the head.
        stem_strides: stride of each convolution of the stem.
        stages: the stages, joined by depthwise 3×3 convolutions of stride 2.
        stem: "convolutions" are 3×3, with batch normalisation and ReLU. "patch" is one linear
            convolution, with a kernel as wide as its stride.
        order: order of the executions of a stage. "sequence" runs each block for all of its
            loops, A A B B (the paper). "cycle" alternates neighbours with an equal number of
            loops, A B A B.
        nll: the non-linear projection layers.
        residual: how branches are added.
        relax: the weights that differ between loops of a block.
        loop: the exchange between loops: the stage's input, the loop's index, copies of the state.
        norm: "pre" normalises the input of each branch (the paper). "sandwich" also normalises its
            output (Ding et al., 2105.13290, §3.2).
        permutation: order of tokens from the second loop on, if attention is sliced. "none"
            keeps the order. "stride" puts every G-th token into a slice. "official" draws a new
            random order at each forward pass, in evaluation too, as the published code does.
        drop_path: rate of stochastic depth at the last execution. It rises linearly from 0.

    Raises:
        ArchitectureError: a rule is broken. The message has the rule and the values.
    """

    image_size: int
    in_channels: int
    classes: int
    stem_strides: tuple[int, ...]
    stages: tuple[Stage, ...]
    stem: Stem = "convolutions"
    order: Order = "sequence"
    nll: NLL = field(default_factory=NLL)
    residual: Residual = field(default_factory=Residual)
    relax: Relax = field(default_factory=Relax)
    loop: Loop = field(default_factory=Loop)
    norm: Norm = "pre"
    permutation: Permutation = "none"
    drop_path: float = 0.0

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        object.__setattr__(self, "drop_path", float(self.drop_path))
        broken = self._broken()
        if broken is not None:
            raise ArchitectureError(*broken)

    def _broken(self) -> rules.Broken | None:
        """The first broken rule. Each rule assumes that the rules before it hold."""
        broken = rules.of_network(
            self.image_size, self.in_channels, self.classes,
            self.stem, self.stem_strides, self.order, self.permutation,
            self.nll, self.residual, self.relax, self.loop, self.norm, self.drop_path,
            len(self.stages),
        )  # fmt: skip
        previous = 0
        for i, stage in enumerate(self.stages):
            broken = broken or rules.of_stage(
                i, stage, self.nll, self.image_size, self.stem_strides, previous
            )
            previous = stage.width
        if broken is None and self.residual.kind == "scaled":
            blocks = self.unique_blocks
            for i, stage in enumerate(self.stages):
                broken = broken or rules.of_scale(i, stage, self.residual, blocks)
        return broken

    @property
    def executions(self) -> int:
        """Block executions of one forward pass: the depth of a study."""
        return sum(stage.executions for stage in self.stages)

    @property
    def loops(self) -> int:
        """Largest number of executions of a block."""
        return max(stage.most_loops for stage in self.stages)

    def at_loops(self, loops: int) -> Architecture:
        """The same blocks with another number of loops.

        Args:
            loops: for the blocks with the most loops. The loops of other blocks change in
                proportion. Blocks that run once do not change.
        """
        part = loops / self.loops

        def scaled(count: int) -> int:
            return max(round(count * part), 1) if count > 1 else count

        return dataclasses.replace(
            self,
            stages=tuple(
                dataclasses.replace(
                    s,
                    loops=scaled(s.loops)
                    if isinstance(s.loops, int)
                    else tuple(scaled(count) for count in s.loops),
                )
                for s in self.stages
            ),
        )

    @property
    def unique_blocks(self) -> int:
        return sum(stage.unique for stage in self.stages)

    @property
    def sides(self) -> tuple[int, ...]:
        """Side of each stage's square grid of tokens."""
        return sides(self.image_size, self.stem_strides, len(self.stages))

    @property
    def stem_channels(self) -> tuple[int, ...]:
        """Output channels of the stem's convolutions: half of the width, then the width."""
        return stem_channels(self.stem_strides, self.stages[0].width)

    def nlls(self, stage: Stage) -> int:
        """Distinct NLLs of a stage."""
        return self.nll.count(stage)

    def schedule(self, stage: Stage) -> list[Execution]:
        """The executions of a stage, in the order in which they run."""
        share = self.nll.share
        return [
            Execution(
                run.block,
                run.loop,
                {"none": None, "stage": 0, "block": run.block, "execution": i}[share],
                run.loop > 0 and run.block == run.first,
                run.block == stage.unique - 1,
            )
            for i, run in enumerate(_runs(stage, self.order))
        ]

    @property
    def loops_read(self) -> int:
        """Number of loops after which the head may read the state: those of the last block."""
        return self.stages[-1].loops_of(self.stages[-1].unique - 1)

    @property
    def reads_all_loops(self) -> bool:
        """Whether the prediction depends on the state after every loop."""
        return self.loop.readout in ("mean", "weighted") and self.loops_read > 1

    @property
    def built(self) -> tuple[Any, ...]:
        """Canonical form: equal for architectures that build the same network."""
        network: tuple[Any, ...] = (
            self.image_size, self.in_channels, self.classes,
            self.stem, self.stem_strides, self.drop_path,
            *canonical.of_residual(self.residual, self.relax, self.unique_blocks),
        )  # fmt: skip
        for stage in self.stages:
            network += canonical.of_stage(
                stage, self.order, self.permutation, self.nll, self.residual, self.relax
            )
        # Earlier networks have no such entries, and candidates are named by this form.
        network += canonical.of_loop(self.loop, [s.most_loops for s in self.stages])
        if self.reads_all_loops:
            network += (("readout", self.loop.readout),)
        return network if self.norm == "pre" else (*network, ("norm", self.norm))

    @property
    def weights(self) -> tuple[Any, ...]:
        """Form of the weights: equal for architectures that can load the same weights.

        A stage that runs once leaves the weights of its loops unused, or starts with their initial
        values.
        """
        loop = self.loop
        by_loop = self.relax.per_loop or loop.embedding == "learned"
        stages = [
            (
                s.width,
                s.heads,
                s.unique,
                s.hidden,
                self.nlls(s),
                self.nlls(s) and self.nll.hidden(s.width),
            )
            + (tuple(s.loops_of(block) for block in range(s.unique)) if by_loop else ())
            for s in self.stages
        ]
        network = (self.stem, self.stem_strides, self.in_channels, self.classes, self.sides[0])
        read = self.loops_read if loop.readout == "weighted" else None
        of_loops = (loop.injection, loop.embedding, loop.streams, read)
        return (*network, self.residual.kind, self.relax, of_loops, self.norm, *stages)

    def to_dict(self, complete: bool = False) -> dict[str, Any]:
        """Plain data for YAML and JSON. `from_dict` is the inverse.

        Args:
            complete: also write `loop` and `norm` if they have their defaults. The names of all
                jobs of earlier versions depend on their absence.
        """
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        for name, default in (("loop", Loop()), ("norm", "pre")):
            if getattr(self, name) == default and not complete:
                del plain[name]
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Architecture:
        """Build an architecture from the plain data of `to_dict`.

        Raises:
            ArchitectureError: a rule is broken.
        """
        values = {name: tuples(value) for name, value in plain.items()}
        values["stages"] = tuple(
            Stage(**{name: tuples(value) for name, value in stage.items()})
            for stage in plain["stages"]
        )
        for name, kind in PARTS.items():
            values[name] = kind(**plain.get(name, {}))
        return cls(**values)


class _Run(NamedTuple):
    """A run of a block; `first` is the block with which its round over the blocks begins."""

    block: int
    loop: int
    first: int


def _runs(stage: Stage, order: Order) -> Iterator[_Run]:
    """The executions of a stage, in the order in which they run."""
    for loops, blocks in itertools.groupby(range(stage.unique), stage.loops_of):
        block_list = list(blocks)
        if order == "sequence":
            yield from (_Run(block, loop, block) for block in block_list for loop in range(loops))
        else:
            first = block_list[0]
            yield from (_Run(block, loop, first) for loop in range(loops) for block in block_list)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def tuples(value: Any) -> Any:
    """A value from a file, with all lists in it as tuples."""
    return tuple(tuples(inner) for inner in value) if isinstance(value, list | tuple) else value
