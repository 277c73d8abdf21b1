"""The record of trials: the ledger in its database, and the checkpoints that are kept."""
