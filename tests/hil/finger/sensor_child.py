"""A process with libfprint's virtual image device open: captures when told, says what came.

Lines in: "capture", "reopen". Lines out: JSON.
"""

import ctypes
import hashlib
import json
import signal
import sys

import gi

gi.require_version("FPrint", "2.0")
from gi.repository import FPrint, GLib  # noqa: E402 - the version comes first


def capture(device: object) -> dict[str, object]:
    try:
        image = device.capture_sync(True, None)
    except GLib.Error as error:
        return {"domain": error.domain, "code": error.code}
    data = bytes(image.get_data())
    return {
        "width": image.get_width(),
        "height": image.get_height(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "minutiae": len(image.get_minutiae()),
    }


def say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    context = FPrint.Context()
    (device,) = [d for d in context.get_devices() if d.get_driver() == "virtual_image"]
    device.open_sync(None)
    say({"open": True})
    for line in sys.stdin:
        if line == "capture\n":
            say(capture(device))
        elif line == "reopen\n":
            device.close_sync(None)
            device.open_sync(None)
            say({"open": True})


main()
