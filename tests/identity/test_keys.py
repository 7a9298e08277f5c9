"""The box's keys: refused when others could have them, used for receipts and the centre only."""

import datetime
import errno
import os
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.identity import keys, tlspair, tpmfile, tpmkey
from sdbox_agent.identity.tpmcounter import TpmCounter
from sdbox_agent.state import trusted
from sdbox_agent.state.trusted import FileRefused
from sdbox_agent.statements import fields, jws
from sdbox_agent.terms import Level
from tests.identity.chip import Chip, chip, factory, other
from tests.waiting import PATIENCE_S

__all__ = ["chip", "factory", "other"]
Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
NOW = datetime.datetime.now(datetime.UTC)


def name_of(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def issue(
    name: str,
    issuer: Pair | None = None,
    *,
    strict: bool = True,
    public: ec.EllipticCurvePublicKey | None = None,
) -> Pair:
    """A certificate as RFC 5280 wants it if `strict`, P-256; its own authority without `issuer`."""
    key = ec.generate_private_key(ec.SECP256R1())
    by = issuer[1] if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of(name))
        .issuer_name(issuer[0].subject if issuer else name_of(name))
        .public_key(public or key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=issuer is None,
                crl_sign=issuer is None,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if strict:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key())
        builder = builder.add_extension(identifier, critical=False)
    return builder.sign(by, hashes.SHA256()), key


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.fixture(scope="module")
def authority() -> Pair:
    return issue("authority.test")


@pytest.fixture
def config(tmp_path: Path, authority: Pair) -> Path:
    for directory in ("identity", "anchors"):
        (tmp_path / directory).mkdir()
    for name in ("tls", "statement"):
        certificate, key = issue("box-test-01", authority)
        (tmp_path / f"identity/{name}.pem").write_bytes(pem(certificate))
        (tmp_path / f"identity/{name}.key").write_bytes(key_pem(key))
        (tmp_path / f"identity/{name}.key").chmod(0o400)
    (tmp_path / "anchors/centre.pem").write_bytes(pem(authority[0]))
    return tmp_path


def receipt() -> bytes:
    return fields.encode(
        fields.Receipt(
            box="box-test-01",
            session="b1-1",
            challenge=bytes(32),
            enrolment="e1",
            attempt=1,
            level=Level.HOST_MATCH,
            project="p1",
            wg_public_key=bytes(32),
            kem_key_sha256=bytes(32),
            utc_s=1,
        )
    )


def test_a_receipt_signed_by_the_box_verifies(config: Path) -> None:
    box = keys.load(config)
    der = box.statement_certificate_der
    header = jws.header("receipt", der)
    signature = box.sign_statement(receipt(), header)
    assert len(signature) == 64
    statement = jws.assemble(receipt(), [(header, signature)])
    assert jws.open_statement("receipt", statement, [der]) == fields.parse("receipt", receipt())


def test_the_box_signs_nothing_but_receipts_under_its_own_header(config: Path) -> None:
    box = keys.load(config)
    der = box.statement_certificate_der
    proof = fields.encode(fields.Proof(box="b", session="s", challenge=bytes(32)))
    for payload, header in (
        (proof, jws.header("proof", der)),
        (proof, jws.header("receipt", der)),
        (receipt(), jws.header("proof", der)),
        (receipt(), jws.header("receipt", pem_der(config / "identity/tls.pem"))),
        (b"anything", jws.header("receipt", der)),
        (receipt() + b" ", jws.header("receipt", der)),
    ):
        with pytest.raises(Refused, match=r"^statement-invalid$"):
            box.sign_statement(payload, header)


def pem_der(path: Path) -> bytes:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("name", ["tls.pem", "tls.key", "statement.pem", "statement.key"])
def test_a_missing_file_is_a_missing_identity(config: Path, name: str) -> None:
    (config / "identity" / name).unlink()
    with pytest.raises(Fault, match=r"^box-identity-missing$"):
        keys.load(config)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("tls.key", 0o440), ("statement.key", 0o604), ("tls.pem", 0o666), ("statement.pem", 0o664)],
)
def test_fault_61_a_wrong_mode_is_refused(config: Path, name: str, mode: int) -> None:
    (config / "identity" / name).chmod(mode)
    with pytest.raises(FileRefused) as caught:
        keys.load(config)
    assert caught.value.code == "config-invalid"
    assert name in caught.value.diagnosis


