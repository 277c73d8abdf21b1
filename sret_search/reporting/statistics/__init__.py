"""Statistics of results: intervals, paired differences, pooled variances, verdicts."""
