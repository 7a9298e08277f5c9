"""What helper and carrier say, and which ways are ways."""

import pytest

from sdbox_agent import ipc
from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.tunnel import carriage

CARRIER = ipc.Carrier(endpoint="192.0.2.3:443", pin=b"p" * 32, token=b"secret!!" * 4)


def with_proxy(proxy: str | None) -> ipc.Carrier:
    return ipc.Carrier(endpoint=CARRIER.endpoint, pin=b"p" * 32, token=b"t" * 32, proxy=proxy)


def test_the_walls_let_out_to_the_first_hop_alone() -> None:
    assert str(carriage.parse(CARRIER).first) == "192.0.2.3:443"
    assert str(carriage.parse(with_proxy("[2001:db8::9]:3128")).first) == "[2001:db8::9]:3128"


@pytest.mark.parametrize("proxy", ["proxy.test:3128", "192.0.2.9", "127.0.0.1:3128", ""])
def test_a_proxy_is_an_address_and_a_port(proxy: str) -> None:
    with pytest.raises(DecodeError):
        carriage.parse(with_proxy(proxy))


def test_a_token_is_never_shown() -> None:
    for shown in (
        CARRIER,
        carriage.parse(CARRIER),
        carriage.Carry(carrier=CARRIER, port=1, until_s=1),
    ):
        assert "secret" not in repr(shown)


def test_a_refusal_is_the_error_of_its_code_and_keeps_the_issuer() -> None:
    refusal = carriage.refusal(carriage.NotCarried(code="tls-inspected", issuer="CN=Test"))
    assert isinstance(refusal, carriage.Inspected)
    assert (refusal.code, refusal.issuer) == ("tls-inspected", "CN=Test")
    assert isinstance(carriage.refusal(carriage.NotCarried(code="carrier-unreachable")), Fault)
