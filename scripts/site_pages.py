"""The site's own Sphinx extension: tables from the record, the JupyterHub button, local assets.

The directives write what nobody types by hand, each from files of the repository:

- ``recorded-results``: every metric in data/results, notebook by notebook
- ``recorded-minutes``: minutes of each notebook under each budget
- ``recorded-speed``: what `make bench` measured
- ``recorded-families``: what `make families` measured, and a sheet of samples for each family
- ``notebook-map``: a chapter's notebooks with a line about each and their minutes
- ``api-of-helpers``: a section for each module of the package
- ``data-sets``: the registry of data sets, "embedded" or "others"

A notebook without a record shows as a gap. Called as a program, this file prints the gaps.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for helpers, here and in autodoc

from helpers import datasets  # noqa: E402
from helpers.files import DATA, file_sha256, read_json  # noqa: E402

BENCH = DATA / "results" / "bench.json"
QUICK = DATA / "results" / "quick_seconds.json"
FAMILIES_RECORD = DATA / "results" / "families.json"

BUDGETS = ("quick", "cpu", "gpu")
WORDS_PER_MINUTE = 200
"""Reading speed for technical prose, for the reading minutes of a notebook."""

GAP = "not measured yet"

# The six families: what each is called, the notebook that stands for it, and where its likelihood
# is in that notebook's record, with the words around the number.
FAMILIES = (
    ("VAE", "vae", "vae_16d.iwae_nats", "a bound: at most {} nats, greys read as probabilities"),
    ("GAN", "dcgan", None, "none"),
    ("PixelCNN", "pixelcnn", "pixelcnn_28.test_bits_per_dim", "exact: {} bits per pixel, 4 greys"),
    ("flow", "realnvp", None, "exact, but on the plane only"),
    ("energy-based model", "ebm", None, "up to a constant that nobody knows"),
    ("diffusion", "ddm", None, "a bound exists; not computed here"),
)

# What a metric's key means. A key that is missing here is shown as it is, with spaces.
METRIC_WORDS = {
    # chapter 1
    "test_nll_nats": "negative log-likelihood of test points, nats (lower is better)",
    "gaussian_nll_nats": "negative log-likelihood of one Gaussian, nats (a baseline)",
    "box_nll_nats": "negative log-likelihood of a box, nats (a baseline)",
    "true_nll_nats": "negative log-likelihood of the true density, nats (the optimum)",
    "entropy_nats": "entropy of the true density, nats",
    "gap_nats": "what the model loses against the true density, nats (lower is better)",
    "gaussian_gap_nats": "what one Gaussian loses against the true density, nats (a baseline)",
    "majority_accuracy": "accuracy of always naming the most frequent class (the baseline)",
    # chapter 2
    "test_accuracy": "accuracy on test images (higher is better)",
    "improved_accuracy": "accuracy of the improved network on test images (higher is better)",
    "mlp_accuracy": "accuracy of the multilayer perceptron (the baseline)",
    "nearest_mean_accuracy": "accuracy of the nearest class mean (the baseline)",
    "max_error": "largest difference from Keras's result (lower is better)",
    # chapter 3
    "test_bce_nats": "cross-entropy of test images, nats per image (lower is better)",
    "floor_bce_nats": "cross-entropy of a perfect copy, nats per image (the optimum)",
    "mean_picture_bce_nats": "cross-entropy of the mean picture, nats per image (the baseline)",
    "test_mse": "squared error per pixel of test images (lower is better)",
    "pca_mse": "squared error per pixel of PCA with as many numbers (the baseline)",
    "linear_denoiser_mse": "squared error per pixel of a linear denoiser (the baseline)",
    "test_elbo_nats": "negative ELBO of test images, nats per image (lower is better)",
    "test_bits_per_dim": "bits per dimension of test images (lower is better)",
    "kl_nats": "KL term, nats per image",
    "iwae_nats": "importance-weighted bound, nats per image (lower is better)",
    "ppca_nll_nats": "negative log-likelihood of probabilistic PCA, nats per image (the baseline)",
    "ppca_bits_per_dim": "bits per dimension of probabilistic PCA (the baseline)",
    "reconstruction_nats": "reconstruction term, nats per image",
    "floor_nats": "negative log-likelihood of a perfect copy, nats per image (the floor)",
    "mean_picture_nats": "negative log-likelihood of the mean picture, nats per image (a baseline)",
    "fid": "Fréchet distance of feature clouds (lower is better)",
    "bernoulli_fid": "Fréchet distance of feature clouds, pixels drawn (lower is better)",
    "trivial_fid": "Fréchet distance of feature clouds, a Gaussian on pixels (the baseline)",
    "floor_fid": "Fréchet distance of feature clouds, real against real (the floor)",
    "auroc_digits": "ROC-AUC of digits among clothes (higher is better)",
    "excess_auroc_digits": "ROC-AUC of digits among clothes, score above the floor",
    "brightness_auroc_digits": "ROC-AUC of digits among clothes by brightness alone (a baseline)",
    "auroc_upside_down": "ROC-AUC of clothes upside down (higher is better)",
    "auroc_half_brightness": "ROC-AUC of clothes at half brightness (higher is better)",
    "auroc_clothes": "ROC-AUC of clothes among digits (higher is better)",
    "kid_samples": "kernel distance of features, samples (lower is better)",
    "kid_reconstructions": "kernel distance of features, reconstructions (lower is better)",
    "kid_trivial": "kernel distance of features, a Gaussian on PCA of pixels (the baseline)",
    "kid_floor": "kernel distance of features, real against real (the floor)",
    "smile_flip": "faces whose mouth changes as asked (higher is better)",
    "hair_flip": "faces whose hair colour changes as asked (higher is better)",
    "random_smile_flip": "faces that begin to smile by a random step as long (a baseline)",
    "random_hair_flip": "faces that turn blond by a random step as long (a baseline)",
    "random_eyes_flip": "faces that begin to wink by a random step as long (a baseline)",
    "eyes_flip": "faces whose eyes change as asked (higher is better)",
    "eyes_strength": "strength of the step towards a wink, chosen on validation faces",
    "eyes_worst_kept": "faces that keep the most fragile other attribute, wink",
    "hair_single_flip": "faces that turn blond by one vector for all colours (a comparison)",
    "hair_single_strength": "strength of that one vector, chosen on validation faces",
    "hair_single_worst_kept": "faces that keep the most fragile other attribute, one vector",
    "kid_fitted": "kernel distance of features, codes from a fitted Gaussian (lower is better)",
    "smile_strength": "strength of the step towards a smile, chosen on validation faces",
    "hair_strength": "strength of the step towards blond hair, chosen on validation faces",
    "smile_worst_kept": "faces that keep the most fragile other attribute, smile",
    "hair_worst_kept": "faces that keep the most fragile other attribute, hair",
}


# ---------------------------------------------------------------- what the repository says


@dataclass(frozen=True)
class Notebook:
    """A notebook of the book: its page name, e.g. "notebooks/03_autoencoders/vae"."""

    page: str

    @property
    def name(self) -> str:
        return self.page.rsplit("/", 1)[1]

    @property
    def path(self) -> Path:
        return ROOT / f"{self.page}.ipynb"

    @property
    def record(self) -> Path:
        return DATA / "results" / f"{self.name}.json"

    def runs(self) -> list[dict[str, Any]]:
        """Its recorded runs; [] before the first."""
        return list(read_json(self.record)["runs"]) if self.record.exists() else []

    def markdown(self) -> list[str]:
        """The text of its Markdown cells; [] while the notebook does not exist."""
        if not self.path.exists():
            return []
        cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]

    def title(self) -> str:
        """Its first heading."""
        for text in self.markdown():
            if found := re.search(r"^# +(.+)$", text, re.MULTILINE):
                return found.group(1).strip()
        return self.name

    def reading_minutes(self) -> int | None:
        """Minutes to read its prose, code not counted."""
        words = sum(len(text.split()) for text in self.markdown())
        return max(1, round(words / WORDS_PER_MINUTE)) if words else None


def toc_pages(toc: Any) -> list[str]:
    """Every page that _toc.yml names, in order."""
    if isinstance(toc, list):
        return [page for part in toc for page in toc_pages(part)]
    own = [toc[key] for key in ("root", "file") if key in toc]
    return own + [
        page for key in ("parts", "chapters", "sections") for page in toc_pages(toc.get(key, []))
    ]


def notebooks() -> list[Notebook]:
    """The book's notebooks in the order of _toc.yml."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    pages = [page for page in toc_pages(toc) if page.startswith("notebooks/")]
    return [Notebook(page) for page in pages if not page.endswith("/index")]


