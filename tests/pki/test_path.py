"""Whether a card is to be trusted, fault by fault, and two other verifiers' opinion."""

import asyncio
import collections
import dataclasses
import datetime as dt
import random
import types

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from hypothesis import given
from hypothesis import strategies as st
from pyhanko_certvalidator import CertificateValidator, PKIXValidationParams, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, ValidationError

from sdbox_agent.errors import Fault, Refused, SdboxError
from sdbox_agent.pki import oids, path
from sdbox_centre import authority
from tests.pki import grown
from tests.pki.grown import DAY, EXPIRES, GUID, NOW

OWN = grown.card_authority()
NAMES = ("auth", "key_management", "card_auth")
PROFILES = dict(
    zip(NAMES, (authority.CARD_9A, authority.CARD_9D_EC, authority.CARD_9E), strict=True)
)


def validate(certificates=None, **changes):
    facts = {
        "certificates": certificates or grown.card().certificates,
        "expires": EXPIRES,
        "anchors": [OWN.certificate_der],
        "crls": [OWN.crl(1, NOW)],
        "moment": NOW,
        "guid": GUID,
    } | changes
    return path.validate_card(**facts)


def refuses(code, *arguments, **changes):
    with pytest.raises(SdboxError, match=f"^{code}$") as caught:
        validate(*arguments, **changes)
    assert type(caught.value) is (Fault if code.startswith(("crl", "config")) else Refused)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def with_one(name, issuer=OWN, profile=None, **options):
    """The card's certificates, one of them issued anew."""
    key = getattr(grown.card(), name).public_key()
    subject = options.pop("subject", authority.card_subject(GUID, "Test Holder 01"))
    issued = issuer.issue(
        profile or PROFILES[name],
        subject,
        options.pop("key", key),
        options.pop("not_before", NOW - DAY),
        options.pop("not_after", None),
    )
    return dataclasses.replace(grown.card().certificates, **{name: authority.der_of(issued)})


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
def test_a_good_card_is_trusted(kind) -> None:
    card = grown.card(kind).certificates
    checked = validate(card)
    assert checked.hashes == card.hashes()
    assert (checked.guid, checked.name) == (GUID, "Test Holder 01")
    assert checked.valid_until == dt.datetime(2030, 2, 28, 11, 55, tzinfo=dt.UTC)


def test_the_first_date_to_come_ends_the_card() -> None:
    assert validate(expires="20260302").valid_until == dt.datetime(2026, 3, 3, tzinfo=dt.UTC)
    short = with_one("card_auth", not_after=NOW + DAY)
    assert validate(short).valid_until == NOW + DAY


@pytest.mark.parametrize("name", NAMES)
def test_each_certificate_may_expire(name) -> None:  # fault 21
    refuses("card-expired", with_one(name, not_after=NOW - dt.timedelta(seconds=1)))
    validate(with_one(name, not_after=NOW))


@pytest.mark.parametrize("name", NAMES)
def test_each_certificate_may_be_not_yet_valid(name) -> None:  # fault 22
    refuses("card-not-yet-valid", with_one(name, not_before=NOW + dt.timedelta(seconds=1)))
    validate(with_one(name, not_before=NOW))


@pytest.mark.parametrize("name", NAMES)
def test_each_certificate_may_be_revoked(name) -> None:  # fault 23
    one = x509.load_der_x509_certificate(getattr(grown.card().certificates, name))
    refuses("card-revoked", crls=[OWN.crl(2, NOW, {one.serial_number: NOW})])


def test_lists_stale_missing_forged_or_malformed_open_nothing() -> None:  # faults 24, 26
    namesake = authority.authority("Test Card Authority", NOW - DAY)
    refuses("crl-stale", crls=[OWN.crl(1, NOW - 30 * DAY)])
    refuses("crl-stale", crls=[])
    refuses("crl-stale", crls=[grown.desk_authority().crl(1, NOW)])
    refuses("crl-invalid", crls=[namesake.crl(1, NOW)])
    refuses("crl-invalid", crls=[b"\x30\x00"])
    refuses("crl-invalid", crls=[OWN.crl(1, NOW)] * (path.MAX_CRLS + 1))


@pytest.mark.parametrize("name", NAMES)
def test_another_authority_of_the_same_name_is_refused(name) -> None:  # faults 7, 28
    namesake = authority.authority("Test Card Authority", NOW - DAY)
    other = authority.authority("Test Other Authority", NOW - DAY)
    for issuer in (namesake, other, grown.desk_authority()):
        crls = [OWN.crl(1, NOW), issuer.crl(1, NOW)]
        refuses("card-untrusted", with_one(name, issuer), crls=crls)


