"""The way from an anchor to a certificate: what authorities between may and may not do."""

import dataclasses
import types

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.pki import chain, oids
from sdbox_centre import authority
from tests.pki import grown
from tests.pki.grown import DAY, NOW
from tests.pki.test_path import refuses, validate

OWN = grown.card_authority()


def test_a_path_is_given_anchor_first() -> None:
    leaf = grown.card().certificates.auth
    given = chain.authorities([OWN.certificate_der])
    found = chain.find(leaf, oids.POLICY_AUTH, given, NOW)
    assert [authority.der_of(one) for one in found] == [OWN.certificate_der, leaf]
    with pytest.raises(Refused, match="card-untrusted"):
        chain.find(leaf, oids.POLICY_CARD_AUTH, given, NOW)
    with pytest.raises(Fault, match="config-invalid"):
        chain.authorities([])


def restricted(*policies):
    """An anchor that vouches for these policies alone."""
    key = authority.new_key()
    builder = authority._builder("Test Narrow", key.public_key(), NOW - DAY, NOW + 99 * DAY)
    builder = builder.issuer_name(authority._name("Test Narrow"))
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    usage = authority._key_usage(frozenset({"key_cert_sign", "crl_sign"}))
    builder = builder.add_extension(constraints, critical=True).add_extension(usage, critical=True)
    if policies:
        builder = builder.add_extension(authority._policies(policies), critical=False)
    return authority.Authority(builder.sign(key, hashes.SHA256()), key)


def test_an_anchors_own_policies_bind_it_unless_it_vouches_for_any() -> None:
    good = [(), (oids.ANY_POLICY,), (oids.POLICY_TEST, oids.ANY_POLICY), (oids.POLICY_AUTH,)]
    for policies in [*good, (oids.POLICY_TEST,), (oids.POLICY_CARD_AUTH,)]:
        root = restricted(*policies)
        card = grown.issue(root, authority.new_key()).certificates
        given = chain.authorities([root.certificate_der])
        if policies in good:
            assert chain.find(card.auth, oids.POLICY_AUTH, given, NOW)
        else:
            with pytest.raises(Refused, match="card-untrusted"):
                chain.find(card.auth, oids.POLICY_AUTH, given, NOW)


def grow(length, **options):
    """An anchor and `length` authorities below it."""
    authorities = [authority.authority("Test Root", NOW - DAY, path_length=None)]
    for n in range(length):
        below = authorities[-1].subordinate(f"Test Between {n}", NOW, path_length=None, **options)
        authorities.append(below)
    return authorities


def facts_of(authorities, revoked=None, without=()):
    crls = [one.crl(1, NOW, revoked) for one in authorities if one not in without]
    return {"anchors": [one.certificate_der for one in authorities], "crls": crls}


def test_an_authority_between_binds_what_is_below_to_its_own_policies() -> None:
    """One for 9E keys alone gives out no 9A certificate, whatever that one says of itself."""
    root = authority.authority("Test Root", NOW - DAY, path_length=None)
    key = authority.new_key()
    builder = authority._builder("Test Narrow", key.public_key(), NOW - DAY, NOW + 99 * DAY)
    builder = builder.issuer_name(root.certificate.subject)
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    usage = authority._key_usage(frozenset({"key_cert_sign", "crl_sign"}))
    builder = builder.add_extension(constraints, critical=True).add_extension(usage, critical=True)
    stated = authority._policies((oids.POLICY_CARD_AUTH,))
    narrow = authority.Authority(root._sign(builder.add_extension(stated, critical=False)), key)
    both = dataclasses.replace(
        authority.CARD_9A, policies=(oids.POLICY_AUTH, oids.POLICY_CARD_AUTH)
    )
    issued = narrow.issue(both, authority.Subject("Test"), key.public_key(), NOW - DAY)
    given = chain.authorities([root.certificate_der, narrow.certificate_der])
    assert chain.find(authority.der_of(issued), oids.POLICY_CARD_AUTH, given, NOW)
    with pytest.raises(Refused, match="card-untrusted"):
        chain.find(authority.der_of(issued), oids.POLICY_AUTH, given, NOW)


def test_an_authority_between_is_followed_and_must_not_be_revoked() -> None:
    authorities = grow(2)
    card = grown.issue(authorities[-1], authority.new_key()).certificates
    validate(card, **facts_of(authorities))
    for between in authorities[1:]:
        serial = between.certificate.serial_number
        refuses("card-revoked", card, **facts_of(authorities, {serial: NOW}))
    for one in authorities:
        refuses("crl-stale", card, **facts_of(authorities, without=(one,)))


def test_an_anchor_that_allows_one_between_is_followed() -> None:
    root = authority.authority("Test Root", NOW - DAY, path_length=1)
    between = root.subordinate("Test Between", NOW)
    card = grown.issue(between, authority.new_key()).certificates
    validate(card, **facts_of([root, between]))


def test_without_the_one_between_there_is_no_path() -> None:
    authorities = grow(1)
    card = grown.issue(authorities[-1], authority.new_key()).certificates
    facts = facts_of(authorities)
    refuses("card-untrusted", card, **facts | {"anchors": facts["anchors"][:1]})
    facts["anchors"] = [facts["anchors"][1], OWN.certificate_der]
    refuses("card-untrusted", card, **facts)  # it is not self-signed: no anchor by itself


def test_path_lengths_and_loops_are_bounded() -> None:  # fault 31
    root = authority.authority("Test Root", NOW - DAY, path_length=0)
    between = root.subordinate("Test Between", NOW)
    card = grown.issue(between, authority.new_key()).certificates
    refuses("card-untrusted", card, **facts_of([root, between]))
    long = grow(20)
    card = grown.issue(long[-1], authority.new_key()).certificates
    refuses("config-invalid", card, **facts_of(long[:1]) | {"anchors": facts_of(long)["anchors"]})
    # two that vouch for one another, and for nobody else
    key = authority.new_key()
    one = authority.authority("Test Loop A", NOW - DAY, key=key, path_length=None)
    two = one.subordinate("Test Loop B", NOW, path_length=None)
    one = two.subordinate("Test Loop A", NOW, key=key, path_length=None)
    two = one.subordinate("Test Loop B", NOW, key=two.key, path_length=None)
    card = grown.issue(two, authority.new_key()).certificates
    refuses("card-untrusted", card, **facts_of([OWN, one, two]))


def test_names_an_authority_may_not_name_are_refused() -> None:  # fault 31
    root = authority.authority("Test Root", NOW - DAY, path_length=None)
    key = authority.new_key()
    builder = authority._builder("Test Narrow", key.public_key(), NOW - DAY, NOW + 99 * DAY)
    builder = authority._as_authority(builder.issuer_name(root.certificate.subject), 0)
    allowed = [x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "No")]))]
    limits = x509.NameConstraints(permitted_subtrees=allowed, excluded_subtrees=None)
    narrow = authority.Authority(root._sign(builder.add_extension(limits, critical=True)), key)
    card = grown.issue(narrow, authority.new_key()).certificates
    refuses("card-untrusted", card, **facts_of([root, narrow]))


def test_a_path_that_waited_would_be_a_bug() -> None:
    @types.coroutine
    def waits():
        yield

    with pytest.raises(RuntimeError, match="waited"):
        chain._run(waits())
