"""The images that builds run in and build on: made from Debian packages, cached, served by the registry."""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.local.errors import BuildFailed, ServiceFailed
from deploy.local.part import Part, Workbench
from deploy.local.progress import Progress
from deploy.local.recipe import PARTS_FOLDER, GoInstall, folder_digest
from deploy.local.settings import Settings

_DEPLOY = Path(__file__).parents[1]
_SUITE = "bookworm"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_DEBIAN = "docker.io/library/debian:12-slim"
_LEFT_OUT = (
    "/usr/share/man/*",
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
    "/usr/share/lintian/*",
)
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
HUB = "mirror/docker.io"
"""Path in the local registry that stands in for docker.io."""

BUILDERS: Mapping[str, str] = {
    "runtime-nodejs": "towpath/runtime-nodejs",
    "runtime-python": "towpath/runtime-python",
    "builder": "towpath/builder",
    "builder-nodejs": "towpath/builder-nodejs",
    "builder-python": "towpath/builder-python",
}
"""Targets of `deploy/builder/Dockerfile` and their repositories."""
STAND_INS: Mapping[str, str] = {
    "debian": f"{HUB}/library/debian:12-slim",
    "node": f"{HUB}/library/node:18-slim",
    "python": f"{HUB}/library/python:3.11-slim",
}
"""Names in the layout, and the reference in the registry."""

CRANE = Part(
    name="crane",
    version="0.21.9",
    recipe=GoInstall(
        package="github.com/google/go-containerregistry/cmd/crane", version="v0.21.9", binary="crane"
    ),
    outputs=("crane",),
    expected_seconds=10,
)


@dataclass(frozen=True)
class DebianImages:
    """All images as one OCI layout, so that layers that they share lie there once."""

    def fingerprint(self) -> str:
        """The Dockerfiles, the builder's program, and how Debian is made."""
        return "\0".join(
            (
                folder_digest(_DEPLOY / "builder"),
                folder_digest(PARTS_FOLDER / "images"),
                _debian_digest(),
            )
        )

    def make(self, bench: Workbench) -> None:
        """Fill ``layout``. Raises ``BuildFailed``."""
        context = bench.output / ".context"
        (context / "bin").mkdir(parents=True)
        shutil.copyfile(bench.needs[CRANE.name] / "crane", context / "bin" / "crane")
        (context / "bin" / "crane").chmod(0o755)
        (context / "deploy").mkdir()
        shutil.copyfile(_DEPLOY / "__init__.py", context / "deploy" / "__init__.py")
        shutil.copytree(_DEPLOY / "builder", context / "deploy" / "builder", copy_function=shutil.copyfile)
        buildah = _buildah(bench.settings)
        _debian(bench, context, buildah)
        _built(bench, buildah, _DEPLOY / "builder" / "Dockerfile", context, BUILDERS)
        stand_ins = {name: f"towpath/{name}" for name in STAND_INS if name != "debian"}
        _built(bench, buildah, PARTS_FOLDER / "images" / "Dockerfile", context, stand_ins)
        paths = {**BUILDERS, **stand_ins}
        sources = {"debian": _DEBIAN, **{name: f"localhost/{path}" for name, path in paths.items()}}
        # By way of a layout that stays: layers that are there already are not compressed again.
        kept = bench.settings.cache / "buildah" / "layout"
        for name, source in sources.items():
            bench.run([*buildah, "push", "--quiet", "--format", "oci", source, f"oci:{kept}:{name}"])
            copied = [f"oci:{kept}:{name}", f"oci:{bench.output}/layout:{name}"]
            bench.run(["skopeo", "--insecure-policy", "copy", "--quiet", "--preserve-digests", *copied])
        bench.run([*buildah, "rmi", "--prune"])
        shutil.rmtree(context)


IMAGES = Part(
    name="images",
    version=f"debian-{_SUITE}",
    recipe=DebianImages(),
    outputs=("layout/index.json",),
    expected_seconds=200,
    needs=(CRANE,),
)


def digest(settings: Settings, name: str) -> str:
    """Digest of an image of the layout, by target or stand-in name."""
    index = json.loads((IMAGES.folder(settings) / "layout" / "index.json").read_text())
    for manifest in index["manifests"]:
        if manifest.get("annotations", {}).get("org.opencontainers.image.ref.name") == name:
            return str(manifest["digest"])
    raise BuildFailed(
        "ImageMissing", f"{name} is not in {IMAGES.folder(settings)}; delete that folder and run again"
    )


def reference(settings: Settings, name: str) -> str:
    """How pods name an image of `deploy/builder/Dockerfile`: by digest, so a new build of it is a new name.

    Before it is built (the code has changed and `up` has not run since) there is only its tag.
    """
    if not IMAGES.is_built(settings):
        return f"{settings.registry}/{BUILDERS[name]}:latest"
    return f"{settings.registry}/{BUILDERS[name]}@{digest(settings, name)}"