def quick_seconds() -> dict[str, float]:
    """Seconds of each notebook under quick, as `make execute` measured them; {} before that."""
    return read_json(QUICK)["seconds"] if QUICK.exists() else {}


def comes_with_the_book(dataset: str) -> bool:
    """True for data that every reader has: embedded in the repository or made in a notebook."""
    known = datasets.REGISTRY.get(dataset)
    return not dataset.startswith("folder:") and (known is None or known.embedded)


# ---------------------------------------------------------------- tables, as Markdown


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Four significant digits, with thousands separated: 0.8874, 241.3, 592,554, 2e-07."""
    if value == int(value) or abs(value) >= 1e4:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.2g}"
    return f"{value:.{3 - math.floor(math.log10(abs(value)))}f}"


def measured(values: Sequence[float], own_sd: float | None) -> str:
    """One value, or the mean of several, with ± sd in the same decimals as the value."""
    mean = sum(values) / len(values)
    sd = own_sd
    if len(values) > 1:
        sd = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    text = number(mean)
    if sd is None:
        return text
    decimals = len(text.partition(".")[2]) if "e" not in text else 0
    return f"{text} ± {sd:.{decimals}f}" if round(sd, decimals) else f"{text} ± {sd:.1g}"


def per_metric(entry: Any, metric: str) -> Any:
    """A record's entry for a metric: the entry may be one number or a table by metric."""
    return entry.get(metric) if isinstance(entry, dict) else entry


