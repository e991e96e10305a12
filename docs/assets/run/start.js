// @ts-check
// Brings the buttons that run a page's code. Classic script: it can say why a module did not load.
(() => {
  "use strict";

  const own = /** @type {HTMLScriptElement} */ (document.currentScript).src;
  const hosts = [...document.querySelectorAll("[data-fd-run]")];
  /** @param {string} text */
  const say = (text) => {
    for (const host of hosts) {
      const line = document.createElement("p");
      line.className = "fd-run__state";
      line.textContent = text;
      host.replaceChildren(line);
    }
  };

  if (location.protocol === "file:") {
    say("To run this in the page, serve the site over HTTP: python -m http.server");
  } else {
    import(new URL("run.js", own).href)
      .then(({ mount }) => hosts.forEach(mount))
      .catch(() => say("What runs code in the page could not be loaded. Load the page again, or use Download."));
  }
})();
