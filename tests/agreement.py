"""Does the virtual card decide as the host does? Measured on touches of virtual fingers.

`python -m tests.agreement` for a few fingers, `--whole` for the figures that are told. Both compare
the same touches: the host whole templates, the card what goes to a card of ours. Impostors are of
the same finger of another person; every pair is compared in both orders.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = (
    "1"  # before NumPy: they wait for one another, ten times as long
)

import argparse
import itertools
import math
import sys
import time
from dataclasses import dataclass

from hil.card import matcher
from sdbox_agent.biometrics import oncard
from sdbox_agent.biometrics.comparison import compare
from sdbox_agent.biometrics.decision import accepts
from sdbox_agent.cardkind import Bit
from tests.agreement_data import Touched, touches

BIT = Bit(key="96", position=2, minimum=12, maximum=60, order=0x09)
QUICK = (3, 80)  # people; impostor comparisons, in both orders together
WHOLE = (40, 8_000)
Z_95 = 1.96


def wilson(errors: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson, 1927)."""
    rate, z2 = errors / of, Z_95**2
    middle = rate + z2 / (2 * of)
    half = Z_95 * math.sqrt(rate * (1 - rate) / of + z2 / (4 * of**2))
    return max((middle - half) / (1 + z2 / of), 0.0), min((middle + half) / (1 + z2 / of), 1.0)


@dataclass(frozen=True)
class Comparison:
    """Two touches, the first as reference, and what was decided of them."""

    genuine: bool
    qualities: tuple[str, str]
    host: bool
    card: bool


@dataclass(frozen=True)
class Measured:
    """All comparisons, and how long one took the card."""

    comparisons: list[Comparison]
    card_ms: float

    def of(self, *, genuine: bool) -> list[Comparison]:
        return [c for c in self.comparisons if c.genuine == genuine]

    @property
    def agreed(self) -> int:
        return sum(c.host == c.card for c in self.comparisons)


def chosen(found: list[Touched], impostors: int) -> list[tuple[Touched, Touched]]:
    """Every genuine pair and so many others, evenly from all; each in both orders."""
    pairs = list(itertools.combinations(found, 2))
    genuine = [(a, b) for a, b in pairs if a.person == b.person]
    others = [(a, b) for a, b in pairs if a.person != b.person]
    step = max(2 * len(others) // impostors, 1)
    both = genuine + others[::step][: impostors // 2]
    return both + [(b, a) for a, b in both]


def measured(people: int, impostors: int) -> Measured:
    found = touches(people)
    compact = {id(touch): oncard.probe(touch.template, BIT) for touch in found}
    comparisons, card_s = [], 0.0
    for reference, probe in chosen(found, impostors):
        host = accepts(compare(probe.prepared, reference.prepared))
        start_s = time.perf_counter()
        card = matcher.matches(compact[id(reference)], compact[id(probe)])
        card_s += time.perf_counter() - start_s
        qualities = reference.quality, probe.quality
        comparisons.append(Comparison(reference.person == probe.person, qualities, host, card))
    return Measured(comparisons, 1000 * card_s / len(comparisons))


def _line(name: str, errors: int, of: int) -> None:
    low, high = wilson(errors, of)
    sys.stdout.write(
        f"{name:<22}{errors:>6} of {of:<6} {100 * errors / of:7.3f} %"
        f"  (95 %: {100 * low:.3f} to {100 * high:.3f} %)\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.agreement")
    parser.add_argument("--whole", action="store_true", help="some minutes")
    result = measured(*(WHOLE if parser.parse_args().whole else QUICK))
    genuine, others = result.of(genuine=True), result.of(genuine=False)
    _line("host: false matches", sum(c.host for c in others), len(others))
    _line("card: false matches", sum(c.card for c in others), len(others))
    _line("host: false non-match", sum(not c.host for c in genuine), len(genuine))
    _line("card: false non-match", sum(not c.card for c in genuine), len(genuine))
    _line("agreed", result.agreed, len(result.comparisons))
    _line("agreed on genuine", sum(c.host == c.card for c in genuine), len(genuine))
    tiny = [c for c in genuine if c.host != c.card and "tiny" in c.qualities]
    sys.stdout.write(f"of the genuine they differ on, {len(tiny)} are of a tiny touch\n")
    sys.stdout.write(f"the card takes {result.card_ms:.1f} ms a comparison\n")


if __name__ == "__main__":
    main()
