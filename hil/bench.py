"""How fast, how large, how quiet: `python -m hil.bench [--quick] [--only GROUP] [--out FILE]`.

Writes build/bench.json (one group alone: build/bench-GROUP.json) and prints it as a table; exit
status 1 if an aim is missed. A timing is `{"p50", "p95", "p99", "n"}` in ms, a value measured once
a bare number. Groups: sessions, cards, idle, link (explained in hil.link_bench), and tunnel, whose
figures hil.net.bench explains (and hil.net.carrier_bench: {plain,carried}_*, a tunnel over UDP, and
over TLS).

    card_in_to_prompt_ms           the core hears of the card .. a finger is asked for
    card_own_ms                    of that, ours: neither card nor centre was busy; PC/SC included
    card_own_cpu_ms                processor time of our processes meanwhile, also on a busy machine
    card_itself_ms, centre_ms      what they were (they may be at once, so the three are no sum)
    card_exchanges                 APDUs of that time
    pkcs11_tool_ms                 `pkcs11-tool`, its whole run less the card: the same certificates
                                   read, one ECDH; nothing judged, no centre, no reference
    pkcs11_tool_talk_ms            of that, from its first APDU to its last
    card_in_to_prompt_<level>_ms   the same at card-match, and at card-pin: to the PIN
    card_own_<level>_ms            of that, ours
    mute_card_s                    a card that never answers: card in .. refused, the slowest
    after_mute_card_in_to_prompt_ms    the next card after it, put in at once
    unwrap_<kind>_ms               the reference served .. a finger asked for (good), or refused
    image_to_decision_ms           the finger laid down .. match, decided and recorded
    decision_to_vm_ms              the match .. handshake seen and the VM has answered; wireguard-go
                                   runs by then: helper_up_ms counts its start, as by hand it does
    pq_*_ms                        of that, what post-quantum costs: see hil.bench_psk
    decision_own_ms                of that, ours: neither card, centre nor wireguard-go was busy
    decision_{card,centre,wireguard}_ms    what they were; wireguard-go from its first frame on the
                                   cable to the VM's answer, at both ends
    card_out_to_last_packet_ms     PC/SC tells of the removal .. last WireGuard frame on the cable
    card_out_to_all_gone_ms        … .. the box shows the end: no interface, no process, walls shut
    card_out_to_peer_removed_ms    … .. the gateway has no peer (looked at every 2 ms)
    card_pulled_to_last_packet_ms  the rig's card is gone .. that frame (vpcd polls every 400 ms)
    session_total_ms               card_in_to_prompt, and finger laid .. open: without the person
    in_*_ms                        time spent in each state of the machine but the person's
    pss_mb                         ours, idle, after all those sessions; the console's too
    pss_all_mb                     of all of them together
    pss_wireguard_go_mb            the tunnel's child while a session is open; idle, none runs
    idle_cpu_percent               all of ours over 60 s, of one processor
    {idle_cpu,pss}_{launcher,pcscd,fprintd}_*    what is not ours, over the same time
    ready_*_ms                     a unit's start .. its READY; the core's has the card worker's in
                                   it, the others are ready as soon as they run
    spoilt_rounds                  sessions that did not go straight through, in no timing
    load_average                   of the machine, over the minute before: it had other work too

Both ends of the last packet are seen from outside: a witness of its own at PC/SC, and the kernel's
time of each frame at the centre's end of the cable, under a flood of one packet every 0.5 ms from
the session namespace. A negative time: no frame left after the report.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil import bench_idle, bench_psk, link_bench
from hil.bench_cards import Cards
from hil.bench_figures import Figures, Group, missed, table, timing
from hil.bench_reader import Witness
from hil.bench_rounds import Rounds
from hil.bench_tool import Tool
from hil.net import bench as bench_tunnel
from hil.net import carrier_bench
from hil.rig import Rig

if TYPE_CHECKING:
    from hil.operator import Watch

OUT: Final = Path(__file__).resolve().parents[1] / "build"
ALL: Final = OUT / "bench.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    idle_s: float
    budget_s: float  # for the rounds: what is not done by then is left out, and `n` says so
    others: int  # rounds of each kind of card that is not the ordinary one
    mutes: int  # cards that never answer: 10 s each
    tunnel: bench_tunnel.Plan
    carried: int  # rounds of a tunnel over UDP and one over TLS
    linked: int  # boxes that listen to one centre
    starts: int = 1  # of the box, each unit's READY timed
    groups: frozenset[Group] = frozenset(Group)


WHOLE: Final = Plan(
    rounds=200,
    idle_s=60.0,
    budget_s=200.0,
    others=3,
    mutes=2,
    tunnel=bench_tunnel.WHOLE,
    carried=3,
    linked=link_bench.BOXES,
    starts=9,
)
QUICK: Final = Plan(
    rounds=12, idle_s=10.0, budget_s=60.0, others=2, mutes=1, tunnel=bench_tunnel.QUICK, carried=1,
    linked=50,
)  # fmt: skip


def measure(plan: Plan) -> Figures:
    """Every figure of the plan's groups. Raises ValueError if no session went through."""
    figures: Figures = {}
    load = os.getloadavg()[0]
    if plan.groups - {Group.TUNNEL, Group.LINK}:
        figures |= _of_a_box(plan)
    if Group.TUNNEL in plan.groups:
        figures |= bench_tunnel.measure(plan.tunnel)
        figures |= carrier_bench.run(plan.carried) if plan.carried else {}
    if Group.LINK in plan.groups:
        figures |= link_bench.measure(plan.linked, idle_s=plan.idle_s) if plan.linked else {}
    return figures | {"load_average": round(load, 2)}


