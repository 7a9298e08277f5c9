"""[door] The process in which a card maker's library runs: one card, one session, then it ends.

    python -m sdbox_agent.card.pkcs11_child SOCKET PARENT

Started by the card worker with one end of a socket pair. The library's code has no network, no
capability and no file to write; a card that breaks it has broken into this. It ends with the worker
(or the worker's thread that started it), and after the first error: a session after an error can't
be relied on (OpenSC: OperationActive for every call).
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
from typing import TYPE_CHECKING, Final, cast

from sdbox_agent import hardening
from sdbox_agent.card import pkcs11_frames as frames
from sdbox_agent.errors import DecodeError, SdboxError

if TYPE_CHECKING:
    from sdbox_agent.card.pkcs11_library import Library

# For OpenSC, if it is the library: the card is held alone (others can't use the keys a PIN has
# opened, and pcscd resets the card of a client that is killed), and no PIN is kept.
_OPENSC: Final = b"""app default {
    reader_driver pcsc { connect_exclusive = true; disconnect_action = reset; }
    framework pkcs15 { use_pin_caching = false; use_file_caching = no; }
}
"""
_OPENSC_VARIABLE: Final = "OPENSC_CONF"
_PADDING: Final = 0xFF


def serve(sock: socket.socket) -> None:
    """Answer until the worker goes, or something fails."""
    buffer = bytearray(frames.MAX_FRAME_BYTES)
    library: Library | None = None
    while size := sock.recv_into(buffer):
        with memoryview(buffer)[:size] as frame:
            try:
                if library is None:
                    library, reply = _open(frames.decode_request(frame))
                else:
                    reply = _answer(library, frame)
            except (SdboxError, DecodeError) as error:
                code = error.code if isinstance(error, SdboxError) else "card-failed"
                sock.send(frames.encode(frames.Failed(cast("frames.Code", code))))
                return
            finally:
                frame[:] = bytes(size)
        sock.send(frames.encode(reply))


def _open(request: frames.Request) -> tuple[Library, frames.Reply]:
    from sdbox_agent.card.pkcs11_library import Library  # noqa: PLC0415  in this process alone, closed by now

    if not isinstance(request, frames.Open):
        raise DecodeError("not opened")
    library = Library(request.module)
    return library, library.open(request.serial)


def _answer(library: Library, frame: memoryview) -> frames.Reply:
    if frame[0] == frames.PIN:
        return _tried(library.login(_digits(frame[1:])))
    match frames.decode_request(frame):
        case frames.Login():
            return _tried(library.login(None))
        case frames.Sign() as request:
            return frames.Done(library.sign(request.key, request.scheme, request.digest))
        case frames.Unwrap() as request:
            return frames.Done(library.unwrap(request.algorithm, request.blob))
        case frames.Open():
            raise DecodeError("opened already")


def _tried(left: int | None) -> frames.Reply:
    return frames.Done() if left is None else frames.Wrong(left)


def _digits(field: memoryview) -> memoryview:
    """The PIN without PIV's padding (SP 800-73pt2-5 section 2.4.3), which is not PKCS#11's."""
    size = len(field)
    while size and field[size - 1] == _PADDING:
        size -= 1
    return field[:size]


def _configure_opensc() -> None:
    if _OPENSC_VARIABLE in os.environ:
        return
    file = os.memfd_create("opensc.conf")  # open until the end: read when the library is loaded
    os.write(file, _OPENSC)
    os.environ[_OPENSC_VARIABLE] = f"/proc/self/fd/{file}"


def main(argv: list[str]) -> int:
    """Close up, then serve the socket."""
    sock, parent = int(argv[0]), int(argv[1])
    hardening.die_with_parent(parent)
    hardening.close_memory()
    _configure_opensc()
    hardening.renounce()
    hardening.keep_out_of_swap()
    importlib.import_module("sdbox_agent.card.pkcs11_library")  # now, not with the card waiting
    with socket.socket(fileno=sock) as worker:
        serve(worker)
    return 0


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # no finaliser of the library's: the worker resets the card
