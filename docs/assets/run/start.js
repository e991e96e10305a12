// @ts-check
// Brings the buttons that run a page's code. Classic script: it can say why a module did not load.
(() => {
  "use strict";

  const own = /** @type {HTMLScriptElement} */ (document.currentScript).src;
  /** @param {HTMLElement[]} hosts @param {string} text */
  const say = (hosts, text) => {
    for (const host of hosts) {
      const line = document.createElement("p");
      line.className = "fd-run__state";
      line.textContent = text;
      host.replaceChildren(line);
    }
  };

  for (const [mark, file] of [["run", "run.js"], ["sql", "sql.js"]]) {
    const hosts = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(`[data-fd-${mark}]`)]);
    if (!hosts.length) continue;
    if (location.protocol === "file:") {
      say(hosts, "To run this in the page, serve the site over HTTP: python -m http.server");
    } else {
      import(new URL(file, own).href)
        .then(({ mount }) => hosts.forEach(mount))
        .catch(() => say(hosts, "What runs code in the page could not be loaded. Load the page again, or use Download."));
    }
  }
})();