def _of_a_box(plan: Plan) -> Figures:
    """On a rig of our own, with a whole box in it."""
    figures: Figures = {}
    with contextlib.ExitStack() as stack:
        rig = stack.enter_context(Rig())
        witness = stack.enter_context(Witness(rig.pcscd.environment))
        holder = rig.enrol("test-holder-01", seed=1)
        tool = stack.enter_context(Tool(_made(rig.root / "tool"), holder))
        cards = Cards(rig, holder)
        rig.start()
        watch = rig.watch()
        watch.state("idle")
        if Group.SESSIONS in plan.groups:
            figures |= _sessions(Rounds(rig, holder, watch, witness, tool), plan)
        if Group.CARDS in plan.groups:
            figures |= _others(cards, watch, plan)
        if Group.IDLE in plan.groups:
            figures |= bench_idle.at_rest(rig, plan.idle_s)
            watch.close()
            figures |= bench_idle.ready(rig.box, plan.starts)
    return figures


def _sessions(rounds: Rounds, plan: Plan) -> Figures:
    rounds.run(plan.rounds, plan.budget_s)
    if not rounds.figures_ms:
        raise ValueError("no session went through")
    figures: Figures = {name: timing(each) for name, each in rounds.figures_ms.items()}
    figures |= bench_psk.measure(plan.rounds)
    return figures | {
        "card_exchanges": rounds.exchanges,
        "pss_wireguard_go_mb": round(rounds.wireguard_pss_mb, 1),
        "spoilt_rounds": rounds.spoilt,
    }


def _others(cards: Cards, watch: Watch, plan: Plan) -> Figures:
    cards.levels(watch, plan.others)
    cards.bad_references(watch, plan.others)
    cards.mute(watch, plan.mutes)
    slowest_s = max(cards.figures.pop("mute_card_s"))
    figures: Figures = {name: timing(each) for name, each in cards.figures.items()}
    return figures | {"mute_card_s": round(slowest_s, 2)}


def _made(path: Path) -> Path:
    path.mkdir(mode=0o755)
    return path


def main(argv: list[str] | None = None) -> int:
    """Measure, write, print; 1 if an aim is missed."""
    parser = argparse.ArgumentParser(prog="hil.bench")
    parser.add_argument("--quick", action="store_true", help="a minute: p99 is the worst of few")
    parser.add_argument("--rounds", type=int, help="so many sessions")
    parser.add_argument("--only", type=Group, metavar="GROUP", help="one of them alone")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(argv)
    plan = QUICK if options.quick else WHOLE
    if options.rounds is not None:
        plan = dataclasses.replace(plan, rounds=options.rounds)
    if options.only is not None:
        plan = dataclasses.replace(plan, groups=frozenset({options.only}))
    figures = measure(plan)
    out = options.out or (OUT / f"bench-{options.only.value}.json" if options.only else ALL)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n")
    print(table(figures))
    complaints = missed(figures, plan.groups)
    for complaint in complaints:
        print("missed:", complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
