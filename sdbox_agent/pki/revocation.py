"""Certificate revocation lists: which are accepted, and that none is older than one seen before.

One profile (RFC 5280 section 5): version 2, complete, with CRLNumber and nextUpdate, at most 128
KiB. It fetches nothing; lists come through the centre, whoever signed them.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.pki import certificate, der

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

# Ours
MAX_CRL_BYTES: Final = 128 * 1024
# RFC 5280 section 5.2: a list with anything else is partial, indirect, or a delta
EXTENSIONS: Final = (x509.CRLNumber, x509.AuthorityKeyIdentifier)
ENTRY_EXTENSIONS: Final = (x509.CRLReason, x509.InvalidityDate)


@dataclass(frozen=True, slots=True)
class Crl:
    """One list, read; whether its issuer signed it is another question."""

    crl_der: bytes = field(repr=False)
    signed: x509.CertificateRevocationList = field(repr=False)
    issuer: x509.Name
    number: int
    this_update: dt.datetime
    next_update: dt.datetime
    revoked: frozenset[int] = field(repr=False)  # serial numbers


@functools.lru_cache(maxsize=8)  # the same lists serve all day, and reading costs by their length
def parse(crl_der: bytes) -> Crl:
    """Read a list strictly. Raises DecodeError for anything outside the profile."""
    der.check(crl_der, MAX_CRL_BYTES)
    certificate.check_signature_bits(crl_der)
    try:
        crl = x509.load_der_x509_crl(crl_der)
        extensions = {type(extension.value): extension.value for extension in crl.extensions}
        revoked = frozenset(_serial(entry) for entry in crl)
        next_update, hash_algorithm = crl.next_update_utc, crl.signature_hash_algorithm
        issuer, this_update = crl.issuer, crl.last_update_utc
    except Exception:  # noqa: BLE001  ValueError, TypeError, UnsupportedAlgorithm, DuplicateExtension, …
        raise DecodeError("CRL") from None
    number = extensions.get(x509.CRLNumber)
    if not isinstance(number, x509.CRLNumber) or not extensions.keys() <= set(EXTENSIONS):
        raise DecodeError("CRL: extensions")
    if next_update is None or next_update <= this_update:
        raise DecodeError("CRL: dates")
    if not isinstance(hash_algorithm, certificate.SIGNATURE_HASHES):
        raise DecodeError("CRL: signature algorithm")
    return Crl(crl_der, crl, issuer, number.crl_number, this_update, next_update, revoked)


def _serial(entry: x509.RevokedCertificate) -> int:
    if not all(isinstance(extension.value, ENTRY_EXTENSIONS) for extension in entry.extensions):
        raise DecodeError("CRL: entry extensions")
    return entry.serial_number


def accept(
    crl_der: bytes, authorities_der: Sequence[bytes], moment: dt.datetime, highest: int | None
) -> Crl:
    """Read a list and check signature, rollback and freshness, in that order.

    `highest` is the greatest number accepted so far from this issuer, None at first. Raises
    Fault("crl-invalid") for a list that is malformed, of no authority given, older than one seen,
    or of the future; Fault("crl-stale") for one whose time is over.
    """
    try:
        crl = parse(crl_der)
        check_signature(crl, [_authority(one) for one in authorities_der])
    except DecodeError:
        raise Fault("crl-invalid") from None
    check_number(crl, highest)
    check_fresh(crl, moment)
    return crl


def authority_of(crl: Crl, authorities_der: Sequence[bytes]) -> bytes:
    """SHA-256 of name and key of the authority that signed: what its numbers are counted by.

    By both, as a successor may bear its predecessor's name and begins its numbers anew (RFC 5280
    section 5.2.3 counts for one issuer). Raises DecodeError as `check_signature`.
    """
    authority = check_signature(crl, [_authority(one) for one in authorities_der])
    name = authority.subject.public_bytes()
    return hashlib.sha256(name + certificate.key_der(authority)).digest()


@functools.lru_cache(maxsize=32)  # configured ones only: the same sign every list
def _authority(certificate_der: bytes) -> x509.Certificate:
    return certificate.load(certificate_der)


def check_signature(crl: Crl, authorities: Sequence[x509.Certificate]) -> x509.Certificate:
    """The authority, of that name and allowed to, that signed the list. Raises DecodeError."""
    for authority in authorities:
        if authority.subject != crl.issuer or "crl_sign" not in certificate.usages(authority):
            continue
        if crl.signed.is_signature_valid(certificate.supported(authority.public_key())):
            return authority
    raise DecodeError("CRL: not of an authority")


def check_path(path: Sequence[x509.Certificate], crls: Sequence[Crl], moment: dt.datetime) -> None:
    """Refuse a path, anchor first, with a certificate that its issuer's newest list names.

    The issuer's own key must have signed the list: that, and complete lists only, is all that is
    left of RFC 5280 section 6.3.3 in this profile. Raises Refused("card-revoked"), or Fault
    "crl-stale" without a list or with one whose time is over, "crl-invalid" for a forged one.
    """
    for issuer, subject in itertools.pairwise(path):
        named = [crl for crl in crls if crl.issuer == issuer.subject]
        own = [crl for crl in named if _is_of(crl, issuer)]
        if not own:
            raise Fault("crl-invalid" if named else "crl-stale")
        newest = max(own, key=lambda crl: crl.number)
        if subject.serial_number in newest.revoked:
            raise Refused("card-revoked")  # even when the list is over: it does not get better
        check_fresh(newest, moment)


def _is_of(crl: Crl, issuer: x509.Certificate) -> bool:
    try:
        check_signature(crl, (issuer,))
    except DecodeError:
        return False
    return True


def check_number(crl: Crl, highest: int | None) -> None:
    """Refuse a rollback (RFC 5280 section 5.2.3: numbers only grow). Raises Fault."""
    if highest is not None and crl.number < highest:
        raise Fault("crl-invalid")


def check_fresh(crl: Crl, moment: dt.datetime) -> None:
    """Refuse a list from the future, and one whose nextUpdate has come; no grace. Raises Fault."""
    if moment < crl.this_update:
        raise Fault("crl-invalid")
    if moment >= crl.next_update:
        raise Fault("crl-stale")
