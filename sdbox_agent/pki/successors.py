"""Authorities that come after those a box has pinned: believed by the old ones' word alone.

An old authority certifies its successor's key ("new with old", RFC 4210 section 4.4.1; RFC 7030
section 4.1.3). So whoever hands a successor over, and wherever it lies, is not asked: the proof
lies beside it. Dates are left to whoever uses them. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature

from sdbox_agent.pki import certificate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography import x509

MAX_OFFERED: Final = 8  # as certsonly has it: three generations, and their proofs


def proven(
    pinned: Sequence[x509.Certificate], offered: Sequence[bytes]
) -> tuple[x509.Certificate, ...]:
    """Those offered (DER) that are self-signed authorities whose key an earlier one has certified.

    Earlier: one that is pinned, or one proven before. Nothing pinned is among them. Raises
    DecodeError for what is no certificate of the profile.
    """
    loaded = [certificate.load(one) for one in offered[:MAX_OFFERED]]
    known, found = list(pinned), []
    left = [one for one in loaded if _issued(one, one) and one not in known]
    while new := [one for one in left if _is_vouched_for(one, loaded, known)]:
        known += new
        found += new
        left = [one for one in left if one not in new]
    return tuple(found)


def _is_vouched_for(
    new: x509.Certificate, offered: Iterable[x509.Certificate], known: Iterable[x509.Certificate]
) -> bool:
    """By an authority's certificate on its name and its key, signed by one that is known."""
    same = [
        one
        for one in offered
        if one.subject == new.subject and one.public_key() == new.public_key()
    ]
    return any(_issued(one, old) for one in same for old in known)


def _issued(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether both may issue, and the one's key has signed the other."""
    if not (certificate.is_authority(subject) and certificate.is_authority(issuer)):
        return False
    try:
        subject.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
