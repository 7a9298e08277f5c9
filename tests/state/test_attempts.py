"""No attempt is gained: by cut, failure, clock, restart or the centre's word."""

import errno
import itertools
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.state import attempts, store
from sdbox_agent.state.attempts import LIMIT, Attempts, delay_s
from sdbox_agent.state.filesystem import RealFileSystem
from sdbox_agent.state.model import ModelFileSystem, PowerCut

CARD, OTHER = b"\x01" * 32, b"\x02" * 32
LATER = 10_000  # seconds: beyond every delay


def fresh() -> tuple[ModelFileSystem, Attempts]:
    disk = ModelFileSystem()
    return disk, Attempts(store.create(disk))


def reload(disk: ModelFileSystem) -> Attempts:
    return Attempts(store.load(disk))


def test_ten_failures_lock_the_card_and_no_other() -> None:
    disk, counter = fresh()
    for n in range(LIMIT):
        assert counter.reserve(CARD, (n + 1) * LATER) == LIMIT - n - 1
    for again in (counter, reload(disk)):
        with pytest.raises(Refused, match=r"^card-locked$"):
            again.reserve(CARD, 99 * LATER)
    assert counter.left(OTHER) == LIMIT


def test_delays_start_at_the_fifth_failure_and_double_to_a_quarter_of_an_hour() -> None:
    assert [delay_s(n) for n in range(11)] == [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 900]


def test_too_soon_is_refused_and_costs_nothing() -> None:
    disk, counter = fresh()
    for _ in range(5):
        counter.reserve(CARD, 1000)
    for again in (counter, reload(disk)):  # a restart does not shorten it
        for utc_s in (0, 1000, 1029):  # nor does a clock put back
            with pytest.raises(Refused, match=r"^too-soon$"):
                again.reserve(CARD, utc_s)
    assert counter.left(CARD) == 5
    assert counter.reserve(CARD, 1030) == 4


@given(st.lists(st.integers(-5, 2 * LIMIT), max_size=8))
def test_the_centres_word_only_lowers(words: list[int]) -> None:
    _, counter = fresh()
    for word in words:
        before = counter.left(CARD)
        assert counter.lower(CARD, word) == min(before, max(0, word))


def test_only_an_accepted_receipt_gives_attempts_back() -> None:
    disk, counter = fresh()
    counter.reserve(CARD, 1)
    counter.reserve(OTHER, 1)
    counter.accepted(CARD)
    again = reload(disk)
    assert (again.left(CARD), again.left(OTHER)) == (LIMIT, LIMIT - 1)


def spent(counter: Attempts, times: int = LIMIT) -> None:
    for n in range(times):
        counter.reserve(CARD, (n + 1) * LATER)


def test_an_unlock_by_staff_gives_attempts_back_once() -> None:
    disk, counter = fresh()
    spent(counter)
    counter.unlocked(CARD, 1)
    assert reload(disk).left(CARD) == LIMIT
    assert counter.reserve(CARD, 1) == LIMIT - 1, "nor is there a delay left"
    for again in (counter, reload(disk)):
        again.unlocked(CARD, 1)  # the same count in every later answer
        again.unlocked(CARD, 0)  # a centre put back from an older copy
        assert again.left(CARD) == LIMIT - 1


def test_an_unlock_is_not_given_twice_after_a_receipt_or_a_restart() -> None:
    disk, counter = fresh()
    counter.unlocked(CARD, 3)
    spent(counter, 2)
    counter.accepted(CARD)
    assert counter.left(CARD) == LIMIT
    spent(counter, 2)
    for again in (counter, reload(disk)):
        again.unlocked(CARD, 3)
        assert again.left(CARD) == LIMIT - 2


@given(st.lists(st.integers(0, 3), max_size=8))
def test_attempts_never_rise_without_a_higher_count(counts: list[int]) -> None:
    _, counter = fresh()
    counter.reserve(CARD, 1)
    highest = 0
    for count in counts:
        before = counter.left(CARD)
        counter.unlocked(CARD, count)
        assert counter.left(CARD) == (LIMIT if count > highest else before)
        highest = max(highest, count)
        counter.reserve(CARD, counter._row(CARD).reserved_utc_s + LATER)


