"""A bill of materials that the same lock and commit write alike."""

import json
import re

from hil.package import environment, sbom
from hil.package.environment import REPOSITORY

EPOCH_S = 1_767_323_045


def _exported(serial: str, time: str, name: str = "x") -> bytes:
    metadata = {
        "timestamp": time,
        "component": {"name": "p", "bom-ref": "p-1", "properties": [{"name": "n", "value": "v"}]},
    }
    components = [{"name": name}]
    return json.dumps(
        {"serialNumber": serial, "metadata": metadata, "components": components}
    ).encode()


def test_what_differs_at_each_writing_is_gone() -> None:
    one = sbom.settled(_exported("urn:uuid:1", "2026"), "sdbox-agent", "1", EPOCH_S)
    assert one == sbom.settled(_exported("urn:uuid:2", "2027"), "sdbox-agent", "1", EPOCH_S)
    assert json.loads(one)["metadata"]["timestamp"] == "2026-01-02T03:04:05+00:00"


def test_another_bill_has_another_number() -> None:
    numbers = {
        json.loads(sbom.settled(_exported("", "", name), "sdbox-agent", version, EPOCH_S))[
            "serialNumber"
        ]
        for name in ("x", "y")
        for version in ("1", "2")
    }
    assert len(numbers) == 4
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", number) for number in numbers)


def test_it_names_what_a_box_runs_by_hash_and_nothing_of_the_developers() -> None:
    bill = json.loads(sbom.settled(environment.bill(None), "sdbox-agent", "1", EPOCH_S))
    names = {component["name"] for component in bill["components"]}
    assert {"cryptography", "pyscard", "numpy"} <= names
    assert not names & {"pytest", "fastapi", "sqlalchemy", "ruff", "shtab"}
    for component in bill["components"]:
        assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}" or (
            ";" in component.get("purl", "")
        )
        for file in component["externalReferences"]:
            assert file["hashes"][0]["alg"] == "SHA-256"
    assert (REPOSITORY / "uv.lock").exists()


def test_a_centre_brings_no_part_of_a_box() -> None:
    bill = json.loads(sbom.settled(environment.bill("centre"), "sdbox-centre", "1", EPOCH_S))
    names = {component["name"] for component in bill["components"]}
    assert {"cryptography", "fastapi", "sqlalchemy", "uvicorn", "psycopg", "pyscard"} <= names
    assert not names & {"numpy", "pyudev", "tpm2-pytss", "python-pkcs11", "httpx", "systemd-python"}
    assert bill["metadata"]["component"]["name"] == "sdbox-centre"
