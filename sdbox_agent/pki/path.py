"""Is this card to be trusted, now: its three certificates, step by step.

1 form of each certificate · 2 purpose of each key · 3 the three belong to one card, the CHUID's
· 4 the CHUID's date · 5 certification path to an anchor: signatures, dates, constraints, policy of
each key (pyhanko-certvalidator decides; it fetches nothing) · 6 revocation of each certificate on
that path.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from asn1crypto import x509 as asn1_x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyhanko_certvalidator import CertificateValidator, PKIXValidationParams, ValidationContext
from pyhanko_certvalidator.authority import CertTrustAnchor, derive_quals_from_cert
from pyhanko_certvalidator.errors import (
    ExpiredError,
    NotYetValidError,
)

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.pki import certificate, holder, oids, revocation

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from cryptography import x509

    from sdbox_agent.pki.holder import CardCertificates, CardHashes

T = TypeVar("T")

# Ours
MAX_AUTHORITIES: Final = 16
MAX_CRLS: Final = 16
RSA_2048_UNTIL: Final = dt.datetime(2031, 1, 1, tzinfo=dt.UTC)  # SP 800-131A: 112 bits until 2030


@dataclass(frozen=True, slots=True)
class Purpose:
    """What the certificate of one of the card's keys must say."""

    usages: frozenset[str]
    extended_usage: str
    policy: str


@dataclass(frozen=True, slots=True)
class CheckedCard:
    """A card whose certificates hold now. That it is genuine, a signature has yet to show."""

    hashes: CardHashes
    guid: bytes
    name: str  # for the screen only: a holder is known by `hashes.auth`
    valid_until: dt.datetime  # the first of the four dates to come
    match_bound: bool  # 9A says that no PIN opens it


def purpose_of_auth() -> Purpose:
    """9A: signs receipts and renewals (FIPS 201-3 section 4.2.2.1)."""
    return Purpose(frozenset({"digital_signature"}), oids.CLIENT_AUTH, oids.POLICY_AUTH)


def purpose_of_key_management(key: object) -> Purpose:
    """9D: opens references; agreement or encipherment by key (FIPS 201-3 section 4.2.2.5)."""
    usage = "key_encipherment" if isinstance(key, rsa.RSAPublicKey) else "key_agreement"
    return Purpose(frozenset({usage}), oids.USAGE_REFERENCE, oids.POLICY_KEY_MANAGEMENT)


def purpose_of_card_auth() -> Purpose:
    """9E: proves that the card is here (FIPS 201-3 section 4.2.2.2)."""
    return Purpose(frozenset({"digital_signature"}), oids.PIV_CARD_AUTH, oids.POLICY_CARD_AUTH)


def validate_card(
    certificates: CardCertificates,
    expires: str | None,
    anchors: Sequence[bytes],
    crls: Sequence[bytes],
    moment: dt.datetime,
    guid: bytes | None,
) -> CheckedCard:
    """Check a card's certificates at `moment`, in the order of the module's steps.

    `expires` (YYYYMMDD) and `guid` come from the CHUID, where the card shows one. `anchors` holds
    the configured authorities: self-signed ones are anchors, others may only stand between an
    anchor and a card. `crls` must hold the newest list of each authority on the path, as passed by
    `revocation.accept`, which knows the numbers seen before. All DER.

    Raises Refused: card-data-invalid (steps 1, 4), card-untrusted (2, 3, 5), card-expired (4, 5),
    card-not-yet-valid (5), card-revoked (6). Raises Fault: crl-stale if a list is missing or over,
    crl-invalid if one is malformed or forged, config-invalid for an anchor that is none.
    """
    ders = (certificates.auth, certificates.key_management, certificates.card_auth)
    try:
        loaded = tuple(certificate.load(one) for one in ders)
        name = holder.display_name(loaded[0])
    except DecodeError:
        raise Refused("card-data-invalid") from None
    purposes = (
        purpose_of_auth(),
        purpose_of_key_management(loaded[1].public_key()),
        purpose_of_card_auth(),
    )
    for one, purpose in zip(loaded, purposes, strict=True):
        _check_purpose(one, purpose)
    _check_one_card(loaded, guid)
    ends = [one.not_valid_after_utc for one in loaded]
    if expires is not None:
        ends.append(_chuid_end(expires))
        if moment >= ends[-1]:
            raise Refused("card-expired")
    context = _context(anchors, moment)
    lists = _read_crls(crls)
    for one_der, purpose in zip(ders, purposes, strict=True):
        revocation.check_path(_find_path(one_der, purpose, context), lists, moment)
    match_bound = oids.POLICY_MATCH_BOUND in certificate.policies(loaded[0])
    return CheckedCard(certificates.hashes(), holder.guid(loaded[0]), name, min(ends), match_bound)


