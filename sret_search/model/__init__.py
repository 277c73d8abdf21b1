"""SReT in torch, built from an `Architecture`. Knows torch and nothing of studies."""

from sret_search.model.sret import SReT, rerun

__all__ = ["SReT", "rerun"]
