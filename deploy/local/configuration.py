"""Configuration files: written only when they change, since some services watch theirs and end."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import yaml


def write_text(path: Path, text: str, *, mode: int = 0o644) -> Path:
    """Write ``text`` unless the file has it already; folders are made. Returns ``path``.

    Args:
        path: of the file.
        text: its content.
        mode: its permissions, set before anything is written.
    """
    if path.exists() and path.read_text() == text:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: `up` and `status` may write the same file at once.
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    draft.touch(mode=mode)
    draft.write_text(text)
    draft.rename(path)
    return path


def write_yaml(path: Path, *documents: Any) -> Path:
    """Write one or more YAML documents like ``write_text``. Returns ``path``."""
    return write_text(path, yaml.safe_dump_all(documents, sort_keys=False))
