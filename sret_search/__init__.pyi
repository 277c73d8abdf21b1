from sret_search.architecture import Architecture as Architecture
from sret_search.model import SReT as SReT
from sret_search.model import load as load
from sret_search.study import load_study as load_study

__version__: str