def test_fault_61_a_symlink_is_refused(config: Path) -> None:
    key = config / "identity/statement.key"
    key.rename(config / "elsewhere.key")
    key.symlink_to(config / "elsewhere.key")
    with pytest.raises(FileRefused):
        keys.load(config)


def test_a_key_of_another_certificate_or_kind_is_refused(config: Path) -> None:
    path = config / "identity/statement.key"
    for key in (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
    ):
        path.chmod(0o600)
        path.write_bytes(key_pem(key))
        with pytest.raises(FileRefused, match=r"^config-invalid$"):
            keys.load(config)
    for garbage in (b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        path.write_bytes(garbage)
        with pytest.raises(FileRefused) as caught:
            keys.load(config)
        assert caught.value.reason == "not a private key"


def test_a_certificate_that_is_none_is_refused(config: Path) -> None:
    (config / "identity/tls.pem").write_bytes(b"nothing here")
    with pytest.raises(FileRefused) as caught:
        keys.load(config)
    assert caught.value.reason == "not a certificate"


def test_files_that_can_not_be_read_are_told(config: Path) -> None:
    key = config / "identity/tls.key"
    key.unlink()
    key.mkdir()
    with pytest.raises(FileRefused, match=r"^config-invalid$"):
        keys.load(config)


def test_anchors_without_a_certificate_are_refused(config: Path) -> None:
    (config / "anchors/centre.pem").write_bytes(b"nothing here")
    with pytest.raises(FileRefused, match=r"^config-invalid$"):
        keys.load(config)


def test_nothing_of_a_key_is_ever_printed(config: Path) -> None:
    box = keys.load(config)
    secret = (config / "identity/tls.key").read_text().splitlines()[1]
    for text in (repr(box), str(box), repr(box.tls), repr(box._statement)):
        assert "PRIVATE" not in text
        assert secret not in text


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> bytes:
    """What the server learns of the client in one connection. Raises what the client met."""
    ours, theirs = socket.socketpair()
    seen: list[bytes] = []

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as connection:
                seen.append(connection.getpeercert(binary_form=True) or b"")
                connection.recv(1)
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=host) as connection:
            assert connection.version() == "TLSv1.3"
            connection.send(b"x")
    finally:
        ours.close()
        thread.join(PATIENCE_S)
    return seen[0]


def server_context(config: Path, pair: Pair, tmp_path: Path, anchor: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    both = tmp_path / "server.pem"
    both.write_bytes(pem(pair[0]) + key_pem(pair[1]))
    context.load_cert_chain(both)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=pem(anchor[0]).decode())
    return context


def test_the_centre_sees_the_boxs_certificate(
    config: Path, tmp_path: Path, authority: Pair
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    client = keys.load(config).client_context()
    assert len(os.listdir("/proc/self/fd")) == before
    server = server_context(config, issue("centre.test", authority), tmp_path, authority)
    assert handshake(client, server, "centre.test") == pem_der(config / "identity/tls.pem")


def test_a_centre_outside_rfc_5280_is_refused(
    config: Path, tmp_path: Path, authority: Pair
) -> None:
    """It does not name its issuer's key (section 4.2.1.1); OpenSSL lets that pass by default."""
    client = keys.load(config).client_context()
    lax = server_context(config, issue("centre.test", authority, strict=False), tmp_path, authority)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)authority key identifier"):
        handshake(client, lax, "centre.test")


def test_another_authority_another_name_and_tls_1_2_are_refused(
    config: Path, tmp_path: Path, authority: Pair
) -> None:
    client = keys.load(config).client_context()
    foreign = server_context(
        config, issue("centre.test", issue("authority.test")), tmp_path, authority
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client, foreign, "centre.test")
    right = server_context(config, issue("centre.test", authority), tmp_path, authority)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client, right, "other.test")
    right.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(client, right, "centre.test")


