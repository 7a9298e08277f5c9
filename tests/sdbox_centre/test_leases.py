from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import Refused
from sdbox_agent.tunnel.psk import Offer
from sdbox_centre.leases import Lease, Leases, free_addresses
from sdbox_centre.peers import Peer


def lease(n: int, ends_s: float = 60.0, project: str = "p", **other) -> Lease:
    values = {
        "key": f"box/{n}",
        "project": project,
        "level": "host-match",
        "certificates": (b"a", b"b", b"c"),
        "card": b"card%d" % n,
        "receipt_sha256": b"r",
        "peer": Peer(b"key%d" % n, (f"10.0.0.{n}/32",)),
        "offer": Offer(b"salt", b"ciphertext"),
        "ends_s": ends_s,
    }
    return Lease(**{**values, **other})


def test_a_lease_lives_until_its_end_and_not_at_it() -> None:
    leases = Leases()
    leases.add(lease(1))
    assert leases.find("box/1", 59.999)
    assert leases.find("box/1", 60.0) is None
    assert leases.due(59.999) == []
    assert leases.due(60.0) == ["box/1"]
    assert leases.next_end_s() == 60.0
    leases.drop("box/1")
    assert leases.next_end_s() is None
    assert leases.drop("box/1") is None


def test_sessions_cards_and_keys_are_never_shared() -> None:
    leases = Leases()
    leases.add(lease(1))
    for other, code in (
        (lease(1, card=b"other"), "lease-refused"),
        (lease(2, card=b"card1"), "session-elsewhere"),
        (lease(2, peer=Peer(b"key1", ())), "lease-refused"),
    ):
        with pytest.raises(Refused, match=code):
            leases.add(other)
    leases.add(lease(2))
    assert leases.of_project("p") == {b"key1", b"key2"}
    assert leases.addresses_in_use("p") == {"10.0.0.1/32", "10.0.0.2/32"}
    assert leases.addresses_in_use("q") == frozenset()


def test_renewals_count_up_by_one_and_repeat_without_effect() -> None:
    leases = Leases()
    leases.add(lease(1))
    first = leases.extend(lease(1), 1, b"one", 90.0)
    assert leases.extend(first, 1, b"one", 200.0).ends_s == 90.0
    for n, digest in ((1, b"other"), (3, b"x"), (0, b""), (2**31, b"x")):
        with pytest.raises(Refused, match="lease-refused"):
            leases.extend(first, n, digest, 200.0)
    assert leases.find("box/1", 89.0) == first


POOLS = (ip_network("10.77.0.0/29"), ip_network("fd77::/64"))


@given(st.lists(st.booleans(), max_size=40))
def test_no_address_is_given_twice_or_is_the_vms(steps: list[bool]) -> None:
    held: list[tuple[str, ...]] = []
    for take in steps:
        if not take and held:
            held.pop(0)
            continue
        taken = {address for both in held for address in both}
        if len(held) == 5:
            with pytest.raises(Refused):
                free_addresses(POOLS, taken)
            continue
        given_now = free_addresses(POOLS, taken)
        assert taken.isdisjoint(given_now)
        assert "10.77.0.1/32" not in given_now
        assert given_now[0].endswith("/32")
        assert given_now[1].endswith("/128")
        held.append(given_now)
