"""A maker's library, called in this process: SoftHSM2 with tokens in a directory of the test's."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from sdbox_agent.errors import AskAgain, Fault, Refused, SdboxError
from tests.card.double import certificate, key
from tests.card.test_conversation import OAEP, point_of

pytest.importorskip("hil.softhsm")

from hil.softhsm import MODULE, SoftToken, soft_token
from sdbox_agent.card.pkcs11_library import Library

pytestmark = pytest.mark.rig
DIGEST = bytes(range(32))


@dataclass
class Tokens:
    ec: SoftToken
    rsa: SoftToken


def keys(kind: str) -> dict[str, object]:
    return {"9A": key(kind, "9A"), "9D": key(kind, "9D"), "9E": key("P-256", "9E")}


@functools.cache
def shown(kind: str) -> dict[str, bytes]:
    return {name: certificate(one) for name, one in keys(kind).items()}


def made(directory, kind: str) -> SoftToken:
    return soft_token(directory, keys(kind), shown(kind), label="alike")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory) -> Iterator[Tokens]:
    """Both in one directory, for the library reads where it is once a process."""
    directory = tmp_path_factory.mktemp("softhsm")
    with pytest.MonkeyPatch.context() as patch:
        both = Tokens(made(directory, "P-256"), made(directory, "RSA-2048"))
        for name, value in both.ec.environment.items():
            patch.setenv(name, value)
        yield both


@pytest.fixture
def opened(tokens: Tokens, request) -> Iterator[Library]:
    library = Library(MODULE)
    library.open(getattr(tokens, request.param if hasattr(request, "param") else "ec").serial)
    yield library
    library._library.reinitialize()  # a login is the whole process's


def login(library: Library, digits: bytes = b"123456") -> int | None:
    return library.login(memoryview(bytearray(digits)))


def test_a_token_is_known_by_its_serial_and_never_by_its_label(tokens: Tokens) -> None:
    library = Library(MODULE)
    for token, kind in ((tokens.rsa, "RSA-2048"), (tokens.ec, "P-256")):
        face = library.open(token.serial)
        certificates = (face.auth, face.key_management, face.card_auth)
        assert certificates == tuple(shown(kind).values())
        assert (face.left, face.pad) == (2, False)
        library._library.reinitialize()  # a login is the whole process's
    with pytest.raises(Refused, match="card-kind-unknown"):
        library.open("0" * 16)
    with pytest.raises(AskAgain, match="ambiguous-card"):
        library.open("")


def test_private_keys_are_hidden_before_the_pin(opened: Library) -> None:
    assert len(opened.sign("9E", "ecdsa", DIGEST)) == 64
    with pytest.raises(Fault, match="card-key-refused"):
        opened.sign("9A", "ecdsa", DIGEST)
    assert login(opened) is None
    assert len(opened.sign("9A", "ecdsa", DIGEST)) == 64


@pytest.mark.parametrize("digits", [b"999999", b"1", b"", b"1" * 300])
def test_a_wrong_pin_is_no_error_and_no_success(opened: Library, digits: bytes) -> None:
    assert login(opened, digits) == 2
    assert login(opened) is None


def test_already_logged_in_is_no_success(opened: Library) -> None:
    assert login(opened) is None
    for digits in (b"123456", b"999999"):
        with pytest.raises(Fault, match="card-failed"):
            login(opened, digits)


def test_ecdsa_signs_the_digest(opened: Library) -> None:
    login(opened)
    raw = opened.sign("9A", "ecdsa", DIGEST)
    signature = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    public = key("P-256", "9A").public_key()
    public.verify(signature, DIGEST, ec.ECDSA(Prehashed(hashes.SHA256())))
    with pytest.raises(InvalidSignature):
        public.verify(signature, bytes(32), ec.ECDSA(Prehashed(hashes.SHA256())))


@pytest.mark.parametrize("opened", ["rsa"], indirect=True)
def test_pss_has_a_salt_as_long_as_the_hash(opened: Library) -> None:
    login(opened)
    signature = opened.sign("9A", "pss", DIGEST)
    how = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    key("RSA-2048", "9A").public_key().verify(signature, DIGEST, how, Prehashed(hashes.SHA256()))


def test_the_shared_secret_is_cryptographys(opened: Library) -> None:
    login(opened)
    mine = ec.generate_private_key(ec.SECP256R1())
    public = key("P-256", "9D").public_key()
    assert opened.unwrap("ecdh", point_of(mine)) == mine.exchange(ec.ECDH(), public)


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("opened", ["rsa"], indirect=True)
def test_a_wrapped_key_is_opened(opened: Library, monkeypatch, bare: bool) -> None:
    """With the padding taken off here; or by the library, which this one can't with SHA-256."""
    login(opened)
    wrapped = key("RSA-2048", "9D").public_key().encrypt(b"k" * 32, OAEP)
    if bare:
        assert opened.unwrap("rsa-oaep-sha256", wrapped) == b"k" * 32
        return
    monkeypatch.setattr(opened, "_slot", WithoutBareRsa())
    with pytest.raises(Fault, match="card-failed"):
        opened.unwrap("rsa-oaep-sha256", wrapped)


class WithoutBareRsa:
    def get_mechanisms(self) -> set[object]:
        return set()


@pytest.mark.parametrize("opened", ["rsa"], indirect=True)
def test_bad_padding_is_the_same_error_as_a_bad_block(opened: Library) -> None:
    login(opened)
    for blob in (bytes(255) + b"\x02", b"\xff" * 256):
        with pytest.raises(SdboxError, match="card-failed"):
            opened.unwrap("rsa-oaep-sha256", blob)


def test_a_key_of_another_kind_is_bad_data(opened: Library) -> None:
    login(opened)
    for use in (
        lambda: opened.sign("9A", "pss", DIGEST),
        lambda: opened.unwrap("rsa-oaep-sha256", bytes(256)),
    ):
        with pytest.raises(Refused, match="card-data-invalid"):
            use()


@pytest.mark.parametrize("module", ["/nonexistent.so", "/etc/passwd"])
def test_what_is_no_library_is_one_error(module: str) -> None:
    with pytest.raises(Fault, match="card-failed"):
        Library(module)
