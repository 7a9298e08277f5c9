"""A box that keeps one key, its statement key, and makes TLS keys in memory."""

from pathlib import Path

from cryptography import x509

from sdbox_agent.centre.https import Where
from sdbox_agent.centre.vouchwire import VouchRequest
from sdbox_agent.identity import request
from sdbox_agent.identity.filekey import FileKey
from sdbox_agent.identity.keys import BoxIdentity
from sdbox_agent.identity.vouching import Vouching
from sdbox_centre import authority, est, vouching
from sdbox_centre.staff import payload
from tests.pki import vouching as words
from tests.pki.boxed import Key
from tests.sdbox_centre import tls
from tests.sdbox_centre.world import World

NAME = "test-box-09"
CHALLENGE = words.CHALLENGE


class InMemory:
    """In service, if staff's act is `known`."""

    def __init__(self, world: World, name: str = NAME, *, known: bool = True) -> None:
        self.world, self.name = world, name
        self.statement, self.tls = Key(authority.new_key()), Key(authority.new_key())
        subject = authority.box_subject(name)
        begin = world.now - authority.BACKDATED
        public = self.statement.private.public_key()
        issued = world.boxes.issue(authority.BOX_STATEMENT_KEPT, subject, public, begin)
        self.statement_der = authority.der_of(issued)
        if known:
            self.enter()

    def enter(self, **changed: object) -> None:
        """Staff's act names it."""
        now_s = self.world.clock.utc
        said = {
            "tls_sha256": vouching.names_itself(self.statement_der),
            "statement_certificate": self.statement_der,
            "state": "active",
            "country": "FR",
            "placed_s": now_s,
            "rental_from_s": now_s,
            "rental_until_s": now_s + 10**8,
            **changed,
        }
        office = self.world.office
        self.world.staff.enter(office.first_or_next(payload.Box, "test", box=self.name, **said))

    def becomes(self, state: str) -> None:
        """By staff."""
        office = self.world.office
        self.world.staff.enter(office.change(payload.Box, "test", box=self.name, state=state))

    def asks(self, challenge: bytes = CHALLENGE, **other: object) -> VouchRequest:
        """`key`: another in the request; `about`: another in the statement; `by`: another signs."""
        key = other.get("key", self.tls)
        named = str(other.get("box", self.name))
        body = words.said(other.get("about", key), str(other.get("said", named)), challenge)
        der, by = other.get("by", (self.statement_der, self.statement))
        return VouchRequest(
            request=request.ask(named, "tls", key).csr_der,
            statement=words.signed(body, der, by),
        )

    def given(self, est_: est.Est, **other: object) -> bytes:
        """A certificate for its TLS key, DER."""
        return vouching.vouch(self.world.centre, est_, CHALLENGE, self.asks(**other))

    @property
    def identity(self) -> BoxIdentity:
        """As its core has it."""
        key = FileKey(self.statement.private, authority.key_pem(self.statement.private))
        anchors = tls.authority_file(self.world, "server-authority", self.world.servers)
        certificate = x509.load_der_x509_certificate(self.statement_der)
        return BoxIdentity(None, key, certificate, Path(anchors).read_text("ascii"), None)

    def vouching(self, port: int, **how) -> Vouching:
        """As its core's."""
        where = Where((("127.0.0.1", port),), tls.NAME)
        return Vouching(self.identity, where, self.name, **how)
