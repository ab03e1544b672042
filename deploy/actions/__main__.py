"""Writes the GitLab template, which holds all of the program: `python -m deploy.actions`; `--check` compares."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
TEMPLATE = HERE / "gitlab" / "towpath.yml"
_HEAD = """\
# Made by `python -m deploy.actions` from deploy/actions/towpath.py; change it there.
#
# include: [{local: towpath.yml}]   (or remote, or project)
# carry:
#   extends: .towpath
#   variables: {TOWPATH_COMPONENT: shop/greeting}
#
# TOWPATH_URL and TOWPATH_TOKEN are CI/CD variables of the project, the token a masked and protected one.
.towpath:
  image: python:3-slim
  variables:
    TOWPATH_COMMIT: $CI_COMMIT_SHA
    TOWPATH_KEY: gitlab-$CI_PROJECT_ID-$CI_JOB_ID
    TOWPATH_AT_GATE: pass
  script:
    - |
      python3 - <<'PROGRAM'
"""


def template() -> str:
    """The text of the template."""
    program = (HERE / "towpath.py").read_text().splitlines()
    lines = [f"      {line}" if line else "" for line in [*program, "PROGRAM"]]
    return _HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if TEMPLATE.read_text() == template() else "Run: python -m deploy.actions")
    TEMPLATE.write_text(template())
