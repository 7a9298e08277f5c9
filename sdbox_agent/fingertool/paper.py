"""A sheet to draw on, with smooth lines and words, that ends as a PNG; by Pillow."""

from __future__ import annotations

import io
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from sdbox_agent.fingertool.files import pillow

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Place = tuple[float, float]
    Colour = tuple[int, int, int]

WHITE: Final = (255, 255, 255)
BLACK: Final = (25, 25, 25)
GREY: Final = (140, 140, 140)
PALE: Final = (225, 225, 225)
# Wong, "Points of view: Color blindness", Nature Methods 8, 2011: told apart by everybody.
BLUE: Final = (0, 114, 178)
GREEN: Final = (0, 140, 100)
RED: Final = (196, 64, 0)
ORANGE: Final = (230, 159, 0)
PURPLE: Final = (170, 80, 140)
SKY: Final = (60, 150, 210)

_FINER: Final = 2  # drawn so much larger, then shrunk: Pillow's lines have no smooth edges
_FONTS: Final = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf")  # else Pillow's own: no accents

_PLAIN: Final = {0x2019: "'", 0xD7: "x", 0xB7: "-", 0x2013: "-"}  # and for these: something near


class Paper:
    """White, `width` x `height` pixels, the origin at its top left. Raises Fault without Pillow."""

    def __init__(self, width: int, height: int) -> None:
        self._image = pillow("Image")
        self._sheet = self._image.new("RGB", (width * _FINER, height * _FINER), WHITE)
        self._draw = pillow("ImageDraw").Draw(self._sheet, "RGBA")
        self._size = width, height

    def line(self, places: Sequence[Place], colour: Colour, width: float = 1.5) -> None:
        """Through all of the places."""
        self._draw.line(_finer(places), fill=colour, width=_width(width), joint="curve")

    def area(self, corners: Sequence[Place], colour: Colour, opacity: float) -> None:
        """Filled; nothing with fewer than three corners."""
        if len(corners) > 2:
            self._draw.polygon(_finer(corners), fill=(*colour, round(255 * opacity)))

    def ring(
        self,
        middle: Place,
        radius: float,
        colour: Colour,
        width: float = 2.0,
        *,
        full: bool = False,
    ) -> None:
        """A circle; `full`: a disc."""
        x, y = middle
        box = _finer([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.ellipse(box, fill=colour if full else None, outline=colour, width=_width(width))

    def picture(self, pixels: NDArray[np.uint8], corner: Place, size: Place) -> None:
        """Grey pixels (height, width), scaled into the box at `corner`."""
        whole = round(size[0] * _FINER), round(size[1] * _FINER)
        scaled = self._image.fromarray(pixels).resize(whole, self._image.Resampling.BICUBIC)
        self._sheet.paste(scaled, (round(corner[0] * _FINER), round(corner[1] * _FINER)))

    def words(
        self, text: str, place: Place, colour: Colour = BLACK, size: int = 16, anchor: str = "la"
    ) -> float:
        """Written at `place`; how long it is. `anchor` as Pillow's: left, middle, right, above."""
        font, plain = _font(size * _FINER)
        shown = _without_accents(text) if plain else text
        at = _finer([place])[0]
        self._draw.text(at, shown, font=font, fill=colour, anchor=anchor)
        return float(font.getlength(shown)) / _FINER

    def upright(self, text: str, middle: Place, size: int = 16) -> None:
        """Written from the bottom to the top, round `middle`."""
        font, plain = _font(size * _FINER)
        shown = _without_accents(text) if plain else text
        label = self._image.new("L", (int(font.getlength(shown)) + 8, 2 * size * _FINER), 0)
        pillow("ImageDraw").Draw(label).text(
            (4, size * _FINER), shown, font=font, fill=255, anchor="lm"
        )
        label = label.rotate(90, expand=True)
        corner = (
            round(middle[0] * _FINER - label.width / 2),
            round(middle[1] * _FINER - label.height / 2),
        )
        self._sheet.paste(BLACK, corner, label)

    def png(self) -> bytes:
        """The sheet as a file."""
        out = io.BytesIO()
        self._sheet.resize(self._size, self._image.Resampling.BOX).save(out, "PNG", optimize=True)
        return out.getvalue()


def _finer(places: Sequence[Place]) -> list[Place]:
    return [(float(x) * _FINER, float(y) * _FINER) for x, y in places]


def _width(width: float) -> int:
    return max(1, round(width * _FINER))


def _font(size: int) -> tuple[Any, bool]:
    """A font, and whether it has ASCII alone."""
    fonts = pillow("ImageFont")
    for name in _FONTS:
        try:
            return fonts.truetype(name, size), False
        except OSError:
            continue
    return fonts.load_default(size), True


def _without_accents(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
