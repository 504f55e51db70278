"""Print which notebooks have no record yet."""

from scripts.site_pages.contents import notebooks

gaps = [notebook.name for notebook in notebooks() if not notebook.runs()]
if gaps:
    print(f"No recorded results yet for: {', '.join(gaps)}")
