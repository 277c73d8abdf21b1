"""Names of the files in an attempt's folder. Imports nothing, so that readers need no torch."""

RESULT = "result.json"
PREDICTIONS = "predictions.npz"
WEIGHTS = "model.safetensors"
ERROR = "error.json"
TRACEBACK = "traceback.txt"
WORKER = "worker.json"
HANG = "hang.txt"
DEPTH = "depth.json"
TENSORBOARD = "tensorboard"
STABLE = "stable.pt"
RUNG = "rung-"
"""And then an epoch's number and `.json`: what a training that was to end there has reached."""

KEPT = 2
"""Full checkpoints of a trial that has not ended, besides the one before its decay."""

STUDY = "study.yaml"
EVALUATION = "evaluation.yaml"
"""In an exported folder: what trains the model again, and how its accuracy was measured."""
