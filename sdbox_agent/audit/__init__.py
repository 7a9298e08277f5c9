"""The hash-chained record of what happened on this box."""
