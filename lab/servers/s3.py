"""An S3 server (SeaweedFS) that checks signatures, expiry, sizes and checksums as AWS does."""

from __future__ import annotations

import secrets
import signal
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import reaper
from lab.servers import binaries
from lab.servers.base import HOST, Server, free_port, start_on_free_port

GRPC = 10_000  # SeaweedFS listens for its own protocol this far above each port
PARTS = ("s3", "master", "volume", "filer", "admin")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where a bucket is and what opens it.

    Attributes:
        endpoint_url: address of the S3 server.
        access_key: the AWS access key id.
        secret_key: the AWS secret access key.
        region: the AWS region name.
        name: the bucket's name.
    """

    endpoint_url: str
    access_key: str
    secret_key: str
    region: str
    name: str

    def environment(self) -> dict[str, str]:
        """The variables that the AWS tools and the snippets' demos read."""
        return {
            "S3_ENDPOINT_URL": self.endpoint_url,
            "S3_BUCKET": self.name,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
        }

    def client(self) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
        """A boto3 client of the server with these keys; close it."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )


class S3Server(Server):
    """A SeaweedFS server with one pair of keys, made for it."""

    access_key = "firedrill"
    secret_key = ""
    region = "us-east-1"

    def bucket(self, name: str) -> Bucket:
        """The description of a bucket on this server; it need not exist."""
        return Bucket(self.url, self.access_key, self.secret_key, self.region, name)


def s3() -> S3Server:
    """Start an S3 server of your own, in about a second (about 140 MB of memory).

    Raises:
        ServerUnavailable: there is no SeaweedFS, or it does not start.
    """
    program = str(binaries.seaweedfs())
    secret = secrets.token_hex(20)

    def make(port: int) -> Server:
        home = reaper.current().subfolder("s3")
        (home / "data").mkdir()
        ports = {"s3": port}
        for part in PARTS[1:]:
            ports[part] = _another_port(set(ports.values()))
        url = f"http://{HOST}:{port}"

        def ready() -> bool:
            # A volume can be assigned, which the first PUT needs: about a second after the port.
            assigned = _get(f"http://{HOST}:{ports['master']}/dir/assign")
            return b'"fid"' in assigned and bool(_get(f"{url}/healthz", default=b"ok"))

        server = S3Server(
            "s3",
            [
                *(program, "-logtostderr=true", "mini", f"-ip={HOST}", f"-ip.bind={HOST}"),
                *(f"-dir={home}/data", "-admin.ui=false", "-webdav=false"),
                "-master.telemetry=false",  # it reports to its makers otherwise
                *("-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.preStopSeconds=0"),
                *(f"-s3.localSocket={home}/s3.sock", f"-filer.localSocket={home}/filer.sock"),
                *(f"-{part}.port={number}" for part, number in ports.items()),
            ],
            url=url,
            port=port,
            home=home,
            ready=ready,
            stop_signal=signal.SIGKILL,  # a clean stop takes a second, for data thrown away
            environment={
                "AWS_ACCESS_KEY_ID": S3Server.access_key,
                "AWS_SECRET_ACCESS_KEY": secret,
                "TMPDIR": str(home),
            },
            litter=tuple(
                Path(f"/tmp/seaweedfs-{part}-grpc-{number + GRPC}.sock")  # noqa: S108 - its choice
                for part, number in ports.items()
            ),
        )
        server.secret_key = secret
        return server

    server = start_on_free_port(make, GRPC)
    assert isinstance(server, S3Server)
    return server


def _another_port(taken: set[int]) -> int:
    while (port := free_port(GRPC)) in taken:
        pass
    return port


def _get(url: str, default: bytes = b"") -> bytes:
    with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310 - our own loopback URL
        body: bytes = response.read()
        return body or default
