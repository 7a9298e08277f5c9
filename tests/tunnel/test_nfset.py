"""Set elements as nft 1.0.6 itself puts them (read off its socket)."""

from sdbox_agent.tunnel import netlink, nfset
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_agent.tunnel.nfset import Protocol

# `nft add element inet sdbox endpoint4 { 192.0.2.3 . 51820 }`, without its set id
NFT_BODY = bytes.fromhex(
    "01000000"
    "0a0001007364626f78000000"
    "0e000200656e64706f696e7434000000"
    "18000380140001801000018"
    "00c000100c0000203ca6c0000"
)


def test_an_element_is_worded_as_nft_does() -> None:
    requests = nfset.allow(parse_endpoint("192.0.2.3:51820"))
    added = [request for request in requests if request.kind == (10 << 8) | 12]
    assert netlink.attributes(added[0].body[4:]) == netlink.attributes(NFT_BODY[4:])
    assert added[0].body[0] == 1  # inet
    assert added[1].body[0] == 5  # netdev
    assert added[0].body[4:] == added[1].body[4:]


def test_every_set_of_both_tables_is_emptied_before_one_is_filled() -> None:
    requests = nfset.allow(parse_endpoint("[2001:db8::1]:51820"))
    assert requests[:8] == nfset.clear()
    named = {
        (request.body[0], netlink.attributes(request.body[4:])[2]) for request in nfset.clear()
    }
    sets = (b"endpoint4\0", b"endpoint6\0", b"carrier4\0", b"carrier6\0")
    assert named == {(family, name) for family in (1, 5) for name in sets}
    assert [netlink.attributes(r.body[4:])[2] for r in requests[8:]] == [b"endpoint6\0"] * 2


def test_over_tcp_the_set_for_udp_stays_empty() -> None:
    requests = nfset.allow(parse_endpoint("192.0.2.3:443"), Protocol.TCP)
    assert requests[:8] == nfset.clear()
    assert [netlink.attributes(r.body[4:])[2] for r in requests[8:]] == [b"carrier4\0"] * 2
