"""What `sdbox-agent finger` takes on its command line. Pure: loads no extractor and no matcher."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    Do = Callable[[argparse.Namespace], int | None]
    Add = Callable[[Commands, str, Do, str], argparse.ArgumentParser]

MIN_DPI: Final = 100.0
MAX_DPI: Final = 2000.0


def add(commands: Commands, command: Add, do: Do) -> None:
    """The acts of `finger`, each made by `command` and done by `do` (with `act` its name)."""
    text = "fingers in files: for staff at a desk and developers; not on a box"
    finger = commands.add_parser("finger", help=text, description=text)
    acts = finger.add_subparsers(required=True, metavar="ACT", dest="act")
    extract = command(acts, "extract", do, "an image's minutiae, as a record")
    extract.add_argument("image", type=Path)
    extract.add_argument("--output", type=Path, metavar="FILE", help="the record to write")
    extract.add_argument("--format", choices=["iso19794-2-2005"], default="iso19794-2-2005")
    compare = command(acts, "compare", do, "the score of two records or images")
    compare.add_argument("reference", type=Path)
    compare.add_argument("probe", type=Path)
    compare.add_argument("--explain", action="store_true", help="which minutiae met, and why so")
    compare.add_argument("--picture", type=Path, metavar="FILE", help="draw it, as a PNG")
    evaluate = command(acts, "evaluate", do, "the FVC protocol over folders of fingers")
    evaluate.add_argument("folder", type=Path, nargs="+", help="FINGER_IMPRESSION.png, .iso, ...")
    evaluate.add_argument("--on-card", action="store_true", help="in the compact card format")
    evaluate.add_argument("--impostor", choices=["all", "fvc"], default="all", help="which pairs")
    evaluate.add_argument("--output", type=Path, metavar="FOLDER", help="figures, scores, a plot")
    for one in (extract, compare, evaluate):
        one.add_argument("--dpi", type=dpi, help="of the images; default: what they say")
        one.add_argument("--force", action="store_true", help="replace what is there")


def dpi(text: str) -> float:
    """Dots per inch of a sensor. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not MIN_DPI <= number <= MAX_DPI:
        raise argparse.ArgumentTypeError("a finger is taken at 100 to 2000 dots per inch")
    return number
