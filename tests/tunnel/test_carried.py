"""The tunnel helper's end of a carriage: what a carrier may say to it, and what silence means."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent import ipc
from sdbox_agent.errors import DecodeError, SdboxError
from sdbox_agent.tunnel import carriage
from sdbox_agent.tunnel.carriage import Inspected
from sdbox_agent.tunnel.carried import Carried

CARRIER = ipc.Carrier(endpoint="192.0.2.3:443", pin=b"p" * 32, token=b"t" * 32)
ME = os.getuid()
Helper = ipc.Channel[carriage.ToCarrier]


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        sock.bind(str(tmp_path / "tunnel.sock"))
        sock.listen(2)
        yield sock


def asked(listener: socket.socket, uid: int = ME) -> tuple[Carried, Helper]:
    """A helper that has asked, and the carrier it has asked."""
    carried = Carried(CARRIER, Path(listener.getsockname()), uid)
    assert carried.sock is None
    assert not carried.silent
    carried.ask(7, 51820)
    sock, _ = listener.accept()
    return carried, ipc.Channel(sock, carriage.ToCarrier, ME)


def test_it_asks_for_the_way_it_was_given_and_hears_of_a_port(listener: socket.socket) -> None:
    carried, carrier = asked(listener)
    message = carrier.receive()
    assert (message.n, message.carrier, message.port) == (7, CARRIER, 51820)
    carrier.send(carriage.Carrying(n=7, port=40000))
    assert carried.silent
    assert not carried.under_way
    assert carried.answer() == 40000
    assert carried.under_way
    assert not carried.silent
    carried.close()
    with pytest.raises(ipc.Closed):
        carrier.receive()
    carrier.close()


def code_of(carried: Carried) -> str:
    with pytest.raises(SdboxError) as caught:
        carried.answer()
    carried.close()
    return caught.value.code


def test_what_comes_after_the_port_is_the_end_whatever_it_says(listener: socket.socket) -> None:
    for last_word in (True, False):
        carried, carrier = asked(listener)
        carrier.send(carriage.Carrying(n=7, port=40000))
        carried.answer()
        if last_word:
            carrier.send(carriage.Carrying(n=7, port=40001))
        carrier.close()
        assert code_of(carried) == "carrier-lost"


def test_a_refusal_is_told_with_its_issuer(listener: socket.socket) -> None:
    carried, carrier = asked(listener)
    carrier.send(carriage.NotCarried(n=7, code="tls-inspected", issuer="CN=Test"))
    with pytest.raises(Inspected) as caught:
        carried.answer()
    assert caught.value.issuer == "CN=Test"
    carried.close()
    carrier.close()


@pytest.mark.parametrize(
    "said",
    [
        None,
        b"",
        b"{",
        b'{"t":"carrying","port":0}',
        b'{"t":"not_carried","code":"card-removed"}',
        b'{"t":"not_carried","code":"revoked"}',
        b'{"t":"not_carried","code":"proxy-refused\\n"}',
    ],
)
def test_a_carrier_that_dies_or_talks_nonsense_is_dead(
    listener: socket.socket, said: bytes | None
) -> None:
    carried, carrier = asked(listener)
    if said is not None:
        carrier.sock.send(said)
    carrier.close()
    assert code_of(carried) == "carrier-worker-died"


def test_another_uid_is_not_heard(listener: socket.socket) -> None:
    carried, carrier = asked(listener, uid=ME + 1)
    carrier.send(carriage.Carrying(n=7, port=40000))
    assert code_of(carried) == "carrier-worker-died"
    carrier.close()


def test_no_service_manager_is_a_fault(tmp_path: Path) -> None:
    carried = Carried(CARRIER, tmp_path / "none.sock", ME)
    with pytest.raises(SdboxError, match=r"^carrier-worker-died$"):
        carried.ask(7, 51820)
    carried.close()


def test_a_way_that_can_not_be_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    absurd = ipc.Carrier(endpoint="127.0.0.1:443", pin=b"p" * 32, token=b"t" * 32)
    with pytest.raises(DecodeError):
        Carried(absurd, tmp_path, ME)
