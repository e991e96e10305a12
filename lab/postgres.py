"""What a PostgreSQL server itself says about its clients."""

from __future__ import annotations

import psycopg


def server_connections(url: str, application_name: str) -> int:
    """How many connections the server holds for clients that call themselves `application_name`.

    Counted on the server, all databases together, so it also sees connections that a pool or a
    killed client has forgotten. The connection that asks is not counted.

    Args:
        url: any database of the server.
        application_name: what the clients put into `application_name`, at most 63 bytes.

    Raises:
        psycopg.OperationalError: the server does not answer within five seconds.
    """
    with psycopg.connect(url, connect_timeout=5, application_name="lab count") as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND application_name = %s"
            " AND pid <> pg_backend_pid()",
            (application_name,),
        ).fetchone()
        assert row is not None
        return int(row[0])
