"""Real servers on free loopback ports: PostgreSQL, Valkey, NATS, S3 (SeaweedFS), nginx.

Each function starts one of your own and returns it ready to use; as a context manager it ends with
the block. Programs come from the wheels of this environment, else from PATH. Everything a server
writes is in the run's private folder (`lab.reaper`), and nothing listens beyond 127.0.0.1.
"""

from __future__ import annotations

from lab.errors import PortInUse, ServerUnavailable
from lab.servers.base import Server
from lab.servers.binaries import versions
from lab.servers.nats import nats
from lab.servers.nginx import nginx
from lab.servers.postgres import Pair, PostgresServer, postgres, postgres_pair
from lab.servers.s3 import Bucket, S3Server, s3
from lab.servers.valkey import valkey

__all__ = [
    "Bucket",
    "Pair",
    "PortInUse",
    "PostgresServer",
    "S3Server",
    "Server",
    "ServerUnavailable",
    "nats",
    "nginx",
    "postgres",
    "postgres_pair",
    "s3",
    "valkey",
    "versions",
]
