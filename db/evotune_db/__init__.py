"""The record: schema, migrations, writes and leaderboard queries."""
