// @ts-check
// The mock interview: draws questions from a seed, keeps time and notes, shows the model answer, grades, reports.
(() => {
  "use strict";

  const { store, say, data, filled, watch } = /** @type {any} */ (globalThis).firedrill;
  const KEY = "firedrill:v1:interview"; // in sessionStorage: the interview of this tab
  const EXPLAIN = 2; // "Can explain", in the self-assessment

  /**
   * @typedef {{id: string, parts: string[], level: string, items: string[]}} Question
   * @typedef {{fields: Record<string, string>, grades: Record<string, number>, shown: boolean, used: number}} Answer used in milliseconds
   * @typedef {{search: string, seed: string, minutes: number, role?: string, ids: string[], at: number, answers: Answer[]}} Round
   */

  /**
   * Draw without repetition; catalog/draw.py is the same in Python.
   * @param {string[]} ids @param {number} n @param {string} seed
   */
  const draw = (ids, n, seed) => {
    let state = 1779033703 ^ seed.length;
    for (let i = 0; i < seed.length; i++) {
      state = Math.imul(state ^ seed.charCodeAt(i), 3432918353);
      state = (state << 13) | (state >>> 19);
    }
    state = Math.imul(state ^ (state >>> 16), 2246822507);
    state = Math.imul(state ^ (state >>> 13), 3266489909);
    state ^= state >>> 16;
    const pool = [...ids];
    const size = Math.max(0, Math.min(n, pool.length));
    for (let at = 0; at < size; at++) {
      state = (state + 0x6d2b79f5) | 0;
      let word = Math.imul(state ^ (state >>> 15), 1 | state);
      word ^= word + Math.imul(word ^ (word >>> 7), 61 | word);
      word = (word ^ (word >>> 14)) >>> 0;
      const other = at + Math.floor((word / 2 ** 32) * (pool.length - at));
      [pool[at], pool[other]] = [pool[other], pool[at]];
    }
    return pool.slice(0, size);
  };
  Object.assign(/** @type {any} */ (globalThis).firedrill, { draw });

  /** @param {ParentNode} place @param {string} selector @returns {any} */
  const find = (place, selector) => place.querySelector(selector);
  /** @param {string} selector @returns {any[]} */
  const all = (selector) => [...document.querySelectorAll(selector)];
  const [setup, form, result] = all("#fd-mock, #fd-interview, #fd-result");
  /** @type {{v: string, questions: Question[], words: Record<string, string>}} */
  const { v, questions, words } = data("fd-mock-data");
  /** @param {string} id of a question @param {string} part of its fold-out @returns {any} */
  const piece = (id, part) => find(document, `#${id} > ${part}, #${id} [data-fd-part="${part}"]`) ?? {};
  /** @param {string} id */
  const title = (id) => piece(id, "summary").textContent ?? `${id} (no longer on this site)`;
  /** @param {Element} place @param {string} text */
  const tell = (place, text) => say(find(place, "[role=status]"), text);
  /** @param {string} name @param {() => void} does */
  const on = (name, does) => find(document, `[data-fd-${name}]`).addEventListener("click", does);
  const steps = all(".fd-step").map((place) => [place.dataset.fdStep, find(place, "h3").textContent]);
  const scores = all("[data-fd-score]"); // cells, between the signal's name and the score of all that is kept

  /** @type {Round} */
  let round;
  const answer = () => round.answers[round.at];

  /** Keep what stands in the form, here and for a reload. */
  const keep = () => {
    if (!form.hidden) answer().fields = Object.fromEntries(/** @type {any} */ (new FormData(form)));
    try {
      sessionStorage.setItem(KEY, JSON.stringify(round));
    } catch {
      find(form, ".fd-problem").hidden = false;
    }
  };

  // The clock: differences of a clock that nobody can set back, so a tab out of sight loses nothing.
  let running = false;
  let since = 0;
  let phase = 0; // 2 before the last minute, 1 in it, 0 over
  const back = find(setup, "[data-fd-back]");
  const pause = find(form, "[data-fd-pause]");
  /** @param {number} seconds */
  const length = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  const tick = () => {
    if (form.hidden) return;
    const now = performance.now();
    if (running) answer().used += now - since;
    since = now;
    const left = Math.ceil(round.minutes * 60 - answer().used / 1000);
    find(form, "[role=timer]").textContent = `${length(Math.abs(left))} ${left < 0 ? "over" : "left"}`;
    const next = left > 60 ? 2 : left > 0 ? 1 : 0;
    if (next < phase) tell(form, next ? words.minute : words.over);
    phase = next;
  };
  /** Let the clock run or stand, and show what belongs to that. @param {boolean} run */
  const clock = (run) => {
    tick();
    running = run;
    pause.textContent = run ? "Pause" : "Continue";
    form.classList.toggle("fd-untimed", !round.minutes || answer().shown);
    form.classList.toggle("fd-open", Boolean(round.role) || answer().shown);
  };
  setInterval(tick, 500);
  addEventListener("pagehide", () => {
    if (form.hidden) return;
    clock(false);
    keep();
  });
  on("pause", () => clock(!running));
  on("untimed", () => {
    phase = round.minutes = 0;
    clock(false);
    keep();
    find(form, "h2").focus();
  });

  /** Show where the interview is. @param {boolean} run whether its clock starts by itself */
  const show = (run) => {
    const { ids, at, answers, role } = round;
    const id = ids[at];
    setup.hidden = true;
    form.hidden = !id;
    result.hidden = Boolean(id);
    if (!id) return end();
    const one = answers[at] ??= { fields: {}, grades: {}, shown: false, used: 0 };
    find(form, ".fd-quiet").textContent = `Question ${at + 1} of ${ids.length}`;
    find(form, "h2").textContent = title(id);
    for (const slot of all("[data-fd-slot]")) slot.innerHTML = piece(id, slot.dataset.fdSlot).innerHTML ?? "";
    for (const field of all("#fd-interview :is(textarea, input)")) {
      const kept = one.fields[field.name];
      if (field.matches("textarea")) field.value = kept ?? "";
      else field.checked = kept === field.value;
    }
    find(form, "details").open = role;
    tell(form, "");
    phase = 0; // what was said before is not said again
    clock(run && round.minutes > 0 && !one.shown);
    keep();
    find(form, "h2").focus();
  };
  /** @param {{grades: Record<string, number>}[]} some @param {string} signal */
  const average = (some, signal) => {
    const found = some.flatMap(({ grades }) => grades[signal] ?? []);
    return found.length ? (found.reduce((sum, grade) => sum + grade) / found.length).toFixed(1) : words.ungraded;
  };
  const score = () => {
    for (const cell of result.hidden ? [] : scores) {
      cell.textContent = average(round.answers, cell.dataset.fdScore);
      cell.nextElementSibling.textContent = average(store.get("mock"), cell.dataset.fdScore);
    }
  };
  /** The questions with a signal below "Well". */
  const poor = () => round.ids.filter((_, i) => Object.values(round.answers[i]?.grades ?? {}).some((grade) => grade < 2));
  const end = () => {
    const { ids, answers, seed, role } = round;
    const seen = answers.filter((one) => role || one.shown);
    const weak = steps.flatMap(([id, name]) => {
      const missed = seen.filter(({ fields }) => !fields[`tick-${id}`]).length;
      return missed ? `${name}: not said in ${missed} of ${seen.length}` : [];
    });
    if (!weak.length) weak.push(words.strong);
    score();
    find(result, "[data-fd-later]").hidden = !poor().length;
    find(result, "ul").innerHTML = weak.map((text) => `<li>${text}</li>`).join("");
    find(result, "textarea").value = [
      `# Mock interview, ${new Date().toISOString().slice(0, 10)}\n`,
      `Seed \`${seed}\`, ${answers.length} of ${ids.length} asked: ${location.href}\n\n## Signals\n`,
      ...scores.map((cell) => `- ${cell.previousElementSibling.textContent}: ${cell.textContent}`),
      "\n## Weak steps\n",
      ...weak.map((text) => `- ${text}`),
      ...answers.flatMap(({ fields, used }, i) => [
        `\n## ${title(ids[i])}\n\nTime: ${length(Math.round(used / 1000))}\n`,
        ...steps.flatMap(([id, name]) => [
          `- [${fields[`tick-${id}`] ? "x" : " "}] ${name}: ${piece(ids[i], `must-${id}`).textContent ?? ""}`,
          ...fields[`note-${id}`].split("\n").filter(Boolean).map((line) => `    > ${line}`),
        ]),
      ]),
    ].join("\n");
    keep();
    find(result, "h2").focus();
  };

  /** Keep the grades, then go on. @param {number} to */
  const leave = (to) => {
    clock(false);
    keep();
    const grades = Object.fromEntries(all("fieldset :checked").map((field) => [field.name.slice(6), Number(field.value)]));
    if (Object.keys(grades).length) {
      const entry = { id: round.ids[round.at], seed: round.seed, at: new Date().toISOString(), grades };
      store.set("mock", [...store.get("mock"), entry].slice(-500));
    }
    answer().grades = grades;
    round.at = to;
    show(true);
  };
  form.addEventListener("input", keep);
  form.addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  on("reveal", () => {
    answer().shown = true;
    clock(false);
    keep();
    find(form, "h2").focus();
    tell(form, words.shown);
  });
  on("next", () => leave(round.at + 1));
  on("finish", () => leave(round.ids.length));
  on("copy", async () => {
    const report = find(result, "textarea");
    report.focus();
    report.select();
    try {
      await navigator.clipboard.writeText(report.value);
      tell(result, words.copied);
    } catch {
      tell(result, words.refused);
    }
  });
  on("later", () => {
    const reviews = store.get("reviews");
    for (const id of poor()) {
      // A card never seen is one without a memory: the first answer in Review begins it.
      reviews.cards[id] = { last: 0, S: 0, D: 0, state: 0, step: 0, reps: 0, lapses: 0, rev: "", ...reviews.cards[id], due: Date.now() };
    }
    tell(result, store.set("reviews", reviews) ? words.later : store.problem());
  });
  on("again", () => {
    result.hidden = true;
    setup.hidden = back.hidden = false;
    setup.elements.seed.value = seed();
    find(setup, "h2").focus();
  });

  // The draw: from the address, else the usual one; what is no option is said and left out.
  const seed = () => Math.random().toString(36).slice(2, 8);
  setup.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const { weak, ...chosen } = /** @type {any} */ (Object.fromEntries(/** @type {any} */ (new FormData(setup))));
    const known = store.get("assessment");
    const drawn = () => draw(questions.filter((one) => (!chosen.ask || chosen.ask.split(",").includes(one.id))
      && (!chosen.part || one.parts.includes(chosen.part)) && (!chosen.level || one.level === chosen.level)
      && (!weak || one.items.some((item) => (known[item]?.level ?? 0) < EXPLAIN))).map((one) => one.id), chosen.n, chosen.seed);
    let ids = drawn();
    if (!ids.length) return tell(setup, words.none);
    if (weak) {
      chosen.ask = ids.join(","); // nobody else knows what is weak: the address names the questions
      ids = drawn();
    }
    const options = Object.entries({ ...chosen, v }).filter(([name, value]) => value || name === "seed");
    history.replaceState(history.state, "", `?${new URLSearchParams(/** @type {any} */ (options))}`);
    round = { ...chosen, minutes: Number(chosen.minutes), search: location.search, ids, at: 0, answers: [] };
    show(true);
  });

  const asked = new URLSearchParams(location.search);
  const named = asked.get("ask")?.split(",") ?? [];
  const there = named.filter((id) => questions.some((one) => one.id === id));
  const only = setup.elements.ask;
  only.value = there.join(",");
  only.checked = there.length;
  only.parentElement.hidden = !there.length;
  setup.elements.seed.value = seed();
  setup.elements.role.checked = asked.get("role") === "interviewer";
  const lost = named.filter((id) => !there.includes(id)).join(", ");
  tell(setup, [
    filled(setup, ["n", "minutes", "part", "level", "seed"]),
    lost && `${words.lost} ${lost}.`,
    (asked.get("v") ?? v) === v ? "" : words.changed,
  ].join(" "));
  setup.hidden = false;

  // What was left in the middle goes on, its clock standing. Another address does not take it away.
  try {
    round = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  } catch { /* storage is closed */ }
  back.hidden = !round;
  on("back", () => {
    history.replaceState(history.state, "", round.search);
    show(false);
  });
  if (round?.search === location.search) show(false);
  watch(score);
})();
