"""The outbox under every cut and failing call: the chain goes on, and nothing told is lost."""

import errno
import itertools
from pathlib import Path

import pytest

from sdbox_agent.audit import hashchain, outbox
from sdbox_agent.audit.outbox import NAME, Outbox, verify_file
from sdbox_agent.audit.record import MAX_LINE_BYTES, decode
from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.state.filesystem import RealFileSystem
from sdbox_agent.state.model import ModelFileSystem, PowerCut
from sdbox_agent.terms import Level


def codes(disk: ModelFileSystem) -> list[str]:
    data = disk.contents().get(NAME, b"")
    hashchain.verify(data)
    return [decode(line).code for line in data.splitlines()]


def fill(box: Outbox, *names: str) -> None:
    for name in names:
        box.append(name, result="ok")


def test_an_entry_is_on_disk_when_append_returns() -> None:
    disk = ModelFileSystem()
    box = Outbox(disk, "b1")
    number = box.append(
        "session-open", result="ok", session="b1-1", level=Level.HOST_MATCH, utc_s=0
    )
    assert number == 1
    for after in disk.after_cut():
        entry = decode(after.contents()[NAME].rstrip(b"\n"))
        assert (entry.seq, entry.session, entry.utc) == (1, "b1-1", "1970-01-01T00:00:00Z")


def test_the_chain_goes_on_after_a_restart() -> None:
    disk = ModelFileSystem()
    fill(Outbox(disk, "b1"), "aa", "bb")
    again = Outbox(disk, "b2")
    fill(again, "cc")
    assert codes(disk) == ["aa", "bb", "cc"]
    assert again.head == (3, hashchain.digest(disk.contents()[NAME].splitlines()[-1]))


def test_after_any_cut_the_chain_is_whole_and_nothing_told_is_lost() -> None:
    cuts, torn = 0, 0
    for cut_at in itertools.count():
        disk = ModelFileSystem()
        box = Outbox(disk, "b1")
        disk.cut_at = disk.calls + cut_at
        told: list[str] = []
        try:
            for name in ("aa", "bb", "cc", "dd"):
                fill(box, name)
                told.append(name)
        except PowerCut:
            for after in disk.after_cut():
                cuts += 1
                fill(Outbox(after, "b2"), "zz")
                seen = codes(after)
                assert seen[: len(told)] == told
                assert seen[-1] == "zz"
                assert set(seen[len(told) : -1]) <= {"aa", "bb", "cc", "dd", outbox.TORN}
                torn += outbox.TORN in seen
        else:
            disk.cut_at = None
            break
    assert cuts >= 30
    assert torn >= 10  # a loss is recorded, not passed over


def test_a_cut_while_resuming_after_a_cut_is_survived_too() -> None:
    disk = ModelFileSystem()
    fill(Outbox(disk, "b1"), "aa")
    disk.append(NAME, b'{"v":1,"seq"')
    for cut_at in itertools.count():
        torn = ModelFileSystem.of(disk.contents())
        torn.cut_at = cut_at
        try:
            Outbox(torn, "b2")
        except PowerCut:
            for after in torn.after_cut():
                Outbox(after, "b3")
                assert codes(after)[0] == "aa"
                assert set(codes(after)[1:]) <= {outbox.TORN}
        else:
            break


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_is_told_and_the_chain_stays_whole(number: int) -> None:
    for failing in itertools.chain.from_iterable(((c,), (c, c + 1)) for c in range(8)):
        disk = ModelFileSystem()
        box = Outbox(disk, "b1")
        disk.fail = dict.fromkeys((disk.calls + call for call in failing), number)
        told = []
        for name in ("aa", "bb", "cc"):
            try:
                fill(box, name)
                told.append(name)
            except Fault:
                pass
        disk.fail = {}
        for after in disk.after_cut():
            Outbox(after, "b2")
            assert [c for c in codes(after) if c in told] == told


def test_a_disk_that_fails_at_start_is_told() -> None:
    disk = ModelFileSystem()
    fill(Outbox(disk, "b1"), "aa")
    disk.append(NAME, b"torn")
    for call in range(4):
        failing = ModelFileSystem.of(disk.contents())
        failing.fail = {call: errno.EIO}
        with pytest.raises(Fault, match=r"^disk-failed$"):
            Outbox(failing, "b2")


def test_after_a_failed_sync_nothing_more_is_written_or_opened() -> None:
    disk = ModelFileSystem()
    box = Outbox(disk, "b1")
    fill(box, "aa")
    disk.fail = {disk.calls + 1: errno.EIO}
    for _ in range(2):
        with pytest.raises(Fault, match=r"^disk-failed$"):
            fill(box, "bb")
        with pytest.raises(Fault, match=r"^disk-failed$"):
            box.check_room()


def test_fault_91_no_session_opens_from_95_percent_and_the_open_one_is_still_recorded() -> None:
    budget = 100 * 160
    disk = ModelFileSystem()
    box = Outbox(disk, "b1", budget)

    def until_full(code: str, *, opens: bool) -> None:
        while True:
            if opens:
                box.check_room()
            fill(box, code)

    with pytest.raises(Fault, match=r"^audit-full$"):
        until_full("session-open", opens=True)
    assert 0.95 <= box.fill < 1
    with pytest.raises(Fault, match=r"^audit-full$"):
        Outbox(disk, "b2", budget).check_room()  # a restart changes nothing
    with pytest.raises(Fault, match=r"^audit-full$"):
        until_full("session-closed", opens=False)
    assert box.fill <= 1
    assert "session-closed" in codes(disk)


@pytest.mark.parametrize(
    "end",
    [
        b"garbage\ngarbage\n",
        b"garbage\ngarbage",
        b"x" * (5 * MAX_LINE_BYTES),
        b"x" * (5 * MAX_LINE_BYTES) + b"\n",
        b"\n\n",
    ],
)
def test_an_end_that_no_power_cut_leaves_is_damage(end: bytes) -> None:
    disk = ModelFileSystem()
    fill(Outbox(disk, "b1"), "aa", "bb")
    disk.append(NAME, end)
    with pytest.raises(Fault, match=r"^audit-damaged$"):
        Outbox(disk, "b2")


def test_a_last_line_that_does_not_follow_is_damage() -> None:
    disk = ModelFileSystem()
    fill(Outbox(disk, "b1"), "aa", "bb", "cc")
    lines = disk.contents()[NAME].splitlines(keepends=True)
    disk.write(NAME, lines[0] + lines[2])
    with pytest.raises(Fault, match=r"^audit-damaged$"):
        Outbox(disk, "b2")


def test_a_field_that_may_not_stand_there_writes_nothing() -> None:
    disk = ModelFileSystem()
    box = Outbox(disk, "b1")
    with pytest.raises(DecodeError):
        box.append("session-open", result="ok", session="Jane\nDoe")
    assert disk.contents() == {}


def test_it_works_on_a_real_disk_and_the_file_verifies(tmp_path: Path) -> None:
    files = RealFileSystem(tmp_path)
    fill(Outbox(files, "b1"), "aa", "bb")
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"v":1,')
    with pytest.raises(hashchain.ChainBroken, match=r"^audit-damaged$"):
        verify_file(tmp_path / NAME)
    box = Outbox(files, "b2")
    assert verify_file(tmp_path / NAME, box.head[1]) == 3
    files.close()
