"""Studies, read and checked as a whole before anything starts."""

from sret_search.config.problems import StudyError
from sret_search.study.load import load_architecture, load_study
from sret_search.study.study import Study

__all__ = ["Study", "StudyError", "load_architecture", "load_study"]