def _check_purpose(one: x509.Certificate, purpose: Purpose) -> None:
    """Step 2. The policy is here asked of the certificate itself, in step 5 of the whole path."""
    key = one.public_key()
    if (
        certificate.usages(one) != purpose.usages
        or certificate.extended_usages(one) != {purpose.extended_usage}
        or purpose.policy not in certificate.policies(one)
    ):
        raise Refused("card-untrusted")
    if (
        isinstance(key, rsa.RSAPublicKey)
        and key.key_size < 3072
        and one.not_valid_after_utc >= RSA_2048_UNTIL
    ):
        raise Refused("card-untrusted")


def _check_one_card(loaded: Sequence[x509.Certificate], guid: bytes | None) -> None:
    """Step 3: one GUID, the CHUID's (FIPS 201-3 section 4.2.2), and a key of its own for each."""
    try:
        guids = {holder.guid(one) for one in loaded}
    except DecodeError:
        raise Refused("card-untrusted") from None
    keys = {
        one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for one in loaded
    }
    if len(guids) != 1 or (guid is not None and guids != {guid}) or len(keys) != len(loaded):
        raise Refused("card-untrusted")


def _chuid_end(expires: str) -> dt.datetime:
    """The end of the CHUID's last day (SP 800-73pt1-5 section 3.1.2), UTC."""
    if len(expires) != 8 or not expires.isascii() or not expires.isdigit():
        raise Refused("card-data-invalid")
    try:
        day = dt.datetime(int(expires[:4]), int(expires[4:6]), int(expires[6:]), tzinfo=dt.UTC)
        return day + dt.timedelta(days=1)
    except (ValueError, OverflowError):
        raise Refused("card-data-invalid") from None


def _context(anchors: Sequence[bytes], moment: dt.datetime) -> ValidationContext:
    if not 1 <= len(anchors) <= MAX_AUTHORITIES:
        raise Fault("config-invalid")
    try:
        roots, between = _sort(anchors)
    except DecodeError:
        raise Fault("config-invalid") from None
    return ValidationContext(
        trust_roots=[_anchor(root) for root in roots],
        other_certs=between,
        moment=moment,
        allow_fetching=False,
        revocation_mode="none",  # step 6 is ours
        time_tolerance=dt.timedelta(0),
    )


def _anchor(root: asn1_x509.Certificate) -> CertTrustAnchor:
    """An anchor whose own limits count: path length, names and policies (RFC 5937 section 3.2).

    Its dates are `_find_path`'s, so that their end is not taken for the card's; and validator 0.33
    fails with a TypeError when it has one path length without the other.
    """
    limits = derive_quals_from_cert(root)
    return CertTrustAnchor(
        root,
        replace(
            limits, valid_from=None, valid_until=None, max_aa_path_length=limits.max_path_length
        ),
    )


def _sort(
    authorities_der: Sequence[bytes],
) -> tuple[list[asn1_x509.Certificate], list[asn1_x509.Certificate]]:
    """Self-signed authorities, and the others. Raises DecodeError if one is no authority."""
    roots: list[asn1_x509.Certificate] = []
    between: list[asn1_x509.Certificate] = []
    for authority_der in authorities_der:
        authority = certificate.load(authority_der)
        if not certificate.is_authority(authority):
            raise DecodeError("not an authority")
        try:
            authority.verify_directly_issued_by(authority)
        except (InvalidSignature, ValueError, TypeError):
            between.append(asn1_x509.Certificate.load(authority_der, strict=True))
        else:
            roots.append(asn1_x509.Certificate.load(authority_der, strict=True))
    return roots, between


def _read_crls(crls: Sequence[bytes]) -> list[revocation.Crl]:
    if len(crls) > MAX_CRLS:
        raise Fault("crl-invalid")
    try:
        return [revocation.parse(crl_der) for crl_der in crls]
    except DecodeError:
        raise Fault("crl-invalid") from None


def _find_path(
    certificate_der: bytes, purpose: Purpose, context: ValidationContext
) -> list[x509.Certificate]:
    """Step 5 for one certificate: the path, anchor first."""
    parameters = PKIXValidationParams(
        user_initial_policy_set=frozenset({purpose.policy}),
        initial_explicit_policy=True,
        initial_policy_mapping_inhibit=True,
    )
    try:
        subject = asn1_x509.Certificate.load(certificate_der, strict=True)
        validator = CertificateValidator(
            subject, validation_context=context, pkix_params=parameters
        )
        found = _run(validator.async_validate_path())
        path = [certificate.load(one.dump()) for one in found]
    except ExpiredError as error:
        raise Refused("card-expired" if error.is_ee_cert else "card-untrusted") from None
    except NotYetValidError as error:
        raise Refused("card-not-yet-valid" if error.is_ee_cert else "card-untrusted") from None
    except Exception:  # noqa: BLE001  the rest of its errors, and whatever asn1crypto lets through
        raise Refused("card-untrusted") from None
    # RFC 5280 section 6.1.1 (d) leaves an anchor's dates out; ours end when they say
    if not path[0].not_valid_before_utc <= context.moment <= path[0].not_valid_after_utc:
        raise Refused("card-untrusted")
    return path


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing (there is no fetcher), without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # a StopIteration's value has no type
    finally:
        coroutine.close()
    raise RuntimeError("path validation waited for something")
