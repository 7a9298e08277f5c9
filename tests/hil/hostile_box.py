"""A box whose owner says to the centre what he likes: its keys are good, its agent is this file.

Not a module of tests. It speaks to the card as any box does, and cannot make it do more; it signs
whatever receipt it is told to. It has no reader: the card lies straight on it (hil.direct).
"""

import contextlib
import ctypes
import hashlib
import itertools
import os
import secrets
import time
from collections.abc import Iterator

from hil.centre import API_UID, GATEWAY_UID, PORT
from hil.desk import kind
from hil.direct import Direct
from hil.issuing import Holder
from hil.net.topology import CENTRE4
from hil.rig import Rig
from sdbox_agent.card.conversation import Conversation
from sdbox_agent.cardkind import KeyName
from sdbox_agent.centre import wire
from sdbox_agent.centre.https import CentreClient, Where
from sdbox_agent.identity import keys as identity
from sdbox_agent.statements import fields, jws
from sdbox_agent.terms import Level
from sdbox_agent.tunnel.psk import KemPair
from sdbox_centre.authority import pem_of
from sdbox_centre.gateway_wire import GatewayClient, Install

ALL = (Level.CARD_MATCH, Level.HOST_MATCH, Level.CARD_PIN)
_SETRESUID, _SETRESGID = 117, 119  # x86-64: of the calling thread alone, which libc's are not


class HostileBox:
    """Added to a centre that has not started yet."""

    def __init__(self, rig: Rig, name: str = "box-02") -> None:
        self.name = name
        self._rig = rig
        self._boot_id = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        tls, statement = rig.issuing.box_tls(name), rig.issuing.box_statement(name)
        rig.centre.add_box(name, tls, statement)
        config = rig.root / name
        for part in ("identity", "anchors"):
            (config / part).mkdir(mode=0o755, parents=True)
        for part, pair in (("tls", tls), ("statement", statement)):
            (config / f"identity/{part}.pem").write_bytes(pair.pem)
            key = config / f"identity/{part}.key"
            key.touch(0o600)
            key.write_bytes(pair.key_pem)
        anchor = pem_of(rig.issuing.servers.certificate)
        (config / "anchors/centre.pem").write_bytes(anchor)
        self.identity = identity.load(config)

    @contextlib.contextmanager
    def session(self, holder: Holder, kind_name: str) -> Iterator["HostileSession"]:
        """The holder's card lies on it; the centre has let the card in."""
        where = Where(((CENTRE4, PORT),), CENTRE4)
        client = CentreClient(where, self.identity.client_context())
        card = Conversation(Direct(holder.card), secrets.token_bytes)
        try:
            card.open((kind(kind_name),))
            session = HostileSession(self, client, card, holder)
            session.begin(f"{self._boot_id}-{next(self._numbers)}", self._boot_id)
            yield session
            session.end()
        finally:
            card.close()
            client.close()

    def inside(self, call):
        """On the box's network."""
        return self._rig.topology.box.run(call)

    def as_the_api(self, request: Install) -> None:
        """Whoever owns the API too, to the gateway. Raises what that answers."""
        path = self._rig.centre.root / "gateway/gateway.sock"

        def call() -> None:
            libc = ctypes.CDLL(None, use_errno=True)
            for number in (_SETRESGID, _SETRESUID):  # until this thread's end
                if libc.syscall(number, API_UID, API_UID, API_UID):
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            with GatewayClient(path, GATEWAY_UID) as gateway:
                gateway.install(request)

        self._rig.topology.box.run(call)


class HostileSession:
    """From hello to whatever its owner tries."""

    def __init__(
        self, box: HostileBox, client: CentreClient, card: Conversation, holder: Holder
    ) -> None:
        self._box = box
        self._client = client
        self.card = card
        self._holder = holder

    def begin(self, name: str, boot_id: str) -> None:
        """Hello and proof, both honest."""
        self.name = name
        hello = wire.HelloRequest(
            box=self._box.name,
            session=name,
            boot_id=boot_id,
            boot_counter=1,
            agent_version="test",
        )
        challenge = self._box.inside(lambda: self._client.hello(hello)).challenge
        proof = fields.Proof(box=self._box.name, session=name, challenge=challenge)
        signed = self.card.sign(proof, "9E")
        shown = self._holder.certificates
        request = wire.ProofRequest(
            session=name,
            auth=shown.auth,
            key_management=shown.key_management,
            card_auth=shown.card_auth,
            statement=jws.assemble(signed.payload, [(signed.protected, signed.signature)]),
            levels=ALL,
        )
        self.admitted = self._box.inside(lambda: self._client.proof(request))
        self._challenge = self.admitted.challenge
        self._attempt = 0
        self.kem = KemPair()

    def give_pin(self) -> None:
        """It was left on a note beside the card."""
        field = bytearray(self._holder.pin.encode().ljust(8, b"\xff"))
        assert self.card.verify_pin(field, last=False) is None

    def attempt(self, otp: str | None = None) -> wire.AttemptAnswer:
        """Reserve one; at card-pin with a code."""
        request = wire.AttemptRequest(session=self.name, challenge=self._challenge, otp=otp)
        answer: wire.AttemptAnswer = self._box.inside(lambda: self._client.attempt(request))
        self._challenge, self._attempt = answer.challenge, answer.attempt
        return answer

    def receipt(self, level: Level, key: KeyName = "9A", **said: object) -> bytes:
        """Signed by card and box, whatever it says."""
        honest = {
            "box": self._box.name,
            "session": self.name,
            "challenge": self._challenge,
            "enrolment": self.admitted.enrolment,
            "attempt": self._attempt,
            "level": level,
            "project": "p-alpha",
            "wg_public_key": secrets.token_bytes(32),
            "kem_key_sha256": hashlib.sha256(self.kem.public).digest(),
            "utc_s": int(time.time()),
        }
        signed = self.card.sign(fields.Receipt(**{**honest, **said}), key)  # type: ignore[arg-type]
        certificate = self._box.identity.statement_certificate_der
        protected = jws.header("receipt", certificate)
        by_box = self._box.identity.sign_statement(signed.payload, protected)
        return jws.assemble(
            signed.payload, [(signed.protected, signed.signature), (protected, by_box)]
        )

    def post(self, receipt: bytes) -> wire.ReceiptAnswer:
        """To the API. Raises what the centre answers."""
        request = wire.ReceiptRequest(session=self.name, statement=receipt, kem_key=self.kem.public)
        answer: wire.ReceiptAnswer = self._box.inside(lambda: self._client.receipt(request))
        return answer

    def to_the_gateway(self, receipt: bytes) -> None:
        """Past the API's judgement."""
        shown = self._holder.certificates
        self._box.as_the_api(
            Install(
                box=self._box.name,
                statement=receipt,
                kem_key=self.kem.public,
                auth=shown.auth,
                key_management=shown.key_management,
                card_auth=shown.card_auth,
            )
        )

    def end(self) -> None:
        """The next one may begin."""
        request = wire.EndRequest(session=self.name, code="cancelled")
        self._box.inside(lambda: self._client.end(request))
