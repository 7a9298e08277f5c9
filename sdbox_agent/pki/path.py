"""Is this card to be trusted, now: its three certificates, step by step.

1 form · 2 purpose of each key · 3 the three belong to one card, the CHUID's · 4 no longer than an
enrolment · 5 the CHUID's date · 6 certification path to an anchor: signatures, dates, constraints,
policy of each key · 7 no authority that issues for tests · 8 revocation of each certificate on
those paths · 9 what 9A says of finger and PIN is so. `validate_card` decides; `examine` goes
through the very same steps and says which one ended it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from cryptography.hazmat.primitives.asymmetric import rsa

from sdbox_agent.errors import DecodeError, Fault, Refused, SdboxError
from sdbox_agent.pki import certificate, chain, holder, oids, revocation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography import x509

    from sdbox_agent.pki.holder import CardCertificates, CardHashes

StepName = Literal[
    "form", "purpose", "one-card", "window", "chuid", "path", "issuer", "revocation", "binding"
]

# Ours
MAX_CRLS: Final = 16
MAX_LIFE: Final = dt.timedelta(days=4 * 365 + 1)  # of a card, as of an enrolment: four years
RSA_2048_UNTIL: Final = dt.datetime(2031, 1, 1, tzinfo=dt.UTC)  # SP 800-131A: 112 bits until 2030


@dataclass(frozen=True, slots=True)
class Purpose:
    """What the certificate of one of the card's keys must say."""

    usages: frozenset[str]
    extended_usage: str
    policy: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What a card shows. `expires` (YYYYMMDD) and `guid` are its CHUID's, where it has one.

    `compares`: it compares fingers by itself and is used so; None where nobody looked, as at the
    centre. `pin_left` is what an empty VERIFY answered: 0 is blocked, None a card without a PIN.
    """

    certificates: CardCertificates
    expires: str | None
    guid: bytes | None
    compares: bool | None = None
    pin_left: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """By what a card is judged: DER authorities and lists, the time, and who may issue.

    `crls` must hold the newest list of each authority on the path, as passed by
    `revocation.accept`, which knows the numbers seen before.
    """

    anchors: Sequence[bytes]
    crls: Sequence[bytes]
    moment: dt.datetime
    test_issuers: bool = False  # only where everything is a test


@dataclass(frozen=True, slots=True)
class CheckedCard:
    """A card whose certificates hold now. That it is genuine, a signature has yet to show."""

    hashes: CardHashes
    guid: bytes
    name: str  # for the screen only: a holder is known by `hashes.auth`
    valid_until: dt.datetime  # the first of the four dates to come
    match_bound: bool  # 9A says that no PIN opens it


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the decision: passed, refused with a code, or never come to."""

    name: StepName
    result: Literal["passed", "refused", "not-reached"]
    code: str | None = None


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


def validate_card(shown: Shown, rules: Rules) -> CheckedCard:
    """Check a card, in the order of the module's steps.

    Raises Refused: card-data-invalid (steps 1, 5), card-untrusted (2, 3, 4, 6), card-expired (5,
    6), card-not-yet-valid (6), card-test-issuer (7), card-revoked (8), card-not-match-bound and
    card-pin-usable (9). Raises Fault: crl-stale if a list is missing or over, crl-invalid if one is
    malformed or forged (8), config-invalid for an anchor that is none (6).
    """
    work = _Examination(shown, rules)
    for _, step in _STEPS:
        step(work)
    return work.checked()


def examine(shown: Shown, rules: Rules) -> tuple[Step, ...]:
    """The same decision, told step by step. It ends where `validate_card` raises."""
    work, told, ended = _Examination(shown, rules), list[Step](), False
    for name, step in _STEPS:
        if ended:
            told.append(Step(name, "not-reached"))
            continue
        try:
            step(work)
        except SdboxError as error:
            told.append(Step(name, "refused", error.code))
            ended = True
        else:
            told.append(Step(name, "passed"))
    return tuple(told)


