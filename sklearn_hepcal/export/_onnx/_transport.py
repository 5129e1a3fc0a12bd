"""Transport maps: the gradients of their potentials as ordinary expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ...calibration import OTCalibrator
from ...calibration._bures import BuresMap
from ...calibration._convex_map import ConvexMap
from ...calibration._flow_map import FlowMap
from ...calibration._maps import IdentityMap, TransportMap
from ...calibration._quantile import QuantileMap
from ._atoms import merge_atoms, split_atoms
from ._convex import Picker, convex_gradient
from ._flow import flow_inverse
from ._graph import Graph, Value
from ._tables import find_cells, hats, search_table
