"""containerd with runc and the CNI bridge: what runs the pods."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from deploy.local import cilium
from deploy.local.configuration import write_text
from deploy.local.errors import ServiceFailed
from deploy.local.readiness import command_ok
from deploy.local.service import Service
from deploy.local.settings import Settings

NAME = "containerd"
PAUSE_IMAGE = "towpath.local/pause:1"
_CTR_NAMESPACE = "k8s.io"
_REMOVALS_AT_ONCE = 8
_SHIM_SOCKETS = Path("/run/containerd/s")  # fixed in containerd's source
_CNI_BINARIES = Path("/usr/lib/cni")


def socket(settings: Settings) -> Path:
    """containerd's gRPC socket."""
    return settings.run / "containerd.sock"


def service(settings: Settings, images: Sequence[tuple[str, Path]]) -> Service:
    """containerd, configured for the kubelet; writes its configuration.

    Args:
        settings: paths and addresses.
        images: reference and archive of the images that it must have, the pause image among them.
    """
    folder = settings.state / "containerd"
    cni = _write_cni(settings)
    write_text(
        folder / "certs.d" / settings.registry / "hosts.toml",
        f'server = "http://{settings.registry}"\n'
        f'[host."http://{settings.registry}"]\n'
        'capabilities = ["pull", "resolve", "push"]\n',
    )
    config = write_text(folder / "config.toml", _configuration(settings, cni))
    return Service(
        name=NAME,
        argv=("/usr/bin/containerd", "--config", str(config)),
        # containerd hands its environment on to CNI plugins.
        env={"CILIUM_SOCK": str(cilium.socket(settings))},
        ready=command_ok(ctr(settings, "version")),
        then=lambda: _import_images(settings, images),
        config=(config,),
    )


def ctr(settings: Settings, *arguments: str) -> list[str]:
    """A ``ctr`` command line that speaks to the stack's containerd in the kubelet's namespace."""
    return ["ctr", "--address", str(socket(settings)), "--namespace", _CTR_NAMESPACE, *arguments]


def _import_images(settings: Settings, images: Sequence[tuple[str, Path]]) -> None:
    for name, archive in images:
        import_image(settings, archive, name)


def pull(settings: Settings) -> list[str]:
    """The command line that pulls the reference appended to it from the stack's registry."""
    hosts = settings.state / "containerd" / "certs.d"
    return ctr(settings, "images", "pull", "--hosts-dir", str(hosts))


def import_image(settings: Settings, archive: Path, name: str) -> None:
    """Give an image archive to containerd, unless it has the very same one.

    Args:
        settings: of the running stack.
        archive: an OCI or docker archive.
        name: the reference that the archive carries.

    Raises:
        ServiceFailed: containerd refused it.
    """
    marker = settings.state / "containerd" / "imported" / name.replace("/", "_")
    # Archives lie in folders that are named by their content and never change.
    stamp = str(archive)
    listed = _run(ctr(settings, "images", "list", "--quiet")).splitlines()
    if name in listed and marker.exists() and marker.read_text() == stamp:
        return
    _run(ctr(settings, "images", "import", str(archive)))
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(stamp)


def remove_containers(settings: Settings) -> None:
    """End and remove every container of the kubelet's namespace, with its shim and its network.

    containerd must run. Images stay.
    """

    def remove(container: str) -> None:
        for command in (("tasks", "delete", "--force"), ("containers", "delete")):
            subprocess.run(ctr(settings, *command, container), capture_output=True, check=False)

    listed = _run(ctr(settings, "containers", "list", "--quiet")).split()
    with ThreadPoolExecutor(max_workers=_REMOVALS_AT_ONCE) as pool:
        list(pool.map(remove, listed))


def remove_leftovers() -> None:
    """Remove the folders outside the state that shims had their sockets in, if nothing else is there."""
    for folder in (_SHIM_SOCKETS, _SHIM_SOCKETS.parent):
        with suppress(OSError):
            folder.rmdir()


def _write_cni(settings: Settings) -> Path:
    """Write the CNI configuration and return its folder."""
    folder = settings.state / "cni" / "net.d"
    configuration = {
        "cniVersion": "1.0.0",
        "name": "towpath",
        "plugins": [
            {
                "type": "bridge",
                "bridge": settings.bridge,
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(settings.state / "cni" / "addresses"),
                    "ranges": [
                        [
                            {
                                "subnet": settings.pod_range,
                                "rangeStart": settings.pod_range_start,
                                "gateway": settings.bridge_address,
                            }
                        ]
                    ],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
            cilium.PLUGIN,
        ],
    }
    write_text(folder / "10-towpath.conflist", json.dumps(configuration, indent=2))
    return folder


def _cni_binaries(settings: Settings) -> Path:
    """The folder where containerd looks for CNI plugins: Debian's and the stack's own."""
    folder = settings.state / "cni" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for plugin in (*_CNI_BINARIES.iterdir(), cilium.plugin_binary(settings)):
        link = folder / plugin.name
        if not link.is_symlink() or link.readlink() != plugin:
            link.unlink(missing_ok=True)
            link.symlink_to(plugin)
    return folder


def forget_addresses(settings: Settings) -> None:
    """Free every pod address; only right when no pod is left."""
    shutil.rmtree(settings.state / "cni" / "addresses", ignore_errors=True)


def _configuration(settings: Settings, cni: Path) -> str:
    folder = settings.state / "containerd"
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = "{folder}/root"
state = "{folder}/state"
oom_score = 0

[grpc]
  address = "{socket(settings)}"

[{cri}]
  sandbox_image = "{PAUSE_IMAGE}"
  stream_server_address = "127.0.0.1"
  stream_server_port = "{settings.containerd_stream_port}"
  netns_mounts_under_state_dir = true
  # Without CAP_SYS_RESOURCE no score below our own can be set, and every sandbox would fail.
  restrict_oom_score_adj = true
  # Two layers at once is what two cores unpack.
  max_concurrent_downloads = 3

[{cri}.cni]
  bin_dir = "{_cni_binaries(settings)}"
  conf_dir = "{cni}"

[{cri}.containerd]
  default_runtime_name = "runc"
  snapshotter = "overlayfs"

[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
  BinaryName = "/usr/sbin/runc"
  Root = "{folder}/runc"
  SystemdCgroup = false

[{cri}.registry]
  config_path = "{folder}/certs.d"
"""


def _run(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "LANG": "C.UTF-8"})
    if done.returncode != 0:
        raise ServiceFailed(
            "ContainerdRefused", f"{' '.join(argv[5:])}: {done.stderr.strip()}; read containerd.log"
        )
    return done.stdout