def test_no_cut_gives_an_attempt_back() -> None:
    """Fault 58: a comparison runs only after `reserve` returned; what is left then never rises."""
    cuts = 0
    for cut_at in itertools.count():
        disk, counter = fresh()
        counter.reserve(CARD, 1)
        disk.cut_at = disk.calls + cut_at
        compared = 1
        try:
            for n in range(3):
                counter.reserve(CARD, 1 + n)
                compared += 1
        except PowerCut:
            for after in disk.after_cut():
                cuts += 1
                assert reload(after).left(CARD) in {LIMIT - compared, LIMIT - compared - 1}
        else:
            disk.cut_at = None
            break
    assert {reload(after).left(CARD) for after in disk.after_cut()} == {LIMIT - 4}
    assert cuts > 50


def test_repeated_cuts_never_add_up_to_an_attempt() -> None:
    """A cut, a restart, a cut in that restart's own reservation, and so on, three deep."""
    states = 0

    def explore(disk: ModelFileSystem, compared: int, depth: int) -> None:
        nonlocal states
        for cut_at in (1, 2, 3, 4):  # 0 is a read
            fork = ModelFileSystem.of(disk.contents())
            counter = reload(fork)
            assert counter.left(CARD) <= LIMIT - compared
            fork.cut_at = fork.calls + cut_at
            with pytest.raises(PowerCut):
                counter.reserve(CARD, LATER * (depth + 1))
            for after in fork.after_cut():
                states += 1
                if depth < 2:
                    explore(after, compared, depth + 1)

    disk, counter = fresh()
    counter.reserve(CARD, 1)
    explore(disk, 1, 0)
    assert states > 1000


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_no_failing_call_gives_an_attempt_back(number: int) -> None:
    for call in range(5):  # read, write, sync, rename, sync_directory
        disk, counter = fresh()
        counter.reserve(CARD, 1)
        compared = 1
        disk.fail = {disk.calls + call: number}
        for n in range(4):
            try:
                counter.reserve(CARD, 2 + n)
                compared += 1
            except Fault:
                pass
        for after in disk.after_cut():
            assert reload(after).left(CARD) <= LIMIT - compared


def test_a_deleted_or_damaged_counter_is_locked_and_not_ten() -> None:
    disk, counter = fresh()
    counter.reserve(CARD, 1)
    for left in ({}, {store.NAME: b""}, {store.NAME: disk.contents()[store.NAME][:-1]}):
        with pytest.raises(Fault, match=r"^state-damaged$"):
            reload(ModelFileSystem.of(left))
    disk.write(store.NAME, b"")
    with pytest.raises(Fault, match=r"^state-damaged$"):
        counter.reserve(CARD, 2)


def test_a_table_that_is_full_compares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MAX_CARDS", 1)
    _, counter = fresh()
    counter.reserve(CARD, 1)
    counter.reserve(CARD, 1)
    with pytest.raises(Fault, match=r"^disk-failed$"):
        counter.reserve(OTHER, 1)


def test_a_card_is_named_by_a_digest() -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        fresh()[1].left(b"short")


RESERVER = """
import sys
from pathlib import Path
from sdbox_agent.state import store
from sdbox_agent.state.attempts import Attempts
from sdbox_agent.state.filesystem import RealFileSystem
counter = Attempts(store.load(RealFileSystem(Path(sys.argv[1]))))
for n in range(int(sys.argv[2]), 10**6):
    card = n.to_bytes(32)
    counter.reserve(card, 1)
    sys.stdout.write(f"{n}\\n")
    sys.stdout.flush()
    counter.accepted((n - 20).to_bytes(32)) if n >= 20 else None
"""


@pytest.mark.parametrize("delay_ms", range(0, 40, 4))
def test_kill_9_at_any_moment_gives_no_attempt_back(tmp_path: Path, delay_ms: int) -> None:
    files = RealFileSystem(tmp_path)
    store.create(files)
    with subprocess.Popen(
        [sys.executable, "-c", RESERVER, str(tmp_path), "0"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as child:
        assert child.stdout
        told = [int(child.stdout.readline())]  # it is at work
        time.sleep(delay_ms / 1000)
        child.kill()
        told += [int(line) for line in child.stdout.read().splitlines()]
    counter = Attempts(store.load(files))
    for card in told[-15:]:
        assert counter.left(card.to_bytes(32)) == LIMIT - 1
    files.close()


def test_a_receipt_of_a_card_never_counted_writes_nothing() -> None:
    disk, counter = fresh()
    disk.cut_at = 0  # the first step on the disk would raise PowerCut
    counter.accepted(CARD)
    assert counter.left(CARD) == LIMIT
