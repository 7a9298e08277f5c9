"""How an older database becomes today's, one step a file; run by sdbox_centre.schema."""

import sqlalchemy
from sqlalchemy import BigInteger

Integer = sqlalchemy.Integer().with_variant(BigInteger(), "postgresql")  # as tables.py has it
