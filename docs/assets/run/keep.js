// @ts-check
// After a press, this page and what it loaded stay in this browser, for when no network answers.

/** @type {Set<string>} */
const told = new Set();

/** Whether the page is seen where the site is at home: a copy on loopback keeps nothing. */
const atHome = () => {
  const canonical = /** @type {HTMLLinkElement | null} */ (document.querySelector("link[rel=canonical]"));
  return canonical !== null && new URL(canonical.href).origin === location.origin;
};

/** Keep this page, what it loaded, and what a program behind it loaded.
 * @param {string[]} loaded addresses that the program loaded so far
 */
export const keep = async (loaded) => {
  const fresh = loaded.filter((url) => !told.has(url));
  if (!fresh.length || !navigator.serviceWorker || !atHome()) return;
  for (const url of fresh) told.add(url);
  await navigator.serviceWorker.register(new URL("../../offline.js", import.meta.url));
  const { active } = await navigator.serviceWorker.ready;
  const mine = performance.getEntriesByType("resource").map(({ name }) => name);
  active?.postMessage([location.href.split("#")[0], ...mine, ...fresh]);
};
