"""Builds from a Dockerfile: buildah in a user namespace of its own, without privilege."""

from __future__ import annotations

import re
from pathlib import Path

from deploy.builder import registry
from deploy.builder.checkout import inside
from deploy.builder.command import CommandFailed, run, say
from deploy.builder.plan import Plan
from deploy.builder.refusal import BuildInterrupted, BuildRefused

_REGISTRIES = Path("/etc/containers/registries.conf.d/towpath.conf")
_STEP = re.compile(r"[Ee]rror")
_PULLING = re.compile(r"initializing source|reading manifest|pinging container registry|reading blob")


def build(plan: Plan, root: Path, scratch: Path) -> str:
    """Build the Dockerfile, push the image, and return the digest.

    Args:
        plan: what to build.
        root: the clone.
        scratch: an existing folder.

    Raises:
        BuildRefused: `DockerfileFailed`, `BaseImageNotFound`, `RegistryRefused`, or a path that leaves the clone.
        BuildInterrupted: `RegistryUnavailable`.
    """
    context = inside(root, plan.context, "build context")
    file = inside(root, plan.file, "Dockerfile")
    if not file.is_file() or not context.is_dir():
        raise BuildRefused("PathNotFound", f"{plan.file!r} must be a file and {plan.context!r} a folder.")
    _REGISTRIES.write_text(registries(plan))
    image = "localhost/towpath-build"
    storage = ["buildah", "--storage-driver", "overlay"]
    argv = [*storage, "bud", "--isolation", "chroot", "--layers=false", "--format", "docker", "--timestamp", "0"]
    argv += ["--file", str(file), "--tag", image]
    for name, value in {**plan.environment, **plan.arguments}.items():
        argv += ["--build-arg", f"{name}={value}"]
    argv += ["--label", f"org.opencontainers.image.source={plan.url}"]
    argv += ["--label", f"org.opencontainers.image.revision={plan.commit}", "--", str(context)]
    say(f"Building {plan.file}")
    try:
        run(argv)
    except CommandFailed as failed:
        raise _failure(plan, failed) from None
    say(f"Pushing {plan.image}")
    digest = scratch / "digest"
    try:
        run([*storage, "push", "--digestfile", str(digest), image, f"docker://{plan.image}"])
    except CommandFailed as failed:
        raise registry.refusal(plan.image, failed) from None
    return digest.read_text().strip()


def registries(plan: Plan) -> str:
    """Where images come from (containers-registries.conf(5)): the stand-in for Docker Hub, if there is one."""
    lines = ['unqualified-search-registries = ["docker.io"]', 'short-name-mode = "disabled"']
    for host in plan.insecure:
        lines += ["[[registry]]", f'location = "{host}"', "insecure = true"]
    if plan.hub:
        # Instead of Docker Hub and not before it: an image that is absent is said to be absent.
        lines += ["[[registry]]", 'prefix = "docker.io"', f'location = "{plan.hub}"']
        if plan.hub.partition("/")[0] in plan.insecure:
            lines.append("insecure = true")
    return "\n".join(lines) + "\n"


def _failure(plan: Plan, failed: CommandFailed) -> BuildRefused:
    told = failed.told(_STEP)
    if failed.says(_PULLING):
        if failed.says(registry.NETWORK):
            return BuildInterrupted("RegistryUnavailable", f"A base image could not be pulled: {told}")
        return BuildRefused(
            "BaseImageNotFound", f"A base image of {plan.file} cannot be pulled, check its name and tag: {told}"
        )
    return BuildRefused("DockerfileFailed", f"{plan.file} failed: {told}")
