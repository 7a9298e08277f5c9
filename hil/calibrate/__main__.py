"""`python -m hil.calibrate`: thresholds by the false match rate of decisions, on virtual people.

Grows, touches, extracts and compares as a box does, on all processors; what is done is kept under
build/calibration, so that an interrupted run goes on. Writes calibration.json, .txt and .png there.
"""

import argparse
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from hil.calibrate import kept, people, picture, report, work
from hil.calibrate.decisions import Plan
from hil.calibrate.report import Measured

FINGERS, IMPRESSIONS = 1000, people.VIEWS + people.CAPTURES
# Beside the repository, where it is there.
REAL = Path(__file__).parents[3] / "shared" / "fingerprints" / "images"
FEWEST_FINGERS = 8


def main(arguments: list[str] | None = None) -> None:
    """Parse, measure, write."""
    given = _parser().parse_args(arguments)
    if given.fingers < FEWEST_FINGERS or given.fingers % 2 or given.impressions <= people.VIEWS:
        raise SystemExit("an even number of 8 fingers or more, 4 impressions or more")
    # One thread a process: there is a process for each processor.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    captures = min(given.impressions - people.VIEWS, people.CAPTURES)
    plan = Plan(given.fingers // 2, given.block, given.decisions, captures)
    spawn = multiprocessing.get_context("spawn")  # libfprint's threads survive no fork
    with ProcessPoolExecutor(given.processes, spawn, work.begin, (os.getpid(),)) as pool:
        virtual = work.virtual(pool, plan, given.folder)
        sets = work.real_sets(pool, given.real, given.folder) if given.real.is_dir() else []
    found = report.values(virtual, sets)
    text = report.text(found)
    given.folder.mkdir(parents=True, exist_ok=True)
    (given.folder / "calibration.json").write_text(json.dumps(found, indent=1), "utf-8")
    (given.folder / "calibration.txt").write_text(text + "\n", "utf-8")
    picture.draw(_curves([virtual, *sets[:1]]), _marks(found)).save(
        given.folder / "calibration.png"
    )
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hil.calibrate", description=__doc__)
    parser.add_argument("--fingers", type=int, default=FINGERS, help="virtual, two a person")
    parser.add_argument(
        "--impressions", type=int, default=IMPRESSIONS, help="of each: 3 enrolled, the rest not"
    )
    parser.add_argument("--decisions", type=int, default=300_000, help="of impostors, at least")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--block", type=int, default=25, help="people worked on at once")
    parser.add_argument("--real", type=Path, default=REAL, help="folder of real sets, if any")
    parser.add_argument("--folder", type=Path, default=kept.FOLDER, help="where results are kept")
    return parser


def _curves(kinds: list[Measured]) -> list[picture.Curve]:
    return [
        picture.Curve(f"{kind.kind}, {len(of)} {role}", role, order, of.score)
        for order, kind in enumerate(kinds)
        for role, of in (("impostor", kind.impostor), ("genuine", kind.genuine[-1]))
    ]


def _marks(found: dict[str, Any]) -> dict[str, float]:
    return {f"FMR {row['fmr']:g}": row["threshold"]["value"] for row in found["thresholds"]}


if __name__ == "__main__":
    main()
