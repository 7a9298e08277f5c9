"""What was proved since power-on."""

from hil.card.status import Status


def test_what_is_forgotten_leaves_the_rest_and_nothing_fresh() -> None:
    status = Status()
    status.prove(0x80)
    status.prove(0x96)
    status.forget(0x80)
    assert status.proved == {0x96}
    assert not status.fresh
    status.forget(0x97)
    assert status.proved == {0x96}
