"""Texts of people and machines inside the markdown that Temporal's Web UI shows."""

CELL_LIMIT = 300


def cell(text: str) -> str:
    """A text as one cell of a table: on one line, with its pipes escaped, at most 300 characters.

    A log's last lines or a person's reason would otherwise end the row, and with it the table.
    """
    line = " ".join(text.split())
    shown = line if len(line) <= CELL_LIMIT else f"{line[: CELL_LIMIT - 1]}…"
    return shown.replace("\\", "\\\\").replace("|", "\\|")
