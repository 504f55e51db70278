"""The site's own Sphinx extension: tables from the record, the JupyterHub button, local assets.

The directives write what nobody types by hand, each from files of the repository:

- ``recorded-results``: every metric in data/results, notebook by notebook
- ``recorded-minutes``: minutes of each notebook under each budget
- ``recorded-speed``: what `make bench` measured
- ``recorded-families``: what `make families` measured, and a sheet of samples for each family
- ``recorded-bits``: the likelihoods of these families that can be compared
- ``recorded-slips``: the catalogues of slips, and which check noticed each
- ``notebook-map``: a chapter's notebooks with a line about each and their minutes
- ``api-of-helpers``: a section for each module of the package
- ``data-sets``: the registry of data sets, "embedded" or "others"

A notebook without a record shows as a gap; `python -m scripts.site_pages` prints the gaps.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for helpers, here and in autodoc

from .directives import setup

__all__ = ["setup"]
