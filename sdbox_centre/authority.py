"""Makes certificates and revocation lists, one authority a purpose; keys are new on every run.

Cards, boxes, desks and the centre's servers have authorities of their own, so a certificate of one
kind can never stand for another. Keys come from cryptography's generator; the clock is an argument.
It keeps nothing and writes nothing.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from sdbox_agent.pki import oids
from sdbox_agent.pki.certificate import is_authority
from sdbox_agent.pki.certificate import policies as policies_of
from sdbox_agent.pki.holder import URN_UUID, CardCertificates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdbox_agent.pki.certificate import PublicKey
    from sdbox_centre.deskcard import Slot
    from sdbox_centre.matchbound import Proof

PrivateKey = ec.EllipticCurvePrivateKey  # what an authority signs with

# Ours
AUTHORITY_LIFE: Final = dt.timedelta(days=10 * 365)
CARD_LIFE: Final = dt.timedelta(days=4 * 365 + 1)  # no longer than an enrolment
DESK_LIFE: Final = dt.timedelta(days=6 * 365)  # signs for two years; references live for four
BOX_LIFE: Final = dt.timedelta(days=365)
CRL_LIFE: Final = dt.timedelta(days=7)
BACKDATED: Final = dt.timedelta(minutes=5)  # clocks of centre and boxes differ a little


@dataclass(frozen=True, slots=True)
class Profile:
    """What a certificate is for; a profile bent with `dataclasses.replace` makes a bad one."""

    usages: frozenset[str]
    extended_usages: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    life: dt.timedelta = BOX_LIFE
    extensions: tuple[x509.ExtensionType, ...] = ()  # beside these, not critical


_SIGNS: Final = frozenset({"digital_signature"})
CARD_9A: Final = Profile(_SIGNS, (oids.CLIENT_AUTH,), (oids.POLICY_AUTH,), CARD_LIFE)
CARD_9A_MATCH_BOUND: Final = Profile(
    _SIGNS, (oids.CLIENT_AUTH,), (oids.POLICY_AUTH, oids.POLICY_MATCH_BOUND), CARD_LIFE
)
CARD_9D_EC: Final = Profile(
    frozenset({"key_agreement"}),
    (oids.USAGE_REFERENCE,),
    (oids.POLICY_KEY_MANAGEMENT,),
    CARD_LIFE,
)
CARD_9D_RSA: Final = Profile(
    frozenset({"key_encipherment"}),
    (oids.USAGE_REFERENCE,),
    (oids.POLICY_KEY_MANAGEMENT,),
    CARD_LIFE,
)
CARD_9E: Final = Profile(_SIGNS, (oids.PIV_CARD_AUTH,), (oids.POLICY_CARD_AUTH,), CARD_LIFE)
DESK: Final = Profile(_SIGNS, (oids.USAGE_DESK,), (oids.POLICY_DESK,), DESK_LIFE)
BOX_TLS: Final = Profile(_SIGNS, (oids.CLIENT_AUTH,), (oids.POLICY_BOX_TLS,))
BOX_STATEMENT: Final = Profile(_SIGNS, (oids.USAGE_BOX,), (oids.POLICY_BOX_STATEMENT,))
# as long as the box: staff's act names this one whole, and ends it
BOX_STATEMENT_KEPT: Final = replace(BOX_STATEMENT, life=AUTHORITY_LIFE)
SERVER_TLS: Final = Profile(_SIGNS, (oids.SERVER_AUTH,))


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a certificate names."""

    common_name: str
    alternatives: tuple[x509.GeneralName, ...] = ()


@dataclass(frozen=True, slots=True)
class CardKeys:
    """The public keys that a card made for itself."""

    auth: PublicKey
    key_management: PublicKey
    card_auth: PublicKey


