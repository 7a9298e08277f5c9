"""The two keys that make this box this box.

The TLS key says who speaks to the centre; the statement key signs, beside the card, the receipt of
a session, vouches for a TLS key of this process, and nothing else. It is the TPM's where one made
it (`statement.tpm`), and then no TLS key lies here: one on the disk would undo what the chip is
worth, and it is made in memory (`vouching`). Else both are files, whoever has the disk has both,
and each is read once, checked against its certificate, never printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.identity import centreanchors, filekey, tpmfile
from sdbox_agent.identity.tlspair import TlsPair
from sdbox_agent.state import trusted
from sdbox_agent.state.trusted import FileRefused
from sdbox_agent.statements import fields, jws, vouch

if TYPE_CHECKING:
    import ssl

    from sdbox_agent.identity.port import StatementKey
    from sdbox_agent.identity.tpm import Tpm
    from sdbox_agent.state.counter import Counter

SCALAR_BYTES: Final = 32  # RFC 7518 section 3.4: ES256 is r || s, 32 bytes each
SIGNED_BY_THE_BOX: Final = "receipt"
_BESIDE: Final = "beside a key of the TPM: remove one"


@dataclass(frozen=True, slots=True)
class BoxIdentity:
    """What `load` found, whole and fitting together."""

    tls: TlsPair | None = field(repr=False)  # none beside a statement key in a chip
    _statement: StatementKey = field(repr=False)
    _certificate: x509.Certificate = field(repr=False)
    centre_anchors_pem: str = field(repr=False)
    tpm: Tpm | None = field(repr=False)  # the chip that holds the statement key

    @property
    def copyable(self) -> bool:
        """Could whoever has this box's disk be this box?"""
        return self._statement.copyable

    def counter(self) -> Counter | None:
        """What the state record is held against: the chip's, where it holds the key."""
        if self.tpm is None:
            return None
        from sdbox_agent.identity.tpmcounter import TpmCounter  # noqa: PLC0415  as in `load`

        return TpmCounter(self.tpm)

    @property
    def statement_certificate_der(self) -> bytes:
        """The certificate that receipts name in their header."""
        return self._certificate.public_bytes(Encoding.DER)

    def sign_statement(self, payload: bytes, protected: bytes) -> bytes:
        """Sign a receipt's payload (JWS, ES256: r || s, 64 bytes).

        Raises Refused("statement-invalid") for any other statement, or another header than this
        box's own: the box lends its name to receipts only. Raises Fault if the TPM can't sign.
        """
        try:
            fields.parse(SIGNED_BY_THE_BOX, payload)
        except DecodeError:
            raise Refused("statement-invalid") from None
        if protected != jws.header(SIGNED_BY_THE_BOX, self.statement_certificate_der):
            raise Refused("statement-invalid")
        return self._signed(jws.signing_input(protected, payload))

    def vouch(self, said: vouch.Vouch) -> bytes:
        """The statement that a TLS key is this box's, signed: a JWS.

        Raises Fault if the TPM can't sign.
        """
        payload = vouch.encode(said)
        protected = jws.header(vouch.TYP, self.statement_certificate_der)
        signature = self._signed(jws.signing_input(protected, payload))
        return jws.assemble(payload, [(protected, signature)])

    def _signed(self, message: bytes) -> bytes:
        der = self._statement.sign(message)
        r, s = decode_dss_signature(der)
        return r.to_bytes(SCALAR_BYTES) + s.to_bytes(SCALAR_BYTES)

    @property
    def centre_anchors(self) -> tuple[x509.Certificate, ...]:
        """The centre's authority, and its successors."""
        return tuple(x509.load_pem_x509_certificates(self.centre_anchors_pem.encode()))

    def with_certificate(self, renewed: x509.Certificate) -> BoxIdentity:
        """The same box, under another certificate on its TLS key. Raises as `client_context`."""
        return replace(self, tls=self.pair.under(renewed))

    def client_context(self) -> ssl.SSLContext:
        """As `TlsPair.context`, to the centre's authority and its successors.

        Raises Fault("box-identity-missing") for a box that has no such pair: see `vouching`.
        """
        return self.pair.context(self.centre_anchors_pem)

    @property
    def pair(self) -> TlsPair:
        """TLS key and certificate, in files. Raises as `client_context`."""
        if self.tls is None:
            raise Fault("box-identity-missing")
        return self.tls


def is_in_chip(config: Path) -> bool:
    """Is the statement key of this box a TPM's? Nothing is read, and no chip asked."""
    return (config / "identity" / tpmfile.FILE).exists()


def load(config: Path, device: Path = Path("/dev/tpmrm0"), chip: Tpm | None = None) -> BoxIdentity:
    """Read `identity/` and `anchors/centre.pem` under the settings directory.

    `device` is the TPM's, opened if the statement key is its, unless it is at hand as `chip`.
    Raises Fault("box-identity-missing") if a file is not there; FileRefused("config-invalid") for a
    wrong owner, mode or symlink (fault 61), a key that is not P-256, or not its certificate's, or
    that lies beside a TPM's; and the TPM's: "tpm-foreign" for a key that is another's.
    """
    identity = config / "identity"
    try:
        tls = _tls(identity)
        statement, tpm = _statement_key(identity, device, chip)
        _, certificate = _certificate(identity / "statement.pem", statement)
        anchors = centreanchors.load(config)
    except FileNotFoundError as error:
        raise FileRefused("box-identity-missing", str(error.filename), 0, "missing") from None
    except OSError:
        raise Fault("config-invalid") from None
    return BoxIdentity(tls, statement, certificate, anchors, tpm)


def _tls(identity: Path) -> TlsPair | None:
    """Key and certificate; none beside a key of the TPM's, where they would be worth having."""
    if (identity / tpmfile.FILE).exists():
        for lying in (identity / "tls.key", identity / "tls.pem"):
            if lying.exists():
                raise FileRefused("config-invalid", str(lying), 0, _BESIDE)
        return None
    key = filekey.load(identity / "tls.key")
    pem, shown = _certificate(identity / "tls.pem", key)
    return TlsPair(identity / "tls.pem", shown, key.private, pem + b"\n" + key.pem)


def _statement_key(
    identity: Path, device: Path, chip: Tpm | None
) -> tuple[StatementKey, Tpm | None]:
    """The TPM's, or the file's; with both lying there, nobody can say which this box is."""
    wrapped, plain = identity / tpmfile.FILE, identity / "statement.key"
    try:
        data = trusted.read(wrapped, private=True)
    except FileNotFoundError:
        return filekey.load(plain), None
    if plain.exists():
        raise FileRefused("config-invalid", str(plain), 0, _BESIDE)
    try:
        key = tpmfile.parse(data)
    except DecodeError as error:
        raise FileRefused("config-invalid", str(wrapped), 0, str(error)) from None
    # Another box has no chip and no library of it: 15 MB and 0.2 s that its core does without.
    from sdbox_agent.identity.tpm import Tpm  # noqa: PLC0415
    from sdbox_agent.identity.tpmkey import TpmKey  # noqa: PLC0415

    tpm = chip or Tpm(device)
    return TpmKey(tpm, key), tpm


def _certificate(path: Path, key: StatementKey) -> tuple[bytes, x509.Certificate]:
    """A certificate, as PEM too, that must be the key's."""
    pem = trusted.read(path)
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise FileRefused("config-invalid", str(path), 0, "not a certificate") from None
    if key.public_key != certificate.public_key():
        raise FileRefused("config-invalid", str(path), 0, "not the certificate of its key")
    return pem, certificate
