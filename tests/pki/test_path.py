"""Whether a card is to be trusted, fault by fault, and told step by step."""

import dataclasses
import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

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


SHOWN = ("expires", "guid", "compares", "pin_left")


def facts_of(certificates=None, **changes):
    """What a card shows and the rules: those of a good one, but for `changes`."""
    facts = {
        "expires": EXPIRES, "guid": GUID, "anchors": [OWN.certificate_der],
        "crls": [OWN.crl(1, NOW)], "moment": NOW,
    } | changes  # fmt: skip
    shown = {name: facts.pop(name) for name in SHOWN if name in facts}
    return path.Shown(certificates or grown.card().certificates, **shown), path.Rules(**facts)


def validate(certificates=None, **changes):
    return path.validate_card(*facts_of(certificates, **changes))


def refuses(code, *arguments, **changes):
    with pytest.raises(SdboxError, match=f"^{code}$") as caught:
        validate(*arguments, **changes)
    assert type(caught.value) is (Fault if code.startswith(("crl", "config")) else Refused)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    steps = path.examine(*facts_of(*arguments, **changes))
    (last,) = (step for step in steps if step.result == "refused")
    assert last.code == code
    return last.name


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
]  # and one that calls itself an authority: test_second_opinion


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
    now = dt.datetime(2027, 6, 1, tzinfo=dt.UTC)
    facts = {"moment": now, "crls": [OWN.crl(1, now)]}
    issued = {
        end: grown.issue(OWN, grown.rsa_key(), now=now, not_after=dt.datetime(*end, tzinfo=dt.UTC))
        for end in ((2030, 12, 31, 23, 59, 59), (2031, 1, 1))
    }
    validate(issued[2030, 12, 31, 23, 59, 59].certificates, **facts, expires="20301231")
    assert refuses("card-untrusted", issued[2031, 1, 1].certificates, **facts) == "purpose"


@pytest.mark.parametrize("name", NAMES)
def test_a_card_lives_no_longer_than_an_enrolment(name) -> None:
    four_years = dt.timedelta(days=4 * 365 + 1)
    begin = NOW - DAY
    validate(with_one(name, not_before=begin, not_after=begin + four_years))
    late = begin + four_years + dt.timedelta(seconds=1)
    assert refuses("card-untrusted", with_one(name, not_before=begin, not_after=late)) == "window"


# -- authorities for tests, and cards bound to a match -------------------------------------------


def test_an_authority_for_tests_is_refused_in_the_field_and_wherever_it_stands() -> None:
    mark = {"test": True, "path_length": None}
    root = authority.authority("Test Root", NOW - DAY, **mark)
    below = root.subordinate("Test Below", NOW - DAY, path_length=None)
    plain = authority.authority("Test Plain", NOW - DAY, path_length=None)
    for issuer, chain in ((root, [root]), (below, [root, below])):
        card = grown.issue(issuer, authority.new_key()).certificates
        facts = {
            "anchors": [one.certificate_der for one in chain],
            "crls": [one.crl(1, NOW) for one in chain],
        }
        assert refuses("card-test-issuer", card, **facts) == "issuer"
        assert validate(card, **facts, test_issuers=True)
        # an anchor of the field beside it changes nothing, nor does a card of the field suffer
        both = {
            "anchors": [*facts["anchors"], plain.certificate_der],
            "crls": [*facts["crls"], plain.crl(1, NOW)],
        }
        refuses("card-test-issuer", card, **both)
        validate(grown.issue(plain, authority.new_key()).certificates, **both)


def match_bound():
    policies = (oids.POLICY_AUTH, oids.POLICY_MATCH_BOUND)
    return with_one("auth", profile=dataclasses.replace(authority.CARD_9A, policies=policies))


def test_what_a_match_bound_certificate_says_is_so_on_the_card() -> None:
    bound = match_bound()
    assert validate(bound, compares=True, pin_left=0).match_bound
    for left in (1, 3, None):
        assert refuses("card-pin-usable", bound, compares=True, pin_left=left) == "binding"
    for left in (0, 3, None):
        assert refuses("card-not-match-bound", bound, compares=False, pin_left=left) == "binding"
    assert validate(bound).match_bound, "the centre sees no card: the box looked"


def test_an_ordinary_certificate_says_nothing_of_pin_and_finger() -> None:
    for compares in (True, False, None):
        for left in (0, 3, None):
            assert not validate(compares=compares, pin_left=left).match_bound


# -- told step by step ---------------------------------------------------------------------------


def test_a_good_card_passes_every_step_and_a_bad_one_ends_at_its_own() -> None:
    names = [name for name, _ in path._STEPS]
    steps = path.examine(*facts_of())
    assert [(step.name, step.result, step.code) for step in steps] == [
        (name, "passed", None) for name in names
    ]
    steps = path.examine(*facts_of(expires="20200101"))
    at = names.index("chuid")
    assert steps[at] == path.Step("chuid", "refused", "card-expired")
    assert {step.result for step in steps[:at]} == {"passed"}
    assert {(step.result, step.code) for step in steps[at + 1 :]} == {("not-reached", None)}


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
