"""The training of a candidate, as a plain function. The room imports torch and torchvision, neither
Ray nor Optuna."""
