# Setup: a notebook opened on its own (Colab, an empty folder) fetches the rest of the book first.
# GENBOOK_REPOSITORY names another copy of it: the address of a fork, or a folder on this machine.
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = os.environ.get(
    "GENBOOK_REPOSITORY", "https://github.com/cell-by-cell/generative-models"
)
CLONE = Path.cwd() / "generative-models"


class SetupError(Exception):
    def _render_traceback_(self):  # what Jupyter shows: the sentence alone
        return [f"Setup: {self}"]


def call(task, *command):
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "GIT_TERMINAL_PROMPT": "0"}
        )
    except FileNotFoundError:
        raise SetupError(
            f"{task} needs {command[0]}: install it and run this cell again."
        ) from None
    if done.returncode:
        reason = (done.stderr.strip() or "no reason was given").splitlines()[-1]
        raise SetupError(f"{task} failed ({reason}): check the network and run this cell again.")


try:
    import tomllib  # new in Python 3.11
except ModuleNotFoundError:
    raise SetupError("The book needs Python 3.11 or later: choose another kernel.") from None
folders = (Path.cwd(), *Path.cwd().parents, CLONE)
ROOT = next((path for path in folders if (path / "helpers" / "budget.py").exists()), None)
if ROOT is None:
    if CLONE.exists():
        raise SetupError(
            f"{CLONE} does not hold the whole book: move it away, run this cell again."
        )
    part = CLONE.with_suffix(".part")  # a clone that is killed leaves nothing that looks whole
    shutil.rmtree(part, ignore_errors=True)
    call("Fetching the book", "git", "clone", "--quiet", "--depth", "1", REPOSITORY, str(part))
    ROOT = part.rename(CLONE)
installed = CLONE / ".installed"  # says for which Python the packages are complete
if ROOT == CLONE and not (installed.exists() and installed.read_text() == sys.prefix):
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    call("Installing packages", *pip, *needed)
    installed.write_text(sys.prefix)
sys.path.insert(0, str(ROOT))
