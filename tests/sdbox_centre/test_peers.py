"""One contract for the double and for wireguard-go."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_centre.peers import MemoryPeers, Peer, Peers
from tests.sdbox_centre.rig import in_own_network


def contract(peers: Peers) -> None:
    """What the gateway rests on."""
    assert len(peers.public_key) == 32
    assert peers.present() == {}
    one, two = (Peer(os.urandom(32), (f"10.77.0.{n}/32",)) for n in (2, 3))
    psks = [bytearray(os.urandom(32)) for _ in range(3)]
    peers.add(one, psks[0])
    peers.add(two, psks[1])
    assert peers.present() == {
        one.public_key: {"10.77.0.2/32"},
        two.public_key: {"10.77.0.3/32"},
    }
    peers.add(Peer(one.public_key, ("10.77.0.4/32", "fd77::4/128")), psks[2])
    assert not any(map(any, psks)), "wiped"
    both = {
        one.public_key: {"10.77.0.4/32", "fd77::4/128"},
        two.public_key: {"10.77.0.3/32"},
    }
    assert peers.present() == both
    peers.carry(two, 40000)
    assert peers.present() == both
    peers.remove(one.public_key)
    peers.remove(one.public_key)
    assert peers.present() == {two.public_key: {"10.77.0.3/32"}}
    thief = Peer(os.urandom(32), ("10.77.0.3/32",))
    peers.add(thief, bytearray(32))  # an address has one peer: the one that was named last
    assert peers.present() == {two.public_key: frozenset(), thief.public_key: {"10.77.0.3/32"}}
    peers.close()
    for call in (
        peers.present,
        lambda: peers.add(one, bytearray(32)),
        lambda: peers.carry(one, 40000),
        lambda: peers.remove(two.public_key),
    ):
        with pytest.raises(OSError, match=r".+"):
            call()
    peers.close()


def test_the_double_keeps_the_contract() -> None:
    contract(MemoryPeers())


@pytest.fixture
def runtime() -> Iterator[Path]:
    path = Path(f"/run/sdbox-test-{os.getpid()}")
    path.mkdir(mode=0o700)
    yield path
    shutil.rmtree(path)


@pytest.mark.rig
def test_wireguard_keeps_the_contract(runtime: Path) -> None:
    in_own_network("tests.sdbox_centre.rig_peers", str(runtime))
