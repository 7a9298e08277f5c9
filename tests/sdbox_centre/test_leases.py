from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import Refused
from sdbox_agent.statements.fields import Receipt, Renew
from sdbox_agent.terms import Level
from sdbox_agent.tunnel.psk import Offer
from sdbox_centre.leases import MAX_HOSTS, Lease, Leases, addresses, free_host
from sdbox_centre.peers import Peer


def lease(n: int, ends_s: float = 60.0, project: str = "p", **other) -> Lease:
    receipt = Receipt(
        box="box",
        session=f"{n}",
        challenge=bytes(32),
        enrolment="e",
        attempt=1,
        level=Level.HOST_MATCH,
        project=project,
        wg_public_key=bytes([n]) * 32,
        kem_key_sha256=bytes(32),
        utc_s=0,
    )
    values = {
        "receipt": receipt,
        "statement": b"jws",
        "certificates": (b"a", b"b", b"c"),
        "box_certificate": b"box",
        "card": b"card%d" % n,
        "host": n,
        "peer": Peer(receipt.wg_public_key, (f"10.0.0.{n}/32",)),
        "offer": Offer(b"salt", b"ciphertext"),
        "ends_s": ends_s,
    }
    return Lease(**{**values, **other})


def renew(n: int, challenge: bytes = bytes(32)) -> Renew:
    return Renew(box="box", session="1", challenge=challenge, n=n)


def test_a_lease_lives_until_its_end_and_not_at_it() -> None:
    leases = Leases()
    leases.add(lease(1))
    assert leases.find("box/1", 59.999)
    assert leases.find("box/1", 60.0) is None
    assert leases.due(59.999) == []
    assert leases.due(60.0) == ["box/1"]
    assert leases.next_end_s() == 60.0
    leases.drop(lease(1))
    assert leases.next_end_s() is None
    leases.add(lease(1))  # nothing of it was left


def test_sessions_cards_and_keys_are_never_shared() -> None:
    leases = Leases()
    leases.add(lease(1))
    for other, code in (
        (lease(1, card=b"other"), "lease-refused"),
        (lease(2, card=b"card1"), "session-elsewhere"),
        (lease(2, peer=lease(1).peer), "lease-refused"),
        (lease(2, host=1), "lease-refused"),
    ):
        with pytest.raises(Refused, match=code):
            leases.add(other)
    leases.add(lease(2))
    leases.add(lease(3, host=1, project="q"))
    assert leases.of_project("p") == {bytes([n]) * 32: lease(n) for n in (1, 2)}
    assert leases.hosts_of("p") == {1, 2}
    assert leases.hosts_of("q") == {1}
    assert leases.all() == (lease(1), lease(2), lease(3, host=1, project="q"))


def test_renewals_count_up_by_one_and_repeat_without_effect() -> None:
    leases = Leases()
    leases.add(lease(1))
    first = leases.extend(lease(1), renew(1), b"jws", 90.0)
    assert (first.renewal, first.renewal_statement) == (renew(1), b"jws")
    assert leases.extend(first, renew(1), b"in another form", 200.0).ends_s == 90.0
    for other in (renew(1, bytes(31) + b"x"), renew(3), renew(0), renew(2**31)):
        with pytest.raises(Refused, match="lease-refused"):
            leases.extend(first, other, b"jws", 200.0)
    assert leases.find("box/1", 89.0) == first


POOLS = (ip_network("10.77.0.0/29"), ip_network("fd77::/64"))


@given(st.lists(st.booleans(), max_size=40))
def test_no_address_is_given_twice_or_is_the_vms(steps: list[bool]) -> None:
    held: list[int] = []
    for take in steps:
        if not take and held:
            held.pop(0)
            continue
        if len(held) == 5:
            with pytest.raises(Refused):
                free_host(POOLS, held)
            continue
        host = free_host(POOLS, held)
        taken = {address for other in held for address in addresses(POOLS, other)}
        given_now = addresses(POOLS, host)
        assert taken.isdisjoint(given_now)
        assert "10.77.0.1/32" not in given_now
        assert given_now[0].endswith("/32")
        assert given_now[1].endswith("/128")
        held.append(host)


@pytest.mark.parametrize("host", [-1, 0, 1, 7, 8, 2**31])
def test_a_place_that_is_no_boxs_has_no_address(host: int) -> None:
    with pytest.raises(Refused, match="lease-refused"):
        addresses(POOLS, host)


def test_no_interface_gets_more_peers_than_it_can_be_asked_for() -> None:
    with pytest.raises(Refused, match="lease-refused"):
        free_host([ip_network("fd77::/64")], range(2, 2 + MAX_HOSTS))
