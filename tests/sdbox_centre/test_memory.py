from pathlib import Path

import pytest

from sdbox_agent.errors import Fault
from sdbox_centre import memory
from sdbox_centre.memory import Memory, Taken

ONE, TWO = Taken(1, "attempts", "aa", 1), Taken(2, "card", "aa", 1)


def test_what_is_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    kept = Memory(tmp_path / "remembered")
    assert (kept.latest(), kept.since(0)) == (0, [])
    kept.keep([ONE, TWO])
    kept.close()
    again = Memory(tmp_path / "remembered")
    assert (again.latest(), again.since(0), again.since(1)) == (2, [ONE, TWO], [TWO])
    again.close()


def test_the_latest_word_on_a_subject_counts_whoever_writes_last(tmp_path: Path) -> None:
    kept = Memory(tmp_path / "remembered")
    later = ONE._replace(n=7, value=4)
    kept.keep([later, ONE])
    assert kept.since(0) == [later]
    kept.close()


def test_it_is_on_the_disk(tmp_path: Path) -> None:
    kept = Memory(tmp_path / "remembered")
    assert kept._ask("PRAGMA synchronous") == [(2,)]
    assert kept._ask("PRAGMA journal_mode") == [("wal",)]
    kept.close()


def test_what_is_no_file_of_ours_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"no database at all" * 100)
    for path in (tmp_path / "other", tmp_path / "nowhere/remembered"):
        with pytest.raises(Fault, match="disk-failed"):
            Memory(path)
    kept = Memory(tmp_path / "remembered")
    kept._ask("DROP TABLE taken")
    for act in (kept.latest, lambda: kept.since(0), lambda: kept.keep([ONE])):
        with pytest.raises(Fault, match="disk-failed"):
            act()
    kept.close()


def test_each_change_has_the_next_number(world) -> None:
    with world.store.begin() as tx:
        first = memory.number(tx)
        memory.take(tx, "card", "aa")
        memory.take(tx, "attempts", "aa", 3)
        assert tx.info["taken"] == [
            Taken(first + 1, "card", "aa", 1),
            Taken(first + 2, "attempts", "aa", 3),
        ]
        assert memory.number(tx) == first + 2
