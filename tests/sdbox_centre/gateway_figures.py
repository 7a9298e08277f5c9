"""What a gateway costs with so many leases: `python -m tests.sdbox_centre.gateway_figures 1000`.

CPU is the gateway's own, wireguard-go's not counted; the rest is how long somebody waited for it.
"""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cryptography import x509

from sdbox_centre import gateway_wire
from tests.sdbox_centre import world as w
from tests.sdbox_centre.listing import unlisted
from tests.sdbox_centre.rig_gateway import Gate, peers
from tests.sdbox_centre.rig_processes import cpu_s, pss_kb, rig, say
from tests.sdbox_centre.test_gateway import install, renewal
from tests.sdbox_centre.world import World
from tests.waiting import PATIENCE_S, until

IDLE_S = 20
ASKED = 50  # renewals while the cards are looked at


@contextlib.contextmanager
def measured(gate: Gate, what: str, count: int = 1) -> Iterator[None]:
    start_s, cpu_before_s = time.monotonic(), cpu_s(gate.process)
    yield
    wall_ms = 1000 * (time.monotonic() - start_s) / count
    cpu_ms = 1000 * (cpu_s(gate.process) - cpu_before_s) / count
    say(f"{what}: {wall_ms:.1f} ms, of which {cpu_ms:.1f} ms CPU of the gateway")


def play(number: int, root: Path) -> None:
    gateway_wire.DEADLINE_S = PATIENCE_S
    world = World(root)
    root.chmod(0o755)
    cards = [w.make_card(world.cards, n, world.now) for n in range(2, 2 + number)]
    for n, card in enumerate(cards, 2):
        world.admit(card, n)
    project = root / "projects" / f"{w.PROJECT}.toml"
    unlisted(project)
    project.write_text(project.read_text().replace("10.77.0.0/29", "10.77.0.0/16"))
    with Gate(world) as gate:
        world.clock.utc = int(time.time()) + 1
        requests = [install(world, n, card) for n, card in enumerate(cards)]
        renewals = [renewal(world, 1, n, card=card) for n, card in enumerate(cards)]
        with measured(gate, "an install", number):
            for request in requests:
                gate.client.install(request)
        for _ in range(3):
            program = gate.program()
            with measured(gate, "a reload"):
                gate.process.send_signal(signal.SIGHUP)
                until(lambda before=program: gate.program() != before)
                until(gate.answers)
            assert len(peers()) == number
        time.sleep(number * 0.03)  # until the cards have been looked at
        with measured(gate, "a second of doing nothing", IDLE_S):
            time.sleep(IDLE_S)
        with measured(gate, "a renewal", number):
            for request in renewals:
                gate.client.renew(request)
        revoked = x509.load_der_x509_certificate(cards[-1].certificates.auth)
        with measured(gate, "from a new list to the peer gone"):
            world.publish_crl(revoked.serial_number)
            until(lambda: len(peers()) == number - 1)
        with measured(gate, "a renewal while the cards are looked at", ASKED):
            for request in renewals[:ASKED]:
                gate.client.renew(request)
        say(f"PSS {pss_kb(gate.process)} kB")


if __name__ == "__main__":
    rig(partial(play, int(sys.argv[1])))
