"""How good the virtual fingers are, measured: `python -m hil.finger.survey [FINGERS [QUALITY]]`.

Two touches a finger; libfprint counts the minutiae; how many of one touch come again in the
other (where the ground truth puts them), and how many in another finger's by chance: for two
loops of one class, laid core on core, about a quarter.
"""

import sys

import numpy as np

from hil.finger import cache
from hil.finger.impression import Impression, impression
from hil.finger.judge import Judge, Minutiae, repeated_share


def survey(fingers: int, quality: str) -> None:
    """Print minutiae counts, and how many come again in a second touch and in another finger."""
    counts, same, other = [], [], []
    with Judge() as judge:
        previous: tuple[Impression, Minutiae] | None = None
        for seed in range(fingers):
            master = cache.master(seed)
            touches = [impression(master, k, quality=quality) for k in (1, 2)]
            found = [judge.minutiae(t.pixels) for t in touches]
            counts += [len(f) for f in found]
            same.append(repeated_share(touches[0], touches[1], found[0], found[1]))
            if previous is not None:
                other.append(repeated_share(previous[0], touches[0], previous[1], found[0]))
            previous = (touches[0], found[0])
    within = float(np.mean([25 <= c <= 70 for c in counts]))
    print(f"{quality}: {fingers} fingers, two touches each")
    for name, values in (("minutiae", counts), ("same finger", same), ("other finger", other)):
        quantiles = np.quantile(values, (0, 0.05, 0.5, 0.95, 1))
        print(f"  {name:13s} min/5%/50%/95%/max", " ".join(f"{q:.2f}" for q in quantiles))
    print(f"  within 25-70: {within:.0%}")


if __name__ == "__main__":
    survey(int((sys.argv[1:2] or ["50"])[0]), (sys.argv[2:3] or ["ordinary"])[0])
