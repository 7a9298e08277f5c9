"""What a box takes for its own certificate: the very key and name, one purpose, a path, in time."""

import datetime as dt
import re

import pytest
from cryptography import x509

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import boxcertificate, chain, csr, oids
from sdbox_centre import authority
from tests.pki import boxed, grown

ASKED = csr.parse(boxed.request())
ROOT = boxed.box_authority().certificate_der
GIVEN = chain.authorities([ROOT])
SIGNS = frozenset({"digital_signature"})


def subject(name: str, *others: x509.GeneralName) -> authority.Subject:
    return authority.Subject(name, others or (x509.DNSName(boxed.BOX),))


def picked(*certificates: x509.Certificate, purpose: boxcertificate.Purpose = "tls"):
    ders = [authority.der_of(one) for one in certificates]
    return boxcertificate.pick(ders, ASKED, purpose)


@pytest.mark.parametrize("purpose", boxcertificate.KINDS)
def test_the_one_on_the_key_is_picked_and_its_path_holds(purpose) -> None:
    good = boxed.issued(purpose)
    assert picked(boxed.box_authority().certificate, good, purpose=purpose) == good
    boxcertificate.check_path(good, purpose, GIVEN, grown.NOW)


def test_one_below_an_authority_between_holds() -> None:
    root = authority.authority("Test Root", grown.NOW - grown.DAY, path_length=1)
    between = root.subordinate("Test Between", grown.NOW)
    given = chain.authorities([root.certificate_der, between.certificate_der])
    boxcertificate.check_path(boxed.issued(issuer=between), "tls", given, grown.NOW)


@pytest.mark.parametrize(
    "bad",
    [
        boxed.issued(by=boxed.key("other")),
        boxed.issued(box="test-box-02"),
        boxed.issued(subject=subject("test-box-02")),
        boxed.issued(subject=subject(boxed.BOX, x509.DNSName("test-box-02"))),
        boxed.issued(subject=subject(boxed.BOX, x509.DNSName(boxed.BOX), x509.DNSName("b"))),
        boxed.issued(subject=authority.Subject(boxed.BOX)),
        boxed.issued("statement"),
        boxed.issued(policies=()),
        boxed.issued(policies=(oids.POLICY_BOX_TLS, oids.POLICY_BOX_STATEMENT)),
        boxed.issued(extended_usages=()),
        boxed.issued(extended_usages=(oids.CLIENT_AUTH, oids.SERVER_AUTH)),
        boxed.issued(usages=SIGNS | {"key_cert_sign"}),
        boxed.issued(usages=frozenset()),
    ],
)
def test_another_one_is_not_taken(bad: x509.Certificate) -> None:
    with pytest.raises(DecodeError):
        picked(bad)


def test_two_on_the_key_are_none() -> None:
    with pytest.raises(DecodeError, match="not one on this key"):
        picked(boxed.issued(), boxed.issued())


def test_a_name_that_is_no_common_name_is_none() -> None:
    class Organised:
        subject = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, boxed.BOX)])
        public_key = staticmethod(boxed.key().private.public_key)

    with pytest.raises(DecodeError, match="subject"):
        boxcertificate.check(Organised(), boxed.BOX, "tls")


@pytest.mark.parametrize(
    ("bad", "moment"),
    [
        (boxed.issued(), grown.NOW - 2 * grown.DAY),
        (boxed.issued(), grown.NOW + dt.timedelta(days=366)),
        (boxed.issued(issuer=grown.card_authority()), grown.NOW),
        (boxed.issued("statement"), grown.NOW),  # another policy
    ],
)
def test_out_of_time_of_another_authority_or_policy_it_does_not_hold(bad, moment) -> None:
    with pytest.raises(DecodeError, match="not of the boxes' authority, or not now"):
        boxcertificate.check_path(bad, "tls", GIVEN, moment)


def test_two_thirds_of_a_life() -> None:
    one = boxed.issued(not_after=grown.NOW + 2 * grown.DAY)  # three days
    assert boxcertificate.renewable_s(one) == grown.NOW_S + 86400


def test_keys_are_compared_by_letters_that_are_the_two_keys() -> None:
    first, second = boxed.key().public_key_der, boxed.key("other").public_key_der
    shown = boxcertificate.shown(first, second)
    assert re.fullmatch(r"[A-Z2-7]{5}(-[A-Z2-7]{5}){3}", shown)
    assert shown != boxcertificate.shown(second, first)
    assert shown == boxcertificate.shown(first, second)
