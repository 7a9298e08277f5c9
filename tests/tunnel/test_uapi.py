"""The UAPI's words: what is said in which order, what is believed of the answers."""

import contextlib
from ipaddress import ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import uapi
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_agent.tunnel.uapi import Device, PeerConfig, PeerState

KEY = bytes(range(32))
REPLY = (  # as wireguard-go 0.0.20220316 words it
    f"private_key={'ab' * 32}\nlisten_port=51820\nfwmark=23984\n"
    f"public_key={KEY.hex()}\npreshared_key={'cd' * 32}\nprotocol_version=1\n"
    "endpoint=192.0.2.1:51820\nlast_handshake_time_sec=1700000000\n"
    "last_handshake_time_nsec=5\ntx_bytes=148\nrx_bytes=92\npersistent_keepalive_interval=25\n"
    "allowed_ip=0.0.0.0/0\nallowed_ip=::/0\n"
    f"public_key={'ef' * 32}\nprotocol_version=1\nlast_handshake_time_sec=0\n"
    "last_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=0\n"
    "errno=0\n\n"
).encode()


def get(reply: bytes) -> Device:
    return uapi.parse_get(bytearray(reply) + b"old rubbish", len(reply))


def test_an_answer_is_read_whole() -> None:
    everywhere = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    first = PeerState(
        KEY, parse_endpoint("192.0.2.1:51820"), 1700000000 * 10**9 + 5, 148, 92, everywhere
    )
    second = PeerState(b"\xef" * 32, None, 0, 0, 0, ())
    assert get(REPLY) == Device(51820, 23984, (first, second))


def test_a_device_without_peers_is_read() -> None:
    assert get(b"errno=0\n\n") == Device(0, 0, ())
    assert get(b"private_key=" + b"0" * 64 + b"\nlisten_port=7\nerrno=0\n\n") == Device(7, 0, ())


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\n\n",
        b"errno=0\n",
        b"errno=22\n\n",
        b"errno=-22\n\n",
        b"listen_port=1\n\n",
        b"errno=0\n\nerrno=0\n\n",
        b"listen_port=65536\nerrno=0\n\n",
        b"listen_port=-1\nerrno=0\n\n",
        b"listen_port=1\nlisten_port=1\nerrno=0\n\n",
        b"private_key=zz\nerrno=0\n\n",
        b"private_key=" + b"A" * 64 + b"\nerrno=0\n\n",
        b"rx_bytes=1\nerrno=0\n\n",
        b"name=x\nerrno=0\n\n",
        b"listen_port\nerrno=0\n\n",
        b"public_key=00\nerrno=0\n\n",
        b"public_key=" + b"0" * 64 + b"\nlisten_port=1\nerrno=0\n\n",
        b"public_key=" + b"0" * 64 + b"\nallowed_ip=x/8\nerrno=0\n\n",
        b"public_key=" + b"0" * 64 + b"\nendpoint=gateway:1\nerrno=0\n\n",
        b"public_key=" + b"0" * 64 + b"\nprotocol_version=2\nerrno=0\n\n",
        b"public_key=" + b"0" * 64 + b"\nrx_bytes=" + b"9" * 30 + b"\nerrno=0\n\n",
        (b"public_key=" + b"0" * 64 + b"\n") * 1025 + b"errno=0\n\n",
        b"public_key=" + b"0" * 64 + b"\n" + b"allowed_ip=::/0\n" * 65 + b"errno=0\n\n",
        b"x" * 200 + b"=1\nerrno=0\n\n",
        b"\xff=1\nerrno=0\n\n",
    ],
)
def test_anything_else_is_refused(reply: bytes) -> None:
    with pytest.raises(DecodeError):
        get(reply)


@given(st.binary(max_size=300), st.integers(0, len(REPLY)), st.integers(0, 40))
@example(b"", len(REPLY), 1)
def test_a_damaged_answer_is_read_or_refused(put: bytes, at: int, cut: int) -> None:
    reply = REPLY[:at] + put + REPLY[at + cut :]
    with contextlib.suppress(DecodeError):
        assert isinstance(get(reply), Device)


@given(st.binary(max_size=60))
@example(b"errno=0\n\n")
def test_arbitrary_bytes_are_the_answer_to_a_set_or_refused(reply: bytes) -> None:
    with contextlib.suppress(DecodeError):
        assert 0 <= uapi.parse_set(reply, len(reply)) < 4096


