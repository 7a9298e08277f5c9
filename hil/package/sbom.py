"""A bill of materials: uv's own (CycloneDX 1.5), without what differs at each writing of it."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Final

SPACE: Final = uuid.UUID("0f3f9b0a-8d1f-5a39-9d0e-4b8a2f0c7a61")  # ours; drawn once


def settled(exported: bytes, name: str, version: str, epoch_s: int) -> bytes:
    """`uv export --format cyclonedx1.5`, for package `name`: same lock and commit, same bytes.

    Serial number and time follow from the contents and from the commit; the root is the package.
    """
    bill = json.loads(exported)
    bill["metadata"]["timestamp"] = dt.datetime.fromtimestamp(epoch_s, dt.UTC).isoformat()
    root = bill["metadata"]["component"]
    root |= {"type": "application", "name": name, "version": version}
    root.pop("properties", None)
    bill.pop("serialNumber", None)
    body = json.dumps(bill, sort_keys=True)
    bill["serialNumber"] = uuid.uuid5(SPACE, body).urn
    return (json.dumps(bill, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
