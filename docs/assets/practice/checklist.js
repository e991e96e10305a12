// @ts-check
// The self-assessment: keeps each answer, shows totals, hides what is known.
(() => {
  "use strict";

  const { store, say, data, watch } = /** @type {any} */ (globalThis).firedrill;
  const EXPLAIN = 2; // "Can explain"
  const CONFIDENT = 3;
  const STALE = 30 * 86_400_000; // ms

  /** @type {{id: string, part: string, level: string}[]} */
  const items = data("fd-checklist-data");
  const form = /** @type {HTMLFormElement} */ (document.getElementById("fd-checklist"));
  const tools = /** @type {HTMLElement} */ (document.getElementById("fd-checklist-tools"));
  const weak = /** @type {HTMLInputElement} */ (document.getElementById("fd-weak"));
  const ready = /** @type {HTMLElement} */ (document.getElementById("fd-ready"));
  const outro = ready.nextElementSibling?.textContent ?? "";

  /** @type {Record<string, {level: number, at: string}>} */
  let answers;
  /** @param {{id: string}} item */
  const level = (item) => answers[item.id]?.level ?? -1;
  const show = () => {
    answers = store.get("assessment");
    for (const item of items) {
      const place = /** @type {HTMLElement} */ (document.getElementById(item.id));
      for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (place.querySelectorAll("input"))) {
        input.checked = Number(input.value) === level(item);
      }
      const at = answers[item.id]?.at;
      const when = place.querySelector("[data-fd-when]");
      const old = at && Date.now() - Date.parse(at) > STALE;
      if (when) when.textContent = old ? `· answered on ${at.slice(0, 10)}, ask yourself again` : "";
      // What was just answered stays in sight until the filter is used again.
      if (!place.contains(document.activeElement)) place.hidden = weak.checked && level(item) >= EXPLAIN;
    }
    for (const row of tools.querySelectorAll("[data-fd-total]")) {
      const [kind, id] = (row.getAttribute("data-fd-total") ?? "").split("/");
      const group = items.filter((item) => item[/** @type {"part" | "level"} */ (kind)] === id);
      const known = group.filter((item) => level(item) >= EXPLAIN).length;
      const meter = /** @type {HTMLMeterElement} */ (row.querySelector("meter"));
      /** @type {HTMLElement} */ (row.querySelector("[data-fd-count]")).textContent = `${known} of ${group.length}`;
      meter.max = group.length;
      meter.value = known;
    }
    const answered = items.filter((item) => level(item) >= 0).length;
    const confident = items.filter((item) => level(item) === CONFIDENT).length;
    say(tools.querySelector("[data-fd-summary]"), `${answered} of ${items.length} answered, ${confident} confident.`);
    ready.hidden = confident < items.length;
    if (confident === items.length) say(ready, outro);
  };

  form.addEventListener("change", (event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    answers = store.get("assessment");
    answers[input.name] = { level: Number(input.value), at: new Date().toISOString() };
    store.set("assessment", answers);
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  weak.addEventListener("change", () => {
    const order = weak.checked ? [...items].sort((a, b) => level(a) - level(b)) : items;
    form.append(.../** @type {HTMLElement[]} */ (order.map(({ id }) => document.getElementById(id))));
    show();
  });
  tools.hidden = false;
  watch(show);
})();
