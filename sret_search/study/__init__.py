"""Study and space files: what a user writes, checked before anything starts."""

from sret_search.study.errors import StudyError
from sret_search.study.load import load_architecture, load_study
from sret_search.study.study import Study

__all__ = ["Study", "StudyError", "load_architecture", "load_study"]