class _Examination:
    """One card on its way through the steps; each fills in what later ones need."""

    def __init__(self, shown: Shown, rules: Rules) -> None:
        self._shown = shown
        self._rules = rules
        self._certificates = shown.certificates
        self._name = ""
        self._purposes: tuple[Purpose, ...] = ()
        self._loaded: tuple[x509.Certificate, ...] = ()
        self._ends: list[dt.datetime] = []
        self._paths: tuple[tuple[x509.Certificate, ...], ...] = ()

    def _ders(self) -> tuple[bytes, bytes, bytes]:
        three = self._certificates
        return three.auth, three.key_management, three.card_auth

    def form(self) -> None:
        try:
            self._loaded = tuple(certificate.load(one) for one in self._ders())
            self._name = holder.display_name(self._loaded[0])
        except DecodeError:
            raise Refused("card-data-invalid") from None
        self._ends = [one.not_valid_after_utc for one in self._loaded]

    def purpose(self) -> None:
        self._purposes = (
            purpose_of_auth(),
            purpose_of_key_management(self._loaded[1].public_key()),
            purpose_of_card_auth(),
        )
        for one, purpose in zip(self._loaded, self._purposes, strict=True):
            _check_purpose(one, purpose)

    def one_card(self) -> None:
        _check_one_card(self._loaded, self._shown.guid)

    def window(self) -> None:
        for one in self._loaded:
            if one.not_valid_after_utc - one.not_valid_before_utc > MAX_LIFE:
                raise Refused("card-untrusted")

    def chuid(self) -> None:
        if self._shown.expires is not None:
            self._ends.append(_chuid_end(self._shown.expires))
            if self._rules.moment >= self._ends[-1]:
                raise Refused("card-expired")

    def path(self) -> None:
        given = chain.authorities(self._rules.anchors)
        self._paths = tuple(
            chain.find(one_der, purpose.policy, given, self._rules.moment)
            for one_der, purpose in zip(self._ders(), self._purposes, strict=True)
        )

    def issuer(self) -> None:
        marked = (oids.POLICY_TEST in certificate.policies(one) for p in self._paths for one in p)
        if any(marked) and not self._rules.test_issuers:
            raise Refused("card-test-issuer")

    def revocation(self) -> None:
        lists = _read_crls(self._rules.crls)
        for path in self._paths:
            revocation.check_path(path, lists, self._rules.moment)

    def binding(self) -> None:
        """Made unusable at personalisation, a PIN that works again would open 9A by itself."""
        if not holder.is_match_bound(self._loaded[0]) or self._shown.compares is None:
            return
        if not self._shown.compares:
            raise Refused("card-not-match-bound")
        if self._shown.pin_left != 0:
            raise Refused("card-pin-usable")

    def checked(self) -> CheckedCard:
        return CheckedCard(
            self._certificates.hashes(),
            holder.guid(self._loaded[0]),
            self._name,
            min(self._ends),
            holder.is_match_bound(self._loaded[0]),
        )


_STEPS: Final[tuple[tuple[StepName, Callable[[_Examination], None]], ...]] = (
    ("form", _Examination.form),
    ("purpose", _Examination.purpose),
    ("one-card", _Examination.one_card),
    ("window", _Examination.window),
    ("chuid", _Examination.chuid),
    ("path", _Examination.path),
    ("issuer", _Examination.issuer),
    ("revocation", _Examination.revocation),
    ("binding", _Examination.binding),
)


def _check_purpose(one: x509.Certificate, purpose: Purpose) -> None:
    """Step 2. The policy is here asked of the certificate itself, in step 6 of the whole path."""
    key = one.public_key()
    if (
        certificate.usages(one) != purpose.usages
        or certificate.extended_usages(one) != {purpose.extended_usage}
        or purpose.policy not in certificate.policies(one)
        or certificate.says_authority(one)
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
    keys = {certificate.key_der(one) for one in loaded}
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


def _read_crls(crls: Sequence[bytes]) -> list[revocation.Crl]:
    if len(crls) > MAX_CRLS:
        raise Fault("crl-invalid")
    try:
        return [revocation.parse(crl_der) for crl_der in crls]
    except DecodeError:
        raise Fault("crl-invalid") from None