def test_the_sign_of_an_errno_does_not_matter() -> None:
    assert uapi.parse_set(b"errno=-22\n\n", 11) == uapi.parse_set(b"errno=22\n\n", 10) == 22


def test_mark_and_key_are_said_in_one_set() -> None:
    assert uapi.set_identity(bytearray(KEY), 0x5DB0, 7) == (
        f"set=1\nprivate_key={KEY.hex()}\nfwmark=23984\nlisten_port=7\n\n".encode()
    )


def test_a_peer_is_said_with_its_endpoint_and_allowed_ips_replaced() -> None:
    psk = bytearray(b"k" * 32)
    peer = PeerConfig(KEY, (ip_network("::/0"),), psk, parse_endpoint("[2001:db8::1]:9"), 25)
    assert (
        uapi.set_peers([peer], replace=True)
        == (
            f"set=1\nreplace_peers=true\npublic_key={KEY.hex()}\npreshared_key={'6b' * 32}\n"
            "endpoint=[2001:db8::1]:9\npersistent_keepalive_interval=25\n"
            "replace_allowed_ips=true\nallowed_ip=::/0\n\n"
        ).encode()
    )


def test_no_peers_with_replace_is_the_removal_of_all() -> None:
    assert uapi.set_peers([], replace=True) == uapi.REMOVE_PEERS
    assert uapi.remove_peer(KEY) == f"set=1\npublic_key={KEY.hex()}\nremove=true\n\n".encode()


def test_a_peer_without_allowed_ips_does_not_end_the_request() -> None:
    text = uapi.set_peers([PeerConfig(KEY, ()), PeerConfig(b"\x01" * 32, ())], replace=False)
    assert text.find(b"\n\n") == len(text) - 2


def test_each_peer_gets_its_own_preshared_key() -> None:
    keys = [bytearray([n]) * 32 for n in (0, 1, 2)]
    peers = [PeerConfig(b"p" * 32, (), psk) for psk in keys]
    peers.insert(1, PeerConfig(b"n" * 32, ()))
    said = uapi.set_peers(peers, replace=False).decode().split("public_key=")[1:]
    shown = [text.partition("preshared_key=")[2][:64] for text in said]
    assert shown == ["00" * 32, "", "01" * 32, "02" * 32]


def test_keys_are_not_shown_when_a_peer_is_printed() -> None:
    peer = PeerConfig(KEY, (), bytearray(b"k" * 32))
    assert "6b6b" not in repr(peer)
    assert "kkkk" not in repr(peer)


@pytest.mark.parametrize("reply", [b"errno=0\nerrno=0\n\n", b"listen_port=7\n\n"])
def test_the_answer_to_a_set_is_one_errno(reply: bytes) -> None:
    with pytest.raises(DecodeError, match="not the answer to a set"):
        uapi.parse_set(reply, len(reply))


def test_an_endpoint_is_told_anew_to_a_peer_that_is_known_and_no_other() -> None:
    text = uapi.move_endpoint(KEY, parse_endpoint("[2001:db8::1]:51820"))
    assert text.decode().split("\n") == [
        "set=1",
        f"public_key={KEY.hex()}",
        "update_only=true",
        "endpoint=[2001:db8::1]:51820",
        "",
        "",
    ]


@pytest.mark.parametrize("endpoint", ["127.0.0.1:40000", "[::1]:9", "192.0.2.1:51820"])
def test_a_peer_may_be_anywhere_a_carrier_on_this_machine_included(endpoint: str) -> None:
    answer = f"public_key={KEY.hex()}\nendpoint={endpoint}\nerrno=0\n\n".encode()
    (peer,) = uapi.parse_get(answer, len(answer)).peers
    assert str(peer.endpoint) == endpoint


@pytest.mark.parametrize("endpoint", ["", "1:2:3", "[192.0.2.1]:9", "192.0.2.1:65536", "::1:9"])
def test_but_it_is_somewhere(endpoint: str) -> None:
    answer = f"public_key={KEY.hex()}\nendpoint={endpoint}\nerrno=0\n\n".encode()
    with pytest.raises(DecodeError):
        uapi.parse_get(answer, len(answer))
