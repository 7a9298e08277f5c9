"""A box's request, as the centre gets it from anybody: of the profile, or a DecodeError."""

import contextlib

from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import certificate, csr, der
from tests.fuzz import structure
from tests.pki import boxed

DIVISOR = 10
MUTATE = structure.mutate
PARSERS = (csr.parse, csr._subject, csr._check_name, csr._key)
GOOD = [boxed.request(), boxed.request("a"), boxed.request("b" * 64, boxed.key("other"))]


def signed(information: bytes, by: str = "tls") -> bytes:
    return csr.whole(information, boxed.key(by).sign(information))


def of_point(point: bytes) -> bytes:
    info = der.sequence(csr._POINT, der.bits(point))
    return signed(csr.information(boxed.BOX, info))


_P384 = ec.derive_private_key(7, ec.SECP384R1()).public_key()
_INFORMATION = csr.information(boxed.BOX, boxed.key().public_key_der)
SEEDS: list[bytes] = [
    *GOOD,
    signed(_INFORMATION, "other"),
    signed(_INFORMATION.replace(b"test-box", b"test_box")),
    signed(_INFORMATION.replace(der.oid("2.5.4.3"), der.oid("2.5.4.10"))),
    signed(structure.swapped(_INFORMATION, csr.VERSION_1, der.integer(1))),
    signed(structure.swapped(_INFORMATION, csr.NO_ATTRIBUTES, der.element(0xA0, der.integer(1)))),
    of_point(b"\4" + bytes(64)),
    of_point(b"\5" + boxed.key().public_key_der[27:]),
    *(of_point(form + boxed.key().public_key_der[27:]) for form in (b"\6", b"\7")),
    of_point(b"\2" + boxed.key().public_key_der[27:59]),
    signed(csr.information(boxed.BOX, certificate.spki(_P384))),
    b"",
]
TOKENS = [csr.ECDSA_SHA256, csr._POINT, csr.NO_ATTRIBUTES, der.oid("2.5.4.3")]


def target(data: bytes) -> None:
    """What is read can be written again; its key has signed it."""
    with contextlib.suppress(DecodeError):
        request = csr.parse(data)
        information = csr.information(request.box, certificate.spki(request.key))
        assert data.find(information) == data.index(b"\x30", 1)
