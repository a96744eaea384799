"""What a fresh container of the simulated node has on its disk: small, but what one expects."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from containers.drivers import Spec

_NAMES = {"almalinux": "AlmaLinux", "centos": "CentOS", "opensuse": "openSUSE"}

FOLDERS = {
    "boot": 0o755, "dev": 0o755, "etc/cron.d": 0o755, "etc/nginx/conf.d": 0o755,
    "etc/nginx/sites-available": 0o755, "etc/ssh": 0o755, "home": 0o755, "media": 0o755,
    "mnt": 0o755, "opt": 0o755, "proc": 0o555, "root/.ssh": 0o700, "run": 0o755, "srv": 0o755,
    "sys": 0o555, "tmp": 0o1777, "usr/bin": 0o755, "usr/lib": 0o755, "usr/sbin": 0o755,
    "usr/share/zoneinfo": 0o755, "var/cache": 0o755, "var/lib/systemd": 0o755,
    "var/log/nginx": 0o755, "var/tmp": 0o1777, "var/www/html": 0o755,
}  # fmt: skip

LINKS = {
    "bin": "usr/bin",
    "etc/localtime": "/usr/share/zoneinfo/UTC",
    "etc/mtab": "../proc/self/mounts",
    "etc/nginx/sites-enabled": "sites-available",
    "lib": "usr/lib",
    "sbin": "usr/sbin",
    "var/run": "/run",
}

FILES = {
    "etc/fstab": "# The root file system is the node's business.\n",
    "etc/group": "root:x:0:\nadm:x:4:syslog\nwww-data:x:33:\nsshd:x:74:\nnogroup:x:65534:\n",
    "etc/passwd": """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
sshd:x:74:74::/run/sshd:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
""",
    "etc/resolv.conf": "nameserver 9.9.9.9\nnameserver 149.112.112.112\n",
    "etc/nginx/nginx.conf": """\
user www-data;
worker_processes auto;
pid /run/nginx.pid;

events {
    worker_connections 768;
}

http {
    sendfile on;
    tcp_nopush on;
    server_tokens off;
    default_type application/octet-stream;

    access_log /var/log/nginx/access.log;
    error_log /var/log/nginx/error.log;

    gzip on;

    include /etc/nginx/conf.d/*.conf;
    include /etc/nginx/sites-enabled/*;
}
""",
    "etc/nginx/conf.d/gzip.conf": "gzip_types text/css application/javascript image/svg+xml;\n",
    "etc/nginx/sites-available/default": """\
server {
    listen 80 default_server;
    listen [::]:80 default_server;
    server_name HOSTNAME;
    root /var/www/html;
    index index.html;

    location / {
        try_files $uri $uri/ =404;
    }
}
""",
    "etc/ssh/sshd_config": """\
Port 22
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM yes
X11Forwarding no
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
""",
    "root/.bashrc": "export PS1='\\u@\\h:\\w\\$ '\nalias ll='ls -l'\n",
    "root/.profile": "[ -f ~/.bashrc ] && . ~/.bashrc\n",
    "var/www/html/index.html": """\
<!doctype html>
<html lang="en">
<title>HOSTNAME</title>
<h1>It works</h1>
<p>This is the first page of HOSTNAME.</p>
</html>
""",
}

_SHADOW = b"root:*:19936:0:99999:7:::\nwww-data:*:19936:0:99999:7:::\n"
_ZONE = b"TZif2" + bytes(33) + b"\0\1\0\0\0\4" + bytes(6) + b"UTC\0"

_LOG = (
    "systemd[1]: Started Journal Service.",
    "systemd[1]: Reached target Network.",
    "sshd[214]: Server listening on 0.0.0.0 port 22.",
    "nginx[231]: nginx: configuration file /etc/nginx/nginx.conf test is successful",
    "systemd[1]: Started A high performance web server and a reverse proxy server.",
    "systemd[1]: Startup finished in 1.204s.",
    "CRON[310]: (root) CMD (cd / && run-parts --report /etc/cron.hourly)",
)

_REQUESTS = ("GET / HTTP/1.1", "GET /favicon.ico HTTP/1.1", "HEAD / HTTP/1.1", "GET /old HTTP/1.1")


def pretty(image: str) -> str:
    """An image's name as people say it: `debian/12` is Debian 12."""
    system, version = _split(image)
    return f"{_NAMES.get(system, system.capitalize())} {version}".strip()


def unpack(root: Path, spec: Spec) -> None:
    """Make the file system of a fresh container at `root`, where nothing is yet."""
    now = datetime.now(UTC)
    root.mkdir(parents=True)
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    texts = {
        **FILES,
        "etc/hostname": "HOSTNAME\n",
        "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 HOSTNAME\n::1 localhost ip6-localhost\n",
        "etc/os-release": _os_release(spec.image),
        "var/log/nginx/access.log": _access_log(now),
        "var/log/syslog": _syslog(now),
    }
    for name, text in texts.items():
        _write(root / name, text.replace("HOSTNAME", spec.hostname).encode(), 0o644)
    _write(root / "etc/shadow", _SHADOW, 0o640)
    key = f"{spec.ssh_key.strip()}\n" if spec.ssh_key else ""
    _write(root / "root/.ssh/authorized_keys", key.encode(), 0o600)
    _write(root / "usr/share/zoneinfo/UTC", _ZONE + _ZONE + b"\nUTC0\n", 0o644)
    _write(root / "var/lib/systemd/random-seed", os.urandom(512), 0o600)
    os.mkfifo(root / "run/initctl", 0o600)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    for name, mode in {".": 0o755, "root": 0o700, **FOLDERS}.items():
        (root / name).chmod(mode)


def _write(path: Path, content: bytes, mode: int) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def _split(image: str) -> tuple[str, str]:
    system, *version = re.split(r"[/ -]", image.rpartition(":")[2], maxsplit=1)
    return system.lower(), version[0] if version else ""


def _os_release(image: str) -> str:
    system, version = _split(image)
    fields = {"PRETTY_NAME": f"{pretty(image)} (simulated)", "NAME": pretty(system)}
    fields |= {"VERSION_ID": version, "ID": system}
    return "".join(f'{key}="{value}"\n' for key, value in fields.items() if value)


def _syslog(now: datetime) -> str:
    start = now - timedelta(minutes=len(_LOG))
    stamps = (start + timedelta(seconds=47 * number) for number in range(len(_LOG)))
    pairs = zip(stamps, _LOG, strict=True)
    return "".join(f"{stamp:%b %d %H:%M:%S} HOSTNAME {line}\n" for stamp, line in pairs)


def _access_log(now: datetime) -> str:
    lines = []
    for number in range(12):
        stamp = now - timedelta(minutes=12 - number)
        request = _REQUESTS[number % len(_REQUESTS)]
        answer = "404 153" if "old" in request else "200 142"
        lines.append(
            f"203.0.113.{7 + number * 13 % 40} - - [{stamp:%d/%b/%Y:%H:%M:%S} +0000] "
            f'"{request}" {answer} "-" "Mozilla/5.0"\n'
        )
    return "".join(lines)
