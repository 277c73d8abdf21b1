"""Every combination of a finite space, one by one: what is worked out column by column is held
against it."""

from collections.abc import Iterator

from sret_search.space.candidate import Values
from sret_search.space.space import Space


def points_of(space: Space) -> list[Values]:
    """Each once, in the order of the file."""
    return list(_below(space, list(space.axes), {}))


def _below(space: Space, paths: list[str], above: Values) -> Iterator[Values]:
    if not paths:
        yield above
        return
    path, *below = paths
    if not space.counts(path, above):
        yield from _below(space, below, above)
    elif space.axes[path].same_as is not None:
        yield from _below(space, below, above | {path: space.following(path, above)})
    else:
        for value in space.options(path):
            yield from _below(space, below, above | {path: value})
