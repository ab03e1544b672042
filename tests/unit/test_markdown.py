from model.markdown import CELL_LIMIT, cell


def test_a_text_of_several_lines_stays_one_cell() -> None:
    assert cell("It exited. Its last lines:\ncannot read\r\n  the file | of config") == (
        "It exited. Its last lines: cannot read the file \\| of config"
    )


def test_a_backslash_before_a_pipe_does_not_open_the_cell() -> None:
    assert cell("a\\|b") == "a\\\\\\|b"


def test_a_long_text_is_cut() -> None:
    assert cell("x" * CELL_LIMIT) == "x" * CELL_LIMIT
    assert cell("x" * (CELL_LIMIT + 1)) == "x" * (CELL_LIMIT - 1) + "…"
