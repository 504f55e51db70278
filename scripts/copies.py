"""Copies of the notebooks for Colab and for download, made with the site and never edited.

A copy differs from its notebook in two ways: its links and pictures have whole addresses, since
Colab knows no neighbouring files; and the cells of solutions are folded in Colab's way, too. The
site's build writes them to _build/html/copies, where the download button leads. The pages workflow
publishes the same folder as the branch `copies`, from which Colab opens them.
"""

from __future__ import annotations

import copy
import posixpath
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import notebook_files  # noqa: E402

FOLDER = "copies"
"""The folder of the site that holds the copies, and the branch that they are published on."""

RELATIVE_LINK = re.compile(
    r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?!https?://|#)(?P<target>[^)\s]+)\)"
)
FOLDED_TITLE = "# @title The book's solution (open it with a double click)"


@dataclass(frozen=True)
class Addresses:
    """Where the book stands: its site, its repository and the branch of its sources."""

    site: str
    repository: str
    branch: str

    def page(self, path: str) -> str:
        """The address of a page, by the path of its source from the root."""
        return f"{self.site.rstrip('/')}/{posixpath.splitext(path)[0]}.html"

    def file(self, path: str) -> str:
        """The address of a file's bytes, by its path from the root."""
        raw = self.repository.replace("//github.com/", "//raw.githubusercontent.com/")
        return f"{raw}/{self.branch}/{path}"

    def colab(self, page: str) -> str:
        """The address that opens the copy of a notebook in Colab; page: its path, no suffix."""
        place = self.repository.replace("https://github.com/", "github/")
        return f"https://colab.research.google.com/{place}/blob/{FOLDER}/{page}.ipynb"


def addresses() -> Addresses:
    """The addresses that _config.yml names."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    repository = settings["repository"]
    return Addresses(settings["html"]["baseurl"], repository["url"], repository["branch"])


def with_whole_addresses(text: str, folder: str, where: Addresses) -> str:
    """Markdown with relative links made whole; folder: the notebook's, from the root."""

    def whole(found: re.Match[str]) -> str:
        name, mark, anchor = found["target"].partition("#")
        path = posixpath.normpath(posixpath.join(folder, name))
        address = where.file(path) if found["picture"] else where.page(path) + mark + anchor
        return f"{found['picture']}[{found['text']}]({address})"

    return RELATIVE_LINK.sub(whole, text)


def reader_copy(notebook: Any, folder: str, where: Addresses) -> Any:
    """A notebook as it is read far from its neighbours; folder: its own, from the root."""
    result = copy.deepcopy(notebook)
    for cell in result.cells:
        if cell.cell_type == "markdown":
            cell.source = with_whole_addresses(cell.source, folder, where)
        elif "solution" in notebook_files.tags(cell):
            cell.source = f"{FOLDED_TITLE}\n{cell.source}"
            cell.metadata["cellView"] = "form"  # Colab's word for folded
    return result


def write_copies(target: Path) -> list[Path]:
    """Write a copy of each notebook below `target`, in the folders of the repository."""
    where, written = addresses(), []
    for path in notebook_files.all_notebooks():
        place = path.relative_to(ROOT)
        made = reader_copy(notebook_files.read(path), place.parent.as_posix(), where)
        notebook_files.write(made, target / place)
        written.append(target / place)
    return written


# ------------------------------------------------------------------------- hooks of the site


def write_into_site(app: Any, error: Exception | None) -> None:
    """After the build: put the copies beside the pages."""
    if error is None and app.builder.format == "html":
        write_copies(Path(app.outdir) / FOLDER)


def lead_to_copies(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Let the Colab and download buttons of a notebook's page lead to its copy."""
    if not (ROOT / f"{page}.ipynb").is_file():
        return
    root = context["pathto"]("book/introduction").removesuffix("book/introduction.html")
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if "colab.research.google.com" in button.get("url", ""):
                button["url"] = addresses().colab(page)
            elif button.get("url", "").endswith(".ipynb") and "_sources/" in button["url"]:
                button["url"] = f"{root}{FOLDER}/{page}.ipynb"
