"""What the authorities issue, as OpenSSL and TLS libraries see it."""

import datetime as dt
import ipaddress
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from sdbox_agent.pki import certificate, holder, oids
from sdbox_centre import authority
from sdbox_centre.matchbound import Proof
from tests.pki import grown
from tests.pki.grown import DAY, GUID, NOW

OWN = grown.card_authority()


def test_every_run_has_its_own_keys() -> None:
    one, two = (authority.authority("Test Authority", NOW) for _ in range(2))
    assert one.certificate.public_key() != two.certificate.public_key()
    assert one.certificate.serial_number != two.certificate.serial_number


def test_no_private_key_is_in_the_repr() -> None:
    assert "key" not in repr(OWN)


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
def test_openssl_accepts_the_cards_chain_and_list(kind, tmp_path) -> None:
    anchor, crl = tmp_path / "anchor.pem", tmp_path / "crl.pem"
    anchor.write_bytes(authority.pem_of(OWN.certificate))
    crl_der = OWN.crl(3, NOW)
    crl.write_bytes(x509.load_der_x509_crl(crl_der).public_bytes(Encoding.PEM))
    policies = (oids.POLICY_AUTH, oids.POLICY_KEY_MANAGEMENT, oids.POLICY_CARD_AUTH)
    for name, policy in zip(("auth", "key_management", "card_auth"), policies, strict=True):
        one = x509.load_der_x509_certificate(getattr(grown.card(kind).certificates, name))
        command = [
            "openssl", "verify", "-x509_strict", "-check_ss_sig", "-crl_check", "-explicit_policy",
            "-CRLfile", str(crl), "-CAfile", str(anchor), "-attime", str(grown.NOW_S),
            "-policy", policy,
        ]  # fmt: skip
        run = subprocess.run(command, input=authority.pem_of(one), capture_output=True, check=False)
        assert run.returncode == 0, run.stderr


def test_openssl_sees_the_revoked_one(tmp_path) -> None:
    one = x509.load_der_x509_certificate(grown.card().certificates.auth)
    anchor, crl = tmp_path / "anchor.pem", tmp_path / "crl.pem"
    anchor.write_bytes(authority.pem_of(OWN.certificate))
    listed = x509.load_der_x509_crl(OWN.crl(3, NOW, {one.serial_number: NOW}))
    crl.write_bytes(listed.public_bytes(Encoding.PEM))
    command = [
        "openssl", "verify", "-crl_check", "-CRLfile", str(crl), "-CAfile", str(anchor),
        "-attime", str(grown.NOW_S),
    ]  # fmt: skip
    run = subprocess.run(command, input=authority.pem_of(one), capture_output=True, check=False)
    assert run.returncode != 0
    assert b"revoked" in run.stderr


def test_a_card_gets_three_certificates_that_name_it() -> None:
    three = grown.card().certificates
    wanted = {
        "auth": ({"digital_signature"}, oids.CLIENT_AUTH, oids.POLICY_AUTH),
        "key_management": ({"key_agreement"}, oids.USAGE_REFERENCE, oids.POLICY_KEY_MANAGEMENT),
        "card_auth": ({"digital_signature"}, oids.PIV_CARD_AUTH, oids.POLICY_CARD_AUTH),
    }
    for name, (usages, extended, policy) in wanted.items():
        one = certificate.load(getattr(three, name))
        assert certificate.usages(one) == usages
        assert certificate.extended_usages(one) == {extended}
        assert certificate.policies(one) == {policy}
        assert holder.guid(one) == grown.GUID
        assert one.not_valid_after_utc - one.not_valid_before_utc == authority.CARD_LIFE


def test_an_rsa_card_key_enciphers() -> None:
    one = certificate.load(grown.card("rsa2048").certificates.key_management)
    assert certificate.usages(one) == {"key_encipherment"}


def test_an_authority_issues_certificates_and_lists_and_nothing_else() -> None:
    assert certificate.usages(OWN.certificate) == {"key_cert_sign", "crl_sign"}
    assert certificate.is_authority(OWN.certificate)
    assert OWN.certificate.extensions.get_extension_for_class(x509.BasicConstraints).critical


def test_a_server_answers_to_its_addresses_and_names() -> None:
    subject = authority.server_subject("Test Centre", ["127.0.0.1", "::1", "centre.test"])
    key = authority.new_key()
    one = OWN.issue(authority.SERVER_TLS, subject, key.public_key(), NOW)
    names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["centre.test"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]


