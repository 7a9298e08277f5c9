"""The matcher as a callable for evaluate.py, on that script's templates (pixels at 500 ppi, y up).

`python evaluate.py --matcher tests.fvc:matcher SET...`, from the repository's top.
`tests.fvc:compact` is the same of what the compact card format leaves of them: 0.1 mm, 64 angles,
60 minutiae, no quality.
"""

import math

from sdbox_agent.biometrics import comparison, oncard
from sdbox_agent.biometrics.minutia import Minutia, MinutiaType, Template, turned
from sdbox_agent.cardkind import Bit

CARD = Bit(key="96", position=0, minimum=1, maximum=60, order=0)
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


def compact(probe: comparison.Prepared, reference: comparison.Prepared) -> float:
    return comparison.compare(probe, reference)


def _through_a_card(rows) -> Template:
    full = template(rows)
    return oncard.template(oncard.probe(full, CARD)) if full.minutiae else full


compact.prepare = lambda t: comparison.prepare(_through_a_card(t.minutiae))
