"""Run the migrations, on the connection and in the transaction that Alembic was called with."""

from alembic import context

from evotune_db.schema.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
