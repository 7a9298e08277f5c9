"""The store under every cut and every failing call."""

import errno
import itertools
from pathlib import Path

import msgspec
import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.state import record, store
from sdbox_agent.state.filesystem import RealFileSystem
from sdbox_agent.state.model import ModelFileSystem, PowerCut

ERRNOS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE)


def wire_of(disk: ModelFileSystem) -> int:
    return store.load(disk).state.wire


def save(kept: store.Store, wire: int) -> None:
    kept.save(msgspec.structs.replace(kept.state, wire=wire))


def fault(code: str) -> pytest.RaisesExc[Fault]:
    return pytest.RaisesExc(Fault, match=rf"^{code}$")


def test_what_is_saved_is_loaded() -> None:
    disk = ModelFileSystem()
    kept = store.create(disk)
    save(kept, 3)
    again = store.load(disk)
    assert again.state == kept.state
    assert again.state.generation == 2


def test_a_box_is_made_once() -> None:
    disk = ModelFileSystem()
    store.create(disk)
    with fault("state-damaged"):
        store.create(disk)


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"garbage",
        b"\0" * 300,
        record.encode(record.State())[:-3],
        record.encode(record.State())[:64],
        record.encode(record.State()).replace(b'"v":1', b'"v":0'),
        b"x" * (record.MAX_RECORD_BYTES + 100),
    ],
)
def test_a_missing_or_damaged_record_is_never_read_as_zero(data: bytes | None) -> None:
    disk = ModelFileSystem.of({} if data is None else {store.NAME: data})
    with fault("state-damaged"):
        store.load(disk)


def test_an_older_copy_put_back_under_a_running_agent_is_damage() -> None:
    disk = ModelFileSystem()
    kept = store.create(disk)
    older = disk.contents()[store.NAME]
    save(kept, 1)
    disk.write(store.NAME, older)
    with fault("state-damaged"):
        save(kept, 2)


def test_two_stores_on_one_disk_do_not_overwrite_each_other() -> None:
    disk = ModelFileSystem()
    first = store.create(disk)
    second = store.load(disk)
    save(first, 1)
    with fault("state-damaged"):
        save(second, 2)


def test_every_cut_leaves_the_record_before_or_after() -> None:
    cuts = 0
    for cut_at in itertools.count():
        disk = ModelFileSystem()
        kept = store.create(disk)
        save(kept, 1)
        disk.cut_at = disk.calls + cut_at
        done = 1
        try:
            for wire in (2, 3):
                save(kept, wire)
                done = wire
        except PowerCut:
            for after in disk.after_cut():
                cuts += 1
                assert wire_of(after) in {done, done + 1}
                again = store.load(after)
                save(again, 9)  # and it goes on from there
                assert wire_of(after) == 9
        else:
            disk.cut_at = None
            break
    assert {wire_of(after) for after in disk.after_cut()} == {3}
    assert cuts >= 40


def test_a_cut_while_the_box_is_made_leaves_nothing_or_a_whole_record() -> None:
    for cut_at in itertools.count():
        disk = ModelFileSystem(cut_at=cut_at)
        try:
            store.create(disk)
        except PowerCut:
            for after in disk.after_cut():
                if store.NAME in after.contents():
                    assert wire_of(after) == 0
                else:
                    store.create(after)
        else:
            disk.cut_at = None
            break


@pytest.mark.parametrize("number", ERRNOS)
def test_every_failing_call_is_told_and_nothing_is_torn(number: int) -> None:
    for call in range(5):  # read, write, sync, rename, sync_directory
        disk = ModelFileSystem()
        kept = store.create(disk)
        disk.fail = {disk.calls + call: number}
        try:
            save(kept, 1)
        except Fault:
            assert kept.state.wire == 0
            for after in disk.after_cut():
                assert wire_of(after) in {0, 1}
            save(kept, 2)  # the disk has recovered, and so do we
        assert wire_of(disk) in {1, 2}
        assert {wire_of(after) for after in disk.after_cut()} == {wire_of(disk)}


def test_a_box_is_not_made_on_a_disk_that_fails() -> None:
    for call in range(5):
        with fault("disk-failed"):
            store.create(ModelFileSystem(fail={call: errno.EIO}))


def test_the_largest_record_fits() -> None:
    most = 2**53
    names = [f"{n:064x}" for n in range(record.MAX_CARDS)]
    state = record.State(
        generation=most,
        crl_numbers=dict.fromkeys(names[: record.MAX_ISSUERS], most),
        attempts=dict.fromkeys(names, record.CardAttempts(1000, most)),
    )
    assert record.decode(record.encode(state)) == state


def test_it_works_on_a_real_disk(tmp_path: Path) -> None:
    files = RealFileSystem(tmp_path)
    kept = store.create(files)
    save(kept, 5)
    files.close()
    files = RealFileSystem(tmp_path)
    assert store.load(files).state.wire == 5
    assert [p.name for p in tmp_path.iterdir()] == [store.NAME]
    files.close()
