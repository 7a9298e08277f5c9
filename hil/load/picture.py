"""How cost grows with the number of boxes: one panel a unit, over the same boxes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.load.figures import Step

PANEL_PX: Final = (360, 330)
LEFT_PX, TOP_PX, RIGHT_PX, BOTTOM_PX = 60, 40, 345, 280
INK, GRID = (40, 40, 40), (225, 225, 225)
COLOURS: Final = ((20, 90, 170), (176, 32, 32), (60, 140, 60))
PANELS: Final = {  # unit -> line -> where its figure stands in a step
    "a call, ms": {"p50": ("call_ms", "p50"), "p99": ("call_ms", "p99")},
    "processor time of a session, ms": {
        name: ("session_cpu_ms", name) for name in ("api", "gateway", "wireguard")
    },
    "renewals, % of a core": {
        name: ("renewal_cpu_percent", name) for name in ("api", "gateway", "wireguard")
    },
    "revocation, ms": {"p50": ("revocation_ms", "p50"), "p99": ("revocation_ms", "p99")},
}


@dataclass(frozen=True)
class Line:
    """One figure of each step that has it: boxes and value."""

    label: str
    points: tuple[tuple[int, float], ...]


def lines(steps: Mapping[str, Step], panel: str) -> list[Line]:
    """What a panel shows of these steps."""
    return [
        Line(
            label,
            tuple(
                (int(boxes), float(row[group][part]))
                for boxes, row in steps.items()
                if part in row.get(group, {})
            ),
        )
        for label, (group, part) in PANELS[panel].items()
    ]


def draw(steps: Mapping[str, Step]) -> Image.Image:
    """RGB, the panels side by side."""
    width, height = PANEL_PX
    image = Image.new("RGB", (width * len(PANELS), height), "white")
    for at, panel in enumerate(PANELS):
        image.paste(_panel(panel, lines(steps, panel)), (at * width, 0))
    return image


def _panel(title: str, shown: list[Line]) -> Image.Image:
    image = Image.new("RGB", PANEL_PX, "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    most = max((boxes for line in shown for boxes, _ in line.points), default=1)
    top = 1.1 * max((value for line in shown for _, value in line.points), default=1) or 1.0

    def place(boxes: float, value: float) -> tuple[float, float]:
        across, up = boxes / most, value / top
        x = LEFT_PX + (RIGHT_PX - LEFT_PX) * across
        return x, BOTTOM_PX - (BOTTOM_PX - TOP_PX) * up

    for part in range(5):
        _, y = place(0, top * part / 4)
        pen.line((LEFT_PX, y, RIGHT_PX, y), fill=GRID)
        pen.text((LEFT_PX - 6, y), f"{top * part / 4:.3g}", fill=INK, font=font, anchor="rm")
        x, _ = place(most * part / 4, 0)
        pen.text((x, BOTTOM_PX + 6), f"{most * part // 4}", fill=INK, font=font, anchor="ma")
    pen.rectangle((LEFT_PX, TOP_PX, RIGHT_PX, BOTTOM_PX), outline=INK)
    pen.text((LEFT_PX, TOP_PX - 10), title, fill=INK, font=font, anchor="ls")
    middle = (LEFT_PX + RIGHT_PX) / 2
    pen.text((middle, BOTTOM_PX + 26), "boxes", fill=INK, font=font, anchor="ma")
    for at, line in enumerate(shown):
        colour = COLOURS[at]
        places = [place(boxes, value) for boxes, value in line.points]
        if len(places) > 1:
            pen.line(places, fill=colour, width=2)
        for x, y in places:
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
        pen.text((LEFT_PX + 8, TOP_PX + 6 + 16 * at), line.label, fill=colour, font=font)
    return image
