"""One measured session after another, on a rig. What the clocks are: bench_entry."""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

import numpy as np

from hil.bench_entry import Entry, Spoilt, beginnings_ms, put_in
from hil.bench_processes import children, pss_mb, settle
from hil.bench_shares import covered_ns, of_card, of_centre, of_wireguard, shares
from hil.centre import FIRST_WIREGUARD_PORT, PORT, PROJECTS
from hil.finger.sensor import SensorError
from hil.net.observe import Observer, now_ns
from hil.net.process import Process, Unit
from hil.net.topology import CENTRE_SIDE
from hil.operator import Waited
from hil.scenarios import session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hil.bench_reader import Witness
    from hil.bench_tool import Tool
    from hil.card.insertion import Insertion
    from hil.issuing import Holder
    from hil.operator import Watch
    from hil.rig import Rig
    from sdbox_agent.daemon.view import View

FLOOD_GAP_US: Final = 500
_FLOOD_FRAMES: Final = 50  # seen on the cable before the card is pulled
_FLOOD_S: Final = 10.0
_POLL_S: Final = 0.4  # pcscd looks at a vpcd reader so often: removals fall evenly into it
_PEER_S: Final = 20.0
_PEER_LOOK_S: Final = 0.002
_PERSON_S: Final = 0.1  # between the prompt and the finger
TOUCHES: Final = 16
TOOL_EVERY: Final = 4  # rounds

# First view of a state .. first view of the next: where a session's time goes.
_STAGES: Final = (
    "checking", "proving", "opening", "scanning", "reserving", "comparing", "signing",
    "tunnelling", "open",
)  # fmt: skip


