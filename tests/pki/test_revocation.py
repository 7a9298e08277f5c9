"""Revocation lists: whose, how old, and never older than one seen before."""

import contextlib
import datetime as dt

import pytest
from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.pki import revocation
from sdbox_centre import authority
from tests.pki import grown
from tests.pki.grown import DAY, NOW

OWN = grown.card_authority()
NAMESAKE = authority.authority("Test Card Authority", NOW - DAY)
MINUTE = dt.timedelta(minutes=1)


def accept(crl_der, moment=NOW, highest=None, issuers=(OWN,)):
    return revocation.accept(crl_der, [one.certificate_der for one in issuers], moment, highest)


def refuses(code, *arguments, **options):
    with pytest.raises(Fault, match=f"^{code}$"):
        accept(*arguments, **options)


def build(*extensions, entry_extensions=(), digest=None):
    entry = x509.RevokedCertificateBuilder().serial_number(7).revocation_date(NOW)
    for extension in entry_extensions:
        entry = entry.add_extension(extension, critical=False)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(OWN.certificate.subject)
        .last_update(NOW - MINUTE)
        .next_update(NOW + DAY)
        .add_revoked_certificate(entry.build())
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(OWN.key, digest or hashes.SHA256()).public_bytes(Encoding.DER)


def test_a_current_list_is_accepted() -> None:
    crl = accept(OWN.crl(2**40, NOW, {5: NOW, 2**150: NOW}))
    assert crl.number == 2**40
    assert crl.revoked == {5, 2**150}
    assert accept(OWN.crl(1, NOW)).revoked == frozenset()


def test_no_grace_after_next_update() -> None:  # fault 24
    crl_der = OWN.crl(1, NOW, next_update=NOW + DAY)
    accept(crl_der, NOW + DAY - MINUTE)
    refuses("crl-stale", crl_der, NOW + DAY)


def test_a_list_of_the_future_is_refused() -> None:
    refuses("crl-invalid", OWN.crl(1, NOW + DAY))


def test_a_lower_number_is_a_rollback() -> None:  # fault 26
    accept(OWN.crl(8, NOW), highest=8)
    accept(OWN.crl(9, NOW), highest=8)
    refuses("crl-invalid", OWN.crl(7, NOW), highest=8)


def test_a_list_of_a_namesake_is_refused() -> None:  # faults 26, 28
    refuses("crl-invalid", NAMESAKE.crl(9, NOW))
    refuses("crl-invalid", OWN.crl(9, NOW), issuers=())
    accept(OWN.crl(9, NOW), issuers=(NAMESAKE, OWN))


def test_a_namesake_with_another_kind_of_key_is_passed_over() -> None:
    namesake = authority.authority("Test Card Authority", NOW - DAY, key=grown.rsa_key())
    accept(OWN.crl(9, NOW), issuers=(namesake, OWN))
    accept(namesake.crl(9, NOW), issuers=(OWN, namesake))
    refuses("crl-invalid", OWN.crl(9, NOW), issuers=(namesake,))
    refuses("crl-invalid", namesake.crl(9, NOW), issuers=(OWN,))


def test_a_list_of_another_name_under_the_same_key_is_refused() -> None:
    other = authority.authority("Test Other Authority", NOW - DAY, key=OWN.key)
    refuses("crl-invalid", other.crl(9, NOW))


def test_a_second_list_under_one_signature_is_refused() -> None:
    good = next(one for one in (OWN.crl(n, NOW) for n in range(99)) if one[-1] & 1 == 0)
    size = len(x509.load_der_x509_crl(good).signature)
    twin = good[: -size - 1] + b"\1" + good[-size:]
    assert x509.load_der_x509_crl(twin).is_signature_valid(OWN.key.public_key())
    refuses("crl-invalid", twin)


@pytest.mark.parametrize("end", [None, NOW - MINUTE, NOW - DAY])
def test_a_list_without_an_end_or_with_one_before_its_begin_is_refused(end) -> None:
    altered = asn1_crl.CertificateList.load(build(x509.CRLNumber(3)))
    time = asn1_x509.Time({"utc_time": end}) if end else None
    altered["tbs_cert_list"]["next_update"] = time
    with pytest.raises(DecodeError, match="dates"):
        revocation.parse(altered.dump(force=True))


def test_an_authority_that_may_not_sign_lists_signs_none() -> None:
    profile = authority.Profile(frozenset({"key_cert_sign"}))
    key = authority.new_key()
    issued = OWN.issue(profile, authority.Subject("Test No Lists"), key.public_key(), NOW - DAY)
    poor = authority.Authority(issued, key)
    refuses("crl-invalid", poor.crl(1, NOW), issuers=(poor,))


