import pytest

from sdbox_agent.daemon.readers import Readers
from sdbox_agent.errors import Refused


def looked() -> Readers:
    readers = Readers()
    assert readers.looked() == []
    return readers


def test_a_card_that_lay_there_at_the_start_must_come_out_first() -> None:
    readers = Readers()
    assert readers.inserted("left", 1) is None
    assert readers.looked() == []
    assert readers.removed(1) == 1
    assert readers.inserted("left", 2) == 2


def test_a_card_at_the_start_is_still_the_same_after_its_worker_s_end() -> None:
    readers = Readers()
    assert readers.inserted("left", 1) is None
    readers.worker_died()
    assert readers.inserted("left", 1) is None
    assert readers.looked() == []
    assert readers.inserted("right", 2) == 2


def test_insertions_are_counted_over_all_readers() -> None:
    readers = looked()
    assert readers.inserted("left", 1) == 1
    assert readers.inserted("right", 2) == 2
    assert readers.removed(1) == 1
    assert readers.inserted("left", 3) == 3
    assert [readers.number(2), readers.number(3)] == [2, 3]


def test_a_removal_of_what_never_was_is_nothing() -> None:
    assert Readers().removed(1) is None


def test_a_card_that_outlived_its_worker_is_not_a_new_one() -> None:
    readers = looked()
    readers.inserted("left", 5)
    readers.worker_died()
    with pytest.raises(Refused, match="card-removed"):
        readers.number(1)
    assert readers.inserted("left", 1) is None
    assert readers.looked() == []
    assert readers.number(1) == 1
    assert readers.removed(1) == 1
    assert readers.inserted("left", 2) == 2


def test_a_card_that_left_while_no_worker_looked_is_gone_at_the_next_look() -> None:
    readers = looked()
    readers.inserted("left", 1)
    readers.inserted("right", 2)
    readers.worker_died()
    assert readers.inserted("right", 1) is None
    assert readers.looked() == [1]
    assert readers.looked() == []
    assert readers.inserted("left", 2) == 3


def test_a_number_of_the_dead_worker_is_not_mistaken_for_one_of_the_next() -> None:
    readers = looked()
    readers.inserted("left", 1)
    readers.worker_died()
    assert readers.inserted("right", 1) == 2
    assert readers.removed(1) == 2
    assert readers.looked() == [1]
