"""OpenSC is the arbiter: its PIV driver, written by others, must take the card."""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hil.card.card import PivCard
from hil.card.insertion import Insertion
from hil.card.slot import Slot
from hil.pcscd import Pcscd
from tests.hil.card.helpers import self_made, three_n

pytestmark = pytest.mark.rig

READER = ["--reader", "0"]
PKCS11 = ["pkcs11-tool", "--slot-index", "0"]
LOGIN = ["--login", "--pin", "123456"]
KINDS = [("P-256", "never"), ("P-256", "once"), ("RSA-2048", "never"), ("RSA-2048", "once")]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@dataclass
class Inserted:
    card: PivCard
    insertion: Insertion
    certificates: dict[str, bytes]


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def inserted(request) -> Iterator[Inserted]:
    algorithm, policy = request.param
    kinds = dict.fromkeys(("9A", "9C", "9D", "9E"), algorithm)
    card = PivCard.create(algorithms=kinds, pin_policy=policy)
    made = self_made(card)
    card.install(made, compressed=["9C"])
    slot = Pcscd.shared().reader(0)
    insertion = slot.insert(card)
    try:
        insertion.wait_powered()
        yield Inserted(card, insertion, made)
    finally:
        slot.remove()


def test_the_card_is_named_and_numbered(inserted: Inserted) -> None:
    assert run("opensc-tool", *READER, "-n").stdout == "Personal Identity Verification Card\n"
    serial = run("piv-tool", *READER, "--serial").stdout
    assert bytes.fromhex(serial.split(" .")[0][:47]) == inserted.card.guid.bytes


def test_every_key_and_certificate_is_listed(inserted: Inserted) -> None:
    listed = run(*PKCS11, *LOGIN, "-O")
    assert listed.returncode == 0, listed.stderr
    kinds = re.findall(r"^(Private Key|Public Key|Certificate) Object", listed.stdout, re.MULTILINE)
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "Private Key": 4,
        "Public Key": 4,
        "Certificate": 4,
    }
    for name, identifier in {"9A": 1, "9C": 2, "9D": 3, "9E": 4}.items():
        assert f"test-holder-01 {name}" in listed.stdout
        assert f"ID:         {identifier:02x}" in listed.stdout


def test_certificates_come_out_as_they_went_in(inserted: Inserted, tmp_path: Path) -> None:
    # 01 is kept plain, 02 gzipped: OpenSC inflates it by the 71 beside it.
    for identifier, name in (("01", "9A"), ("02", "9C")):
        out = tmp_path / name
        run(*PKCS11, "-r", "--type", "cert", "--id", identifier, "-o", str(out))
        assert out.read_bytes() == inserted.certificates[name]


def test_pkcs11_tool_finds_no_fault(inserted: Inserted) -> None:
    tested = run(*PKCS11, *LOGIN, "--test")
    assert tested.returncode == 0
    complaints = [
        line
        for line in (tested.stdout + tested.stderr).splitlines()
        if re.search(r"ERR:|fail|mismatch", line)
    ]
    # PIV has no random numbers without a management key, which this card has not.
    assert complaints == ["  ERR: C_GenerateRandom failed: CKR_FUNCTION_NOT_SUPPORTED (0x54)"]
    assert "1 errors" in tested.stdout
    if inserted.card.public_keys()["9A"].key_size == 2048:
        assert tested.stdout.count("RSA-X-509: OK") == 10
        assert tested.stdout.count("RSA-PKCS: OK") >= 5
        assert tested.stdout.count("MGF1-SHA256\nOK") == 8


@pytest.mark.parametrize(("identifier", "name"), [("01", "9A"), ("02", "9C"), ("04", "9E")])
def test_a_signature_made_through_opensc_verifies(
    inserted: Inserted, tmp_path: Path, identifier: str, name: str
) -> None:
    message, out = tmp_path / "message", tmp_path / "signature"
    public = inserted.card.public_keys()[name]
    elliptic = isinstance(public, ec.EllipticCurvePublicKey)
    content = b"a statement"
    message.write_bytes(hashlib.sha256(content).digest() if elliptic else content)
    mechanism = "ECDSA" if elliptic else "SHA256-RSA-PKCS"
    command = [*PKCS11, *LOGIN, "--sign", "-m", mechanism, "--id", identifier]
    done = run(*command, "-i", str(message), "-o", str(out))
    assert done.returncode == 0, done.stderr
    signature = out.read_bytes()
    if elliptic:
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        encoded = utils.encode_dss_signature(r, s)
        public.verify(encoded, content, ec.ECDSA(hashes.SHA256()))
    else:
        public.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
    held = x509.load_der_x509_certificate(inserted.certificates[name]).public_key()
    assert held.public_numbers() == public.public_numbers()


