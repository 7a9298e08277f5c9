"""Yubico's two programs read, use and personalise the card: `yubico-piv-tool`, and `yubikit`.

`yubico-piv-tool` 2.2.0 is Debian's; yubikit is what yubikey-manager is built on (PyPI). Both want a
little beyond PIV (tests/hil/card/yubico.py). Not tried, and why: yubico-piv-tool's commands behind
9B (it knows 3DES alone for a card of this version), compressed certificates by it (2.2.0 takes the
gzip bytes for DER: seen below), import, attestation, metadata, retry settings (Yubico's own
instructions), verification by finger (VERIFY 96 the maker's way: the sensor is on the key).
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hil.card.card import PivCard
from hil.card.insertion import Insertion
from hil.card.objects import Tag
from hil.card.slot import Slot
from hil.pcscd import Pcscd
from tests.hil.card.helpers import self_made, three_n
from tests.hil.card.pcsc_client import Client
from tests.hil.card.yubico import YubicoDialect

yubikit = pytest.importorskip("yubikit.piv", reason="yubikey-manager is not installed")
core = pytest.importorskip("yubikit.core")
smartcard = pytest.importorskip("yubikit.core.smartcard")

pytestmark = pytest.mark.rig

ADMIN_KEY = bytes(range(32))
KINDS = ["P-256", "RSA-2048"]


@dataclass
class Inserted:
    card: PivCard
    insertion: Insertion
    reader: str
    certificates: dict[str, bytes] = field(default_factory=dict)

    def tool(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str]:
        """yubico-piv-tool on this reader; its exit status, and all it printed.

        Where much else runs it is at times too early for pcscd, and does not try twice by itself.
        """
        for _ in range(5):
            done = subprocess.run(
                ["yubico-piv-tool", "--reader", self.reader, *arguments],
                input=stdin,
                capture_output=True,
                timeout=60,
                check=False,
            )
            if b"Failed to connect" not in done.stderr:
                break
        return done.returncode, (done.stdout + done.stderr).decode()


def put_in(slot: Slot, card: PivCard, compressed: tuple[str, ...] = ()) -> Inserted:
    made = self_made(card) if card.public_keys() else {}
    card.install(made, compressed=compressed)
    insertion = slot.insert(YubicoDialect(card))
    insertion.wait_powered()
    return Inserted(card, insertion, slot.reader_name, made)


@pytest.fixture(scope="module", params=KINDS)
def inserted(request) -> Iterator[Inserted]:
    kinds = dict.fromkeys(("9A", "9C", "9D", "9E"), request.param)
    slot = Pcscd.shared().reader(0)
    try:
        yield put_in(slot, PivCard.create(algorithms=kinds, pin_policy="once"))
    finally:
        slot.remove()


# -- yubico-piv-tool


def test_the_tool_tells_all_that_is_on_the_card(inserted: Inserted) -> None:
    status, told = inserted.tool("-a", "status")
    assert status == 0
    assert inserted.card.guid.bytes.hex() in told
    assert "PIN tries left:\t5" in told
    for name in ("9a", "9c", "9d", "9e"):
        assert f"Slot {name}:" in told
        assert f"CN=test-holder-01 {name.upper()}" in told
    elliptic = isinstance(inserted.card.public_keys()["9A"], ec.EllipticCurvePublicKey)
    kind = "ECCP256" if elliptic else "RSA2048"
    assert told.count(f"Algorithm:\t{kind}") == 4


@pytest.mark.parametrize("name", ["9A", "9C", "9D", "9E"])
def test_the_tool_reads_each_certificate(inserted: Inserted, name: str) -> None:
    status, told = inserted.tool("-a", "read-certificate", "-s", name.lower())
    assert status == 0
    read = x509.load_pem_x509_certificate(told.encode())
    assert read.public_bytes(Encoding.DER) == inserted.certificates[name]


def test_the_tool_uses_a_key_after_the_pin(inserted: Inserted) -> None:
    for name, action in (
        ("9a", "test-signature"),
        ("9c", "test-signature"),
        ("9d", "test-decipher"),
    ):
        pem = x509.load_der_x509_certificate(inserted.certificates[name.upper()]).public_bytes(
            Encoding.PEM
        )
        asked = ["-a", "verify-pin", "-P", "123456", "-a", action, "-s", name]
        status, told = inserted.tool(*asked, stdin=pem)
        assert status == 0, told
        assert "Success" in told.split("Successfully verified PIN.")[1]


def test_the_tool_is_refused_without_the_pin(inserted: Inserted) -> None:
    pem = x509.load_der_x509_certificate(inserted.certificates["9A"]).public_bytes(Encoding.PEM)
    status, told = inserted.tool("-a", "test-signature", "-s", "9a", stdin=pem)
    assert (status, "Success" in told) == (1, False)


def test_the_tool_changes_and_unblocks_the_pin(slot: Slot) -> None:
    held = put_in(slot, PivCard.create(pin_tries=2))
    assert held.tool("-a", "change-pin", "-P", "123456", "-N", "654321")[0] == 0
    status, told = held.tool("-a", "verify-pin", "-P", "123456")
    assert status == 1
    assert "1 tries left" in told
    assert held.tool("-a", "verify-pin", "-P", "123456")[0] == 1
    status, told = held.tool("-a", "verify-pin", "-P", "654321")
    assert status == 1
    assert re.search("blocked|0 tries left", told)
    assert held.tool("-a", "change-puk", "-P", "12345678", "-N", "87654321")[0] == 0
    assert held.tool("-a", "unblock-pin", "-P", "12345678", "-N", "123456")[0] == 1
    assert held.tool("-a", "unblock-pin", "-P", "87654321", "-N", "123456")[0] == 0
    assert held.tool("-a", "verify-pin", "-P", "123456")[0] == 0


def test_the_tool_takes_gzip_for_der(slot: Slot) -> None:
    held = put_in(slot, PivCard.create(), compressed=("9A",))
    status, told = held.tool("-a", "read-certificate", "-s", "9a")
    assert status == 1
    assert "Failed parsing x509" in told


def test_the_tool_opens_a_card_that_compares_and_one_that_a_finger_alone_opens(slot: Slot) -> None:
    held = put_in(slot, PivCard.create(fingers={"96": (2, three_n(1))}, match_bound=True))
    status, told = held.tool("-a", "status")
    assert status == 0
    assert "PIN tries left:\t0" in told
    assert held.tool("-a", "verify-pin", "-P", "123456")[0] == 1


# -- yubikit


class Connection(smartcard.SmartCardConnection):
    """yubikit over this rig's own PC/SC client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def transport(self):
        return core.TRANSPORT.USB

    def close(self) -> None:
        self._client.disconnect()

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        reply = self._client.transmit(apdu)
        return reply[:-2], int.from_bytes(reply[-2:], "big")


