"""High-water marks: what this box has seen, and takes no lower.

Boot counter, wire and policy versions, the centre's clock, each issuer's CRL number. Durable when
a method returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.state.record import MAX_ISSUERS
from sdbox_agent.terms import SHA256_BYTES

if TYPE_CHECKING:
    from sdbox_agent.state.store import Store

CLOCK_STEP_S: Final = 60  # the clock's mark is saved no oftener: a save costs two fsyncs


class Marks:
    """The marks in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._clock_utc_s = store.state.clock_utc_s

    def boot(self) -> int:
        """Count this start; the centre suspends a box whose counter goes back. Raises Fault."""
        counter = self._store.state.boot_counter + 1
        self._store.save(msgspec.structs.replace(self._store.state, boot_counter=counter))
        return counter

    def hello(self, *, utc_s: int, wire: int, policy_version: int) -> None:
        """Take the centre's answer to hello.

        Raises Refused("wire-unsupported") for a lower wire version than seen before,
        Fault("centre-answer-invalid") for a lower policy version, and Fault of the store.
        """
        state = self._store.state
        if wire < state.wire:
            raise Refused("wire-unsupported")
        if policy_version < state.policy_version:
            raise Fault("centre-answer-invalid")
        self._clock_utc_s = max(self._clock_utc_s, utc_s)
        raised = wire > state.wire or policy_version > state.policy_version
        if raised or self._clock_utc_s >= state.clock_utc_s + CLOCK_STEP_S:
            self._store.save(
                msgspec.structs.replace(
                    state, wire=wire, policy_version=policy_version, clock_utc_s=self._clock_utc_s
                )
            )

    def settings(self, serial: int) -> None:
        """Take the settings of that serial.

        Raises Fault("settings-rolled-back") for a lower one than seen before, and Fault of the
        store.
        """
        seen = self._store.state.settings or 0
        if serial < seen:
            raise Fault("settings-rolled-back")
        if serial > seen:
            self._store.save(msgspec.structs.replace(self._store.state, settings=serial))

    def trusted_utc_s(self, system_utc_s: int) -> int:
        """The time to judge certificates by: never before a time the centre has told us.

        Raises Fault("clock-unset") before the first hello.
        """
        if not self._clock_utc_s:
            raise Fault("clock-unset")
        return max(system_utc_s, self._clock_utc_s)

    def crl(self, issuer_sha256: bytes, number: int) -> None:
        """Take a CRL by its number (RFC 5280 section 5.2.3).

        Raises Fault("crl-invalid") for a lower number than seen before, and Fault of the store.
        """
        if len(issuer_sha256) != SHA256_BYTES:
            raise ValueError("an issuer is named by a SHA-256")
        state, issuer = self._store.state, issuer_sha256.hex()
        seen = state.crl_numbers.get(issuer, -1)
        if number < seen or number >= 2**53:
            raise Fault("crl-invalid")
        if number > seen:
            numbers = {**state.crl_numbers, issuer: number}
            if len(numbers) > MAX_ISSUERS:
                raise Fault("crl-invalid")
            self._store.save(msgspec.structs.replace(state, crl_numbers=numbers))
