"""A box that does not know the time yet, and a card that wants a PIN."""

from collections.abc import Iterator

import pytest

from hil.issuing import Holder
from hil.rig import Rig
from tests.hil.refusals import Bench, People

pytestmark = pytest.mark.rig


@pytest.fixture(scope="module")
def holder_and_bench() -> Iterator[tuple[Holder, Bench]]:
    """The box is up, the centre is not. The card wants a PIN: its kind is told by its ATR."""
    with Rig() as rig:
        holder = People(rig).holder(rig.issuing.card(pin_policy="once"))
        rig.start_box()
        yield holder, Bench(rig)


@pytest.fixture
def bench(holder_and_bench: tuple[Holder, Bench]) -> Iterator[Bench]:
    yield holder_and_bench[1]
    holder_and_bench[1].clear()


@pytest.fixture
def holder(holder_and_bench: tuple[Holder, Bench]) -> Holder:
    return holder_and_bench[0]


def test_before_the_first_hello_no_card_is_judged_and_after_it_it_is(
    bench: Bench, holder: Holder
) -> None:
    stay = bench.turn().insert(holder.card)
    bench.refused("clock-unset", "checking")
    assert not [one for one in stay.log if one.ins == 0x87]  # no key of the card was used
    bench.rig.start_centre()
    seen = bench.watch.state("pinentry")  # by itself, once the centre has told the time
    assert seen.level == "host-match"


def test_a_session_that_waits_for_a_pin_can_be_given_up(bench: Bench, holder: Holder) -> None:
    bench.turn().insert(holder.card)
    bench.watch.state("pinentry")
    bench.cancel()
    bench.refused("cancelled", "pinentry")
    assert bench.centre_row(holder) == (0, 0)


def test_a_card_pulled_while_its_pin_is_awaited_ends_the_session(
    bench: Bench, holder: Holder
) -> None:
    bench.turn().insert(holder.card)
    bench.watch.state("pinentry")
    bench.rig.operator.remove()
    bench.refused("card-removed", "pinentry")
