"""How a tunnel is taken down, over doubles; the rest is seen in workers/test_tunnel."""

import errno
import time
from pathlib import Path

import pytest

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.tunnel import nfset, rtnetlink
from sdbox_agent.tunnel.config import INTERFACE, parse_endpoint
from sdbox_agent.tunnel.netlink import Request
from sdbox_agent.tunnel.plumbing import Plumbing

ENDPOINT = parse_endpoint("192.0.2.1:51820")


class Links:
    """A namespace in which the session's interface was left behind."""

    def __init__(self) -> None:
        self.left = True

    def index(self, _name: str) -> int | None:
        return 7 if self.left else None

    def run(self, _requests: object) -> None:
        self.left = False


def link(name: str) -> rtnetlink.Link:
    return rtnetlink.Link(name=name, index=1, up=True, received_bytes=11, sent_bytes=22)


class Walls:
    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.cleared = 0

    def batch(self, _requests: object) -> None:
        if self.error is not None:
            raise self.error
        self.cleared += 1


class Peer:
    """What WireGuard says of the gateway."""

    def __init__(self, handshake_ns: int) -> None:
        self.handshake_ns = handshake_ns

    def peers(self) -> list["Peer"]:
        return [self]


def plumbing(tmp_path: Path, error: Exception | None) -> tuple[Plumbing, Links, Walls]:
    there, walls = Links(), Walls(error)
    made = Plumbing(tmp_path, there, -1)  # type: ignore[arg-type]
    made._here.close()
    made._walls.close()
    here = Links()
    here.left = False
    made._here, made._walls = here, walls  # type: ignore[assignment]
    return made, there, walls


def test_down_is_walls_shut_and_no_interface(tmp_path: Path) -> None:
    made, there, walls = plumbing(tmp_path, None)
    made.close()
    assert (walls.cleared, there.left) == (1, False)


def test_without_walls_there_is_nothing_to_shut(tmp_path: Path) -> None:
    made, there, _ = plumbing(tmp_path, FileNotFoundError(errno.ENOENT, "no such set"))
    made.close()
    assert not there.left


def test_where_one_table_is_gone_the_other_is_shut(tmp_path: Path) -> None:
    made, _, walls = plumbing(tmp_path, None)
    done = []

    def batch(requests: list[Request]) -> None:
        families = {request.body[0] for request in requests}
        if nfset.NFPROTO_INET in families:  # all or nothing
            raise FileNotFoundError(errno.ENOENT, "no such table")
        done.append(families)

    walls.batch = batch  # type: ignore[assignment,method-assign]
    made.close()
    assert done == [{nfset.NFPROTO_NETDEV}]


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EPERM, "no"), TimeoutError(), DecodeError("netlink")]
)
def test_walls_that_do_not_shut_are_told_and_stop_nothing_else(
    tmp_path: Path, error: Exception
) -> None:
    """A box whose hole stayed open must not say that its tunnel is down."""
    made, there, _ = plumbing(tmp_path, error)
    with pytest.raises(Fault, match="tunnel-not-down"):
        made.close()
    assert not there.left


def test_who_is_carried_has_no_handshake_from_before(tmp_path: Path) -> None:
    """One that came over UDP as the walls shut would pass for the carrier's."""
    made, _, walls = plumbing(tmp_path, None)
    done: list[object] = []

    class WireGuard:
        listen_port = 40000

        @property
        def control(self) -> "WireGuard":
            return self

        def device(self) -> "WireGuard":
            return self

        def set_peers(self, peers: tuple[()], *, replace: bool) -> None:
            done.append((walls.cleared, peers, replace))

    made._wireguard = WireGuard()  # type: ignore[assignment]
    assert made.let_carry(ENDPOINT) == 40000
    assert done == [(1, (), True)]


@pytest.mark.parametrize(
    ("code", "ahead_s", "told"),
    [
        ("tunnel-lost", -100, "tunnel-lost"),
        ("tunnel-lost", 100, "clock-set-back"),  # a handshake of the future
        ("lease-expired", 100, "lease-expired"),
    ],
)
def test_a_loss_under_a_clock_set_back_is_told_as_that(
    tmp_path: Path, code: str, ahead_s: int, told: str
) -> None:
    made, _, _ = plumbing(tmp_path, None)
    made._wireguard = Peer(time.time_ns() + ahead_s * 10**9)  # type: ignore[assignment]
    assert made.explain(code, ENDPOINT) == told


def test_an_explanation_that_fails_is_one(tmp_path: Path) -> None:
    made, _, _ = plumbing(tmp_path, None)
    assert made.explain("tunnel-lost", ENDPOINT) == "tunnel-fault"  # nothing runs


@pytest.mark.parametrize("names", [["lo"], ["lo", INTERFACE, "stray"], [INTERFACE]])
def test_counters_are_of_the_one_interface_beside_lo(tmp_path: Path, names: list[str]) -> None:
    made, there, _ = plumbing(tmp_path, None)
    there.all = lambda: [link(name) for name in names]  # type: ignore[attr-defined]
    with pytest.raises(Fault, match="tunnel-fault"):
        made.carried()
    there.all = lambda: [link("lo"), link(INTERFACE)]  # type: ignore[attr-defined]
    assert made.carried() == (11, 22)
