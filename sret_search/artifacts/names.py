"""Names of the files in an attempt's folder. The module imports nothing, so that readers need no
torch."""

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
"""Prefix of the metrics that a training reached at a rung; an epoch's number and `.json` follow."""

KEPT = 2
"""Full checkpoints that a running trial keeps, besides the checkpoint before its decay."""

STUDY = "study.yaml"
EVALUATION = "evaluation.yaml"
"""Files of an exported folder: the study that trains the model again, and the settings of its
accuracy."""
