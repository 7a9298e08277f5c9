"""What each of two processes does at once; apart, so that a process needs to import little."""

from sdbox_centre.engines import Database
from sdbox_centre.store import Store


def take_attempts(database: Database, taken) -> None:
    store = Store(database)
    for _ in range(40):
        with store.begin() as tx:
            row = tx.exec_driver_sql(
                "UPDATE cards SET failures = failures + 1 WHERE failures < 50 RETURNING failures"
            ).first()
        if row is not None:
            taken.put(row.failures)
    store.close()
