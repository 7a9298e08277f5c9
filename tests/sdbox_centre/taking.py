"""What each of two processes does at once; apart, so that a process needs to import little."""

from pathlib import Path

from sdbox_centre.store import Store


def take_attempts(path: Path, taken) -> None:
    store = Store(path)
    for _ in range(40):
        with store.begin() as tx:
            row = tx.exec_driver_sql(
                "UPDATE cards SET failures = failures + 1 WHERE failures < 50 RETURNING failures"
            ).first()
        if row is not None:
            taken.put(row.failures)
    store.close()