def in_the_chip(config: Path, chip: Chip, authority: Pair) -> None:
    """Its statement key is the chip's from now on."""
    wrapped = tpmkey.create(chip.tpm)
    chip.tpm.close()
    for name in ("statement.key", "tls.key", "tls.pem"):
        (config / "identity" / name).unlink()
    (config / "identity/statement.tpm").write_bytes(tpmfile.encode(wrapped))
    (config / "identity/statement.tpm").chmod(0o400)
    certificate, _ = issue("box-test-01", authority, public=wrapped.public_key)
    (config / "identity/statement.pem").write_bytes(pem(certificate))


@pytest.mark.slow
def test_a_receipt_signed_in_the_chip_verifies(
    config: Path, authority: Pair, chip: Chip, other: Chip
) -> None:
    plain = keys.load(config)
    assert (plain.copyable, plain.counter()) == (True, None)
    in_the_chip(config, chip, authority)
    box = keys.load(config, chip.soft.socket_path)
    assert not box.copyable
    assert box.tpm is not None
    counter = box.counter()
    assert isinstance(counter, TpmCounter)
    assert counter.make() == counter.value()
    der = box.statement_certificate_der
    header = jws.header("receipt", der)
    statement = jws.assemble(receipt(), [(header, box.sign_statement(receipt(), header))])
    assert jws.open_statement("receipt", statement, [der]) == fields.parse("receipt", receipt())
    assert "private" not in repr(box).lower()
    with pytest.raises(Fault, match=r"^tpm-foreign$"):  # the same files on another machine
        keys.load(config, other.soft.socket_path)
    with pytest.raises(Fault, match=r"^tpm-away$"):  # and on one without a chip
        keys.load(config, config / "none")
    box.tpm.close()


@pytest.mark.slow
def test_a_key_of_the_chip_is_checked_as_a_file_is(
    config: Path, authority: Pair, chip: Chip
) -> None:
    in_the_chip(config, chip, authority)
    wrapped = config / "identity/statement.tpm"
    for spoil, reason in (
        (lambda: wrapped.chmod(0o440), "others may read this key: chmod 0400"),
        (lambda: wrapped.write_bytes(wrapped.read_bytes()[:-1]), "wrapped key: form"),
    ):
        before = wrapped.read_bytes()
        spoil()
        with pytest.raises(FileRefused) as caught:
            keys.load(config, chip.soft.socket_path)
        assert caught.value.reason == reason
        wrapped.chmod(0o600)
        wrapped.write_bytes(before)
    certificate, key = issue("box-test-01", authority)
    (config / "identity/statement.pem").write_bytes(pem(certificate))
    with pytest.raises(FileRefused, match=r"^config-invalid$"):
        keys.load(config, chip.soft.socket_path)
    (config / "identity/statement.key").write_bytes(key_pem(key))
    with pytest.raises(FileRefused) as caught:
        keys.load(config, chip.soft.socket_path)
    assert caught.value.reason == "beside a key of the TPM: remove one"


@pytest.mark.parametrize("name", ["tls.key", "tls.pem"])
def test_a_tls_key_beside_a_key_of_the_chip_is_refused(config: Path, name: str) -> None:
    """It would undo what the chip is worth; no chip is asked for that."""
    (config / "identity/statement.key").rename(config / "identity/statement.tpm")
    for other_name in {"tls.key", "tls.pem"} - {name}:
        (config / "identity" / other_name).unlink()
    with pytest.raises(FileRefused) as caught:
        keys.load(config, config / "none")
    assert caught.value.file.endswith(name)
    assert caught.value.reason == "beside a key of the TPM: remove one"


def test_a_disk_that_fails_and_a_key_that_tls_does_not_take_are_told(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = keys.load(config)

    def refuse(_context: ssl.SSLContext, _pem: bytes) -> None:
        raise ssl.SSLError

    monkeypatch.setattr(tlspair, "load_chain", refuse)
    with pytest.raises(Fault, match=r"^config-invalid$"):
        box.client_context()

    def fail(_path: Path, **_: bool) -> bytes:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(trusted, "read", fail)
    with pytest.raises(Fault, match=r"^config-invalid$"):
        keys.load(config)
