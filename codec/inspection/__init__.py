"""Finds where a picture departs from good samples, by what the codec knows of it."""

from .coding_maps import DEFAULT_MAPS as DEFAULT_MAPS
from .coding_maps import MAPS as MAPS
from .coding_maps import CodingMaps as CodingMaps
from .heat_maps import draw_heat_map as draw_heat_map
from .statistics import Statistics as Statistics
