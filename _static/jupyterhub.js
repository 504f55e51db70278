// The page "Open on a JupyterHub": turns the hub's address and the page's query into a link that
// the hub's nbgitpuller understands. Nothing is sent anywhere; the address stays in this browser.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("form.hub-form");
  if (!form) return;
  const address = form.querySelector("input");
  const result = document.querySelector(".hub-result");
  const asked = new URLSearchParams(window.location.search);
  const query = asked.has("repo") ? asked : new URLSearchParams(form.dataset.query);
  const notebook = (query.get("urlpath") || "").split("/").slice(3).join("/");
  if (notebook) form.querySelector("button").textContent = `Open ${notebook.split("/").pop()}`;
  try {
    address.value = localStorage.getItem("book-jupyterhub") || "";
  } catch { /* private window: the address is not remembered */ }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const hub = address.value.trim().replace(/\/+(hub(\/.*)?)?$/, "");
    if (!/^https?:\/\/[^/]/.test(hub)) {
      result.textContent = "Write the whole address of your hub, beginning with https://";
      return;
    }
    try {
      localStorage.setItem("book-jupyterhub", hub);
    } catch { /* as above */ }
    const link = document.createElement("a");
    link.href = `${hub}/hub/user-redirect/git-pull?${query}`;
    link.textContent = link.href;
    result.replaceChildren("If nothing opens, follow this link: ", link);
    window.location.assign(link.href);
  });
});
