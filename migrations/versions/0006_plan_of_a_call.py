"""How the gateway chose the endpoints of a call: a name of kind plan, in words that recur."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("plan", sa.Integer))