def words(entry: Any) -> str:
    """A number, or several by model: "vae_2d 350,000, vae_16d 410,000"."""
    if isinstance(entry, dict):
        return ", ".join(f"{name} {number(value)}" for name, value in entry.items()) or "–"
    return number(entry) if entry else "–"


def metric_words(key: str) -> str:
    """What a metric's key means, with the model's name before it where the key has one."""
    model, _, metric = key.rpartition(".")
    text = METRIC_WORDS.get(metric, metric.replace("_", " "))
    return f"`{model}`: {text}" if model else text


def minutes(seconds: float) -> str:
    """Seconds as minutes, with one decimal below ten."""
    return f"{seconds / 60:.1f}" if seconds < 600 else f"{seconds / 60:.0f}"


def grouped(runs: Iterable[dict[str, Any]]) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """Runs that differ by seed only, together."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for run in runs:
        key = (run["dataset"], run["budget"], run.get("backend", ""), run.get("hardware", ""))
        groups.setdefault(key, []).append(run)
    return groups


def results_text() -> str:
    """The results page's body: for each notebook what was measured, and by which runs."""
    parts = []
    for notebook in notebooks():
        parts.append(f"## {notebook.title()}\n\nNotebook: {link(notebook)}.\n")
        runs = notebook.runs()
        parts.append(_results_tables(runs) if runs else f"**{GAP.capitalize()}.**\n")
    return "\n".join(parts)


