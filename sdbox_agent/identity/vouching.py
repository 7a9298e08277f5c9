"""A TLS key that lives in this process's memory alone, and the short certificate on it [door].

Made when the first connection needs it. The statement key says to the centre, over a challenge of
the centre's, that it is this box's, and the centre gives a certificate on it for a day. From two
thirds of that on another key takes its place (`freshen`); connections that are open stay as they
are. Neither is ever written down: a copy of this box's disk holds no key that the centre answers.

No path of the certificate is checked here, and no date: it is shown to nobody but him who gave it,
and its age is counted on a clock that nobody sets.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typing_extensions import override

from sdbox_agent.centre import vouchwire, wire
from sdbox_agent.centre.https import CentreClient, Message
from sdbox_agent.errors import DecodeError, Fault, SdboxError
from sdbox_agent.identity import centreanchors, est, request, tlspair
from sdbox_agent.identity.filekey import FileKey
from sdbox_agent.pki import boxcertificate, vouched
from sdbox_agent.pki.certificate import spki
from sdbox_agent.statements.vouch import Vouch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography import x509

    from sdbox_agent.centre.https import Where
    from sdbox_agent.identity.keys import BoxIdentity
    from sdbox_agent.identity.request import Asked

Answer = TypeVar("Answer", vouchwire.ChallengeAnswer, vouchwire.VouchAnswer)

RENEWED: Final = 2 / 3  # of its life: from then on another is asked for
OVER: Final = 0.95  # and from then on it is shown no more: it began a little before we had it
ANSWER_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 16 * 1024  # a certificate with another and a statement inside, in base64
_JSON: Final = "application/json"


class Vouching:
    """One a process: every connection of its is made by `context`. From any thread."""

    def __init__(
        self,
        identity: BoxIdentity,
        where: Where,
        box: str,
        clock_s: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        """Asks nobody yet. Raises Fault("config-invalid") if the centre's anchors are none."""
        self._identity, self._where, self._box = identity, where, box
        self._clock_s = clock_s
        self._asking = threading.Lock()  # for a key; who only needs the one there is does not wait
        self._loading = threading.Lock()  # it, or making a connection by it
        self._got_s, self._life_s = 0.0, 0.0
        self.context: ssl.SSLContext = _Context.of(identity.centre_anchors_pem, self)

    def is_due(self) -> bool:
        """Is it time for another? Never before there was a first."""
        return 0 < self._life_s * RENEWED <= self._clock_s() - self._got_s

    def freshen(self) -> bool:
        """Another key, if it is time; was it so? Raises SdboxError, and leaves the old in place."""
        with self._asking:
            due = self.is_due()
            if due:
                self._take(*self._asked())
        return due

    def forget(self) -> None:
        """The centre did not take what it was shown: the next connection shows another."""
        self._life_s = 0.0

    @contextlib.contextmanager
    def loaded(self) -> Iterator[None]:
        """Inside, `context` has a key that the centre takes, and keeps it.

        Raises SdboxError: what the centre refuses, by its code (box-refused, box-suspended,
        box-retired, act-missing, centre-busy); Fault as `CentreClient`'s, and the statement key's.
        """
        if self._is_over():
            with self._asking:
                if self._is_over():  # still, now that nobody else asks
                    self._take(*self._asked())
        with self._loading:
            yield

    def _is_over(self) -> bool:
        return self._clock_s() - self._got_s >= self._life_s * OVER

    def _take(self, certificate: x509.Certificate, key: FileKey) -> None:
        pem = certificate.public_bytes(Encoding.PEM) + key.pem
        with self._loading:
            tlspair.load_chain(self.context, pem)
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        self._got_s, self._life_s = self._clock_s(), (end - begin).total_seconds()

    def _asked(self) -> tuple[x509.Certificate, FileKey]:
        """Once more if the centre does not know its challenge any more: it was started anew."""
        key = _new_key()
        asked = request.ask(self._box, "tls", key)
        try:
            return self._ask(asked), key
        except SdboxError as error:
            if error.code != "challenge-unknown":
                raise
        return self._ask(asked), key

    def _ask(self, asked: Asked) -> x509.Certificate:
        context = est.anonymous(self._identity.centre_anchors_pem)
        client = CentreClient(self._where, context, answer_s=ANSWER_S)
        try:
            with contextlib.closing(client):
                challenge = _call(client, "challenge", b"", vouchwire.ChallengeAnswer).challenge
                key_sha256 = vouched.key_sha256(spki(asked.request.key))
                said = Vouch(box=self._box, challenge=challenge, key_sha256=key_sha256)
                statement = self._identity.vouch(said)
                body = vouchwire.VouchRequest(request=asked.csr_der, statement=statement)
                answer = _call(client, "vouch", wire.encode(body), vouchwire.VouchAnswer)
            return boxcertificate.pick([answer.certificate], asked.request, "tls")
        except DecodeError:
            raise Fault("centre-answer-invalid") from None


def _call(client: CentreClient, name: str, body: bytes, kind: type[Answer]) -> Answer:
    headers = (("content-type", _JSON),) if body else ()
    message = Message("POST", f"/v1/{name}", _JSON, MAX_ANSWER_BYTES, body, headers)
    return wire.decode(client.fetch(message), kind, MAX_ANSWER_BYTES)


class _Context(ssl.SSLContext):
    """Sees before each connection that there is a key to make it with."""

    vouching: Vouching

    @classmethod
    def of(cls, anchors_pem: str, vouching: Vouching) -> _Context:
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        centreanchors.pin(context, anchors_pem)
        context.vouching = vouching
        return context

    @override
    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        with self.vouching.loaded():
            return super().wrap_socket(*args, **options)


def _new_key() -> FileKey:
    """Of the generator of OpenSSL; its PEM is for `ssl`, which takes nothing else."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return FileKey(private, pem)
