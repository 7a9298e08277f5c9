"""What lies in the memory of the box's processes, state by state.

The test made the reference and holds the card's keys, so it knows every secret of the session
beforehand. It looks for each in the core at every state, and in the workers after the end.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from hil.card.faults import SlowBy
from hil.issuing import Holder, reference_record
from hil.scenarios import session
from sdbox_agent.pki import cms
from tests.hil import needles
from tests.hil.fault_bench import Bench, alive, opened, stopped
from tests.memory import Search, forms
from tests.waiting import until

pytestmark = pytest.mark.rig

FINGER = "sdbox-finger@"
STATES = {
    "idle", "checking", "proving", "opening", "scanning", "reserving", "comparing", "choosing",
    "signing", "tunnelling", "open", "closing", "spent",
}  # fmt: skip


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(one=0, both=2) as one:
        yield one


def secrets_of(holder: Holder) -> dict[str, list[bytes]]:
    """Shared secret, key-encryption key, content key, and pieces of the reference."""
    record = reference_record(holder.person)
    return {
        **needles.content_keys(holder),
        "prepared": needles.views(record),
        "minutiae": needles.record(record),
        # no secret: it shows that looking finds
        "sealed": forms(cms.parse(holder.sealed.sealed_der).ciphertext[:48]),
    }


class Looks:
    """Stops the core at each new view, and looks into it before it goes on."""

    def __init__(self, bench: Bench, search: Search) -> None:
        self._core = bench.rig.box.pid("sdbox-agent")
        self._watch = bench.watch
        self._search = search
        self.found: dict[str, set[str]] = {}

    def until(self, *states: str) -> None:
        while True:
            view = self._watch.until(lambda _: True, "view")
            with stopped(self._core):
                try:  # the newest it has shown is what it is in
                    view = self._watch.until(lambda _: False, "more", within_s=0.02)
                except TimeoutError:
                    view = self._watch.views[-1]
                self.look(view.state)
            if view.state in states:
                return

    def look(self, state: str) -> None:
        self.found.setdefault(state, set()).update(self._search.held(self._core))


def test_the_core_never_holds_what_opens_a_reference(bench: Bench) -> None:
    holder = bench.holder("both")
    search = Search(secrets_of(holder))
    looks = Looks(bench, search)
    looks.look("idle")
    finger, card = bench.rig.box.pid(FINGER), bench.rig.box.pid("sdbox-card")
    helper = bench.rig.box.pid("sdbox-tunnel")
    bench.rig.operator.insert(holder.card, [SlowBy(40)])
    looks.until("scanning")
    assert "prepared" in search.held(finger), "where they are, they are found"
    with stopped(bench.rig.centre.api.pid):
        bench.rig.operator.place(holder.person)
        looks.until("reserving")
        os.kill(finger, signal.SIGSTOP)
    looks.until("comparing")
    os.kill(finger, signal.SIGCONT)
    looks.until("choosing")
    until(lambda: not alive(finger))
    with stopped(bench.rig.centre.api.pid):
        bench.rig.operator.choose("p-beta")
        looks.until("tunnelling")
    looks.until("open")
    bench.rig.operator.remove()
    with stopped(helper):
        looks.until("closing")
    looks.until("spent")
    assert set(looks.found) >= STATES, STATES - set(looks.found)
    assert {state: names - {"sealed"} for state, names in looks.found.items()} == {
        state: set() for state in looks.found
    }
    assert "sealed" in looks.found["opening"], "what may be there, is found there"
    # After the end: the workers live on, and hold nothing of it.
    assert session.residue(bench.rig) == []
    left = {pid: search.held(pid) for pid in (card, helper, bench.rig.box.pid(FINGER))}
    assert not any(left.values()), (card, helper, left)
