"""One training as a plain function. Knows torch and torchvision, neither Ray nor Optuna."""
