"""nginx, and curl where a file is fetched: what a server and its clients would do. No verification, no sharing by viewers."""

import os
import re
import subprocess
import time

from .. import web
from ..proc import until
from .base import System, Unavailable, find, run

PORT = 8000

CONFIG = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 65;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{ listen {ip}:{port}; root {root}; }}
}}
"""


class Nginx(System):
    """One server; viewers read from it directly."""

    name = "nginx"
    has_many_sources = False
    binary = None

    @classmethod
    def prepare(cls, cache, may_install):
        unpacked = os.path.join(cache, "nginx/usr/sbin/nginx")
        cls.binary = find("nginx") or (unpacked if os.path.exists(unpacked) else None)
        if not cls.binary and may_install and find("apt-get"):
            # Unpacked and not installed, since installing it would start a server on this machine.
            folder = os.path.join(cache, "nginx")
            os.makedirs(folder, exist_ok=True)
            run(["apt-get", "download", "nginx"], folder, what="nginx")
            packages = [name for name in os.listdir(folder) if name.endswith(".deb")]
            run(["dpkg", "-x", packages[0], folder], folder, what="nginx")
            cls.binary = unpacked
        if not cls.binary:
            raise Unavailable("nginx is not installed")
        if not find("curl"):
            raise Unavailable("curl is not installed")
        answer = subprocess.run([cls.binary, "-v"], capture_output=True, text=True)
        found = re.search(r"nginx/(\S+)", answer.stderr)
        if not found:
            raise Unavailable(f"nginx does not start: {answer.stderr.strip()}")
        curl = subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout.split()[1]
        return f"{found[1]}, curl {curl}"

    def seed(self, host, file):
        folder = self.lab.subfolder("nginx")
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w") as config:
            config.write(CONFIG.format(folder=folder, ip=host.ip, port=PORT, root=file.folder))
        program = self.lab.start(host.name, [self.binary, "-c", path, "-e", os.path.join(folder, "start.err")], host)
        self._server = host.ip
        until("nginx", lambda: program.check() or web.answers(web.Url(host, host.ip, PORT, "/")))
        return program

    def viewer(self, host, file):
        return None

    def click(self, host, file):
        return web.Url(host, self._server, PORT, "/" + file.name)

    def fetch(self, host, file):
        out = os.path.join(self.lab.subfolder(host.name), file.name)
        begun = time.monotonic()
        program = self.lab.start(f"{host.name}-curl", ["curl", "-sf", "-o", out, f"http://{self._server}:{PORT}/{file.name}"], host)
        if program.wait(600) != 0:
            raise RuntimeError(program.log_tail())
        return time.monotonic() - begun, program, out
