"""`python -m hil.finger SEED out.png`: one touch of one finger, as an 8-bit grey PNG, 500 dpi."""

import argparse
from pathlib import Path

from PIL import Image

from hil.finger import cache
from hil.finger.impression import HEIGHT_PX, QUALITIES, WIDTH_PX, impression
from hil.finger.orientation import FingerClass

DPI = 500


def main(arguments: list[str] | None = None) -> None:
    """Parse, grow, write."""
    parser = argparse.ArgumentParser(prog="python -m hil.finger", description=__doc__)
    parser.add_argument("seed", type=int, help="the finger")
    parser.add_argument("out", type=Path, help="the PNG to write")
    parser.add_argument("--impression", type=int, default=0, metavar="K", help="which touch of it")
    parser.add_argument("--quality", choices=sorted(QUALITIES), default="ordinary")
    parser.add_argument("--class", dest="kind", type=FingerClass, choices=list(FingerClass))
    parser.add_argument("--size", type=int, nargs=2, default=(WIDTH_PX, HEIGHT_PX), metavar="PX")
    parser.add_argument("--master", action="store_true", help="the whole ridge pattern instead")
    given = parser.parse_args(arguments)
    finger = cache.master(given.seed, given.kind)
    if given.master:
        pixels = 255 - finger.ridges
    else:
        pixels = impression(
            finger, given.impression, quality=given.quality, size_px=tuple(given.size)
        ).pixels
    Image.fromarray(pixels).save(given.out, format="PNG", dpi=(DPI, DPI))


if __name__ == "__main__":
    main()
