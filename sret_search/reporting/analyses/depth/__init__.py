"""Depths that arms were trained at, compared with rerun controls."""