def test_9d_opens_what_was_sealed_to_its_certificate(inserted: Inserted, tmp_path: Path) -> None:
    given, out = tmp_path / "given", tmp_path / "out"
    public = inserted.card.public_keys()["9D"]
    if isinstance(public, ec.EllipticCurvePublicKey):
        host = ec.generate_private_key(public.curve)
        expected = host.exchange(ec.ECDH(), public)
        spki = host.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        given.write_bytes(spki)
        asked = ["--derive", "-m", "ECDH1-DERIVE"]
    else:
        expected = os.urandom(32)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        given.write_bytes(public.encrypt(expected, oaep))
        asked = ["--decrypt", "-m", "RSA-PKCS-OAEP", "--hash-algorithm", "SHA256"]
        asked += ["--mgf", "MGF1-SHA256"]
    done = run(*PKCS11, *LOGIN, *asked, "--id", "03", "-i", str(given), "-o", str(out))
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == expected


@pytest.fixture
def slot() -> Iterator[Slot]:
    """One of the first readers: OpenSC's PKCS#11 module has no slots for more than four."""
    taken = Pcscd.shared().reader(1)
    try:
        yield taken
    finally:
        taken.remove()


def test_opensc_sees_the_tries_go(slot: Slot) -> None:
    card = PivCard.create(pin_policy="once", pin_tries=2)
    card.install(self_made(card))
    slot.insert(card).wait_powered()
    names = re.findall(r"^Slot \d+ .*: (.*)$", run("pkcs11-tool", "-L").stdout, re.MULTILINE)
    tool = ["pkcs11-tool", "--slot-index", str(names.index(slot.reader_name))]
    wrong = [*tool, "--login", "--pin", "999999", "-O"]
    assert "CKR_PIN_INCORRECT" in run(*wrong).stderr
    assert card.pin_tries_left == 1
    assert "final user PIN try" in run(*tool, "-L").stdout
    run(*wrong)
    assert "CKR_PIN_LOCKED" in run(*tool, *LOGIN, "-O").stderr
    assert "user PIN locked" in run(*tool, "-L").stdout


def test_opensc_reads_a_card_that_a_finger_alone_opens(slot: Slot) -> None:
    card = PivCard.create(fingers={"96": (2, three_n(1))}, match_bound=True)
    card.install(self_made(card))
    slot.insert(card).wait_powered()
    names = re.findall(r"^Slot \d+ .*: (.*)$", run("pkcs11-tool", "-L").stdout, re.MULTILINE)
    tool = ["pkcs11-tool", "--slot-index", str(names.index(slot.reader_name))]
    listed = run(*tool, "-O")
    assert listed.stdout.count("Certificate Object") == 3
    assert "CKR_PIN_LOCKED" in run(*tool, *LOGIN, "-O").stderr


def test_piv_tool_proves_9b_and_puts_what_it_makes(slot: Slot, tmp_path: Path) -> None:
    card = PivCard.create(admin_key=bytes(range(32)))
    key_file, pem, out = tmp_path / "9b", tmp_path / "pem", tmp_path / "out"
    key_file.write_text(":".join(f"{byte:02X}" for byte in range(32)))
    insertion = slot.insert(card)
    insertion.wait_powered()
    readers = run("opensc-tool", "-l").stdout
    number = re.search(rf"^(\d+) .*{slot.reader_name}$", readers, re.MULTILINE)
    assert number is not None, readers
    tool = ["env", f"PIV_EXT_AUTH_KEY={key_file}", "piv-tool", "--reader", number[1]]
    before = card.public_keys()["9A"].public_numbers()
    # OpenSC 0.23 fails after the card's answer, in its own use of OpenSSL 3 (OpenSC issue 3156).
    run(*tool, "-A", "M:9B:0C", "-G", "9A:11", "-o", str(out))
    assert card.public_keys()["9A"].public_numbers() != before
    der = self_made(card)["9A"]
    pem.write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    run(*tool, "-A", "M:9B:0C", "-C", "9A", "-i", str(pem))
    said = [(seen.ins, seen.sw) for seen in insertion.log if seen.ins in (0x47, 0x87, 0xDB)]
    assert {sw for _, sw in said} == {0x9000}
    assert [ins for ins, _ in said][:3] == [0x87, 0x87, 0x47]
    names = re.findall(r"^Slot \d+ .*: (.*)$", run("pkcs11-tool", "-L").stdout, re.MULTILINE)
    index = str(names.index(slot.reader_name))
    read = ["pkcs11-tool", "--slot-index", index, "-r", "--type", "cert", "--id", "01"]
    run(*read, "-o", str(out))
    assert out.read_bytes() == der
    key_file.write_text(":".join(["00"] * 32))
    run(*tool, "-A", "M:9B:0C", "-G", "9A:11")
    assert (insertion.log[-1].ins, insertion.log[-1].sw) == (0x87, 0x6982)
