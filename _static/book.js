// What the pages do besides what the theme does: say that a wide table scrolls, let the keyboard
// reach a wide formula, show the meaning of a term. Without JavaScript only these are missing.
(() => {
  const isWide = (box) => box.scrollWidth > box.clientWidth + 1;

  function markWideBoxes() {
    for (const formula of document.querySelectorAll('div.math, mjx-container[display="true"]')) {
      if (isWide(formula)) formula.tabIndex = 0;
      else formula.removeAttribute("tabindex");
    }
    for (const box of document.querySelectorAll(".pst-scrollable-table-container, .cell_output .output"))
      box.classList.toggle("scrolls", isWide(box) && !!box.querySelector("table"));
  }

  // On paper nothing scrolls: a formula wider than the page becomes smaller
  const PAGE = 640;  // pixels between the margins of A4
  function fitFormulasToPaper() {
    for (const formula of document.querySelectorAll('mjx-container[display="true"]')) {
      const width = formula.querySelector("mjx-math")?.scrollWidth ?? 0;
      if (width > PAGE) formula.style.zoom = PAGE / width;
    }
  }
  const onPaper = window.matchMedia("print");

  // Terms: the definition stands on the glossary's page, which is fetched once, when first wanted
  let glossary;
  const definitions = async (page) => {
    glossary ??= fetch(page).then((answer) => answer.text())
      .then((text) => new DOMParser().parseFromString(text, "text/html"));
    return glossary;
  };
  let note;

  async function showMeaning(event) {
    const link = event.currentTarget;
    const [page, name] = link.href.split("#");
    let meaning = (await definitions(page)).getElementById(decodeURIComponent(name));
    while (meaning?.tagName === "DT") meaning = meaning.nextElementSibling;  // two names, one meaning
    if (!meaning || !link.matches(":hover, :focus")) return;
    note.textContent = meaning.textContent.trim().replaceAll(/\\\(|\\\)/g, "");
    note.hidden = false;
    link.setAttribute("aria-describedby", note.id);
    const place = link.getBoundingClientRect();
    const left = Math.min(place.left, document.documentElement.clientWidth - note.offsetWidth - 8);
    const above = place.bottom + note.offsetHeight + 8 > window.innerHeight;
    note.style.left = `${Math.max(8, left) + window.scrollX}px`;
    note.style.top = `${window.scrollY + (above ? place.top - note.offsetHeight - 4 : place.bottom + 4)}px`;
  }

  function hideMeaning(event) {
    note.hidden = true;
    event?.currentTarget.removeAttribute?.("aria-describedby");
  }

  function watchTerms() {
    const terms = document.querySelectorAll('article a[href*="glossary.html#term-"]');
    if (!terms.length) return;
    note = document.createElement("div");
    note.id = "meaning-of-term";
    note.setAttribute("role", "tooltip");
    note.hidden = true;
    document.querySelector("article").append(note);
    for (const link of terms) {
      for (const way of ["mouseenter", "focus"]) link.addEventListener(way, showMeaning);
      for (const way of ["mouseleave", "blur"]) link.addEventListener(way, hideMeaning);
    }
    document.addEventListener("keydown", (event) => event.key === "Escape" && hideMeaning());
  }

  document.addEventListener("DOMContentLoaded", watchTerms);
  window.addEventListener("load", () => {
    markWideBoxes();
    window.MathJax?.startup?.promise?.then(() => {
      markWideBoxes();
      if (onPaper.matches) fitFormulasToPaper();
    });
    onPaper.addEventListener("change", () => onPaper.matches && fitFormulasToPaper());
    window.addEventListener("beforeprint", fitFormulasToPaper);
    window.addEventListener("resize", markWideBoxes);
  });
})();
