"""Finds where a picture departs from good samples, by what the codec knows of it."""

from ..coding.coding_maps import CodingMaps as CodingMaps
from ..options import DEFAULT_MAPS as DEFAULT_MAPS
from ..options import MAPS as MAPS
from .heat_maps import draw_heat_map as draw_heat_map
from .statistics import Statistics as Statistics
