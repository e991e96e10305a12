// @ts-check
// The ladder: which rung the reader has reached, by the self-assessment.
(() => {
  "use strict";

  const { store, say, data, watch } = /** @type {any} */ (globalThis).firedrill;
  /** @type {{title: string, items: string[]}[]} */
  const rungs = data("fd-levels-data");
  const places = document.querySelectorAll("#fd-ladder .fd-quiet");

  watch(() => {
    const answers = store.get("assessment");
    let rung = "none yet";
    let whole = true; // every rung so far
    rungs.forEach(({ title, items }, i) => {
      const known = items.filter((id) => answers[id]?.level >= 2).length; // 2: "Can explain"
      const reached = known === items.length;
      whole &&= reached;
      if (whole) rung = title;
      places[i].textContent = `you can explain ${known} of ${items.length}${reached ? ": reached" : ""}`;
    });
    say(document.getElementById("fd-rung"), `Your rung: ${rung}.`);
  });
})();
