"""What others make of the desk's message, and we of theirs: asn1crypto and OpenSSL."""

import ctypes
import dataclasses
import datetime as dt
import subprocess
import tempfile
from pathlib import Path

from asn1crypto import cms as asn1_cms
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sdbox_agent.pki import oids, reference
from sdbox_centre import authority
from tests.pki import grown
from tests.pki.grown import DAY, NOW_S, RECORD
from tests.pki.test_reference import YEAR_S, signed, verify


def test_asn1crypto_reads_the_same_message() -> None:
    signed_der = signed()
    info = asn1_cms.ContentInfo.load(signed_der, strict=True)
    assert info.dump(force=True) == signed_der
    (signer,) = info["content"]["signer_infos"]
    names = [attribute["type"].dotted for attribute in signer["signed_attrs"]]
    assert set(names) == {
        oids.CONTENT_TYPE, oids.MESSAGE_DIGEST, oids.SIGNING_TIME, oids.BINDING,
    }  # fmt: skip
    attributes = signer["signed_attrs"].untag().dump()
    key = x509.load_der_x509_certificate(grown.signer().certificate_der).public_key()
    key.verify(signer["signature"].native, attributes, ec.ECDSA(hashes.SHA256()))


def test_openssl_verifies_what_the_desk_signs() -> None:
    with tempfile.TemporaryDirectory() as folder:
        anchor = Path(folder, "anchor.pem")
        anchor.write_bytes(authority.pem_of(grown.desk_authority().certificate))
        command = [
            "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-CAfile", str(anchor),
            "-purpose", "any", "-attime", str(NOW_S),
        ]  # fmt: skip
        run = subprocess.run(command, input=signed(), capture_output=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == RECORD


def openssl_sign(signer, attribute):
    """CMS_sign by libcrypto: its command line has no way to add an attribute of one's own."""
    crypto = ctypes.CDLL("libcrypto.so.3")
    partial_binary_no_capabilities = 0x4000 | 0x80 | 0x200  # openssl/cms.h
    asn1_sequence = 16  # openssl/asn1.h
    returning_pointers = (
        "BIO_new_mem_buf", "d2i_X509", "d2i_AutoPrivateKey",
        "CMS_sign", "CMS_add1_signer", "EVP_sha256",
    )  # fmt: skip
    for name in returning_pointers:
        getattr(crypto, name).restype = ctypes.c_void_p

    def decode(function, data):
        start = ctypes.c_char_p(data)
        return ctypes.c_void_p(function(None, ctypes.byref(start), ctypes.c_long(len(data))))

    key_der = signer.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    certificate = decode(crypto.d2i_X509, signer.certificate_der)
    key = decode(crypto.d2i_AutoPrivateKey, key_der)
    content = ctypes.c_void_p(crypto.BIO_new_mem_buf(RECORD, len(RECORD)))
    flags = partial_binary_no_capabilities
    message = ctypes.c_void_p(crypto.CMS_sign(None, None, None, content, flags))
    digest = ctypes.c_void_p(crypto.EVP_sha256())
    info = ctypes.c_void_p(crypto.CMS_add1_signer(message, certificate, key, digest, flags))
    assert crypto.CMS_signed_add1_attr_by_txt(
        info, oids.BINDING.encode(), asn1_sequence, attribute, len(attribute)
    )
    assert crypto.CMS_final(message, content, None, flags)
    out = ctypes.create_string_buffer(crypto.i2d_CMS_ContentInfo(message, None))
    crypto.i2d_CMS_ContentInfo(message, ctypes.byref(ctypes.c_void_p(ctypes.addressof(out))))
    crypto.CMS_ContentInfo_free(message)
    crypto.BIO_free(content)
    crypto.X509_free(certificate)
    crypto.EVP_PKEY_free(key)
    return out.raw


def test_what_openssl_signs_is_opened() -> None:
    now = dt.datetime.now(dt.UTC)  # OpenSSL stamps the true time
    own = authority.authority("Test Desk Authority", now - DAY)
    signer = grown.make_signer(own, not_before=now - DAY)
    begin_s = int(now.timestamp()) - 3600
    binding = dataclasses.replace(
        reference.parse(signed()).binding, not_before_s=begin_s, not_after_s=begin_s + YEAR_S
    )
    opened = verify(
        openssl_sign(signer, binding.encode()),
        anchors=[own.certificate_der],
        utc_s=int(now.timestamp()),
    )
    assert opened.record == RECORD
