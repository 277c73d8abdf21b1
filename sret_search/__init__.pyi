from sret_search.api import results as results
from sret_search.api import run_study as run_study
from sret_search.architecture import Architecture as Architecture
from sret_search.cost import cost as cost
from sret_search.model import SReT as SReT
from sret_search.model import load as load
from sret_search.study import StudyError as StudyError
from sret_search.study import load_architecture as load_architecture
from sret_search.study import load_study as load_study

__version__: str
