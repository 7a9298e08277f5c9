"""[door] A card spoken to by its maker's library (PKCS#11), which runs in a child process.

The worker builds every byte that is signed; the child gets a digest. Its library may hang, crash or
lie: every request has a deadline, an error is its last word, and at the end, however it came, the
child is killed and the card reset over a connection of our own. A session is one child, one login
and at most one unwrap.

What a library can't do: compare a finger, show the CHUID, count PIN tries (two means "two or more",
and a library that never sets CKF_USER_PIN_FINAL_TRY gives no warning of the last).
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, NoReturn

from sdbox_agent.card import apdu, piv, spki, work
from sdbox_agent.card import pkcs11_frames as frames
from sdbox_agent.card.kinds import candidates, fits, is_contactless
from sdbox_agent.card.token import CHANNEL_CODES, Face, Signature
from sdbox_agent.errors import AskAgain, Bug, DecodeError, Fault, Refused, SdboxError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sdbox_agent.card.channel import Channel
    from sdbox_agent.card.token import Decision
    from sdbox_agent.cardkind import CardKind, FingerKey, KeyName
    from sdbox_agent.statements import fields

    Mark = Callable[[float], AbstractContextManager[object]]

# Ours
REQUEST_DEADLINE_S: Final = 8.0  # below the worker's own 10 s a call: that one ends the worker
PAD_DEADLINE_S: Final = 30.0  # a person types
RESET_DEADLINE_S: Final = 1.5  # pcscd may still hold the card for the child; closing: 2 s
_LOOK_AGAIN_S: Final = 0.02
_ERRORS: Final[dict[str, type[SdboxError]]] = {
    "card-kind-unknown": Refused,
    "ambiguous-card": AskAgain,
    "card-data-invalid": Refused,
    "card-key-refused": Fault,
    "card-blocked": Refused,
    "card-removed": Refused,
    "card-failed": Fault,
}


class Child:
    """The process with the library in it. `ask` is for one thread; `kill` for any."""

    def __init__(self) -> None:
        """Start it: it dies with the thread that does this."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        isolated = ["-I"] if sys.flags.isolated else []
        command = [sys.executable, *isolated, "-m", "sdbox_agent.card.pkcs11_child"]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  ourselves again
                [*command, str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # a library's own words may hold anything
            )
        self._socket = ours
        self._by_us = False  # its end is our doing

    def watch(self, ended: Callable[[], None]) -> None:
        """Call `ended`, in another thread, if it ends and nobody here made it."""

        def wait() -> None:
            self._process.wait()
            if not self._by_us:
                ended()

        threading.Thread(target=wait, name="library", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def ask(self, *parts: bytes | bytearray, within_s: float) -> frames.Reply:
        """Send one frame and wait. Raises Fault("card-mute"), Fault("card-failed")."""
        self._socket.settimeout(within_s)
        try:
            self._socket.sendmsg(parts)
            return frames.decode_reply(self._socket.recv(frames.MAX_FRAME_BYTES))
        except TimeoutError:
            raise Fault("card-mute") from None
        except (OSError, DecodeError):
            raise Fault("card-failed") from None

    def is_alive(self) -> bool:
        """Whether it can still be asked."""
        return self._process.poll() is None

    def kill(self) -> None:
        """From any thread: no more of it. Whoever waits in `ask` is told."""
        self._by_us = True
        self._process.kill()

    def close(self) -> None:
        """Kill it and wait until it has gone."""
        self.kill()
        self._process.wait()
        self._socket.close()


class Spare:
    """One child that waits warm: to start Python takes longer than all the rest of an opening.

    Both calls belong to the card's thread, with which the child then dies. Until a card has needed
    a library there is none.
    """

    def __init__(self) -> None:
        self._child: Child | None = None

    def take(self) -> Child:
        """The one that waits, or a new one."""
        child, self._child = self._child, None
        if child is not None and not child.is_alive():
            child.close()
            child = None
        return child or Child()

    def refill(self) -> None:
        """Have one wait for the next card."""
        if self._child is None:
            self._child = Child()

    def close(self) -> None:
        """Let it go."""
        child, self._child = self._child, None
        if child is not None:
            child.close()


class LibraryToken:
    """A `Token` through a library. `connect` takes the card itself, to reset it."""

    def __init__(
        self,
        connect: Callable[[], Channel],
        mark: Mark = contextlib.nullcontext,
        *,
        spare: Spare | None = None,
        ended: Callable[[], None] = lambda: None,
        deadline_s: float = REQUEST_DEADLINE_S,
    ) -> None:
        """`ended` is called, in some thread, when the library's process dies by itself."""
        self._connect = connect
        self._spare = spare
        self._ended = ended
        self._mark = mark
        self._deadline_s = deadline_s
        self._child: Child | None = None
        self._face: Face | None = None
        self._keys: dict[str, spki.PublicKey] = {}
        self._left = 0
        self._stopped = False
        self._to_reset = False
        self._used = False

    @property
    def child_pid(self) -> int | None:
        """The library's process, while there is one."""
        return self._child.pid if self._child else None

    # -- Token -----------------------------------------------------------------------------------

    def open(self, kinds: tuple[CardKind, ...]) -> Face:
        """As `Token.open`, among the kinds that are reached by a library.

        Also raises AskAgain("ambiguous-card") where a kind names no serial and two tokens are in.
        """
        channel = self._connect()
        try:
            atr = channel.atr
        finally:
            channel.close()  # and what another program left open is closed by this reset
        if is_contactless(atr):
            raise Refused("card-contactless")
        for kind in candidates(kinds, "pkcs11", atr):
            with contextlib.suppress(_OtherKindError):
                return self._open(kind)
        raise Refused("card-kind-unknown")

    def sign(self, statement: fields.Statement, key: KeyName) -> Signature:
        """As `Token.sign`. That the card is still the same is proved by the signature alone."""
        face, holder = self._opened(), self._keys[key]
        unsigned = work.unsigned(statement, holder, face.certificates[key])
        scheme: frames.Scheme = "pss" if isinstance(holder, spki.RsaKey) else "ecdsa"
        size_bytes = _signature_bytes(holder)
        return unsigned.signed(
            lambda digest: self._value(frames.Sign(key, scheme, digest), size_bytes)
        )

    def unwrap(self, algorithm: str, blob: bytes) -> bytes:
        """As `Token.unwrap`; what the library says against the message ends its process too."""
        self._opened()
        try:
            return self._unwrap(algorithm, blob)
        except (DecodeError, SdboxError) as error:
            if isinstance(error, SdboxError) and error.code in CHANNEL_CODES:
                raise
            self._end()
            raise Refused("reference-not-for-this-card") from None

    def compare(self, key: FingerKey, minutiae: bytes) -> Decision:
        """As `Token.compare`: no library reaches 96 and 97."""
        del key, minutiae
        raise Bug("worker-protocol")

    def verify_pin(self, field: bytearray | None, *, last: bool) -> int | None:
        """As `Token.verify_pin`; 2 tries left are two or more."""
        face = self._opened()
        if (field is None) != face.pad:
            raise Bug("worker-protocol")
        if self._left == 0:
            return 0
        if self._left == 1 and not last:
            raise AskAgain("pin-last-try")
        if field is None:
            reply = self._ask(frames.encode(frames.Login()), within_s=PAD_DEADLINE_S)
        else:
            reply = self._ask(bytes([frames.PIN]), field, within_s=self._deadline_s)
        match reply:
            case frames.Done():
                return None
            case frames.Wrong(left=left):
                self._left = left
                return left
            case _:
                return self._fail(Fault("card-failed"))

    def stop(self) -> None:
        """As `Token.stop`: the library is not waited for."""
        self._stopped = True
        child = self._child
        if child is not None:
            child.kill()

    def close(self) -> None:
        """As `Token.close`; then a child is made ready for the next card, if this one had one."""
        self._stopped = True
        self._end()
        if self._spare and self._used:
            self._spare.refill()

    # -- the steps -------------------------------------------------------------------------------

    def _open(self, kind: CardKind) -> Face:
        if self._stopped:
            raise Refused("card-removed")
        self._child, self._to_reset = self._spare.take() if self._spare else Child(), True
        if self._stopped:  # meanwhile: looked at once there is a child for `stop` to kill
            self._fail(Refused("card-removed"))
        self._used = True
        request = frames.encode(frames.Open(kind.module, kind.token_serial))
        reply = self._ask(request, within_s=self._deadline_s)
        if not isinstance(reply, frames.Shown):
            self._fail(Fault("card-failed"))
        shown = (reply.auth, reply.key_management, reply.card_auth)
        certificates = dict(zip(piv.KEYS, shown, strict=True))
        try:
            self._keys = {name: spki.of_certificate(der) for name, der in certificates.items()}
        except DecodeError:
            self._fail(Refused("card-data-invalid"))
        if not fits(kind, self._keys.values(), compares=False):
            self._end()
            raise _OtherKindError
        self._left = reply.left
        self._child.watch(self._ended)
        self._face = Face(kind, certificates, pin_left=reply.left, pad=reply.pad and kind.pad)
        return self._face

    def _opened(self) -> Face:
        if self._face is None or self._child is None:
            raise Refused("card-removed")
        return self._face

    def _unwrap(self, algorithm: str, blob: bytes) -> bytes:
        key = self._keys["9D"]
        work.check_wrapped(algorithm, blob, key)
        if isinstance(key, spki.EcKey):
            return self._value(frames.Unwrap("ecdh", blob), key.curve.size_bytes)
        return self._value(frames.Unwrap("rsa-oaep-sha256", blob), None)

    def _value(self, request: frames.Request, size_bytes: int | None) -> bytes:
        reply = self._ask(frames.encode(request), within_s=self._deadline_s)
        if not isinstance(reply, frames.Done) or len(reply.value) != (
            size_bytes or len(reply.value)
        ):
            self._fail(Fault("card-failed"))
        return reply.value

    def _ask(self, *parts: bytes | bytearray, within_s: float) -> frames.Reply:
        """One request; an error of any kind is the end of the child."""
        child = self._child
        if child is None or self._stopped:
            raise Refused("card-removed")
        try:
            with self._mark(within_s):
                reply = child.ask(*parts, within_s=within_s)
        except Fault as error:
            self._fail(error)
        if isinstance(reply, frames.Failed):
            if reply.code == "card-kind-unknown":
                self._end()
                raise _OtherKindError
            self._fail(_ERRORS[reply.code](reply.code))
        return reply

    # -- the end ---------------------------------------------------------------------------------

    def _fail(self, error: SdboxError) -> NoReturn:
        """End it, and raise `error`; or card-removed, if that is what it was.

        A card that does not answer is not asked again while somebody waits: `close` resets it.
        """
        if error.code == "card-mute" and self._child is not None:
            self._child.close()
            self._child = None
            raise error
        if self._end() or self._stopped:
            raise Refused("card-removed")
        raise error

    def _end(self) -> bool:
        """The child goes first, then what it has left in the card. True: the card is gone."""
        child, self._child = self._child, None
        if child is not None:
            child.close()
        if not self._to_reset:
            return False
        self._to_reset = False
        end_s = time.monotonic() + RESET_DEADLINE_S
        while True:
            try:
                return self._reset()
            except SdboxError as error:
                if error.code in CHANNEL_CODES or time.monotonic() > end_s:
                    # The reader or pcscd has gone, or another program holds the card by now.
                    sys.stderr.write(f"card worker: the card was not reset: {error.code}\n")
                    return False
            time.sleep(_LOOK_AGAIN_S)

    def _reset(self) -> bool:
        """Take the card, ask it anything, and let go: that resets it. True: it is gone."""
        channel: Channel | None = None
        try:
            channel = self._connect()
            channel.exchange(apdu.frames(piv.select())[0])  # any command would do
        except Refused as error:
            if error.code != "card-removed":
                raise
            return True
        else:
            return False
        finally:
            if channel is not None:
                channel.close()


class _OtherKindError(Exception):
    """The library does not know this card."""


def _signature_bytes(key: spki.PublicKey) -> int:
    return key.size_bytes if isinstance(key, spki.RsaKey) else 2 * key.curve.size_bytes
