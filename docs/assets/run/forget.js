// @ts-check
// A button that removes what this browser kept of the site for running code and for reading offline.
(() => {
  "use strict";

  const own = /** @type {HTMLScriptElement} */ (document.currentScript).src;
  const host = document.querySelector("[data-fd-forget]");
  if (!host || !("caches" in self)) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "fd-run__button";
  button.textContent = "Remove what is kept for running";
  const state = document.createElement("p");
  state.className = "fd-run__state";
  state.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    try {
      // Other sites may lie below the same host: only our names, only our folder.
      const names = (await caches.keys()).filter((name) => name.startsWith("firedrill-"));
      for (const name of names) await caches.delete(name);
      const scope = new URL("../../", own).href;
      for (const one of await navigator.serviceWorker?.getRegistrations() ?? []) {
        if (one.scope === scope) await one.unregister();
      }
      state.textContent = names.length ? "Removed." : "Nothing was kept.";
    } catch (error) {
      state.textContent = `That did not work: ${error.message}. Clear the site's data in your browser's settings.`;
    }
  });
  host.append(button, state);
})();
