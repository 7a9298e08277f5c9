"""The certificate of whoever answers in the gateway's place."""

from sdbox_agent.tunnel import presented
from tests.fuzz.fuzz_certificate import SEEDS as CERTIFICATES

PARSERS = (presented.issuer,)
SEEDS: list[bytes] = [*CERTIFICATES, b"", b"\x30\x00"]


def target(data: bytes) -> None:
    """A short printable text, whatever it is."""
    shown = presented.issuer(data)
    assert len(shown) <= presented.MAX_ISSUER_CHARS
    assert not shown or shown.isprintable()
