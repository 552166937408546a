"""Runs migrations over the connection that collector.ledger.migrate hands over, in one transaction."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=context.config.attributes["target_metadata"])
context.run_migrations()