def push(settings: Settings, progress: Progress) -> None:
    """Put every image into the running registry, unless it serves that very one.

    Raises:
        ServiceFailed: the registry does not take them.
    """
    wanted = {name: f"{path}:latest" for name, path in BUILDERS.items()} | dict(STAND_INS)
    missing = [name for name, path in wanted.items() if _served(settings, path) != digest(settings, name)]
    if not missing:
        return
    progress.say("images", f"pushing {', '.join(missing)}")
    layout = IMAGES.folder(settings) / "layout"
    for name in missing:
        done = subprocess.run(
            [
                *(
                    "skopeo",
                    "--insecure-policy",
                    "copy",
                    "--quiet",
                    "--preserve-digests",
                    "--dest-tls-verify=false",
                ),
                *(f"oci:{layout}:{name}", f"docker://{settings.registry}/{wanted[name]}"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServiceFailed("PushFailed", f"{name}: {done.stderr.strip()}; read registry.log")
    progress.say("images", "pushed")


def preload(settings: Settings, pull: list[str]) -> None:
    """Have the node pull the builders, so that the first build does not wait for it.

    Args:
        settings: of the running stack.
        pull: the command line that pulls the reference appended to it.

    Raises:
        ServiceFailed: one could not be pulled.
    """

    def one(name: str) -> None:
        done = subprocess.run([*pull, reference(settings, name)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServiceFailed("PullFailed", f"{name}: {done.stderr.strip()}; read containerd.log")

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(one, BUILDERS))


def _served(settings: Settings, path: str) -> str:
    repository, _, tag = path.rpartition(":")
    try:
        answer = httpx.head(
            f"http://{settings.registry}/v2/{repository}/manifests/{tag}",
            headers={"Accept": _MANIFEST},
            timeout=5.0,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        raise ServiceFailed("RegistryUnreachable", f"{settings.registry}: {error}; read registry.log") from error
    return str(answer.headers.get("Docker-Content-Digest", ""))


def _buildah(settings: Settings) -> list[str]:
    """buildah with a store of its own; it stays, so that a change of the program rebuilds only its layer."""
    store = settings.cache / "buildah"
    return [
        "buildah",
        "--root",
        str(store / "root"),
        "--runroot",
        str(store / "run"),
        "--storage-driver",
        "overlay",
    ]


def _debian(bench: Workbench, context: Path, buildah: list[str]) -> None:
    """Debian's essential packages, as `debian:12-slim` has them, and this machine's certificate authorities.

    The authorities matter where the way out is intercepted by a company's own: what runs in the images
    reaches the package registries exactly where this machine does.
    """
    kept = f"localhost/debian:{_debian_digest()}"
    if bench.run([*buildah, "images", "--quiet", "--filter", f"reference={kept}"]).strip():
        bench.run([*buildah, "tag", kept, _DEBIAN])
        return
    archive = context / "debian.tar"
    options = [f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT]
    bench.run(
        [
            *("mmdebstrap", "--variant=minbase", "--mode=root", "--format=tar", "--include=ca-certificates"),
            *options,
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            '--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/* "$1"/var/log/*',
            # No mirror named: its default for the suite is Debian's own, with security updates.
            *(_SUITE, str(archive)),
        ]
    )
    container = bench.run([*buildah, "from", "scratch"]).strip()
    bench.run([*buildah, "add", "--quiet", container, str(archive), "/"])
    if _CERTIFICATES.exists():
        bench.run([*buildah, "copy", "--quiet", container, str(_CERTIFICATES), str(_CERTIFICATES)])
    bench.run(
        [
            *(*buildah, "config", "--cmd", "bash"),
            *("--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            # Node and pip bring lists of their own otherwise.
            *("--env", f"NODE_EXTRA_CA_CERTS={_CERTIFICATES}", "--env", f"PIP_CERT={_CERTIFICATES}"),
            container,
        ]
    )
    bench.run([*buildah, "commit", "--quiet", "--rm", container, kept])
    bench.run([*buildah, "tag", kept, _DEBIAN])
    archive.unlink()


def _built(bench: Workbench, buildah: list[str], file: Path, context: Path, targets: Mapping[str, str]) -> None:
    for target, path in targets.items():
        bench.run(
            [
                *(
                    *buildah,
                    "bud",
                    "--quiet",
                    "--isolation",
                    "chroot",
                    "--layers",
                    "--pull-never",
                    "--format",
                    "oci",
                ),
                *("--file", str(file), "--target", target, "--tag", f"localhost/{path}", str(context)),
            ]
        )


def _debian_digest() -> str:
    """Changes when how Debian is made or the machine's certificate authorities do."""
    authorities = _CERTIFICATES.read_bytes() if _CERTIFICATES.exists() else b""
    return hashlib.sha256(inspect.getsource(_debian).encode() + authorities).hexdigest()[:12]