def _results_tables(runs: list[dict[str, Any]]) -> str:
    metrics, costs = [], []
    for (dataset, budget, backend, machine), group in grouped(runs).items():
        for metric in dict.fromkeys(name for run in group for name in run["metrics"]):
            having = [run for run in group if metric in run["metrics"]]
            n = per_metric(having[0].get("n"), metric)
            sd = per_metric(having[0].get("sd"), metric)
            value = measured([run["metrics"][metric] for run in having], sd)
            seeds = f"{len(having)} seeds" if len(having) > 1 else "1 run"
            metrics.append(
                [dataset, budget, metric_words(metric), value, number(n) if n else "–", seeds]
            )
        seconds = sum(run["seconds"] for run in group) / len(group)
        costs.append(
            [
                dataset,
                budget,
                words(group[0].get("parameters")),
                words(group[0].get("updates")),
                minutes(seconds),
                f"{machine}; {backend}",
                group[-1]["date"],
            ]
        )
    measured_table = table(["data", "budget", "measure", "value", "items", "from"], metrics)
    cost_table = table(["data", "budget", "parameters", "updates", "minutes", "on", "date"], costs)
    sources = dict.fromkeys(f"{run['dataset']}: {run['source']}" for run in runs)
    return f"{measured_table}\n{cost_table}\nData: {'; '.join(sources)}.\n"


