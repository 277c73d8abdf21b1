"""The space of a study: axes, candidates, which of them are feasible, and their twins."""
