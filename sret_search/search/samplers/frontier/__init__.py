"""The sampler `frontier`: a model of accuracy or loss, exact costs, expected gains."""
