"""Object identifiers: the standards' and, in a block of their own, ours."""

from __future__ import annotations

from typing import Final

# CMS: RFC 5652 sections 4, 5.1, 11; RFC 5083 section 2; RFC 5084 section 3.2
DATA: Final = "1.2.840.113549.1.7.1"
SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
AUTH_ENVELOPED_DATA: Final = "1.2.840.113549.1.9.16.1.23"
CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
SIGNING_TIME: Final = "1.2.840.113549.1.9.5"
AES256_GCM: Final = "2.16.840.1.101.3.4.1.46"
AES256_WRAP: Final = "2.16.840.1.101.3.4.1.45"  # RFC 3565 section 2.3.2
SHA256: Final = "2.16.840.1.101.3.4.2.1"
RSAES_OAEP: Final = "1.2.840.113549.1.1.7"  # RFC 8017 appendix A.2.1
MGF1: Final = "1.2.840.113549.1.1.8"
EC_PUBLIC_KEY: Final = "1.2.840.10045.2.1"  # RFC 5480 section 2.1.1
P256: Final = "1.2.840.10045.3.1.7"  # RFC 5480 section 2.1.1.1
ECDSA_SHA256: Final = "1.2.840.10045.4.3.2"  # RFC 5758 section 3.2
STD_DH_SHA256_KDF: Final = "1.3.132.1.11.1"  # SEC 1 v2 appendix C; RFC 5753 section 7.1.4
STD_DH_SHA384_KDF: Final = "1.3.132.1.11.2"

# X.509: RFC 5280 section 4.2.1.12; FIPS 201-3 section 4.2.2.1 and SP 800-73pt1-5
ANY_POLICY: Final = "2.5.29.32.0"  # RFC 5280 section 4.2.1.4
COMMON_NAME: Final = "2.5.4.3"  # RFC 5280 appendix A.1
ANY_EXTENDED_USAGE: Final = "2.5.29.37.0"
CLIENT_AUTH: Final = "1.3.6.1.5.5.7.3.2"
SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"
PIV_CARD_AUTH: Final = "2.16.840.1.101.3.6.8"

# Ours: an arc that needs no registrar (ITU-T X.667: 2.25.<UUID>)
ARC: Final = "2.25.174808313600351254596499539627594293085"
POLICY_AUTH: Final = f"{ARC}.1.1"  # certificate policy of a card's 9A key
POLICY_KEY_MANAGEMENT: Final = f"{ARC}.1.2"  # of its 9D key
POLICY_CARD_AUTH: Final = f"{ARC}.1.3"  # of its 9E key
POLICY_DESK: Final = f"{ARC}.1.4"  # of an enrolment desk's signer
POLICY_MATCH_BOUND: Final = f"{ARC}.1.5"  # of 9A beside POLICY_AUTH: no PIN opens it, a match does
POLICY_BOX_TLS: Final = f"{ARC}.1.6"  # of a box's TLS certificate
POLICY_BOX_STATEMENT: Final = f"{ARC}.1.7"  # of its statement certificate
POLICY_TEST: Final = f"{ARC}.1.9"  # of an authority that issues for tests: refused in the field
USAGE_REFERENCE: Final = f"{ARC}.2.1"  # extended usage of 9D: opens references
USAGE_DESK: Final = f"{ARC}.2.2"  # extended usage: signs references
USAGE_BOX: Final = f"{ARC}.2.3"  # extended usage: signs a box's statements
VOUCHED: Final = f"{ARC}.3.2"  # certificate extension: whose TLS key this is, by the box's word
BINDING: Final = f"{ARC}.3.1"  # signed attribute: whose reference this is, and which card's
