"""Two API processes and one gateway on one PostgreSQL, and a box that asks now one, now the other.

Each call but hello is made twice, the same bytes at both: one answer. Then one process is killed,
and its sessions go on at the other; the database is away for a moment, and they go on after; a
card is revoked, and its session is refused.
"""

import signal
from pathlib import Path

import msgspec

from hil.postgres import Cluster
from tests.sdbox_centre import tls
from tests.sdbox_centre.rig_processes import (
    API,
    GATEWAY,
    PORT,
    listening,
    peers,
    prepare,
    refused,
    rig,
    running,
    staff_of,
)
from tests.sdbox_centre.world import Session
from tests.waiting import PATIENCE_S, until

SESSIONS = 5


class Both:
    """A client of two processes: hello at one and the other in turn, everything else at both."""

    def __init__(self, *clients: object) -> None:
        self._clients = list(clients)

    def __getattr__(self, name: str):
        def call(request):
            self._clients.reverse()
            first, *rest = [getattr(client, name) for client in self._clients]
            answer = first(request)
            for again in rest if name != "hello" else ():
                second = again(request)
                if name == "receipt":  # its lease runs already
                    assert second.lease_s <= answer.lease_s
                    second = msgspec.structs.replace(second, lease_s=answer.lease_s)
                assert second == answer, name
            return answer

        return call

    def lose(self, client: object) -> None:
        self._clients.remove(client)


def play(root: Path) -> None:
    with Cluster(durable=False) as cluster:
        play_on(cluster, root)


def play_on(cluster: Cluster, root: Path) -> None:
    database = cluster.database()
    world, api, gateway, _ = prepare(root, database)
    second = root / "second.toml"
    second.write_text(Path(api).read_text().replace(f"port = {PORT}", f"port = {PORT + 1}"))
    clients = [tls.client(world, PORT), tls.client(world, PORT + 1)]
    both = Both(*clients)
    with (
        running("gateway", gateway, GATEWAY, net_admin=True),
        running("api", api, API, net_admin=False) as first,
        running("api", str(second), API, net_admin=False),
    ):
        until((root / "gate/gateway.sock").exists)
        until(lambda: listening(PORT) and listening(PORT + 1))
        office = staff_of(world, database).office
        assert office.deliver() > 0  # the gateway may have come after both
        office.store.close()
        world.clock.utc = int(world.clock.utc) + 30  # later than the gateway's start
        for n in range(1, 1 + SESSIONS):
            one = Session(world, both, world.box, world.card, f"boot-1-{n}")
            one.to_open()
            assert len(peers()) == 1
            one.renew()
            one.renew()
            one.end()
            assert peers() == []
        one = Session(world, both, world.box, world.card, "boot-1-90")
        one.to_open()
        first.send_signal(signal.SIGKILL)
        first.wait(PATIENCE_S)
        both.lose(clients[0])
        one.renew()
        one.n += 1
        renewal = one.box.renew(one.card, one.name, one.challenge, one.n)
        cluster.stop()
        refused(lambda: both.renew(renewal), "centre-fault")
        assert len(peers()) == 1, "the gateway needs no database"
        cluster.start()
        one.challenge = both.renew(renewal).challenge
        one.renew()
        assert len(peers()) == 1
        staff = staff_of(world, database)
        staff.revoke_card(world.card.name)
        staff.office.store.close()
        assert peers() == []
        refused(one.renew, "session-closed")
    for client in clients:
        client.close()


if __name__ == "__main__":
    rig(play)
