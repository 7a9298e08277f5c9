"""How much of each parser the fuzz targets reach, measured by coverage.py.

`python -m tests.fuzz.cover [--seeds] [NAME...]`: plays every seed, and every input that a run of
`tests.fuzz.run` has kept under build/fuzz/corpus, through its target once more, and prints branches
and lines of each parser of those targets' `PARSERS` (modules, classes or functions) together, and
what was missed. Ends with 1 if any has less than 95 % of either. libFuzzer counts the edges of
bytecode; this counts what a reader of the source would.
"""

import argparse
import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import coverage

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORPUS = ROOT / "build" / "fuzz" / "corpus"
PREFIX = "fuzz_"
PACKAGES = ("sdbox_agent", "sdbox_centre", "hil")
LEAST_PERCENT = 95
SHOWN_MISSES = 12


@dataclass(frozen=True)
class Reached:
    """One parser: what there is, and what was not reached."""

    name: str
    branches: int
    lines: int
    missed_branches: tuple[str, ...]
    missed_lines: tuple[int, ...]

    @property
    def percent(self) -> float:
        """The lower of the two shares."""
        return min(
            _percent(self.branches, len(self.missed_branches)),
            _percent(self.lines, len(self.missed_lines)),
        )

    def told(self) -> str:
        """One line; a second one names what was missed."""
        branches = f"{self.branches - len(self.missed_branches)}/{self.branches}"
        lines = f"{self.lines - len(self.missed_lines)}/{self.lines}"
        share = _percent(self.branches, len(self.missed_branches))
        text = f"{self.name:<52}{branches:>9} branches{share:>7.1f} %{lines:>9} lines"
        missed = (*self.missed_branches, *map(str, self.missed_lines))
        if missed:
            more = " …" if len(missed) > SHOWN_MISSES else ""
            text += f"\n    missed: {' '.join(missed[:SHOWN_MISSES])}{more}"
        return text


def _percent(total: int, missed: int) -> float:
    return 100 * (total - missed) / total if total else 100.0


def names() -> list[str]:
    """Every target there is."""
    return sorted(path.stem.removeprefix(PREFIX) for path in HERE.glob(f"{PREFIX}*.py"))


def inputs(name: str, seeds: Iterable[bytes], *, seeds_only: bool) -> Iterator[bytes]:
    """Seeds first, then what was kept."""
    yield from seeds
    if not seeds_only:
        for path in sorted((CORPUS / name).glob("*")):
            yield path.read_bytes()


def play(wanted: list[str], *, seeds_only: bool) -> list[Reached]:
    """All inputs of these targets under one measurement; their parsers, by name."""
    measured = coverage.Coverage(
        branch=True, data_file=None, config_file=False, source=list(PACKAGES)
    )
    measured.set_option("run:disable_warnings", ["module-not-imported"])
    measured.start()
    parsers: dict[str, object] = {}
    try:
        for name in wanted:
            module = importlib.import_module(f"tests.fuzz.{PREFIX}{name}")
            whole = [inspect.unwrap(parser) for parser in module.PARSERS]
            parsers |= {_name(parser): parser for parser in whole}
            for data in inputs(name, module.SEEDS, seeds_only=seeds_only):
                module.target(data)
    finally:
        measured.stop()
    return [_reached(measured, name, parsers[name]) for name in sorted(parsers)]


def _name(parser: object) -> str:
    if isinstance(parser, ModuleType):
        return parser.__name__
    return f"{parser.__module__}.{parser.__qualname__}"


def _reached(measured: coverage.Coverage, name: str, parser: object) -> Reached:
    first, last = 1, sys.maxsize
    if not isinstance(parser, ModuleType):
        source, first = inspect.getsourcelines(parser)
        last = first + len(source) - 1
    analysis = measured._analyze(inspect.getsourcefile(parser))  # the report's own source
    branches = {
        line: total for line, (total, _) in analysis.branch_stats().items() if first <= line <= last
    }
    missed = [
        f"{line}->{to if to > 0 else 'exit'}"
        for line, targets in sorted(analysis.missing_branch_arcs().items())
        if line in branches
        for to in targets
    ]
    return Reached(
        name,
        sum(branches.values()),
        sum(first <= line <= last for line in analysis.statements),
        tuple(missed),
        tuple(line for line in sorted(analysis.missing) if first <= line <= last),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--seeds", action="store_true", help="without what was kept")
    options = parser.parse_args()
    found = play(options.names or names(), seeds_only=options.seeds)
    for reached in found:
        print(reached.told())
    short = [reached.name for reached in found if reached.percent < LEAST_PERCENT]
    if short:
        print(f"under {LEAST_PERCENT} %: {' '.join(short)}")
    return 1 if short or not found else 0


if __name__ == "__main__":
    sys.exit(main())