def handshake(server, client, cut_off=50):
    """Both ends of TLS 1.3 in memory, each with a certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(cut_off):
        left = []
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                left.append(end)
        if not left:
            break
    return ends


def context(side, own, own_key, trusted, folder):
    made = ssl.SSLContext(side)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(cadata=trusted.certificate_der)
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(authority.pem_of(own))
    key.write_bytes(authority.key_pem(own_key))
    made.load_cert_chain(chain, key)
    key.unlink()
    return made


def test_box_and_centre_meet_over_tls(tmp_path) -> None:
    now = dt.datetime.now(dt.UTC)
    boxes, servers = authority.authority("Test Boxes", now), authority.authority("Test Web", now)
    box_key, server_key = authority.new_key(), authority.new_key()
    box = boxes.issue(
        authority.BOX_TLS, authority.box_subject("test-box-01"), box_key.public_key(), now - DAY
    )
    subject = authority.server_subject("Test Centre", ["127.0.0.1"])
    server = servers.issue(authority.SERVER_TLS, subject, server_key.public_key(), now - DAY)
    serves = context(ssl.PROTOCOL_TLS_SERVER, server, server_key, boxes, tmp_path)
    calls = context(ssl.PROTOCOL_TLS_CLIENT, box, box_key, servers, tmp_path)
    client_end, server_end = handshake(serves, calls)
    assert client_end.version() == "TLSv1.3"
    assert server_end.getpeercert(binary_form=True) == authority.der_of(box)
    # a statement certificate opens no connection: another extended usage
    statement = boxes.issue(
        authority.BOX_STATEMENT,
        authority.box_subject("test-box-01"),
        box_key.public_key(),
        now - DAY,
    )
    calls = context(ssl.PROTOCOL_TLS_CLIENT, statement, box_key, servers, tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(serves, calls)


def test_a_key_in_pem_is_the_same_key() -> None:
    for key in (authority.new_key(), grown.rsa_key()):
        read = load_pem_private_key(authority.key_pem(key), None)
        assert read.public_key() == key.public_key()


def test_a_list_has_its_number_and_its_week() -> None:
    crl = x509.load_der_x509_crl(OWN.crl(12, NOW))
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 12
    assert crl.next_update_utc == NOW + authority.CRL_LIFE
    assert crl.is_signature_valid(OWN.key.public_key())


def test_a_subordinate_may_keep_its_key_and_its_limits() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    below = authority.authority("Test Root", NOW, path_length=1).subordinate("Test B", NOW, key)
    assert below.certificate.public_key() == key.public_key()
    constraints = below.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.path_length == 0


def test_an_authority_for_tests_says_so_and_so_do_those_below() -> None:
    root = authority.authority("Test Root", NOW, path_length=1, test=True)
    for one in (root, root.subordinate("Test Below", NOW)):
        assert certificate.policies(one.certificate) == {oids.ANY_POLICY, oids.POLICY_TEST}
    assert certificate.policies(OWN.certificate) == {oids.ANY_POLICY}


def test_a_match_bound_certificate_is_for_the_key_and_card_of_its_proof() -> None:
    key, seen = authority.new_key().public_key(), frozenset({0x6983})
    proof = Proof(GUID, key, seen, seen, frozenset({0x6982}), ("96",))
    der = grown.card_authority().card_match_bound(proof, "test-holder-01", NOW)
    one = x509.load_der_x509_certificate(der)
    assert one.public_key() == key
    assert holder.guid(one) == GUID
    assert certificate.policies(one) == {oids.POLICY_AUTH, oids.POLICY_MATCH_BOUND}
    plain = x509.load_der_x509_certificate(grown.card().certificates.auth)
    assert certificate.policies(plain) == {oids.POLICY_AUTH}


@pytest.mark.parametrize("slot", ["9A", "9D", "9E"])
def test_no_certificate_of_a_card_is_match_bound_without_a_proof(slot) -> None:
    der = grown.card_authority().card_certificate(
        slot, authority.new_key().public_key(), authority.card_subject(GUID, "test-holder-01"), NOW
    )
    assert oids.POLICY_MATCH_BOUND not in certificate.policies(x509.load_der_x509_certificate(der))