@pytest.mark.parametrize(
    "crl_der",
    [
        build(),  # no number
        build(x509.CRLNumber(3), x509.DeltaCRLIndicator(2)),
        build(
            x509.CRLNumber(3),
            x509.IssuingDistributionPoint(None, None, True, False, None, False, False),
        ),
        build(x509.CRLNumber(3), x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"")),
        build(
            x509.CRLNumber(3),
            entry_extensions=[
                x509.CertificateIssuer([x509.DirectoryName(NAMESAKE.certificate.subject)])
            ],
        ),
        build(x509.CRLNumber(3), digest=hashes.SHA224()),
        b"",
        b"\x30\x00",
        OWN.certificate_der,
    ],
    ids=["number", "delta", "partial", "unknown", "indirect", "digest", "", "sequence", "other"],
)
def test_a_list_outside_the_profile_is_refused(crl_der) -> None:
    refuses("crl-invalid", crl_der)


def test_reasons_are_read_and_do_not_matter() -> None:
    held = build(
        x509.CRLNumber(3), entry_extensions=[x509.CRLReason(x509.ReasonFlags.certificate_hold)]
    )
    assert accept(held).revoked == {7}


def test_every_byte_changed_is_refused() -> None:
    good = OWN.crl(3, NOW, {7: NOW})
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 0x01
        with pytest.raises(Fault):
            accept(bytes(bad))


def test_size_is_bounded() -> None:
    with pytest.raises(DecodeError, match="too large"):
        revocation.parse(bytes(revocation.MAX_CRL_BYTES + 1))


# -- a path against its lists --------------------------------------------------------------------


def path():
    card = x509.load_der_x509_certificate(grown.card().certificates.auth)
    return [OWN.certificate, card]


def check(*crls_der, moment=NOW):
    revocation.check_path(path(), [revocation.parse(one) for one in crls_der], moment)


def test_the_newest_list_of_the_issuer_decides() -> None:
    serial = path()[1].serial_number
    revoked, clean = OWN.crl(4, NOW, {serial: NOW}), OWN.crl(5, NOW)
    check(revoked, clean)
    with pytest.raises(Refused, match="card-revoked"):
        check(OWN.crl(6, NOW, {serial: NOW}), clean, revoked)


def test_a_list_that_is_over_still_revokes() -> None:  # fault 25: the cached list
    with pytest.raises(Refused, match="card-revoked"):
        check(OWN.crl(4, NOW, {path()[1].serial_number: NOW}), moment=NOW + 99 * DAY)


def test_a_missing_a_stale_and_a_forged_list_are_told_apart() -> None:
    for code, lists in (
        ("crl-stale", []),
        ("crl-stale", [grown.desk_authority().crl(1, NOW)]),
        ("crl-stale", [OWN.crl(1, NOW - 30 * DAY)]),
        ("crl-invalid", [NAMESAKE.crl(1, NOW)]),
        ("crl-invalid", [OWN.crl(1, NOW + DAY)]),
    ):
        with pytest.raises(Fault, match=code):
            check(*lists)


@given(st.sets(st.integers(1, 2**158), max_size=20), st.integers(0, 2**158))
def test_what_is_issued_is_read_back(serials, number) -> None:
    crl = revocation.parse(OWN.crl(number, NOW, dict.fromkeys(serials, NOW)))
    assert (crl.number, crl.revoked) == (number, serials)


@given(st.data())
def test_parse_accepts_or_raises_decode_error(data) -> None:
    at = data.draw(st.integers(0, len(GOOD)))
    cut = data.draw(st.integers(at, min(len(GOOD), at + 5)))
    bad = GOOD[:at] + data.draw(st.binary(max_size=5)) + GOOD[cut:]
    with contextlib.suppress(DecodeError):
        assert revocation.parse(bad).crl_der == bad


GOOD = OWN.crl(3, NOW, {7: NOW})


def test_an_authority_is_counted_by_name_and_key() -> None:
    """A successor of its name is another one; a new certificate for its key is not."""
    renewed = authority.authority("Test Card Authority", NOW, key=OWN.key)
    issuers = [one.certificate_der for one in (NAMESAKE, OWN)]
    own, other = (revocation.parse(one.crl(3, NOW)) for one in (OWN, NAMESAKE))
    digest = revocation.authority_of(own, issuers)
    assert len(digest) == 32
    assert revocation.authority_of(own, [renewed.certificate_der]) == digest
    assert revocation.authority_of(other, issuers) != digest
    with pytest.raises(DecodeError):
        revocation.authority_of(own, issuers[:1])