def budget_minutes(runs: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Mean minutes of these runs under each budget; "–" for a gap."""
    result = dict.fromkeys(BUDGETS, "–")
    for (_, budget, _, _), group in grouped(runs).items():
        if result.get(budget) == "–":
            result[budget] = minutes(sum(run["seconds"] for run in group) / len(group))
    return result


def default_minutes(notebook: Notebook) -> dict[str, str]:
    """Minutes under each budget with the notebook's default data, which comes with the book."""
    runs = [run for run in notebook.runs() if comes_with_the_book(run["dataset"])]
    result = budget_minutes(runs)
    seconds = quick_seconds().get(notebook.name)
    if seconds is not None:
        result["quick"] = minutes(seconds)
    return result


def link(notebook: Notebook) -> str:
    """A link to the notebook's page, or its bare name while there is none."""
    return f"{{doc}}`/{notebook.page}`" if notebook.path.exists() else f"`{notebook.name}`"


def minutes_text() -> str:
    """The timings page's table: a row for each notebook and data set."""
    rows = []
    for notebook in notebooks():
        times = default_minutes(notebook)
        rows.append([link(notebook), "default", *(times[budget] for budget in BUDGETS)])
        others = [run for run in notebook.runs() if not comes_with_the_book(run["dataset"])]
        for dataset in dict.fromkeys(run["dataset"] for run in others):
            times = budget_minutes(run for run in others if run["dataset"] == dataset)
            rows.append(["", f"`{dataset}`", "–", times["cpu"], times["gpu"]])
    machines = dict.fromkeys(run["hardware"] for notebook in notebooks() for run in notebook.runs())
    measured_on = f"Machines: {'; '.join(machines)}.\n" if machines else ""
    return table(["notebook", "data", *BUDGETS], rows) + "\n" + measured_on


def map_text(descriptions: dict[str, str]) -> str:
    """A table of the named notebooks: what each is about, minutes to read and to run.

    A notebook that _toc.yml does not have yet shows as a gap, which it fills without an edit here.
    """
    known = {notebook.name: notebook for notebook in notebooks()}
    rows = []
    for name, description in descriptions.items():
        if name not in known:
            rows.append([f"`{name}` (in preparation)", description, *["–"] * (1 + len(BUDGETS))])
            continue
        notebook = known[name]
        reading = notebook.reading_minutes()
        times = default_minutes(notebook)
        read = str(reading) if reading else "–"
        rows.append([link(notebook), description, read, *(times[budget] for budget in BUDGETS)])
    return table(["notebook", "what you do there", "read", *BUDGETS], rows)


def bench_text() -> str:
    """What `make bench` measured: speed and memory of each model."""
    if not BENCH.exists():
        return f"**{GAP.capitalize()}.**\n"
    bench = read_json(BENCH)
    rows = [
        [
            row["notebook"],
            f"`{row['model']}`",
            number(row["parameters"]),
            number(row["train_items_per_second"]),
            f"{row['sample_ms']:.3g}",
            number(row["peak_mb"]),
        ]
        for row in bench["rows"]
    ]
    header = ["notebook", "model", "trained parameters", "training, items/s"]
    header += ["sample, ms", "memory, MB"]
    versions = ", ".join(f"{name} {version}" for name, version in bench["versions"].items())
    return f"{table(header, rows)}\n{bench['hardware']}; {versions}; {bench['date']}.\n"


def families_text() -> str:
    """The page 'Six families': what each family's pictures score, what they cost, and the pictures.

    A family without a notebook, or without a measurement, is a gap that fills by itself.
    """
    record = read_json(FAMILIES_RECORD)
    measured_rows = {row["notebook"]: row for row in record["rows"]}
    known = {notebook.name: notebook for notebook in notebooks()}
    quality = [[f"*{name}*", *family_measures(ends)] for name, ends in record["bounds"].items()]
    price, sheets = [], []
    for family, name, metric, likelihood in FAMILIES:
        row = measured_rows.get(name) if name in known else None
        title = f"{family}: {link(known[name])}" if name in known else f"{family}, in preparation"
        quality.append([title, *(family_measures(row) if row else ["–"] * 4)])
        words = likelihood_words(known.get(name), metric, likelihood)
        if row is None:
            price.append([family, words, "–", "–", "–"])
            continue
        costs = number(row["parameters"]), minutes(row["train_seconds"]), f"{row['sample_ms']:.3g}"
        price.append([family, words, *costs])
        sheets.append(
            f"```{{figure}} images/families/{name}.png\n:name: fig-family-{name}\n"
            f":alt: Two rows of ten generated pictures of clothes\n\n"
            f"{family}: the first twenty samples of seed 0.\n```\n"
        )
    machines = dict.fromkeys(f"{row['hardware']}, {row['date']}" for row in record["rows"])
    about = f"{record['n']:,} samples against as many test pictures; {'; '.join(machines)}.\n"
    first = ["family", "FID-fashion", "1000 KID", "precision", "recall"]
    second = ["family", "likelihood", "parameters", "training, minutes", "one sample, ms"]
    return "\n".join([table(first, quality), about, table(second, price), *sheets])


def family_measures(values: dict[str, float]) -> list[str]:
    """FID, 1000 KID with its sd, precision and recall as cells of the table."""
    kid = f"{1000 * values['kid']:.1f} ± {1000 * values['kid_sd']:.1f}"
    return [
        f"{values['fid']:.2f}",
        kid,
        f"{values['precision']:.2f}",
        f"{values['recall']:.2f}",
    ]


def likelihood_words(notebook: Notebook | None, metric: str | None, text: str) -> str:
    """The family's likelihood from the notebook's record, or why there is none."""
    if metric is None:
        return text
    for run in notebook.runs() if notebook else []:
        if run["dataset"] == "fashion_mnist" and metric in run["metrics"]:
            return text.format(number(run["metrics"][metric]))
    return "–"


def data_text(embedded: bool) -> str:
    """The registry's data sets: those that come with the book, or the others."""
    rows = [
        [
            f"`{entry.name}`",
            entry.about,
            f"{entry.items[0]:,} + {entry.items[1]:,}" if entry.items else "–",
            f"[{entry.publisher}]({entry.url})",
            entry.licence,
        ]
        for entry in datasets.REGISTRY.values()
        if entry.embedded == embedded
    ]
    return table(["name", "what", "train + test", "from", "licence"], rows)


def api_text() -> str:
    """A section for each public module of helpers, filled by autodoc."""
    modules = sorted(path.stem for path in (ROOT / "helpers").glob("*.py"))
    return "\n".join(
        f"## helpers.{name}\n\n```{{eval-rst}}\n.. automodule:: helpers.{name}\n   :members:\n```\n"
        for name in modules
        if not name.startswith("_")
    )


# ---------------------------------------------------------------- the Sphinx extension


def hub_link(repository: str, branch: str, page: str) -> str:
    """The query that the JupyterHub page turns into a link to the reader's own hub.

    page: a notebook's page name; "" opens the folder of all notebooks.
    """
    folder = repository.rstrip("/").rsplit("/", 1)[1]
    path = f"lab/tree/{folder}/{page}.ipynb" if page else f"lab/tree/{folder}/notebooks"
    return urlencode({"repo": repository, "branch": branch, "urlpath": path}, safe="/:")


def number_chapters_by_folder(app: Any, env: Any) -> list[str]:
    """Give each chapter, its sections and figures the number of its folder.

    Sphinx counts the chapters in the table of contents, in which some may still be missing.
    """
    from docutils import nodes

    for page in env.found_docs:
        folder = re.match(r"notebooks/(\d\d)_", page)
        if folder is None:
            continue
        chapter = int(folder[1])
        # headings of a notebook have no numbers of their own, its figures do
        figures = env.toc_fignumbers.get(page, {}).values()
        for table in [env.toc_secnumbers.get(page, {}), *figures]:
            table.update({name: (chapter, *number[1:]) for name, number in table.items() if number})
        titles = [env.titles[page], *env.tocs[page].findall(nodes.reference)]
        for title in titles:
            if title.get("secnumber"):
                title["secnumber"] = [chapter, *title["secnumber"][1:]]
    return []


def setup(app: Any) -> dict[str, Any]:
    """Register the directives and the hooks with Sphinx."""
    from docutils import nodes
    from docutils.statemachine import StringList
    from sphinx.util.docutils import SphinxDirective

    class Generated(SphinxDirective):
        """A directive whose Markdown is made from files, and remade when one of them changes."""

        has_content = True

        def text(self) -> str:
            raise NotImplementedError

        def run(self) -> list[nodes.Node]:
            read = [path for book in notebooks() for path in (book.record, book.path)]
            for path in [*read, BENCH, QUICK, FAMILIES_RECORD, Path(datasets.__file__)]:
                self.env.note_dependency(str(path))
            container = nodes.Element()
            lines = StringList(self.text().splitlines(), source=self.env.docname)
            self.state.nested_parse(lines, self.content_offset, container, match_titles=True)
            return container.children

    class RecordedResults(Generated):
        def text(self) -> str:
            return results_text()

    class RecordedMinutes(Generated):
        def text(self) -> str:
            return minutes_text()

    class RecordedSpeed(Generated):
        def text(self) -> str:
            return bench_text()

    class RecordedFamilies(Generated):
        def text(self) -> str:
            return families_text()

    class DataSets(Generated):
        required_arguments = 1

        def text(self) -> str:
            return data_text(embedded=self.arguments[0] == "embedded")

    class Api(Generated):
        def text(self) -> str:
            return api_text()

    class NotebookMap(Generated):
        def text(self) -> str:
            lines = (line.partition(":") for line in self.content if line.strip())
            named = {name.strip(): text.strip() for name, _, text in lines}
            return map_text(named)

    # a changed extension makes every page anew
    app.add_config_value("site_pages_sha256", file_sha256(Path(__file__)), "html")
    app.add_directive("recorded-results", RecordedResults)
    app.add_directive("recorded-minutes", RecordedMinutes)
    app.add_directive("recorded-speed", RecordedSpeed)
    app.add_directive("recorded-families", RecordedFamilies)
    app.add_directive("data-sets", DataSets)
    app.add_directive("api-of-helpers", Api)
    app.add_directive("notebook-map", NotebookMap)
    app.connect("autodoc-process-docstring", plain_docstring, priority=900)  # after napoleon
    app.connect("builder-inited", make_static_folder)
    app.connect("config-inited", load_mathjax_where_needed)
    app.connect("env-get-updated", number_chapters_by_folder, priority=900)  # after Sphinx counted
    app.connect("source-read", fill_in_repository)
    app.connect("html-page-context", add_hub_button, priority=502)  # after the theme's buttons
    app.connect("html-page-context", leave_thebe_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def load_mathjax_where_needed(app: Any, config: Any) -> None:
    """Jupyter-book links every script below _static from every page; MathJax is not for all.

    Sphinx itself links it, through mathjax_path, from the pages that have formulas.
    """
    config.html_js_files = [
        name for name in config.html_js_files if not str(name).startswith("mathjax/")
    ]


def leave_thebe_out(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Drop the scripts for running cells inside the page: they would come from another host."""
    for kind in ("script_files", "css_files"):
        context[kind] = [
            asset
            for asset in context[kind]
            if "thebe" not in f"{asset.filename} {asset.attributes.get('body', '')}".lower()
        ]


# Code in a docstring with what it touches, or a character that Sphinx would take for markup
MARKUP = re.compile(
    r"(?P<before>[\w})\]]?)(?P<ticks>`{1,2})(?P<code>[^`]+)(?P=ticks)(?=(?P<after>\w?))|[|*]|_\b"
)


def plain_docstring(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Docstrings here are plain text with `code` in it: keep Sphinx from reading more into them."""

    def escaped(found: re.Match[str]) -> str:
        if not found["ticks"]:
            return "\\" + found[0]
        # "\\ " is a space that is not shown; Sphinx wants one where code touches a word or a brace
        before = found["before"] and found["before"] + "\\ "
        return f"{before}``{found['code']}``" + ("\\ " if found["after"] else "")

    lines[:] = [MARKUP.sub(escaped, line) for line in lines]


def make_static_folder(app: Any) -> None:
    """Make _static first: the theme copies the logo there even when a build fails early.

    Without the folder the logo would become a file of that name, and every later build would fail.
    """
    (Path(app.outdir) / "_static").mkdir(parents=True, exist_ok=True)


def fill_in_repository(app: Any, page: str, source: list[str]) -> None:
    """Replace {{repository}} and {{hub_query}} in the pages, so that the address stands once."""
    if page.startswith("book/"):
        options = app.config.html_theme_options
        repository, branch = options["repository_url"], options["repository_branch"]
        query = hub_link(repository, branch, "").replace("&", "&amp;")
        source[0] = source[0].replace("{{repository}}", repository).replace("{{hub_query}}", query)


def add_hub_button(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Add a JupyterHub button to notebooks: hubs differ, so it opens the page that asks for yours.

    With `jupyterhub_url` in _config.yml the theme makes the button itself.
    """
    options = app.config.html_theme_options
    buttons = next(
        (b for b in context.get("header_buttons", []) if b.get("label") == "launch-buttons"), None
    )
    if buttons is None or options["launch_buttons"].get("jupyterhub_url"):
        return
    query = hub_link(options["repository_url"], options["repository_branch"], page)
    buttons["buttons"].append(
        {
            "type": "link",
            "text": "JupyterHub",
            "tooltip": "Open on a JupyterHub of your choice",
            "icon": "_static/images/logo_jupyterhub.svg",
            "url": f"{context['pathto']('book/jupyterhub')}?{query}",
        }
    )


def main() -> int:
    """Print which notebooks have no record yet."""
    gaps = [notebook.name for notebook in notebooks() if not notebook.runs()]
    if gaps:
        print(f"No recorded results yet for: {', '.join(gaps)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
