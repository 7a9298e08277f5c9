"""A box of a load test: what its core says to the centre, by the agent's own client, in a thread.

It signs with software keys what card and box sign, and builds no tunnel. Each call is noted with
what it took as the box has it: connecting, TLS and any wait the centre asked for included.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import random
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sdbox_agent import __version__, errors
from sdbox_agent.centre import wire
from sdbox_agent.centre.https import CentreBusy
from sdbox_agent.daemon.patience import Patience
from sdbox_agent.errors import SdboxError
from sdbox_agent.session.policy import Policy
from sdbox_agent.statements import fields, jws
from sdbox_agent.terms import Level
from sdbox_agent.tunnel.psk import KemPair

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from hil.load.crowd import Party
    from sdbox_agent.centre.https import CentreClient

GIVES_UP_S: Final = 60.0  # after the card was put in
FINGER_S: Final = 1.0  # between the proof's answer and the attempt: the person's touch

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the box saw it; times on the monotonic clock that all processes share."""

    box: int
    name: str
    sent_s: float
    took_ms: float
    code: str  # "done", or why not


class Box:
    """One box with its card in, from power-up to the end."""

    def __init__(self, number: int, party: Party, client: CentreClient, project: str) -> None:
        self.number = number
        self.calls: deque[Call] = deque()  # taken from the left by another thread
        self._party = party
        self._client = client
        self._project = project
        self._boot_id = f"boot-{number}"
        self._policy = Policy(party.box, self._boot_id, (Level.HOST_MATCH,))
        self._patience = Patience(time.monotonic, random.Random(number).random)
        self._session = ""
        self._lists: list[bytes] = []
        key = load_pem_private_key(party.statement.key_pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._statement_key = key
        self._challenge = b""
        self._renewals = 0
        self._unanswered: wire.RenewRequest | None = None
        self._renew_at_s = 0.0

    def morning(self, boots_s: float, card_s: float) -> None:
        """Power-up, and the card: the first call at `boots_s`, or when the card is there.

        A fault that may pass is tried again, as a box does. Raises SdboxError if none helped.
        """
        _wait_until(min(boots_s, card_s))
        with contextlib.suppress(SdboxError):  # said again with the next: here by the card's hello
            self._call("hello-boot", lambda: self._client.hello(self._hello(None)))
        _wait_until(card_s)
        for tries in itertools.count():
            self._session = self._policy.session_id(tries + 1)
            try:
                self._enter()
                break
            except SdboxError as error:
                if not errors.explain(error.code).retry or time.monotonic() - card_s > GIVES_UP_S:
                    raise
                wanted_s = self._policy.back_off_s(tries, error.code)
            time.sleep(self._patience.again_s(wanted_s))

    def renew_until(self, end: threading.Event) -> None:
        """At half of each lease, until told to stop. Ends quietly when the centre refuses.

        What got no answer is sent again, the very same bytes, as a box does.
        """
        while not end.wait(max(0.0, self._renew_at_s - time.monotonic())):
            try:
                self._renew()
            except SdboxError as error:
                if not errors.explain(error.code).retry:
                    return
                self._renew_at_s = time.monotonic() + self._policy.renewal_retry_s

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _enter(self) -> None:
        """Lists, hello, proof, attempt, receipt: a lease. Raises SdboxError at once."""
        fresh = self._call("crls", lambda: self._client.crls(self._lists)).crls
        self._lists += [hashlib.sha256(crl_der).digest() for crl_der in fresh]
        hello = self._hello(self._session)
        greeted = self._call("hello", lambda: self._client.hello(hello))
        assert greeted.challenge is not None
        self._challenge = greeted.challenge
        proof = self._proof()
        admitted = self._call("proof", lambda: self._client.proof(proof))
        self._challenge = admitted.challenge
        time.sleep(FINGER_S)
        request = wire.AttemptRequest(session=self._session, challenge=self._challenge)
        reserved = self._call("attempt", lambda: self._client.attempt(request))
        self._challenge = reserved.challenge
        receipt = self._receipt(admitted, reserved.attempt)
        sent_s = time.monotonic()
        leased = self._call("receipt", lambda: self._client.receipt(receipt))
        self._leased(sent_s, leased)

    def _renew(self) -> None:
        request = self._unanswered or self._renewal()
        self._unanswered = request
        sent_s = time.monotonic()
        self._leased(sent_s, self._call("renew", lambda: self._client.renew(request)))
        self._unanswered = None

    def _renewal(self) -> wire.RenewRequest:
        self._renewals += 1
        said = fields.Renew(
            box=self._party.box,
            session=self._session,
            challenge=self._challenge,
            n=self._renewals,
        )
        statement = _signed(said, (self._party.holder.certificates.auth, self._party.auth))
        return wire.RenewRequest(session=self._session, statement=statement)

    def _leased(self, sent_s: float, lease: wire.ReceiptAnswer | wire.RenewAnswer) -> None:
        self._challenge = lease.challenge
        self._renew_at_s = sent_s + lease.lease_s / 2

    def _hello(self, session: str | None) -> wire.HelloRequest:
        return wire.HelloRequest(
            box=self._party.box,
            session=session,
            boot_id=self._boot_id,
            boot_counter=1,
            agent_version=__version__,
        )

    def _proof(self) -> wire.ProofRequest:
        three = self._party.holder.certificates
        said = fields.Proof(box=self._party.box, session=self._session, challenge=self._challenge)
        return wire.ProofRequest(
            session=self._session,
            auth=three.auth,
            key_management=three.key_management,
            card_auth=three.card_auth,
            statement=_signed(said, (three.card_auth, self._party.card_auth)),
            levels=(Level.HOST_MATCH,),
        )

    def _receipt(self, admitted: wire.ProofAnswer, attempt: int) -> wire.ReceiptRequest:
        kem = KemPair()
        said = fields.Receipt(
            box=self._party.box,
            session=self._session,
            challenge=self._challenge,
            enrolment=admitted.enrolment,
            reference_sha256=hashlib.sha256(admitted.reference or b"").digest(),
            attempt=attempt,
            level=admitted.level,
            project=self._project,
            wg_public_key=os.urandom(32),
            kem_key_sha256=hashlib.sha256(kem.public).digest(),
            utc_s=int(time.time()),
        )
        statement = _signed(
            said,
            (self._party.holder.certificates.auth, self._party.auth),
            (self._party.statement.der, self._statement_key),
        )
        return wire.ReceiptRequest(session=self._session, statement=statement, kem_key=kem.public)

    def _call(self, name: str, call: Callable[[], Answer]) -> Answer:
        sent_s = time.monotonic()
        code = "done"
        try:
            return call()
        except SdboxError as error:
            code = error.code
            if isinstance(error, CentreBusy):
                self._patience.busy(error.retry_after_s)
            raise
        finally:
            took_ms = 1000 * (time.monotonic() - sent_s)
            self.calls.append(Call(self.number, name, sent_s, took_ms, code))


def _wait_until(at_s: float) -> None:
    time.sleep(max(0.0, at_s - time.monotonic()))


def _signed(said: fields.Statement, *signers: tuple[bytes, ec.EllipticCurvePrivateKey]) -> bytes:
    """As card and box sign: ES256, r and s of 32 bytes each (RFC 7518 section 3.4)."""
    payload, parts = fields.encode(said), []
    for certificate, key in signers:
        protected = jws.header(fields.typ_of(said), certificate)
        der = key.sign(jws.signing_input(protected, payload), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(der)
        parts.append((protected, r.to_bytes(32) + s.to_bytes(32)))
    return jws.assemble(payload, parts)
