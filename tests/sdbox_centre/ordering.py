"""Boxes that were ordered, and the boxes' authority that gives them certificates."""

import base64
import hashlib
import os

from sdbox_agent.identity import request
from sdbox_agent.pki import boxcertificate
from sdbox_centre import authority, est
from sdbox_centre.staff import payload
from tests.pki.boxed import Key
from tests.sdbox_centre.world import World

DAY_S = 86400
NAME = "test-box-09"


class Ordered:
    """One: its token, its keys, and what it asks."""

    def __init__(self, world: World, name: str = NAME, days: int = 30, **said: object) -> None:
        self.world, self.name = world, name
        self.keys = {purpose: Key(authority.new_key()) for purpose in boxcertificate.KINDS}
        self.order(days, **said)

    def order(self, days: int = 30, **said: object) -> None:
        """Staff's act; an earlier token is void."""
        self.token = base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
        now_s = self.world.clock.utc
        act = {
            "token_sha256": hashlib.sha256(self.token.encode()).digest(),
            "token_until_s": now_s + days * DAY_S,
            "host": "Test host",
            "place": "Room 1",
            "voucher": "V-1",
            "country": "FR",
            "rental_from_s": now_s,
            "rental_until_s": now_s + 1000 * DAY_S,
            **said,
        }
        office = self.world.office
        self.world.staff.enter(office.first_or_next(payload.Order, "test", box=self.name, **act))

    def asks(self, purpose: boxcertificate.Purpose = "tls", key: Key | None = None):
        return request.ask(self.name, purpose, key or self.keys[purpose])

    def read(self, purpose: boxcertificate.Purpose = "tls", key: Key | None = None, **shown: str):
        said = {"box": self.name, "token": self.token, **shown}
        return est.read(self.asks(purpose, key).csr_der, purpose, **said)

    def activate(self) -> None:
        """As `box activate` says it."""
        with self.world.store.begin() as tx:
            issued = est.found(tx, hashlib.sha256(self.token.encode()).digest())
        said = {
            "tls_sha256": hashlib.sha256(self.keys["tls"].public_key_der).digest(),
            "statement_certificate": issued["statement"],
            "state": "active",
            "country": "FR",
            "placed_s": self.world.clock.utc,
            "rental_from_s": self.world.clock.utc,
            "rental_until_s": self.world.clock.utc + 1000 * DAY_S,
        }
        office = self.world.office
        self.world.staff.enter(office.first_or_next(payload.Box, "test", box=self.name, **said))


def est_of(world: World) -> est.Est:
    """By the authority that the world's API trusts boxes of."""
    return est.Est(world.boxes, (world.boxes.certificate_der,), (), world.acts.newest)
