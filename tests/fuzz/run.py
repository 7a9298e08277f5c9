"""Drives every target of this directory with libFuzzer, each in a process of its own.

`python -m tests.fuzz.run [--seconds N] [--each N] [NAME...]`: N seconds in all, spread over the
targets and the cores, or N for each. What is found stays as corpus under build/fuzz. A failure
prints the input as hex, and the whole run ends with 1. It knows no target's meaning.
"""

import argparse
import contextlib
import ctypes
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE.parents[1] / "build" / "fuzz"
PREFIX = "fuzz_"
INPUT_TIMEOUT_S = 10  # one input may take so long, no more
MAX_LEN_BYTES = 16 << 10
GRACE_S = 60.0  # beyond the time asked: imports, the corpus read anew
PR_SET_PDEATHSIG = 1  # linux/prctl.h
EXECUTED = re.compile(rb"stat::number_of_executed_units:\s*(\d+)")
COVERED = re.compile(rb"cov: (\d+)")


@dataclass
class Run:
    """One target under way."""

    name: str
    process: subprocess.Popen[bytes]
    directory: Path
    output: Path

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def report(self) -> bool:
        """One line; more if it failed. True if it did not."""
        said = self.output.read_bytes()
        executed, covered = EXECUTED.search(said), COVERED.findall(said)
        found = sorted(self.directory.glob("*-*"))
        fine = self.process.returncode == 0 and not found and executed is not None
        print(
            f"{self.name:<28}{int(executed[1]) if executed else 0:>10} executions"
            f"{int(covered[-1]) if covered else 0:>7} edges  {'ok' if fine else 'FAILED'}",
            flush=True,
        )
        if not fine:
            print(said[-4000:].decode(errors="replace"))
        for path in found:
            print(f"{self.name}: {path.name}: {path.read_bytes().hex()}")
        return fine


def names() -> list[str]:
    """Every target there is."""
    return sorted(path.stem.removeprefix(PREFIX) for path in HERE.glob(f"{PREFIX}*.py"))


def _dies_with_its_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(name: str, seconds: int, room: Path) -> Run:
    """A child on one target."""
    directory = room / name
    directory.mkdir()
    output = room / f"{name}.txt"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.run", "--child", str(directory),
             "--each", str(seconds), name],
            stdout=out, stderr=out, cwd=HERE.parents[1], preexec_fn=_dies_with_its_parent,
        )  # fmt: skip
    return Run(name, process, directory, output)


def drive(wanted: list[str], seconds: int, at_once: int) -> bool:
    """All of them, so many at once. True if none failed."""
    waiting, running, fine = list(wanted), list[Run](), True
    room = Path(tempfile.mkdtemp(prefix="sdbox-fuzz-"))
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(start(waiting.pop(0), seconds, room))
            run = running.pop(0)
            try:
                run.process.wait(seconds + GRACE_S)
            except subprocess.TimeoutExpired:
                run.kill()
            fine = run.report() and fine
    finally:
        for run in running:
            run.kill()
        shutil.rmtree(room)
    return fine


def child(name: str, seconds: int, directory: str) -> None:
    """In the child: libFuzzer on one target, never to return."""
    import atheris  # here alone: it patches what is imported after it

    with atheris.instrument_imports(include=["sdbox_agent", "hil"]):
        module = importlib.import_module(f"tests.fuzz.{PREFIX}{name}")
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(module.SEEDS):
        module.target(seed)  # a seed that fails says so plainly, before all else
        (corpus / f"seed-{number}").write_bytes(seed)
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-timeout={INPUT_TIMEOUT_S}",
        f"-max_len={MAX_LEN_BYTES}",
        f"-artifact_prefix={directory}/",
        "-print_final_stats=1",
        "-rss_limit_mb=1024",
        str(corpus),
    ]
    atheris.Setup(arguments, module.target)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--seconds", type=int, default=30, help="for all together")
    parser.add_argument("--each", type=int, help="for each, instead")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    wanted = options.names or names()
    if unknown := sorted(set(wanted) - set(names())):
        parser.error(f"no such target: {' '.join(unknown)}")
    if options.child:
        child(wanted[0], options.each, options.child)
    at_once = min(os.cpu_count() or 1, len(wanted))
    each = options.each or max(1, options.seconds * at_once // len(wanted))
    print(f"{len(wanted)} targets, {each} s each, {at_once} at once", flush=True)
    return 0 if drive(wanted, each, at_once) else 1


if __name__ == "__main__":
    sys.exit(main())