@pytest.fixture
def client() -> Iterator[Client]:
    Pcscd.shared()
    with Client() as made:
        yield made


def session(client: Client, held: Inserted):
    client.wait(held.reader, present=True)
    client.connect(held.reader)
    return yubikit.PivSession(Connection(client))


def slot_of(name: str):
    return yubikit.SLOT(int(name, 16))


def test_a_session_reads_certificates_chuid_and_discovery(client: Client, slot: Slot) -> None:
    kinds = {"9A": "P-256", "9C": "RSA-2048", "9D": "P-384", "9E": "P-256"}
    held = put_in(slot, PivCard.create(algorithms=kinds), compressed=("9C", "9D"))
    piv = session(client, held)
    for name, der in held.certificates.items():
        assert piv.get_certificate(slot_of(name)).public_bytes(Encoding.DER) == der
    chuid = yubikit.Chuid.from_bytes(piv.get_object(yubikit.OBJECT_ID.CHUID))
    assert chuid.guid == held.card.guid.bytes
    assert chuid.fasc_n.agency_code == 9999
    assert piv.get_object(yubikit.OBJECT_ID.DISCOVERY).endswith(b"\x5f\x2f\x02\x40\x00")
    assert piv.get_object(yubikit.OBJECT_ID.CAPABILITY).startswith(b"\xf0")