@dataclass(frozen=True, slots=True)
class Authority:
    """One authority: a key that signs, and its certificate."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    @property
    def certificate_der(self) -> bytes:
        """The certificate, DER."""
        return der_of(self.certificate)

    def issue(
        self,
        profile: Profile,
        subject: Subject,
        key: PublicKey,
        not_before: dt.datetime,
        not_after: dt.datetime | None = None,
    ) -> x509.Certificate:
        """A certificate from `not_before`, for the profile's life unless `not_after` is given."""
        end = not_before + profile.life if not_after is None else not_after
        builder = _builder(subject.common_name, key, not_before, end)
        builder = builder.issuer_name(self.certificate.subject)
        builder = builder.add_extension(_key_usage(profile.usages), critical=True)
        if profile.extended_usages:
            purposes = [x509.ObjectIdentifier(dotted) for dotted in profile.extended_usages]
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=True)
        if profile.policies:
            builder = builder.add_extension(_policies(profile.policies), critical=False)
        if subject.alternatives:
            names = x509.SubjectAlternativeName(subject.alternatives)
            builder = builder.add_extension(names, critical=False)
        for carried in profile.extensions:
            builder = builder.add_extension(carried, critical=False)
        return self._sign(builder)

    def subordinate(
        self,
        common_name: str,
        now: dt.datetime,
        key: PrivateKey | None = None,
        path_length: int | None = 0,
    ) -> Authority:
        """An authority under this one, as long-lived, with at most `path_length` more below."""
        key = key or new_key()
        builder = _builder(
            common_name, key.public_key(), now - BACKDATED, self.certificate.not_valid_after_utc
        )
        builder = builder.issuer_name(self.certificate.subject)
        builder = _as_authority(builder, path_length, test=self._test)
        return Authority(self._sign(builder), key)

    @property
    def _test(self) -> bool:
        return oids.POLICY_TEST in policies_of(self.certificate)

    def _sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def card(
        self,
        keys: CardKeys,
        guid: bytes,
        common_name: str,
        now: dt.datetime,
        not_after: dt.datetime | None = None,
    ) -> CardCertificates:
        """The certificates of 9A, 9D and 9E of the card that is known by `guid`, DER."""
        subject = card_subject(guid, common_name)
        return CardCertificates(
            self.card_certificate("9A", keys.auth, subject, now, not_after),
            self.card_certificate("9D", keys.key_management, subject, now, not_after),
            self.card_certificate("9E", keys.card_auth, subject, now, not_after),
        )

    def card_certificate(
        self,
        slot: Slot,
        key: PublicKey,
        subject: Subject,
        now: dt.datetime,
        not_after: dt.datetime | None = None,
    ) -> bytes:
        """The certificate of one key of a card, DER; never match-bound."""
        profile = card_profile(slot, key)
        return der_of(self.issue(profile, subject, key, now - BACKDATED, not_after))

    def card_match_bound(
        self,
        proof: Proof,
        common_name: str,
        now: dt.datetime,
        not_after: dt.datetime | None = None,
    ) -> bytes:
        """The 9A certificate, DER, that says: a finger alone opens this key.

        For the key and the GUID that the proof is about, and for no other.
        """
        subject = card_subject(proof.guid, common_name)
        begin = now - BACKDATED
        return der_of(self.issue(CARD_9A_MATCH_BOUND, subject, proof.auth, begin, not_after))

    def crl(
        self,
        number: int,
        now: dt.datetime,
        revoked: Mapping[int, dt.datetime] | None = None,
        next_update: dt.datetime | None = None,
    ) -> bytes:
        """The complete list `number`, DER: revoked serial numbers and since when."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - BACKDATED)
            .next_update(next_update or now + CRL_LIFE)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        for serial, since in (revoked or {}).items():
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
            builder = builder.add_revoked_certificate(entry.build())
        crl = builder.sign(self.key, hashes.SHA256())
        return crl.public_bytes(serialization.Encoding.DER)


def authority(
    common_name: str,
    now: dt.datetime,
    key: PrivateKey | None = None,
    path_length: int | None = 0,
    life: dt.timedelta = AUTHORITY_LIFE,
    *,
    test: bool = False,
) -> Authority:
    """A self-signed authority whose certificates are issued directly, unless `path_length` > 0.

    With `test` its certificate, and those of authorities below it, say that it issues for tests.
    """
    key = key or new_key()
    builder = _builder(common_name, key.public_key(), now - BACKDATED, now + life)
    builder = _as_authority(builder.issuer_name(_name(common_name)), path_length, test=test)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def load(certificate_pem: bytes, key_pem_: bytes) -> Authority:
    """An authority from its files. Raises ValueError if they are none, or do not belong together.

    Its key is P-256 and in clear: of a file that its owner alone reads.
    """
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    key = serialization.load_pem_private_key(key_pem_, None)
    if not isinstance(key, PrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("an authority's key is that of its certificate")
    if not is_authority(certificate):
        raise ValueError("not an authority")
    return Authority(certificate, key)


def new_key() -> PrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def card_profile(slot: Slot, key: PublicKey) -> Profile:
    """What the certificate of this key of a card is for."""
    match slot:
        case "9A":
            return CARD_9A
        case "9D":
            return CARD_9D_RSA if isinstance(key, rsa.RSAPublicKey) else CARD_9D_EC
        case "9E":
            return CARD_9E


def card_subject(guid: bytes, common_name: str) -> Subject:
    """The card's GUID as FIPS 201-3 section 4.2.2 places it, beside the name for the screen."""
    return Subject(common_name, (x509.UniformResourceIdentifier(f"{URN_UUID}{_uuid(guid)}"),))


def box_subject(box: str) -> Subject:
    """A box is named by a DNS-like label, in both of its certificates."""
    return Subject(box, (x509.DNSName(box),))


def server_subject(common_name: str, hosts: Sequence[str]) -> Subject:
    """A server answers to `hosts`: addresses and names."""
    return Subject(common_name, tuple(_host(host) for host in hosts))


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _uuid(guid: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=guid)


def der_of(certificate: x509.Certificate) -> bytes:
    """DER of a certificate."""
    return certificate.public_bytes(serialization.Encoding.DER)


def pem_of(*certificates: x509.Certificate) -> bytes:
    """PEM of certificates, one after the other."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """PKCS#8 of a private key, PEM, in clear: for a file that only its owner reads."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    common_name: str, key: PublicKey, not_before: dt.datetime, not_after: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _as_authority(
    builder: x509.CertificateBuilder, path_length: int | None, *, test: bool = False
) -> x509.CertificateBuilder:
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    any_policy = x509.oid.CertificatePoliciesOID.ANY_POLICY.dotted_string
    stated = (any_policy, oids.POLICY_TEST) if test else (any_policy,)
    return (
        builder.add_extension(constraints, critical=True)
        .add_extension(_key_usage(frozenset({"key_cert_sign", "crl_sign"})), critical=True)
        .add_extension(_policies(stated), critical=False)
    )


def _policies(dotted: Sequence[str]) -> x509.CertificatePolicies:
    return x509.CertificatePolicies(
        [x509.PolicyInformation(x509.ObjectIdentifier(one), None) for one in dotted]
    )


def _key_usage(names: frozenset[str]) -> x509.KeyUsage:
    known = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in known})
