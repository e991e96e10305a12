// @ts-check
// The finder and the question index: filters what the page lists, and keeps that in its address.
(() => {
  "use strict";

  const form = /** @type {HTMLFormElement} */ (document.getElementById("fd-finder"));
  const [problem, status] = /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll("[role=status]"));
  const boxes = /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("[type=checkbox]")]);
  const text = /** @type {HTMLInputElement} */ (form.elements.namedItem("text"));
  const folds = [...form.querySelectorAll("details")];
  const facets = folds.map((fold) => fold.id.slice(3));
  const items = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-fd-item]")]);

  /** @param {string} words */
  const fold = (words) => words.normalize("NFKC").toLowerCase();
  /** @param {HTMLElement} item @param {string} facet */
  const values = (item, facet) => (item.dataset[facet] ?? "").split(" ");
  const known = new Map(items.map((item) => [item, fold(`${item.textContent} ${item.dataset.text}`)]));

  /** What the form says, as the query of an address; names that are none of ours stay. */
  const query = () => {
    const said = new URLSearchParams(location.search);
    for (const name of [...facets, "text"]) said.delete(name);
    for (const [name, value] of new FormData(form)) if (value) said.append(name, String(value));
    said.sort();
    return String(said) && `?${said}`;
  };

  /** Set the form to what the address says, and name what it does not understand. */
  const read = () => {
    const said = new URLSearchParams(location.search);
    const lost = [];
    for (const box of boxes) box.checked = false;
    text.value = "";
    for (const [name, value] of said) {
      const box = boxes.find((one) => one.name === name && one.value === value);
      if (box) box.checked = true;
      else if (name === "text") text.value = value;
      else if (name !== "h") lost.push(`${name}=${value}`); // h: the words that search marks
    }
    problem.hidden = lost.length === 0;
    problem.textContent = `This address asks for ${lost.join(", ")}, which is no filter here. The rest of it holds.`;
    folds.forEach((one, i) => { one.open ||= said.has(facets[i]); });
    show();
  };

  /** @type {ReturnType<typeof setTimeout>} */
  let waiting;
  const show = () => {
    const words = fold(text.value).split(/\s+/);
    const chosen = facets.map((facet) => boxes.filter((box) => box.name === facet && box.checked).map((box) => box.value));
    /** @param {HTMLElement} item @param {string} [but] */
    const fits = (item, but) => words.every((word) => known.get(item)?.includes(word))
      && chosen.every((some, i) => some.length === 0 || facets[i] === but || some.some((one) => values(item, facets[i]).includes(one)));
    for (const item of items) item.hidden = !fits(item);
    for (const group of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-fd-group]"))) {
      group.hidden = !group.querySelector("[data-fd-item]:not([hidden])");
    }
    for (const box of boxes) {
      const count = items.filter((item) => fits(item, box.name) && values(item, box.name).includes(box.value)).length;
      /** @type {Element} */ (box.parentElement?.querySelector(".fd-quiet")).textContent = `(${count})`;
    }
    folds.forEach((one, i) => {
      /** @type {Element} */ (one.querySelector(".fd-quiet")).textContent = chosen[i].length ? `· ${chosen[i].length} chosen` : "";
    });
    const count = items.filter((item) => !item.hidden).length;
    say(count ? `${count} of ${items.length} ${form.dataset.fdNoun}s` : `No ${form.dataset.fdNoun} fits all of this. Take a filter away.`);
  };
  /** Say it once the reader pauses. @param {string} words */
  const say = (words) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { status.textContent = words; }, 150);
  };
  const write = () => {
    problem.hidden = true; // the address now says what the form says
    try {
      history.replaceState(history.state, "", location.pathname + query() + location.hash);
    } catch { /* too often in a short time for this browser: the next change writes it */ }
  };

  form.addEventListener("input", show);
  form.addEventListener("change", write);
  form.addEventListener("submit", (event) => { event.preventDefault(); write(); });
  form.addEventListener("reset", () => setTimeout(() => { write(); show(); }));
  addEventListener("popstate", read);
  form.querySelector("button")?.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      say("Link copied.");
    } catch {
      say(location.href);
    }
  });

  for (const one of folds) one.open = matchMedia("(min-width: 60em)").matches && one.id !== "fd-symptom";
  form.hidden = false;
  read();
})();
