"""``python -m deploy.local``: the same as ``towpath local``."""

from deploy.local.commandline import app

if __name__ == "__main__":
    app(prog_name="towpath local")
