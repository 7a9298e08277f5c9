"""The helper is asked until somebody has said that nothing is up."""

import msgspec
import pytest

from sdbox_agent import ipc
from sdbox_agent.centre import wire
from sdbox_agent.daemon.tunnel_side import TunnelSide
from sdbox_agent.session import events as on
from tests.daemon.parts import UTC_S, Bench, Link, N
from tests.session.explore import KEM_KEY, KEY, LEASE


class Side(TunnelSide):
    def __init__(self, *, clock_set: bool = True, userspace: bool = False) -> None:
        self.bench = Bench(clock_set=clock_set)
        super().__init__(self.bench.context, userspace=userspace)
        self.spy = self.link = Link()  # type: ignore[assignment]

    @property
    def asked(self) -> list[type]:
        return [type(message) for message in self.spy.sent]


def test_it_asks_for_a_key_a_tunnel_and_a_longer_lease() -> None:
    side = Side()
    side.warm(N)
    side.prepare(N)
    side.open(N, LEASE, b"r" * 32)
    side.extend(N, 60)
    warm = ipc.WarmTunnel
    assert side.asked == [warm, ipc.PrepareTunnel, ipc.OpenTunnel, ipc.ExtendLease]
    asked = side.spy.sent[2]
    assert (asked.psk_salt, asked.kem_ciphertext) == (LEASE.psk_salt, LEASE.kem_ciphertext)
    assert asked.receipt_sha256 == b"r" * 32
    assert "psk" not in repr(asked)


@pytest.mark.parametrize("userspace", [False, True])
def test_who_runs_wireguard_is_the_profiles_to_say(userspace: bool) -> None:
    side = Side(userspace=userspace)
    side.warm(N)
    side.prepare(N)
    assert [message.userspace for message in side.spy.sent] == [userspace, userspace]


def test_a_carrier_is_handed_on_with_the_hosts_proxy() -> None:
    side = Side()
    offered = wire.Carrier(endpoint="192.0.2.3:443", pin=KEY, token=b"t" * 32)
    side.open(N, msgspec.structs.replace(LEASE, carrier=offered), KEY)
    side._proxy = "192.0.2.9:3128"
    side.open(N, msgspec.structs.replace(LEASE, carrier=offered), KEY)
    side.open(N, LEASE, KEY)
    plain = ipc.Carrier(endpoint="192.0.2.3:443", pin=KEY, token=b"t" * 32)
    through = msgspec.structs.replace(plain, proxy="192.0.2.9:3128")
    assert [message.carrier for message in side.spy.sent] == [plain, through, None]


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (ipc.TunnelUp(n=N, handshake_ms=3, vm_ms=2), on.TunnelUp(N, 3, 2)),
        (
            ipc.TunnelUp(n=N, handshake_ms=3, vm_ms=2, carrier="tls"),
            on.TunnelUp(N, 3, 2, "tls"),
        ),
        (ipc.TunnelActive(n=N), on.UserActive()),
        (ipc.TunnelDown(n=N, code="lease-expired"), on.Failed(N, "lease-expired")),
        (
            ipc.TunnelDown(n=N, code="tls-inspected", issuer="CN=x"),
            on.Failed(N, "tls-inspected", "CN=x"),
        ),
        (ipc.Failed(n=N, code="handshake-timeout"), on.Failed(N, "handshake-timeout")),
        (ipc.TunnelClosed(n=N), on.TunnelDown(N)),
    ],
)
def test_its_words_become_events(message: ipc.FromTunnel, event: on.Event) -> None:
    side = Side()
    side.heard(message)
    side.heard(ipc.TunnelState(n=N, up=True))
    assert side.bench.fed == [event]


def test_a_key_is_told_with_the_trusted_time_or_the_session_fails() -> None:
    side = Side()
    side.heard(ipc.TunnelPrepared(n=N, wg_public_key=KEY, kem_key=KEM_KEY))
    told = side.bench.fed[0]
    assert (told.wg_public_key, told.kem_key) == (KEY, KEM_KEY)
    assert told.utc_s >= UTC_S
    unset = Side(clock_set=False)
    unset.heard(ipc.TunnelPrepared(n=N, wg_public_key=KEY, kem_key=KEM_KEY))
    assert unset.bench.failed() == "clock-unset"


def test_taking_down_never_fails_and_the_successor_is_asked() -> None:
    side = Side()
    side.spy.up = False
    side.take_down(N)
    side.spy.up = True
    side.connected()
    assert side.asked == [ipc.CloseTunnel]
    side.lost()
    side.connected()
    assert side.asked == [ipc.CloseTunnel] * 2
    side.heard(ipc.TunnelClosed(n=N))
    side.connected()
    assert side.asked == [ipc.CloseTunnel] * 2, "somebody has said so"


def test_the_word_for_an_earlier_session_is_not_the_word_for_this_one() -> None:
    side = Side()
    side.take_down(N)
    side.heard(ipc.TunnelClosed(n=N - 1))
    side.connected()
    assert side.asked == [ipc.CloseTunnel] * 2


def test_a_death_fails_the_session() -> None:
    side = Side()
    side.lost()
    assert side.bench.failed() == "tunnel-worker-died"