def test_a_session_signs_agrees_and_decrypts(client: Client, slot: Slot) -> None:
    kinds = {"9A": "P-256", "9C": "RSA-2048", "9D": "P-384", "9E": "P-256"}
    held = put_in(slot, PivCard.create(algorithms=kinds, pin_policy="once"))
    piv = session(client, held)
    public = held.card.public_keys()
    with pytest.raises(smartcard.ApduError) as error:
        piv.sign(slot_of("9A"), yubikit.KEY_TYPE.ECCP256, b"x", hashes.SHA256())
    assert error.value.sw == 0x6982
    piv.verify_pin("123456")
    signature = piv.sign(slot_of("9A"), yubikit.KEY_TYPE.ECCP256, b"a statement", hashes.SHA256())
    assert isinstance(public["9A"], ec.EllipticCurvePublicKey)
    public["9A"].verify(signature, b"a statement", ec.ECDSA(hashes.SHA256()))
    signature = piv.sign(
        slot_of("9C"),
        yubikit.KEY_TYPE.RSA2048,
        b"a statement",
        hashes.SHA256(),
        padding.PKCS1v15(),
    )
    assert isinstance(public["9C"], rsa.RSAPublicKey)
    public["9C"].verify(signature, b"a statement", padding.PKCS1v15(), hashes.SHA256())
    host = ec.generate_private_key(ec.SECP384R1())
    secret = piv.calculate_secret(slot_of("9D"), host.public_key())
    assert secret == host.exchange(ec.ECDH(), public["9D"])


def test_a_session_counts_the_tries_and_changes_pin_and_puk(client: Client, slot: Slot) -> None:
    piv = session(client, put_in(slot, PivCard.create(pin_tries=3, puk_tries=2)))
    assert piv.get_pin_attempts() == 3
    with pytest.raises(core.InvalidPinError) as error:
        piv.verify_pin("999999")
    assert error.value.attempts_remaining == 2
    piv.change_pin("123456", "654321")
    piv.change_puk("12345678", "87654321")
    for left in (2, 1, 0):
        with pytest.raises(core.InvalidPinError) as error:
            piv.verify_pin("123456")
        assert error.value.attempts_remaining == left
    with pytest.raises(core.InvalidPinError):
        piv.unblock_pin("12345678", "123456")
    piv.unblock_pin("87654321", "123456")
    piv.verify_pin("123456")


@pytest.mark.parametrize("kind", ["ECCP256", "ECCP384", "RSA2048"])
def test_a_session_personalises_a_card_from_the_factory(
    client: Client, slot: Slot, kind: str
) -> None:
    held = put_in(slot, PivCard.create(factory=True, admin_key=ADMIN_KEY))
    piv = session(client, held)
    # What it would learn by the metadata instruction from a card of a later version.
    piv._management_key_type = yubikit.MANAGEMENT_KEY_TYPE.AES256
    with pytest.raises(smartcard.ApduError):
        piv.authenticate(bytes(32))
    piv.authenticate(ADMIN_KEY)
    key_type = yubikit.KEY_TYPE[kind]
    made = {name: piv.generate_key(slot_of(name), key_type) for name in ("9A", "9D", "9E")}
    public = held.card.public_keys()
    assert {name: key.public_numbers() for name, key in made.items()} == {
        name: key.public_numbers() for name, key in public.items()
    }
    for name, der in self_made(held.card).items():
        certificate = x509.load_der_x509_certificate(der)
        piv.put_certificate(slot_of(name), certificate, compress=name == "9D")
        assert piv.get_certificate(slot_of(name)) == certificate
    piv.delete_certificate(slot_of("9E"))
    assert Tag.CERTIFICATE_9E not in held.card._memory.objects
