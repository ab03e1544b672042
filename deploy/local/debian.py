"""Debian packages that the stack needs; installed only when missing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from deploy.local.errors import BuildFailed
from deploy.local.progress import Progress
from deploy.local.settings import Settings

PACKAGES: tuple[str, ...] = (
    "bpftool",
    "buildah",
    "busybox-static",
    "clang-19",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "docker-registry",
    "ethtool",
    "git",
    "golang-github-containers-common",
    "iproute2",
    "ipset",
    "iptables",
    "llvm-19",
    "maven",
    "mmdebstrap",
    "nftables",
    "runc",
    "skopeo",
    "socat",
)

_UNITS = frozenset({"containerd", "docker-registry", "nftables"})


def missing_packages(names: tuple[str, ...] = PACKAGES) -> list[str]:
    """Those of ``names`` that are not installed."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {line.split()[0] for line in done.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in installed]


def install_packages(settings: Settings, progress: Progress) -> None:
    """Install what is missing with ``apt-get``. The packages' own services are not started.

    Raises:
        BuildFailed: apt-get failed; the message names its log.
    """
    missing = missing_packages()
    if not missing:
        return
    progress.say("packages", f"installing {' '.join(missing)}")
    settings.logs.mkdir(parents=True, exist_ok=True)
    log = settings.logs / "build-packages.log"
    root = [] if os.geteuid() == 0 else ["sudo"]
    with log.open("ab") as output:
        for arguments in (
            ["update", "-q"],
            ["install", "-q", "-y", "--no-install-recommends", *missing],
        ):
            done = subprocess.run(
                # RUNLEVEL=1 keeps containerd's and the registry's units from starting:
                # the stack runs its own with its own data.
                [*root, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if done.returncode != 0:
                raise BuildFailed(
                    "PackagesNotInstalled",
                    f"apt-get {arguments[0]} exited with {done.returncode}; read {log}, "
                    f"or install by hand: {' '.join(missing)}",
                )
    if Path("/run/systemd/system").exists() and (units := sorted(_UNITS & set(missing))):
        # Nor at the next boot, where the registry's unit would take our port.
        subprocess.run([*root, "systemctl", "disable", "--now", *units], capture_output=True, check=False)
    progress.say("packages", "installed")
