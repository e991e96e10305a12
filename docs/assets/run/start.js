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
      line.setAttribute("role", "status");
      line.textContent = text;
      host.replaceChildren(line);
    }
  };

  /** A simulation loads nothing before its button is pressed.
   * @param {HTMLElement} host
   */
  const offer = (host) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "fd-run__button fd-run__button--main";
    button.textContent = "Try it";
    button.addEventListener("click", () => {
      button.disabled = true;
      import(new URL("simulate.js", own).href)
        .then(({ open }) => open(host))
        .catch(() => say([host], "What moves the picture could not be loaded. Load the page again."));
    });
    host.append(button);
  };

  for (const [mark, file] of [["run", "run.js"], ["sql", "sql.js"], ["sim", ""]]) {
    const hosts = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(`[data-fd-${mark}]`)]);
    if (!hosts.length) continue;
    if (location.protocol === "file:") {
      say(hosts, "To run this in the page, serve the site over HTTP: python -m http.server");
    } else if (!file) {
      hosts.forEach(offer);
    } else {
      import(new URL(file, own).href)
        .then(({ mount }) => hosts.forEach(mount))
        .catch(() => say(hosts, "What runs code in the page could not be loaded. Load the page again, or use Download."));
    }
  }
})();
