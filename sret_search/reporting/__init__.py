"""Reports: rebuilt from a study's storage alone, without torch or Ray."""

from sret_search.reporting.write import write_report

__all__ = ["write_report"]
