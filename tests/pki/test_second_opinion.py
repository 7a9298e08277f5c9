"""cryptography's verifier, asked about thousands of grown cards: it agrees wherever it can say.

`make check` asks about one share, another each day; `make full` (FULL=1) about all of them.
"""

import collections
import datetime as dt
import os
import random

import pytest
from cryptography import x509
from cryptography.x509 import verification

from sdbox_agent.errors import SdboxError
from sdbox_agent.pki import certificate, path
from tests.pki import chains, flaws

pytestmark = pytest.mark.slow

SHARES, CARDS = 24, 100  # 2,400 cards in all, three certificates each
TODAY = dt.datetime.now(dt.UTC).toordinal() % SHARES
ASKED = range(SHARES) if os.environ.get("FULL") else (TODAY,)

AGNOSTIC = verification.Criticality.AGNOSTIC
PURPOSES = {
    "auth": lambda _key: path.purpose_of_auth(),
    "key_management": path.purpose_of_key_management,
    "card_auth": lambda _key: path.purpose_of_card_auth(),
}


def says(ok: bool) -> None:
    if not ok:
        raise ValueError("refused")


def end_of(purpose: path.Purpose) -> verification.ExtensionPolicy:
    """What one of the card's certificates must say, in cryptography's own words."""

    def usage(_policy, _certificate, said):
        names = certificate.KEY_USAGES[:7]
        says({name for name in names if getattr(said, name)} == purpose.usages)

    def extended(_policy, _certificate, said):
        says({one.dotted_string for one in said} == {purpose.extended_usage})

    def policies(_policy, _certificate, said):
        says(purpose.policy in {one.policy_identifier.dotted_string for one in said})

    def constraints(_policy, _certificate, said):
        says(said is None or not said.ca)

    return (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.KeyUsage, AGNOSTIC, usage)
        .require_present(x509.ExtendedKeyUsage, AGNOSTIC, extended)
        .require_present(x509.CertificatePolicies, AGNOSTIC, policies)
        .require_present(x509.SubjectAlternativeName, AGNOSTIC, None)
        .may_be_present(x509.BasicConstraints, AGNOSTIC, constraints)
    )


def above() -> verification.ExtensionPolicy:
    """What an authority must say."""
    return (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, AGNOSTIC, lambda _p, _c, said: says(said.ca))
        .require_present(x509.KeyUsage, AGNOSTIC, lambda _p, _c, said: says(said.key_cert_sign))
    )


def accepts(grown: chains.Grown) -> bool:
    """cryptography's opinion of all three certificates."""
    store = verification.Store(grown.anchors)
    for slot, purpose in PURPOSES.items():
        leaf = x509.load_der_x509_certificate(getattr(grown.shown.certificates, slot))
        try:
            end = end_of(purpose(leaf.public_key()))
            verifier = (
                verification.PolicyBuilder().store(store).time(grown.rules.moment)
                .extension_policies(ee_policy=end, ca_policy=above()).build_client_verifier()
            )  # fmt: skip
            verifier.verify(leaf, list(grown.between))
        except verification.VerificationError:
            return False
    return True


def decided(grown: chains.Grown) -> str:
    """Ours, told twice: by the decision, and by its steps."""
    try:
        path.validate_card(grown.shown, grown.rules)
        code = "trusted"
    except SdboxError as error:
        code = error.code
    refused = [one.code for one in path.examine(grown.shown, grown.rules) if one.code]
    assert refused == ([] if code == "trusted" else [code])
    return code


@pytest.mark.parametrize("share", ASKED)
def test_the_two_agree_on_grown_cards(share: int) -> None:
    rng, seen = random.Random(share), collections.Counter()
    for number in range(CARDS):
        grown = chains.grow(rng)
        where = f"share {share}, card {number}: {grown.name}"
        assert decided(grown) == grown.flaw.code, where
        good = grown.flaw.code == "trusted"
        assert accepts(grown) == (good or bool(grown.flaw.no_opinion)), where
        seen[good] += 1
    assert min(seen[True], seen[False]) >= CARDS // 8


def test_where_there_is_no_second_opinion_the_reason_is_one_of_few() -> None:
    reasons = {flaw.no_opinion for flaw in flaws.FLAWS.values()} - {""}
    ours = {reason for reason in reasons if reason.startswith("ours: ")}
    assert reasons - ours == {flaws.LISTS, flaws.POLICIES}
    assert len(ours) == 5
