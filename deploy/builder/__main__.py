"""The builder's program: one commit in, one image out, its digest and workload.yaml as files."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from deploy.builder import dockerfile, runtime
from deploy.builder.checkout import check_out, inside
from deploy.builder.command import CommandFailed, say
from deploy.builder.plan import VARIABLE, Plan
from deploy.builder.refusal import BuildInterrupted, BuildRefused

OUTPUTS = Path("/tmp/towpath")  # noqa: S108  (this container's own)
TERMINATION_LOG = Path("/dev/termination-log")
WORKLOAD_LIMIT = 64 * 1024


def main() -> int:
    """Build as the environment says; returns the exit code (see `refusal`)."""
    began = time.monotonic()
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="towpath-build-"))
    try:
        plan = Plan.decode(os.environ.pop(VARIABLE, ""))
        digest = _build(plan, scratch)
    except BuildRefused as refused:
        say(f"{refused.reason}: {refused.message}")
        _terminate(f"{refused.reason}: {refused.message}")
        return refused.exit_code
    except (OSError, CommandFailed) as error:
        failed = BuildInterrupted("BuilderFailed", f"The builder itself failed: {error!r}")
        say(f"{failed.reason}: {failed.message}")
        _terminate(f"{failed.reason}: {failed.message}")
        return failed.exit_code
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    (OUTPUTS / "digest").write_text(digest)
    say(f"Built {plan.image}@{digest} in {time.monotonic() - began:.1f} s")
    return 0


def _build(plan: Plan, scratch: Path) -> str:
    root = check_out(plan, scratch / "source")
    folder = inside(root, plan.app_path, "application path")
    _keep_workload(root, folder)
    if plan.kind == "runtime":
        return runtime.build(plan, root, folder, scratch)
    return dockerfile.build(plan, root, scratch)


def _keep_workload(root: Path, folder: Path) -> None:
    """Hand out the source's workload.yaml, which says how the component runs; empty when there is none."""
    (OUTPUTS / "workload").touch()
    if not os.path.lexists(folder / "workload.yaml"):
        return
    relative = (folder / "workload.yaml").relative_to(root.resolve() if folder.is_absolute() else root)
    path = inside(root, str(relative), "workload descriptor")
    if not path.is_file() or path.stat().st_size > WORKLOAD_LIMIT:
        raise BuildRefused("BadWorkload", f"workload.yaml must be a file of at most {WORKLOAD_LIMIT // 1024} KiB.")
    (OUTPUTS / "workload").write_bytes(path.read_bytes())


def _terminate(message: str) -> None:
    try:
        TERMINATION_LOG.write_text(message)
    except OSError as error:
        say(f"The termination message could not be written: {error}")


if __name__ == "__main__":
    sys.exit(main())
