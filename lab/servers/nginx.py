"""nginx, as load balancer and reverse proxy."""

from __future__ import annotations

import os
import signal
import socket

from lab import reaper
from lab.servers import binaries
from lab.servers.base import HOST, Server, runnable, start_on_free_port

_FRAME = """\
daemon off;
worker_processes 1;
pid {home}/pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log {home}/access.log;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
{config}
}}
"""


def nginx(config_text: str) -> Server:
    """Start an nginx server of your own, in a few tenths of a second.

    Args:
        config_text: what stands inside the `http` block: `upstream` and `server` blocks. Each
            `{port}` in it becomes the port of `url`, each `{home}` the server's folder (for
            `proxy_cache_path`); write `listen 127.0.0.1:{port};`.

    Raises:
        ValueError: the text does not say `listen 127.0.0.1:{port};`.
        ServerUnavailable: there is no nginx, or it refuses the configuration.
    """
    if "listen 127.0.0.1:{port}" not in config_text:
        raise ValueError("config_text must contain 'listen 127.0.0.1:{port};'")
    program = str(runnable(binaries.nginx()))

    def make(port: int) -> Server:
        home = reaper.current().subfolder("nginx")
        body = config_text.replace("{port}", str(port)).replace("{home}", str(home))
        config = home / "nginx.conf"
        config.write_text(_FRAME.format(home=home, config=body))
        if who := reaper.ordinary_user():
            os.chown(home, who["user"], who["group"])

        def ready() -> bool:
            socket.create_connection((HOST, port), 0.5).close()
            return True

        return Server(
            "nginx",
            [program, "-p", str(home), "-e", "stderr", "-c", str(config)],
            url=f"http://{HOST}:{port}",
            port=port,
            home=home,
            ready=ready,
            stop_signal=signal.SIGTERM,
            as_ordinary_user=True,
        )

    return start_on_free_port(make)
