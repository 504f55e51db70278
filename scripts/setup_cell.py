# Setup: a notebook opened on its own (Colab, an empty folder) fetches the rest of the book first
import os
import subprocess
import sys
import tomllib
from pathlib import Path

REPOSITORY = os.environ.get(
    "GENBOOK_REPOSITORY", "https://github.com/cell-by-cell/generative-models"
)
here = Path.cwd()
folders = (here, *here.parents, here / "generative-models")
ROOT = next((path for path in folders if (path / "helpers" / "budget.py").exists()), None)
if ROOT is None:
    ROOT = here / "generative-models"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", REPOSITORY, ROOT], check=True)
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *needed], check=True)
sys.path.insert(0, str(ROOT))
