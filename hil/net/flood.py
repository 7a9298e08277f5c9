"""A paced flood of datagrams: `python -m hil.net.flood ADDRESS PORT GAP_US SECONDS`.

What can't be sent is tried again at the next beat: a closed way out must not stop the flood.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
import time


def flood(address: str, port: int, gap_us: float, seconds: float) -> int:
    """Send 64 bytes every `gap_us`, on the beat; how many the kernel took."""
    version = ipaddress.ip_address(address).version
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    sent = 0
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        start_s = next_s = time.monotonic()
        while next_s < start_s + seconds:
            with contextlib.suppress(OSError):
                sent += bool(sock.sendto(bytes(64), (address, port)))
            next_s += gap_us / 1e6
            time.sleep(max(next_s - time.monotonic(), 0))
    return sent


if __name__ == "__main__":
    print(flood(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