@dataclass
class Rounds:
    """Sessions of one holder on one rig, and what they took."""

    rig: Rig
    holder: Holder
    watch: Watch
    witness: Witness
    tool: Tool
    seed: int = 1
    figures_ms: dict[str, list[float]] = field(default_factory=dict)
    spoilt: int = 0
    wireguard_pss_mb: float = 0.0
    exchanges: int = 0  # with the card, from its insertion to the prompt

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        person = self.holder.person
        self._touches = [
            np.ascontiguousarray(person.touch(person.positions[0], 1000 + at, "good").pixels)
            for at in range(TOUCHES)
        ]

    def run(self, rounds: int, budget_s: float) -> None:
        """So many sessions, or as many as there is time for."""
        end_s = time.monotonic() + budget_s
        for number in range(rounds):
            if time.monotonic() >= end_s:
                return
            try:
                self._session(number)
            except (Spoilt, SensorError, Waited) as why:
                self.spoilt += 1
                print(f"round {number} spoilt: {why}", file=sys.stderr, flush=True)
                self._clear()

    def _session(self, number: int) -> None:
        settle(self.rig.box)
        first_view = len(self.watch.views)
        entry = put_in(self.rig, self.watch, self.holder, "scanning")
        time.sleep(_PERSON_S)
        with Observer(*self.rig.topology.cable) as observer:
            laid_ms = self.rig.operator.lay(self._noisy(self._touches[number % TOUCHES]))
            opened = self.watch.state("open", *session.OVER)
        views = self.watch.views[first_view:]
        hints = {view.code for view in views if view.state == "scanning"} - {None}
        if opened.state != "open" or hints != {"place-finger"}:
            raise Spoilt(f"{opened.state} {opened.code}, hints {sorted(map(str, hints))}")
        # Everything that the machine showed is there: the figures, before the card goes.
        self._note_session(views, entry, laid_ms, opened)
        self._note_decision(opened, entry.stay, observer)
        self.wireguard_pss_mb = self._wireguard_pss_mb()
        self._note_end()
        self.rig.oracle.ask()
        if number % TOOL_EVERY == 0:
            self._note_tool()

    def _noisy(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same touch with other noise of the sensor: never the same frame."""
        noise = self._rng.integers(-1, 2, pixels.shape)
        return np.asarray(np.clip(pixels + noise, 0, 255), dtype=np.uint8)

    def _note_session(self, views: list[View], entry: Entry, laid_ms: float, opened: View) -> None:
        first = {view.state: view.mono_ms for view in reversed(views)}
        prompt = entry.shares
        self._note("card_in_to_prompt_ms", prompt.wall_ms)
        self._note("card_own_ms", prompt.ours_ms)
        if entry.cpu_ms is not None:
            self._note("card_own_cpu_ms", entry.cpu_ms)
        self._note("card_itself_ms", prompt.card_ms)
        self._note("centre_ms", prompt.centre_ms)
        self.exchanges = prompt.exchanges
        decided_ms = first["signing"]  # one project: no choice is offered
        self._note("image_to_decision_ms", decided_ms - laid_ms)
        self._note("session_total_ms", prompt.wall_ms + opened.mono_ms - laid_ms)
        for state, following in itertools.pairwise(_STAGES):
            if state != "scanning":  # the person's
                self._note(f"in_{state}_ms", first[following] - first[state])

    def _note_decision(self, opened: View, stay: Insertion, observer: Observer) -> None:
        """From the match to the VM's answer, and whose time that was."""
        began_ms = beginnings_ms(self.rig, opened.n)["finger-matched"]
        wall = (round(began_ms * 1e6), round(opened.mono_ms * 1e6))
        ahead_ns = now_ns() - time.monotonic_ns()
        centre = of_centre(observer.frames, PORT, ahead_ns)
        wireguard = of_wireguard(observer.frames, FIRST_WIREGUARD_PORT, ahead_ns)
        divided = shares(wall, of_card(stay.log), [*centre, *wireguard])
        self._note("decision_to_vm_ms", divided.wall_ms)
        self._note("decision_own_ms", divided.ours_ms)
        self._note("decision_card_ms", divided.card_ms)
        self._note("decision_centre_ms", covered_ns(centre, wall) / 1e6)
        self._note("decision_wireguard_ms", covered_ns(wireguard, wall) / 1e6)

    def _note_end(self) -> None:
        """Pull the card under a paced flood; when did the last WireGuard frame pass the cable?"""
        topology = self.rig.topology
        vm = str(next(ip_network(PROJECTS[0].pool).hosts()))
        argv = [sys.executable, "-m", "hil.net.flood", vm, "9", str(FLOOD_GAP_US), str(_FLOOD_S)]
        flood = Process(Unit(argv, topology.session, uid=65534, output=self.rig.root / "flood.log"))
        try:
            with Observer(topology.centre, CENTRE_SIDE) as observer:
                self._until_flooded(observer)
                time.sleep(self._rng.uniform(0, _POLL_S))
                before_ns = now_ns()
                pulled = self.rig.operator.remove()
                reported_ns = self.witness.until(cards=0, after_ns=before_ns)
                removed_ns = self._peer_removed_ns()
                ended = self.watch.state("spent", "broken")
        finally:
            flood.end()
        assert pulled is not None
        assert pulled.removed_at_ns is not None
        if ended.code != "card-removed":
            raise Spoilt(f"ended with {ended.code}")
        clocks_ns = now_ns() - time.monotonic_ns()
        frames = observer.arrived(lambda frame: frame.port == FIRST_WIREGUARD_PORT)
        last_ns = max(frame.time_ns for frame in frames)
        self._note("card_out_to_last_packet_ms", (last_ns - reported_ns) / 1e6)
        pulled_ns = pulled.removed_at_ns + clocks_ns
        self._note("card_pulled_to_last_packet_ms", (last_ns - pulled_ns) / 1e6)
        shown_ns = ended.mono_ms * 1e6 + clocks_ns
        self._note("card_out_to_all_gone_ms", (shown_ns - reported_ns) / 1e6)
        self._note("card_out_to_peer_removed_ms", (removed_ns - reported_ns) / 1e6)
        if left := session.residue(self.rig):
            raise Spoilt(f"left up: {left}")

    def _peer_removed_ns(self) -> int:
        """When the gateway's interface was first seen without a peer, on the frames' clock."""
        with contextlib.closing(self.rig.centre.control(PROJECTS[0])) as control:
            end_s = time.monotonic() + _PEER_S
            while control.device().peers:
                if time.monotonic() > end_s:
                    raise Spoilt("the gateway keeps its peer")
                time.sleep(_PEER_LOOK_S)
            return now_ns()

    def _note_tool(self) -> None:
        """Beside each session, so that both ran on the same machine under the same load."""
        settle(self.rig.box)
        used = self.tool.use()
        self._note("pkcs11_tool_ms", used.whole.ours_ms)
        self._note("pkcs11_tool_talk_ms", used.card_only.ours_ms)

    @staticmethod
    def _until_flooded(observer: Observer) -> None:
        deadline_s = time.monotonic() + 5
        while len(observer.arrived(lambda frame: frame.port == FIRST_WIREGUARD_PORT)) < (
            _FLOOD_FRAMES
        ):
            if time.monotonic() > deadline_s:
                raise Spoilt("the flood does not pass the cable")
            time.sleep(0.02)

    def _wireguard_pss_mb(self) -> float:
        """wireguard-go's, while a tunnel is up: idle, there is none."""
        return sum(map(pss_mb, children(self.rig.box.pid("sdbox-tunnel"))))

    def _clear(self) -> None:
        self.rig.operator.remove()
        session.wait_ready(self.watch)

    def _note(self, name: str, value_ms: float) -> None:
        self.figures_ms.setdefault(name, []).append(value_ms)
