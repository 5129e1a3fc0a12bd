"""How much events look like a shape, by exact optimal transport."""

from ._disk import Disk
from ._ellipse import Ellipse
from ._emd import emd, pairwise_emd
from ._fixed import Fixed
from ._isotropy import isotropy
from ._observables import make_observable
from ._point import Point
from ._ratio import ShapinessRatioTransformer
from ._ring import Ring
from ._segment import Segment
from ._shape import Shape
from ._shapiness import ShapinessTransformer
from ._spherocity import spherocity
from ._thrust import thrust
from ._uniform import Uniform
from ._with_centre import WithCentre

__all__ = [
    "Disk",
    "Ellipse",
    "Fixed",
    "Point",
    "Ring",
    "Segment",
    "Shape",
    "ShapinessRatioTransformer",
    "ShapinessTransformer",
    "Uniform",
    "WithCentre",
    "emd",
    "isotropy",
    "make_observable",
    "pairwise_emd",
    "spherocity",
    "thrust",
]
