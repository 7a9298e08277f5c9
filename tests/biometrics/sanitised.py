"""Comparisons through the library named on the command line: run under a sanitiser's eyes.

Prints are as large as the library takes them, not as we give them to it: only then is a step too
far a step out of its arrays.
"""

import sys
from pathlib import Path

import numpy as np

from sdbox_agent.biometrics import comparison, kernel, parameters
from sdbox_agent.biometrics.minutia import Minutia, Template
from tests.biometrics.templates import finger, moved


def crowd(rng: np.random.Generator, count: int) -> Template:
    return Template(
        tuple(
            Minutia(*map(float, rng.uniform(0, 400, 2)), float(rng.uniform(0, 6.28)), quality=50)
            for _ in range(count)
        )
    )


def main() -> None:
    kernel._library = kernel._load(Path(sys.argv[1]))
    parameters.MAX_MINUTIAE = kernel.MOST  # type: ignore[misc]  # Final
    rng = np.random.default_rng(1)
    cases = [crowd(rng, count) for count in (0, 1, 2, 3, 12, 60, 127, 128, 255)]
    cases += [finger(seed) for seed in range(5)]
    cases += [moved(finger(seed), 0.3, jitter_px=2.0) for seed in range(3)]
    cases.append(Template(tuple(Minutia(10.0 * k, 50.0, 0.0) for k in range(40))))
    cases.append(Template(tuple(Minutia(50.0, 50.0, 0.1 * k) for k in range(40))))
    cases.append(Template(tuple(Minutia(1e5 * (-1) ** k, 1e5 - k, 0.0) for k in range(40))))
    prepared = [comparison.prepare(case) for case in cases]
    scores = [comparison.compare(a, b) for a in prepared for b in prepared]
    assert all(0 <= score <= 1 for score in scores)
    sys.stdout.write(f"compared {len(scores)}\n")


if __name__ == "__main__":
    main()
