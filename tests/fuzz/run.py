"""Drives every target of this directory with libFuzzer, each in a process of its own.

`python -m tests.fuzz.run [--seconds N | --each N | --inputs N] [NAME...]`: N seconds in all, spread
over the targets and the cores, or N for each, or so many inputs for each. What is found stays as
corpus under build/fuzz/corpus. A failure prints the input as hex, and the whole run ends with 1, as
it does when a parser's branches are not reached (tests/fuzz/cover.py). No target's meaning is known
here.

A target's module has `target`, `SEEDS` and `PARSERS` (what it is to reach), and may have `MUTATE`
(data, greatest size, seed -> other data, or None), `TOKENS` (a dictionary), and `DIVISOR`: of
`--inputs` it takes only that part, for one input costs so much more than another target's.
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
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORPUS = ROOT / "build" / "fuzz" / "corpus"
PREFIX = "fuzz_"
INPUT_TIMEOUT_S = 10  # one input may take so long, no more
MAX_LEN_BYTES = 16 << 10
GRACE_S = 60.0  # beyond the time asked: imports, the corpus read anew
PR_SET_PDEATHSIG = 1  # linux/prctl.h
EXECUTED = re.compile(rb"stat::number_of_executed_units:\s*(\d+)")
POLL_S = 0.1
PLAIN_SHARE = 4  # of so many mutations one is libFuzzer's own, even where a target has its own
COVERED = re.compile(rb"cov: (\d+)")


@dataclass
class Run:
    """One target under way."""

    name: str
    process: subprocess.Popen[bytes]
    directory: Path
    output: Path
    ends_at_s: float
    executed: int = 0

    def ended(self) -> bool:
        """True once it is over; one that takes too long is ended."""
        if self.process.poll() is None and time.monotonic() > self.ends_at_s:
            self.kill()
        return self.process.poll() is not None

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
        self.executed = int(executed[1]) if executed else 0
        print(
            f"{self.name:<28}{self.executed:>10} inputs"
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


def start(name: str, seconds: int, inputs: int, room: Path) -> Run:
    """A child on one target, for so long or so many inputs (0: not bounded by that)."""
    directory = room / name
    directory.mkdir()
    output = room / f"{name}.txt"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.run", "--child", str(directory),
             "--each", str(seconds), "--inputs", str(inputs), name],
            stdout=out, stderr=out, cwd=ROOT, preexec_fn=_dies_with_its_parent,
        )  # fmt: skip
    patience_s = seconds + GRACE_S if seconds else float("inf")
    return Run(name, process, directory, output, time.monotonic() + patience_s)


def drive(wanted: list[str], seconds: int, inputs: int, at_once: int) -> bool:
    """All of them, so many at once. True if none failed."""
    waiting, running, done, fine = list(wanted), list[Run](), 0, True
    room = Path(tempfile.mkdtemp(prefix="sdbox-fuzz-"))
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(start(waiting.pop(0), seconds, inputs, room))
            time.sleep(POLL_S)
            for run in [run for run in running if run.ended()]:
                running.remove(run)
                fine = run.report() and fine
                done += run.executed
    finally:
        for run in running:
            run.kill()
        shutil.rmtree(room)
    print(f"{len(wanted)} targets, {done} inputs", flush=True)
    return fine


def reached(wanted: list[str]) -> bool:
    """Print how much of the parsers the seeds and the corpus reach. True if it is enough."""
    command = [sys.executable, "-m", "tests.fuzz.cover", *wanted]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def child(name: str, seconds: int, inputs: int, directory: str) -> None:
    """In the child: libFuzzer on one target, never to return."""
    import atheris  # here alone: it patches what is imported after it

    with atheris.instrument_imports(include=["sdbox_agent", "sdbox_centre", "hil"]):
        module = importlib.import_module(f"tests.fuzz.{PREFIX}{name}")
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(module.SEEDS):
        module.target(seed)  # a seed that fails says so plainly, before all else
        if len(seed) <= MAX_LEN_BYTES:  # libFuzzer would cut it
            (corpus / f"seed-{number}").write_bytes(seed)
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-timeout={INPUT_TIMEOUT_S}",
        f"-max_len={MAX_LEN_BYTES}",
        f"-artifact_prefix={directory}/",
        "-len_control=100",  # libFuzzer's default, which a mutator of one's own would end
        "-print_final_stats=1",
        "-rss_limit_mb=1024",
        str(corpus),
    ]
    if inputs:
        arguments.insert(1, f"-runs={max(1, inputs // getattr(module, 'DIVISOR', 1))}")
    if words := getattr(module, "TOKENS", None):
        tokens = Path(directory) / "tokens"
        tokens.write_text("".join(f'"{_escaped(word)}"\n' for word in words))
        arguments.insert(1, f"-dict={tokens}")
    options = {}
    if own := getattr(module, "MUTATE", None):
        options["custom_mutator"] = mixed(own, _plain)
    atheris.Setup(arguments, module.target, **options)
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    """As libFuzzer's dictionaries write bytes."""
    return "".join(f"\\x{byte:02x}" for byte in word)


def _plain(data: bytes, max_size: int) -> bytes:
    """libFuzzer's own mutation.

    atheris.Mutate (3.0) looks for it in the wrong place. And imported before Setup, the right place
    would never learn that there is a mutator of ours.
    """
    from atheris import core_with_libfuzzer

    changed: bytes = core_with_libfuzzer.Mutate(data, max_size)
    return changed


Mutator = Callable[[bytes, int, int], bytes | None]


def mixed(own: Mutator, plain: Callable[[bytes, int], bytes]) -> Callable[[bytes, int, int], bytes]:
    """A target's own mutations, and libFuzzer's between them and where it has none."""

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        changed = own(data, max_size, seed) if seed % PLAIN_SHARE else None
        return plain(data, max_size) if changed is None else changed[:max_size]

    return mutate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--seconds", type=int, default=30, help="for all together")
    parser.add_argument("--each", type=int, help="for each, instead")
    parser.add_argument("--inputs", type=int, default=0, help="so many for each, instead")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    wanted = options.names or names()
    if unknown := sorted(set(wanted) - set(names())):
        parser.error(f"no such target: {' '.join(unknown)}")
    if options.child:
        child(wanted[0], options.each, options.inputs, options.child)
    at_once = min(os.cpu_count() or 1, len(wanted))
    each = options.each or (
        0 if options.inputs else max(1, options.seconds * at_once // len(wanted))
    )
    asked = f"{options.inputs} inputs" if options.inputs else f"{each} s"
    print(f"{len(wanted)} targets, {asked} each, {at_once} at once", flush=True)
    fine = drive(wanted, each, options.inputs, at_once)
    return 0 if reached(wanted) and fine else 1


if __name__ == "__main__":
    sys.exit(main())
