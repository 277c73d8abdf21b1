"""The space of a study: axes, candidates, feasibility, contrasts and twins."""
