"""The matcher as a callable for evaluate.py, on that script's templates (pixels at 500 ppi, y up).

`python evaluate.py --matcher tests.fvc:matcher SET...`, from the repository's top.
"""

import math

from sdbox_agent.biometrics import comparison
from sdbox_agent.biometrics.minutia import Minutia, MinutiaType, Template, turned

NIST_TURN_DEG = 180  # *.xyt directions point the other way from ISO's
TYPES = {1: MinutiaType.ENDING, 0: MinutiaType.BIFURCATION}


def template(rows) -> Template:
    """Rows x, y, degrees, quality, type (-1: not known)."""
    return Template(
        tuple(
            Minutia(
                x,
                -y,
                turned(math.radians(degrees + NIST_TURN_DEG)),
                TYPES.get(int(kind), MinutiaType.OTHER),
                int(max(quality, 0)),
            )
            for x, y, degrees, quality, kind in rows
        )
    )


def matcher(probe: comparison.Prepared, reference: comparison.Prepared) -> float:
    return comparison.compare(probe, reference)


matcher.prepare = lambda t: comparison.prepare(template(t.minutiae))
