"""A Java server with all it depends on, from Maven artifacts pinned in a committed ``pom.xml``."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.local.part import Workbench
from deploy.local.recipe import PARTS_FOLDER, folder_digest

_LAUNCHER = """\
#!/bin/sh
# Started with a port number as its only argument.
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx512m -cp "{jars}/*" {main_class} "$@"
"""


@dataclass(frozen=True)
class MavenServer:
    """A Java program as a folder of jars and a launcher script.

    Args:
        project: folder under ``parts/`` with a ``pom.xml``.
        main_class: what the launcher starts.
        launcher: file name of the script.
    """

    project: str
    main_class: str
    launcher: str

    def fingerprint(self) -> str:
        """The project file and the launcher's text."""
        return "\0".join((repr(self), _LAUNCHER, folder_digest(PARTS_FOLDER / self.project)))

    def make(self, bench: Workbench) -> None:
        """Collect the jars and write the launcher. Raises ``BuildFailed``."""
        jars = bench.output / "jars"
        bench.run(
            [
                *("mvn", "--batch-mode", "--no-transfer-progress", "-q"),
                *("-f", PARTS_FOLDER / self.project / "pom.xml"),
                *("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={jars}"),
            ],
            cwd=bench.output,
        )
        launcher = bench.output / self.launcher
        # The folder is renamed when done, so the launcher finds the jars beside itself.
        launcher.write_text(
            _LAUNCHER.format(jars='$(dirname "$(readlink -f "$0")")/jars', main_class=self.main_class)
        )
        launcher.chmod(0o755)
