// @ts-check
// Review: one card at a time, and when each comes back. The cards stand on the page as fold-outs.
(() => {
  "use strict";

  const { store, say, watch } = /** @type {any} */ (globalThis).firedrill;
  const DAY = 86_400_000; // ms
  const MINUTE = 60_000;

  /**
   * What is kept of a card. Times in ms; state 1 learning, 2 review, 3 learning again.
   * @typedef {{due: number, last: number, S: number, D: number, state: number, step: number | null,
   *   reps: number, lapses: number, rev: string}} Memory
   */

  // The schedule is FSRS-6 with its default weights and steps, and a retention of 0.9.
  // Formula and weights: Copyright (c) 2022 Open Spaced Repetition, MIT License,
  // https://github.com/open-spaced-repetition/py-fsrs. A test compares this with that package.
  const W = [
    0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796,
    1.4835, 0.0614, 0.2629, 1.6483, 0.6014, 1.8729, 0.5425, 0.0912, 0.0658, 0.1542,
  ];
  const STEPS = [[], [MINUTE, 10 * MINUTE], [], [10 * MINUTE]]; // by state
  const MOST = 36_500; // days
  const FACTOR = 0.9 ** (-1 / W[20]) - 1;
  /** @param {number} x */
  const exp = (x) => Math.E ** x;
  /** @param {number} grade */
  const difficulty = (grade) => W[4] - exp(W[5] * (grade - 1)) + 1;

  /**
   * Answer a card: give its memory afterwards, without its revision.
   * @param {Partial<Memory> | undefined} before @param {number} grade 1 again, 2 hard, 3 good, 4 easy
   * @param {number} now
   */
  const answered = (before, grade, now) => {
    let { S = 0, D = 0, state = 0, step = 0, last = 0, reps = 0, lapses = 0 } = before ?? {};
    const days = Math.floor((now - last) / DAY);
    if (!S) {
      [S, D, state, step] = [W[grade - 1], difficulty(grade), 1, 0];
    } else {
      const R = (1 + (FACTOR * Math.max(days, 0)) / S) ** -W[20];
      if (days < 1) {
        const growth = exp(W[17] * (grade - 3 + W[18])) * S ** -W[19];
        S *= grade > 1 ? Math.max(growth, 1) : growth;
      } else if (grade > 1) {
        S *= 1 + exp(W[8]) * (11 - D) * S ** -W[9] * (exp((1 - R) * W[10]) - 1)
          * (grade === 2 ? W[15] : 1) * (grade === 4 ? W[16] : 1);
      } else {
        S = Math.min(
          W[11] * D ** -W[12] * ((S + 1) ** W[13] - 1) * exp((1 - R) * W[14]),
          S / exp(W[17] * W[18]),
        );
      }
      D = W[7] * difficulty(4) + (1 - W[7]) * (D + ((10 - D) * -(W[6] * (grade - 3))) / 9);
    }
    S = Math.max(S, 0.001);
    D = Math.min(Math.max(D, 1), 10);
    if (state === 2 && grade === 1) {
      state = 3;
      lapses++;
    }
    const steps = STEPS[state];
    step = grade === 1 ? 0 : (step ?? 0) + +(grade === 3);
    let wait = steps[step];
    if (grade === 4 || !wait) {
      [state, step] = [2, null];
      wait = Math.min(Math.max(Math.round(S), 1), MOST) * DAY;
    } else if (grade === 2 && !step) {
      wait = (wait + (steps[1] ?? 2 * wait)) / 2;
    }
    return { due: now + wait, last: now, S, D, state, step, reps: reps + 1, lapses };
  };

  /** @param {string} name @returns {any} */
  const part = (name) => document.querySelector(`[data-fd-${name}]`);
  const [region, front, back, undo, options, perDay, interview] = ["keys", "front", "back", "undo", "options", "per-day", "interview"].map(part);
  /** @type {Map<string, HTMLElement>} */
  const cards = new Map();
  for (const fold of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-fd-card]"))) {
    cards.set(fold.dataset.fdCard ?? "", fold);
  }
  /** @type {HTMLElement[]} */
  const buttons = [...region.querySelectorAll("[data-fd-grade]")];

  /** @type {{cards: Record<string, Memory>, log: [string, number, number][], options: {perDay?: number, interview?: string}}} */
  let kept;
  let current = "";
  let open = false;
  /** @type {[string, Memory | undefined, number][]} what Undo takes back */
  const past = [];

  /** @param {number} ms */
  const words = (ms) => {
    const [n, unit] = ms < DAY ? [ms / MINUTE, "minute"]
      : ms < 60 * DAY ? [ms / DAY, "day"]
      : ms < 730 * DAY ? [ms / DAY / 30.4, "month"] : [ms / DAY / 365, "year"];
    const whole = Math.round(n);
    return `${whole} ${unit}${whole === 1 ? "" : "s"}`;
  };
  /** Show a message of the page where there is something to say, and put it in. @param {string} name @param {any} [said] */
  const tell = (name, said) => {
    const place = part(name);
    place.hidden = !said;
    if (place.firstElementChild) place.firstElementChild.textContent = said > 0 ? new Date(said).toDateString() : said;
  };
  /** @param {string} name @param {Element | null | undefined} [source] */
  const copy = (name, source) => part(name).replaceChildren(...(source?.cloneNode(true).childNodes ?? []));

  /** @param {number} from @returns {number} ms that a card may stay away: half of what is left before the interview */
  const limit = (from) => {
    const day = Date.parse(`${kept.options.interview}T00:00`); // in the reader's time zone
    return (day > Date.now() && day > from ? Math.max(Math.floor((day - from) / DAY / 2), 1) : MOST) * DAY;
  };
  /** @param {{due: number, last: number}} card */
  const due = (card) => Math.min(card.due, card.last + limit(card.last));

  const show = () => {
    kept = store.get("reviews");
    const now = Date.now();
    const tomorrow = new Date(now).setHours(24, 0, 0, 0);
    const today = kept.log.filter((line) => line[2] >= new Date(now).setHours(0, 0, 0, 0) && line[2] < tomorrow);
    const known = Object.entries(kept.cards);
    const begun = known.filter(([id, card]) => card.reps === today.filter((line) => line[0] === id).length).length;
    /** @type {string[][]} */
    const [steps, reviews, fresh, waiting] = [[], [], [], []];
    let next = Infinity;
    for (const id of cards.keys()) {
      const card = kept.cards[id];
      if (!card) fresh.push(id);
      else if (card.state !== 2) (card.due > now ? waiting : steps).push(id);
      else if (due(card) < tomorrow) reviews.push(id);
      else next = Math.min(next, due(card));
    }
    for (const some of [steps, reviews, waiting]) some.sort((a, b) => due(kept.cards[a]) - due(kept.cards[b]));
    const most = kept.options.perDay ?? 10;
    fresh.splice(Math.max(most - begun, 0));
    // What waits for its minutes comes at the end, and does not hold the session up.
    const order = [...steps, ...reviews, ...fresh, ...waiting];
    say(part("counts"), `${order.length - fresh.length} due, ${fresh.length} new, ${today.length} done today.`);

    if (!order.includes(current)) [current, open] = [order[0] ?? "", false];
    const fold = cards.get(current);
    const card = kept.cards[current];
    part("topic").textContent = fold?.dataset.fdTopic ?? "Done for today.";
    copy("front", fold?.firstElementChild);
    copy("back", open ? fold?.lastElementChild : null);
    tell("next", !fold && next < Infinity && next);
    tell("updated", card?.rev && card.rev !== fold?.dataset.fdRev);
    part("show").hidden = !fold || open;
    buttons.forEach((button, i) => {
      button.hidden = !open;
      /** @type {HTMLElement} */ (button.lastElementChild).textContent = words(due(answered(card, i + 1, now)) - now);
    });
    undo.disabled = !past.length;
    perDay.value = most;
    interview.value = kept.options.interview ?? "";
    tell("limit", limit(now) < MOST * DAY && words(limit(now)));
    tell("gone", known.map(([id]) => id).filter((id) => !cards.has(id)).join(", "));
    const latest = Math.max(...known.map(([, { last }]) => last));
    tell("clock", latest > now + MINUTE && latest);
    tell("elsewhere");
  };

  const reveal = () => {
    open = true;
    show();
    back.focus();
  };
  /** Keep what changed, and go on. */
  const keep = () => {
    store.set("reviews", kept);
    show();
    front.focus();
  };
  /** @param {number} grade */
  const answer = (grade) => {
    const before = kept.cards[current];
    const now = Math.max(Date.now(), before?.last ?? 0); // never before the last answer
    kept.cards[current] = { ...answered(before, grade, now), rev: cards.get(current)?.dataset.fdRev ?? "" };
    kept.log = kept.log.slice(-1999).concat([[current, grade, now]]);
    past.push([current, before, now]);
    current = "";
    keep();
  };

  undo.addEventListener("click", () => {
    const [id, before, at] = /** @type {[string, Memory | undefined, number]} */ (past.pop());
    show();
    front.focus();
    if (kept.cards[id]?.last !== at) {
      tell("elsewhere", true);
      return;
    }
    delete kept.cards[id];
    if (before) kept.cards[id] = before;
    kept.log = kept.log.filter((line) => line[0] !== id || line[2] !== at);
    [current, open] = [id, false];
    keep();
  });
  part("show").addEventListener("click", reveal);
  buttons.forEach((button, i) => button.addEventListener("click", () => answer(i + 1)));
  region.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (open && "1234".includes(event.key)) {
      answer(+event.key);
    } else if (event.key === " " && !open && current && !(/** @type {HTMLElement} */ (event.target).closest("button"))) {
      event.preventDefault();
      reveal();
    }
  });
  options.addEventListener("change", (/** @type {Event} */ event) => {
    if (!(/** @type {HTMLInputElement} */ (event.target).reportValidity())) return;
    kept.options = { perDay: +perDay.value, interview: interview.value };
    store.set("reviews", kept);
    show();
  });

  region.hidden = options.hidden = false;
  watch(show);
  Object.assign(/** @type {any} */ (globalThis).firedrill, { answered });
})();
