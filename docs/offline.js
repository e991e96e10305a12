// @ts-check
// Answers with what this browser kept when the network does not. The first press of Run puts it in
// place; while there is a network, every page is asked for anew.
(() => {
  "use strict";

  const worker = /** @type {any} */ (self);
  const KEPT = "firedrill-offline";
  /** A folder named by its version, which never changes; another version takes its place. */
  const FIXED = /^(.*\/assets\/run\/[a-z]+-)[\d.]+\//;

  /** @param {Cache} store @param {string} url @param {Response} fresh */
  const put = async (store, url, fresh) => {
    const folder = FIXED.exec(url);
    if (folder) {
      for (const { url: old } of await store.keys()) {
        if (old.startsWith(folder[1]) && !old.startsWith(folder[0])) await store.delete(old);
      }
    }
    await store.put(url, fresh);
  };

  /** @param {any} event */
  const answer = async (event) => {
    const url = event.request.url.split("#")[0];
    const store = await caches.open(KEPT).catch(() => undefined);
    if (!store) return fetch(event.request);
    const old = FIXED.test(url) && await store.match(url);
    if (old) return old;
    try {
      const fresh = await fetch(event.request);
      if (fresh.ok && !fresh.redirected) event.waitUntil(put(store, url, fresh.clone()).catch(() => {}));
      return fresh;
    } catch (error) {
      const kept = await store.match(url, { ignoreSearch: true });
      if (kept) return kept;
      throw error;
    }
  };

  /** What was loaded before this was here; the browser mostly has it still.
   * @param {string[]} urls
   */
  const keep = async (urls) => {
    const store = await caches.open(KEPT);
    for (const url of urls) {
      if (!url.startsWith(worker.registration.scope) || await store.match(url)) continue;
      const fresh = await fetch(url).catch(() => undefined);
      if (fresh?.ok && !fresh.redirected) await put(store, url, fresh);
    }
  };

  worker.addEventListener("install", () => worker.skipWaiting());
  worker.addEventListener("activate", (event) => event.waitUntil(worker.clients.claim()));
  worker.addEventListener("message", (event) => event.waitUntil(keep(event.data).catch(() => {})));
  worker.addEventListener("fetch", (event) => {
    const { method, url } = event.request;
    if (method === "GET" && url.startsWith(worker.registration.scope)) event.respondWith(answer(event));
  });
})();
