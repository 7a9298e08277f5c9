"""Templates for the tests: made of random minutiae from a seed, never of anybody's finger."""

import math

import numpy as np
from hypothesis import strategies as st

from sdbox_agent.biometrics.minutia import Minutia, MinutiaType, Template, turned

MIDDLE_PX = (190.0, 190.0)


def finger(seed: int, count: int = 45) -> Template:
    """`count` minutiae at least 12 px apart in an oval, along a smooth field of directions."""
    rng = np.random.default_rng(seed)
    waves = rng.normal(0, 1, 4)
    places: list[tuple[float, float]] = []
    while len(places) < count:
        x, y = rng.uniform(60, 320), rng.uniform(30, 350)
        inside = ((x - 190) / 130) ** 2 + ((y - 190) / 160) ** 2 <= 1
        if inside and all(math.hypot(x - a, y - b) >= 12 for a, b in places):
            places.append((x, y))
    return Template(
        tuple(
            Minutia(
                x,
                y,
                turned(
                    waves[0]
                    + 1.2 * math.sin(x / 90 + waves[1])
                    + 1.2 * math.sin(y / 110 + waves[2])
                    + math.pi * rng.integers(0, 2)
                ),
                MinutiaType(int(rng.integers(1, 3))),
                int(rng.integers(20, 101)),
            )
            for x, y in places
        )
    )


def moved(
    template: Template,
    angle_rad: float,
    shift_px: tuple[float, float] = (0.0, 0.0),
    *,
    jitter_px: float = 0.0,
    seed: int = 0,
) -> Template:
    """The same finger laid otherwise: turned counter-clockwise as seen, shifted, shaken."""
    rng = np.random.default_rng(seed)
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    out = []
    for m in template.minutiae:
        x, y = m.x_px - MIDDLE_PX[0], m.y_px - MIDDLE_PX[1]
        dx, dy = rng.normal(0, jitter_px, 2) if jitter_px else (0.0, 0.0)
        out.append(
            Minutia(
                MIDDLE_PX[0] + x * cos + y * sin + shift_px[0] + dx,  # y is down
                MIDDLE_PX[1] - x * sin + y * cos + shift_px[1] + dy,
                turned(m.angle_rad + angle_rad),
                m.type,
                m.quality,
            )
        )
    return Template(tuple(out))


minutiae = st.builds(
    Minutia,
    st.floats(-1e5, 1e5) | st.integers(0, 400).map(float),
    st.floats(-1e5, 1e5) | st.integers(0, 400).map(float),
    st.floats(0, 2 * math.pi, exclude_max=True),
    st.sampled_from(MinutiaType),
    st.integers(0, 100),
)
templates = st.lists(minutiae, max_size=40).map(lambda found: Template(tuple(found)))
