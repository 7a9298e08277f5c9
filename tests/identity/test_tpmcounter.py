"""The counter in the chip, against the contract and against whoever would wind it back."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.identity.tpmcounter import INDEX, TpmCounter
from sdbox_agent.state import store
from sdbox_agent.state.attempts import Attempts
from sdbox_agent.state.filesystem import RealFileSystem
from tests.identity.chip import Chip, chip, factory
from tests.state import counter_contract

__all__ = ["chip", "factory"]
pytestmark = pytest.mark.slow
CARD = b"\x01" * 32
ROOT = Path(__file__).parents[2]


@pytest.fixture
def counter(chip: Chip) -> TpmCounter:
    made = TpmCounter(chip.tpm)
    made.make()
    return made


def fault(code: str) -> pytest.RaisesExc[Fault]:
    return pytest.RaisesExc(Fault, match=rf"^{code}$")


def test_it_counts_as_any_counter_does(chip: Chip, counter: TpmCounter) -> None:
    def power_cycle() -> TpmCounter:
        chip.again()
        return TpmCounter(chip.tpm)

    counter_contract.holds(counter, power_cycle)


def test_making_it_twice_is_no_harm(counter: TpmCounter) -> None:
    assert counter.make() == counter.make() == counter.value()


def test_before_it_is_made_there_is_none(chip: Chip) -> None:
    missing = TpmCounter(chip.tpm)
    for ask in (missing.value, missing.advance):
        with fault("counter-lost"):
            ask()


def test_one_that_was_defined_and_never_stepped_is_made_whole(chip: Chip) -> None:
    """The power went in the middle of `make`."""
    chip.tool("tpm2_nvdefine", hex(INDEX), "-a", "authread|authwrite|no_da|nt=counter", "-s", "8")
    fresh = TpmCounter(chip.tpm)
    with fault("counter-lost"):
        fresh.value()
    assert fresh.make() == fresh.value()


def test_deleting_it_does_not_wind_it_back(chip: Chip, counter: TpmCounter) -> None:
    for _ in range(3):
        counter.advance()
    stood = counter.value()
    chip.tool("tpm2_nvundefine", hex(INDEX))
    with fault("counter-lost"):
        counter.value()
    assert counter.make() > stood


def test_a_number_in_its_place_is_not_taken_for_it(chip: Chip, counter: TpmCounter) -> None:
    stood = counter.value()
    chip.tool("tpm2_nvundefine", hex(INDEX))
    chip.tool("tpm2_nvdefine", hex(INDEX), "-a", "authread|authwrite", "-s", "8")
    number = chip.soft.directory / "number"
    number.write_bytes(stood.to_bytes(8))
    chip.tool("tpm2_nvwrite", hex(INDEX), "-i", str(number))
    for ask in (counter.value, counter.advance, counter.make):
        with fault("counter-lost"):
            ask()


def test_an_older_copy_of_a_real_directory_is_refused(
    counter: TpmCounter, chip: Chip, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    files = RealFileSystem(state)
    kept = store.create(files, counter)
    Attempts(kept).reserve(CARD, 1)
    older = (state / store.NAME).read_bytes()
    Attempts(kept).reserve(CARD, 1)
    newest = (state / store.NAME).read_bytes()
    chip.again()
    (state / store.NAME).write_bytes(older)
    with fault("state-rolled-back"):
        store.load(files, counter)
    (state / store.NAME).write_bytes(newest)
    assert Attempts(store.load(files, counter)).left(CARD) == 8
    files.close()


@pytest.fixture
def away(chip: Chip, counter: TpmCounter) -> Iterator[TpmCounter]:
    chip.soft.stop()
    yield counter
    chip.soft.start()


def test_a_chip_that_is_away_is_told(away: TpmCounter) -> None:
    for ask in (away.value, away.advance, away.make):
        with fault("tpm-away"):
            ask()


RESERVER = """
import sys
from pathlib import Path
from sdbox_agent.identity.tpm import Tpm
from sdbox_agent.identity.tpmcounter import TpmCounter
from sdbox_agent.state import store
from sdbox_agent.state.attempts import Attempts
from sdbox_agent.state.filesystem import RealFileSystem
counter = TpmCounter(Tpm(Path(sys.argv[2])))
attempts = Attempts(store.load(RealFileSystem(Path(sys.argv[1])), counter))
for n in range(4000):
    attempts.reserve(n.to_bytes(32), 1)
    print(n, flush=True)
"""


@pytest.mark.parametrize("delay_ms", [0, 7, 13, 29])
def test_power_cut_at_any_moment_gains_no_attempt_and_locks_nobody_out(
    chip: Chip, counter: TpmCounter, tmp_path: Path, delay_ms: int
) -> None:
    """Process and chip die at once: a kill loses no write, so this is about the order alone."""
    state = tmp_path / "state"
    state.mkdir()
    files = RealFileSystem(state)
    store.create(files, counter)
    chip.tpm.close()
    command = [sys.executable, "-c", RESERVER, str(state), str(chip.soft.socket_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        told = [int(child.stdout.readline())]  # it is at work
        time.sleep(delay_ms / 1000)
        child.kill()
        chip.soft.stop()
        told += [int(line) for line in child.stdout.read().splitlines()]
    chip.soft.start()
    kept = store.load(files, counter)
    attempts = Attempts(kept)
    assert all(attempts.left(n.to_bytes(32)) == 9 for n in told)
    assert kept.state.anchor == counter.value()
    assert len(told) <= len(kept.state.attempts) <= len(told) + 1
    files.close()
