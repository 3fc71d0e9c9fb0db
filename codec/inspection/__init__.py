"""Finds where a picture departs from good samples, by what the codec knows of it."""

from .heat_maps import draw_heat_map as draw_heat_map
from .statistics import Statistics as Statistics
from .traces import DEFAULT_MAPS as DEFAULT_MAPS
from .traces import MAPS as MAPS
from .traces import Traces as Traces