def test_two_anchors_at_once_let_an_authority_be_replaced() -> None:
    successor = authority.authority("Test Card Authority", NOW - DAY)
    anchors = [OWN.certificate_der, successor.certificate_der]
    crls = [OWN.crl(1, NOW), successor.crl(1, NOW)]
    validate(anchors=anchors, crls=crls)
    validate(anchors=anchors[::-1], crls=crls[::-1])
    later = grown.issue(successor, authority.new_key())
    validate(later.certificates, anchors=anchors, crls=crls)
    # the old one's list being over is no concern of the new one's cards
    validate(later.certificates, anchors=anchors, crls=[OWN.crl(1, NOW - 30 * DAY), crls[1]])


BENT = [
    {"extended_usages": (oids.SERVER_AUTH,)},
    {"extended_usages": ()},
    {"extended_usages": (oids.ANY_EXTENDED_USAGE,)},
    {"policies": ()},
    {"policies": (oids.POLICY_DESK,)},
    {"policies": ("2.5.29.32.0",)},  # anyPolicy is no policy of ours
    {"usages": frozenset({"content_commitment"})},
    {"usages": frozenset({"digital_signature", "key_agreement"})},
    {"usages": frozenset({"digital_signature", "key_cert_sign"})},
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bent", BENT)
def test_a_wrong_purpose_is_refused(name, bent) -> None:  # fault 29
    refuses("card-untrusted", with_one(name, profile=dataclasses.replace(PROFILES[name], **bent)))


def test_the_three_certificates_stand_in_their_own_places() -> None:
    card = grown.card().certificates
    swapped = dataclasses.replace(card, auth=card.card_auth, card_auth=card.auth)
    refuses("card-untrusted", swapped)
    twice = with_one("card_auth", key=grown.card().auth.public_key())
    refuses("card-untrusted", twice)  # one key behind two certificates


def test_rsa_2048_ends_with_2030() -> None:
    issued = {
        end: grown.issue(OWN, grown.rsa_key(), not_after=dt.datetime(*end, tzinfo=dt.UTC))
        for end in ((2030, 12, 31, 23, 59, 59), (2031, 1, 1))
    }
    validate(issued[2030, 12, 31, 23, 59, 59].certificates)
    refuses("card-untrusted", issued[2031, 1, 1].certificates)


@pytest.mark.parametrize("name", NAMES)
def test_a_key_outside_the_profile_is_bad_data(name) -> None:  # fault 30
    key = ec.generate_private_key(ec.SECP224R1()).public_key()
    refuses("card-data-invalid", with_one(name, key=key))


@pytest.mark.parametrize("name", NAMES)
def test_the_three_are_of_one_card_and_of_the_chuid(name) -> None:
    other = authority.card_subject(bytes(16), "Test Holder 01")
    refuses("card-untrusted", with_one(name, subject=other))
    refuses("card-untrusted", with_one(name, subject=authority.Subject("Test Holder 01")))
    refuses("card-untrusted", guid=bytes(16))


def test_a_name_that_cannot_be_shown_is_bad_data() -> None:  # faults 32, 94
    bad = authority.card_subject(GUID, "Test\x1b[2JHolder")
    refuses("card-data-invalid", with_one("auth", subject=bad))


def test_the_chuid_holds_to_the_end_of_its_day() -> None:  # fault 19
    validate(expires="20260301")
    refuses("card-expired", expires="20260228")
    validate(expires="99991230")
    for bad in (
        "20260230",
        "2026030",
        "202603011",
        "\uff12\uff10260301",
        "00000101",
        "99991231",
        "2026 3 1",
        "2026+3+1",
        "",
    ):
        refuses("card-data-invalid", expires=bad)


@pytest.mark.parametrize("name", NAMES)
def test_a_certificate_that_is_none_is_bad_data(name) -> None:
    for bad in (b"", b"\x30\x00", grown.card().certificates.auth + b"\0", bytes(2**20)):
        refuses("card-data-invalid", dataclasses.replace(grown.card().certificates, **{name: bad}))


def test_anchors_that_are_none_are_the_operators_business() -> None:
    for bad in ([], [b"\x30\x00"], [grown.card().certificates.auth], [OWN.certificate_der] * 17):
        refuses("config-invalid", anchors=bad)


def test_an_anchor_that_is_over_vouches_for_nobody() -> None:
    old = authority.authority("Test Old", NOW - 9 * DAY, life=8 * DAY)
    card = grown.issue(old, authority.new_key())
    facts = {"anchors": [old.certificate_der], "crls": [old.crl(1, NOW)]}
    refuses("card-untrusted", card.certificates, **facts)


def test_a_critical_extension_nobody_knows_is_refused() -> None:
    card, parts = grown.card(), authority.CARD_9A
    subject = authority.card_subject(GUID, "Test Holder 01")
    builder = authority._builder("Test Holder 01", card.auth.public_key(), NOW - DAY, NOW + DAY)
    builder = builder.issuer_name(OWN.certificate.subject)
    for extension in (
        authority._key_usage(parts.usages),
        x509.ExtendedKeyUsage([x509.ObjectIdentifier(oids.CLIENT_AUTH)]),
        authority._policies(parts.policies),
        x509.SubjectAlternativeName(subject.alternatives),
    ):
        builder = builder.add_extension(extension, critical=False)
    good = authority.der_of(OWN._sign(builder))
    validate(dataclasses.replace(card.certificates, auth=good))
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0")
    bad = authority.der_of(OWN._sign(builder.add_extension(odd, critical=True)))
    refuses("card-untrusted", dataclasses.replace(card.certificates, auth=bad))


# -- authorities between an anchor and a card ----------------------------------------------------


def chain(length, **options):
    """An anchor and `length` authorities below it."""
    authorities = [authority.authority("Test Root", NOW - DAY, path_length=None)]
    for n in range(length):
        below = authorities[-1].subordinate(f"Test Between {n}", NOW, path_length=None, **options)
        authorities.append(below)
    return authorities


def facts_of(authorities, revoked=None, without=()):
    crls = [one.crl(1, NOW, revoked) for one in authorities if one not in without]
    return {"anchors": [one.certificate_der for one in authorities], "crls": crls}


def test_an_authority_between_is_followed_and_must_not_be_revoked() -> None:
    authorities = chain(2)
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
    authorities = chain(1)
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
    long = chain(20)
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


# -- second opinions -----------------------------------------------------------------------------

FLAWS = (
    "none", "none", "none", "expired", "not yet", "stranger", "wrong usage", "no authority",
    "path length", "altered", "authority expired", "revoked", "authority revoked", "stale",
    "no list", "forged list",
)  # fmt: skip


def grow(rng):
    """Authorities, a 9A certificate, lists, and what is wrong with them."""
    flaw, length = rng.choice(FLAWS), rng.randint(0, 2)
    if flaw in ("no authority", "path length", "authority expired", "authority revoked"):
        length = max(length, 1)
    root = authority.authority("Test Root", NOW - 30 * DAY, path_length=None)
    if flaw == "path length":
        root = authority.authority("Test Root", NOW - 30 * DAY, path_length=length - 1)
    elif flaw == "authority expired":
        root = authority.authority("Test Root", NOW - 30 * DAY, path_length=None, life=29 * DAY)
    authorities = [root]
    for n in range(length):
        when = NOW - 20 * DAY
        authorities.append(authorities[-1].subordinate(f"Test {n}", when, path_length=None))
    issuer = authorities[-1]
    if flaw == "no authority":
        key = authority.new_key()
        subject = authority.Subject("Test 9")
        issued = issuer.issue(authority.DESK, subject, key.public_key(), NOW - DAY)
        issuer = authority.Authority(issued, key)
        authorities.append(issuer)
    if flaw == "stranger":
        issuer = dataclasses.replace(issuer, key=authority.new_key())
    before, after = {
        "expired": (NOW - 3 * DAY, NOW - DAY),
        "not yet": (NOW + DAY, NOW + 2 * DAY),
    }.get(flaw, (NOW - DAY, NOW + DAY))
    profile = authority.CARD_9A
    if flaw == "wrong usage":
        profile = dataclasses.replace(profile, extended_usages=(oids.SERVER_AUTH,))
    subject = authority.card_subject(GUID, "Test Holder 01")
    key = authority.new_key().public_key()
    leaf_der = authority.der_of(issuer.issue(profile, subject, key, before, after))
    if flaw == "altered":
        at = leaf_der.index(b"Test Holder 01")
        leaf_der = leaf_der[:at] + b"Best" + leaf_der[at + 4 :]
    return flaw, authorities, leaf_der, lists(flaw, authorities, leaf_der)


def lists(flaw, authorities, leaf_der):
    revoked = {}
    if flaw == "revoked":
        revoked = {x509.load_der_x509_certificate(leaf_der).serial_number: NOW - DAY}
    elif flaw == "authority revoked":
        revoked = {authorities[-1].certificate.serial_number: NOW - DAY}
    when = NOW - 30 * DAY if flaw == "stale" else NOW
    issuing = authorities[:-1] if flaw == "no list" else authorities
    if flaw == "forged list":
        issuing = [dataclasses.replace(one, key=authority.new_key()) for one in authorities]
    return [one.crl(1, when, revoked) for one in issuing]


def ours(authorities, leaf_der, crls):
    try:
        context = path._context([one.certificate_der for one in authorities], NOW)
        one = x509.load_der_x509_certificate(leaf_der)
        path._check_purpose(one, path.purpose_of_auth())
        found = path._find_path(leaf_der, path.purpose_of_auth(), context)
        path.revocation.check_path(found, path._read_crls(crls), NOW)
    except SdboxError as error:
        return error.code
    return "trusted"


def cryptographys(authorities, leaf_der):
    """cryptography's verifier: paths, dates and usages; it has no revocation."""
    permit = verification.ExtensionPolicy.permit_all()

    def usage(_policy, _certificate, extension):
        if x509.ObjectIdentifier(oids.CLIENT_AUTH) not in extension:
            raise ValueError("usage")

    def constraints(_policy, _certificate, extension):
        if not extension.ca:
            raise ValueError("no authority")

    critical = verification.Criticality.AGNOSTIC
    end = permit.require_present(x509.ExtendedKeyUsage, critical, usage)
    end = end.require_present(x509.SubjectAlternativeName, critical, None)
    above = permit.require_present(x509.BasicConstraints, critical, constraints)
    store = verification.Store([authorities[0].certificate])
    verifier = (
        verification.PolicyBuilder().store(store).time(NOW)
        .extension_policies(ee_policy=end, ca_policy=above).build_client_verifier()
    )  # fmt: skip
    leaf = x509.load_der_x509_certificate(leaf_der)
    try:
        verifier.verify(leaf, [one.certificate for one in authorities[1:]])
    except verification.VerificationError:
        return False
    return True


def pyhankos(authorities, leaf_der, crls):
    """pyhanko-certvalidator with its own walk through the lists, which ours replaces."""
    loaded = [asn1_x509.Certificate.load(one.certificate_der) for one in authorities]
    context = ValidationContext(
        trust_roots=[path._anchor(loaded[0])],
        other_certs=loaded[1:],
        moment=NOW, allow_fetching=False, crls=crls, revocation_mode="require",
    )  # fmt: skip
    parameters = PKIXValidationParams(frozenset({oids.POLICY_AUTH}), initial_explicit_policy=True)
    leaf = asn1_x509.Certificate.load(leaf_der)
    validator = CertificateValidator(leaf, validation_context=context, pkix_params=parameters)
    try:
        asyncio.run(validator.async_validate_usage({"digital_signature"}, {"client_auth"}))
    except (ValidationError, PathBuildingError):
        return False
    return True


CODES = {
    "none": {"trusted"}, "expired": {"card-expired"}, "not yet": {"card-not-yet-valid"},
    "revoked": {"card-revoked"}, "authority revoked": {"card-revoked"}, "stale": {"crl-stale"},
    "no list": {"crl-stale"}, "forged list": {"crl-invalid"}, "no authority": {"config-invalid"},
}  # fmt: skip
LISTS = ("revoked", "authority revoked", "stale", "no list", "forged list")


@pytest.mark.parametrize("seed", range(4))
def test_two_other_verifiers_agree_on_grown_chains(seed) -> None:
    rng, seen = random.Random(seed), collections.Counter()
    for _ in range(60):
        flaw, authorities, leaf_der, crls = grow(rng)
        code = ours(authorities, leaf_der, crls)
        assert code in CODES.get(flaw, {"card-untrusted"}), flaw
        assert cryptographys(authorities, leaf_der) == (code == "trusted" or flaw in LISTS), flaw
        assert pyhankos(authorities, leaf_der, crls) == (code == "trusted"), flaw
        seen[code == "trusted"] += 1
    assert min(seen.values()) >= 5


@given(st.data())
def test_any_certificate_is_trusted_or_refused(data) -> None:
    name = data.draw(st.sampled_from(NAMES))
    good = getattr(grown.card().certificates, name)
    at = data.draw(st.integers(0, len(good) - 1))
    cut = data.draw(st.integers(at, min(len(good), at + 4)))
    bad = good[:at] + data.draw(st.binary(max_size=4)) + good[cut:]
    try:
        validate(dataclasses.replace(grown.card().certificates, **{name: bad}))
    except Refused:
        return
    assert bad == good


def test_a_path_that_waited_would_be_a_bug() -> None:
    @types.coroutine
    def waits():
        yield

    with pytest.raises(RuntimeError, match="waited"):
        path._run(waits())
