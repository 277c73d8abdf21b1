"""The sampler `frontier`: a model of what is learnt, exact costs, and what a candidate adds."""
