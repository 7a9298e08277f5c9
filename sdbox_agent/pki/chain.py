"""The way from a configured anchor to one certificate, and nothing else about either.

pyhanko-certvalidator decides (RFC 5280 section 6.1); it fetches nothing, and revocation is not its
business. It knows neither cards nor lists.
"""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from asn1crypto import x509 as asn1_x509
from cryptography.exceptions import InvalidSignature
from pyhanko_certvalidator import CertificateValidator, PKIXValidationParams, ValidationContext
from pyhanko_certvalidator.authority import CertTrustAnchor, derive_quals_from_cert
from pyhanko_certvalidator.errors import (
    ExpiredError,
    NotYetValidError,
)

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.pki import certificate, oids

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from cryptography import x509

T = TypeVar("T")

# Ours
MAX_AUTHORITIES: Final = 16


@dataclass(frozen=True, slots=True)
class Authorities:
    """The configured authorities, read: self-signed ones are anchors, others stand between."""

    anchors: tuple[asn1_x509.Certificate, ...]
    between: tuple[asn1_x509.Certificate, ...]
    loaded: dict[bytes, x509.Certificate] = field(repr=False)  # all of them, by their DER


def authorities(ders: Sequence[bytes]) -> Authorities:
    """Read what was configured. Raises Fault("config-invalid"): no authority, none, too many."""
    if not 1 <= len(ders) <= MAX_AUTHORITIES:
        raise Fault("config-invalid")
    try:
        return _sort(tuple(ders))
    except DecodeError:
        raise Fault("config-invalid") from None


@functools.lru_cache(maxsize=64)  # of an authority and a policy: the same for every card
def _anchor(root_der: bytes, policy: str) -> CertTrustAnchor:
    """An anchor whose own limits count: path length, names and policies (RFC 5937 section 3.2).

    Its dates are `find`'s, so that their end is not taken for the card's. Validator 0.33 fails with
    a TypeError when it has one path length without the other; it takes a policy that stands beside
    anyPolicy for the only one; and it forgets which policy was asked for when the anchor vouches
    for any (`intersect_policy_sets`), so the two are brought together here.
    """
    root = asn1_x509.Certificate.load(root_der, strict=True)
    limits = derive_quals_from_cert(root)
    stated = certificate.policies(certificate.load(root_der))
    vouched = not stated or oids.ANY_POLICY in stated or policy in stated
    parameters = replace(
        limits.standard_parameters or PKIXValidationParams(),
        user_initial_policy_set=frozenset({policy} if vouched else ()),
        initial_explicit_policy=True,
        initial_policy_mapping_inhibit=True,
    )
    return CertTrustAnchor(
        root,
        replace(
            limits,
            standard_parameters=parameters,
            valid_from=None,
            valid_until=None,
            max_aa_path_length=limits.max_path_length,
        ),
    )


@functools.lru_cache(maxsize=4)  # the same authorities judge every card
def _sort(ders: tuple[bytes, ...]) -> Authorities:
    """Raises DecodeError if one is no authority."""
    roots: list[asn1_x509.Certificate] = []
    between: list[asn1_x509.Certificate] = []
    loaded = {}
    for authority_der in ders:
        authority = loaded[authority_der] = certificate.load(authority_der)
        if not certificate.is_authority(authority):
            raise DecodeError("not an authority")
        parsed = asn1_x509.Certificate.load(authority_der, strict=True)
        try:
            authority.verify_directly_issued_by(authority)
        except (InvalidSignature, ValueError, TypeError):
            between.append(parsed)
        else:
            roots.append(parsed)
    return Authorities(tuple(roots), tuple(between), loaded)


def find(
    certificate_der: bytes, policy: str, given: Authorities, moment: dt.datetime
) -> tuple[x509.Certificate, ...]:
    """The path to a certificate that is issued under `policy` (dotted), anchor first.

    Raises Refused: card-expired, card-not-yet-valid (the certificate's own dates), card-untrusted.
    """
    context = ValidationContext(  # one a question: it keeps what it has found, whatever the policy
        trust_roots=[_anchor(root.dump(), policy) for root in given.anchors],
        other_certs=list(given.between),
        moment=moment,
        allow_fetching=False,
        revocation_mode="none",  # pki.revocation's
        time_tolerance=dt.timedelta(0),
    )
    try:
        subject = asn1_x509.Certificate.load(certificate_der, strict=True)
        validator = CertificateValidator(subject, validation_context=context)
        found = _run(validator.async_validate_path())
        path = tuple(_loaded(one.dump(), given) for one in found)
    except ExpiredError as error:
        raise Refused("card-expired" if error.is_ee_cert else "card-untrusted") from None
    except NotYetValidError as error:
        raise Refused("card-not-yet-valid" if error.is_ee_cert else "card-untrusted") from None
    except Exception:  # noqa: BLE001  the rest of its errors, and whatever asn1crypto lets through
        raise Refused("card-untrusted") from None
    # RFC 5280 section 6.1.1 (d) leaves an anchor's dates out; ours end when they say
    if not path[0].not_valid_before_utc <= moment <= path[0].not_valid_after_utc:
        raise Refused("card-untrusted")
    return path


def _loaded(certificate_der: bytes, given: Authorities) -> x509.Certificate:
    known = given.loaded.get(certificate_der)
    return certificate.load(certificate_der) if known is None else known


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing (there is no fetcher), without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # a StopIteration's value has no type
    finally:
        coroutine.close()
    raise RuntimeError("path validation waited for something")
