"""How a box comes by its certificates, and keeps them: EST (RFC 7030) to the centre [door].

The centre is known by its pinned authority, from the first call. Before a box has an identity it
shows the one-time token of its order; afterwards its own TLS certificate. What comes back is taken
only if it is for the key that was asked, in the box's name, for the one purpose, and of the
authority that was given. No key is seen here.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from typing import TYPE_CHECKING, Final

from sdbox_agent.centre.https import CentreClient, Message, Where
from sdbox_agent.errors import DecodeError, Fault, Refused, SdboxError
from sdbox_agent.identity import centreanchors
from sdbox_agent.pki import boxcertificate, certsonly, chain

if TYPE_CHECKING:
    import datetime as dt

    from cryptography import x509

    from sdbox_agent.identity.request import Asked

# RFC 7030 sections 3.2.2, 4.1, 4.2, and 3.2.2's labels: one for each kind of certificate
PATH: Final = "/.well-known/est"
LABELS: Final[dict[boxcertificate.Purpose, str]] = {"tls": "", "statement": "/statement"}
CERTIFICATES: Final = "application/pkcs7-mime"
CERTS_ONLY: Final = "application/pkcs7-mime; smime-type=certs-only"
REQUEST: Final = "application/pkcs10"

# Ours
MAX_ANSWER_BYTES: Final = 48 * 1024  # certsonly.MAX_BYTES in base64, its line ends, and some
TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 random bytes, base64url
CONNECT_S: Final = 3.0
ANSWER_S: Final = 10.0  # the centre writes to its disk before it answers


class Est:
    """One caller at a time. Every method raises errors.SdboxError, as `CentreClient`'s do.

    Refused besides: box-token-wrong, box-token-ended, box-token-spent; box-renewal-early; and
    what bars the box: box-refused, box-suspended, box-retired. box-request-invalid
    for a request the centre can't read. Fault centre-answer-invalid: a certificate that is not
    the one.
    """

    def __init__(
        self,
        where: Where,
        context: ssl.SSLContext,
        connect_s: float = CONNECT_S,
        answer_s: float = ANSWER_S,
    ) -> None:
        """`context`: `anonymous` of the centre's anchors, or `BoxIdentity.client_context`."""
        self._client = CentreClient(where, context, connect_s, answer_s)

    def cacerts(self) -> tuple[bytes, ...]:
        """The boxes' authorities, DER, that are in force at the centre (section 4.1).

        All of them self-signed anchors or such that stand between: `chain.authorities` takes them.
        """
        body = self._client.fetch(
            Message("GET", f"{PATH}/cacerts", CERTIFICATES, MAX_ANSWER_BYTES, b"", _accept())
        )
        try:
            found = certsonly.parse(_unbase64(body))
            chain.authorities(found)
        except (DecodeError, Fault):
            raise Fault("centre-answer-invalid") from None
        return found

    def successors(self) -> tuple[bytes, ...]:
        """What comes after the centre's own authority, DER, with its proofs; mostly nothing.

        Nothing of it is believed here: see `pki.successors`.
        """
        message = Message(
            "GET", f"{PATH}/centre/cacerts", CERTIFICATES, MAX_ANSWER_BYTES, b"", _accept()
        )
        try:
            return certsonly.parse(_unbase64(self._client.fetch(message)))
        except DecodeError:
            raise Fault("centre-answer-invalid") from None
        except SdboxError as error:
            if error.code == "not-found":
                return ()
            raise

    def simpleenroll(
        self, asked: Asked, token: str, given: chain.Authorities, moment: dt.datetime
    ) -> x509.Certificate:
        """The first certificate for a key, for the token of the box's order (section 4.2.1).

        Asked again with the same key, it answers the same: an answer may be lost. `given`: from
        `chain.authorities`. Raises Refused("box-token-wrong") for what can be no token: unsent.
        """
        if not TOKEN.fullmatch(token):
            raise Refused("box-token-wrong")
        # RFC 7617 section 2; RFC 7030 section 3.2.3
        basic = base64.b64encode(f"{asked.request.box}:{token}".encode("ascii")).decode()
        headers = (*_accept(), ("authorization", f"Basic {basic}"))
        return self._enrolled("simpleenroll", asked, headers, given, moment)

    def simplereenroll(
        self, asked: Asked, given: chain.Authorities, moment: dt.datetime
    ) -> x509.Certificate:
        """A new certificate for the key of one that ends soon (section 4.2.2), as this box."""
        return self._enrolled("simplereenroll", asked, _accept(), given, moment)

    def close(self) -> None:
        """End a running call and let go of the connection; from any thread."""
        self._client.close()

    def _enrolled(
        self,
        operation: str,
        asked: Asked,
        headers: tuple[tuple[str, str], ...],
        given: chain.Authorities,
        moment: dt.datetime,
    ) -> x509.Certificate:
        where = f"{PATH}{LABELS[asked.purpose]}/{operation}"
        body = base64.b64encode(asked.csr_der)  # RFC 8951 section 3.1: whatever no header says
        headers = (*headers, ("content-type", REQUEST))
        message = Message("POST", where, CERTS_ONLY, MAX_ANSWER_BYTES, body, headers)
        answer = self._client.fetch(message)
        try:
            found = certsonly.parse(_unbase64(answer))
            certificate = boxcertificate.pick(found, asked.request, asked.purpose)
            boxcertificate.check_path(certificate, asked.purpose, given, moment)
        except DecodeError:
            raise Fault("centre-answer-invalid") from None
        return certificate


def anonymous(centre_anchors_pem: str) -> ssl.SSLContext:
    """TLS 1.3 to the centre's own authority and no other, as nobody yet.

    Raises Fault("config-invalid") if the anchors are none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks host name and certificate
    centreanchors.pin(context, centre_anchors_pem)
    return context


def _accept() -> tuple[tuple[str, str], ...]:
    return (("accept", CERTIFICATES),)


def _unbase64(body: bytes) -> bytes:
    """RFC 8951 section 3.1: base64 (RFC 4648 section 4), lines allowed. Raises DecodeError."""
    try:
        return base64.b64decode(body.replace(b"\r\n", b"").replace(b"\n", b""), validate=True)
    except binascii.Error:
        raise DecodeError("base64") from None
