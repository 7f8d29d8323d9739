from rlsuite.algorithms.solar.algorithm import make
from rlsuite.algorithms.solar.config import Config
