// @ts-check
// What a reader practises is kept in this browser and nowhere else: one store for all tools.
// Classic script, deferred, no dependency: it also works from file://.
(() => {
  "use strict";

  const VERSION = 1;
  const FORMAT = "firedrill-practice";
  const MOST = { mock: 500, log: 2000 }; // entries kept; the oldest leave

  /** @typedef {Record<string, any>} Data */

  /** @param {unknown} value @returns {value is Data} */
  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
  /** @param {unknown} value @param {number} least @param {number} most */
  const isWhole = (value, least, most) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
  /** @param {unknown} value */
  const isTime = (value) => typeof value === "string" && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) && !Number.isNaN(Date.parse(value));
  /** @param {unknown} value */
  const isDay = (value) => typeof value === "string" && /^\d{4}-\d\d-\d\d$/.test(value) && !Number.isNaN(Date.parse(value));
  /** @param {unknown} value */
  const isId = (value) => typeof value === "string" && /^[a-z0-9][a-z0-9:#._/-]{0,120}$/.test(value);
  /** @param {boolean} good @param {string} what */
  const need = (good, what) => { if (!good) throw new Error(what); };

  // Each part: what an empty one is, how one is checked (throws with the place), how two are joined.
  // Joining keeps the newer of two entries; nothing that only one side has is lost.
  /** @type {Record<string, {empty: () => any, check: (value: any) => void, join: (mine: any, theirs: any) => any}>} */
  const PARTS = {
    // checklist: item id -> {level: 0 not yet, 1 shaky, 2 can explain, 3 confident; at}
    assessment: {
      empty: () => ({}),
      check: (value) => {
        need(isObject(value), "assessment is no object");
        for (const [id, one] of Object.entries(value)) {
          need(isId(id) && isObject(one) && isWhole(one.level, 0, 3) && isTime(one.at), `assessment: ${id}`);
        }
      },
      join: (mine, theirs) => newest(mine, theirs, "at"),
    },
    // study plan: the options of the reader's own plan
    plan: {
      empty: () => ({}),
      check: (value) => {
        need(isObject(value), "plan is no object");
        if (Object.keys(value).length === 0) return;
        need(isDay(value.start), "plan: start");
        need(isWhole(value.days, 1, 30), "plan: days");
        need(isWhole(value.sessions, 1, 3), "plan: sessions");
        need(isWhole(value.minutes, 40, 480), "plan: minutes");
        need(typeof value.assessed === "boolean", "plan: assessed");
        need(isTime(value.at), "plan: at");
      },
      join: (mine, theirs) => ((mine.at ?? "") >= (theirs.at ?? "") ? mine : theirs),
    },
    // mock interviews: one entry an answer, oldest first
    mock: {
      empty: () => [],
      check: (value) => {
        need(Array.isArray(value), "mock is no list");
        for (const [i, one] of value.entries()) {
          need(isObject(one) && isId(one.id) && isTime(one.at) && typeof one.seed === "string" && one.seed.length <= 80
            && isObject(one.grades) && Object.entries(one.grades).every(([signal, grade]) => isId(signal) && isWhole(grade, 0, 3)),
          `mock: entry ${i + 1}`);
        }
      },
      join: (mine, theirs) => union(mine, theirs, (one) => `${one.at} ${one.id}`).slice(-MOST.mock),
    },
    // review: the memory of each card (FSRS), what was answered, and the options
    reviews: {
      empty: () => ({ cards: {}, log: [], options: {} }),
      check: (value) => {
        need(isObject(value) && isObject(value.cards) && Array.isArray(value.log) && isObject(value.options), "reviews is incomplete");
        for (const [id, card] of Object.entries(value.cards)) {
          need(isId(id) && isObject(card) && ["due", "last", "S", "D"].every((key) => Number.isFinite(card[key]) && card[key] >= 0)
            && isWhole(card.state, 0, 3) && (card.step === null || isWhole(card.step, 0, 9))
            && isWhole(card.reps, 0, 1e6) && isWhole(card.lapses, 0, 1e6) && typeof card.rev === "string", `reviews: card ${id}`);
        }
        for (const [i, line] of value.log.entries()) {
          need(Array.isArray(line) && isId(line[0]) && isWhole(line[1], 1, 4) && Number.isFinite(line[2]), `reviews: log line ${i + 1}`);
        }
        const { perDay, interview } = value.options;
        need(perDay === undefined || isWhole(perDay, 0, 999), "reviews: perDay");
        need(interview === undefined || interview === "" || isDay(interview), "reviews: interview");
      },
      join: (mine, theirs) => ({
        cards: newest(mine.cards, theirs.cards, "last"),
        log: union(mine.log, theirs.log, (line) => line.join(" ")).sort((a, b) => a[2] - b[2]).slice(-MOST.log),
        options: { ...theirs.options, ...mine.options },
      }),
    },
  };

  /** @param {Data} mine @param {Data} theirs @param {string} key */
  const newest = (mine, theirs, key) => {
    const joined = { ...mine };
    for (const [id, one] of Object.entries(theirs)) {
      if (!Object.hasOwn(joined, id) || joined[id][key] < one[key]) joined[id] = one;
    }
    return joined;
  };
  /** @template T @param {T[]} mine @param {T[]} theirs @param {(one: T) => string} name */
  const union = (mine, theirs, name) => {
    const seen = new Set(mine.map(name));
    return [...mine, ...theirs.filter((one) => !seen.has(name(one)))]
      .sort((a, b) => (name(a) < name(b) ? -1 : 1));
  };

  // From version n to n + 1: MIGRATE[n] gets {part: value} and gives the same, one version newer.
  /** @type {Record<number, (parts: Data) => Data>} */
  const MIGRATE = {};
  /** @param {Data} parts @param {number} version */
  const migrate = (parts, version) => {
    for (let at = version; at < VERSION; at++) parts = MIGRATE[at](parts);
    return parts;
  };

  /** @param {string} part @param {number} [version] */
  const key = (part, version = VERSION) => `firedrill:v${version}:${part}`;

  // Where the browser keeps nothing (private mode, storage full or closed), this page does.
  /** @type {Map<string, string>} */
  const memory = new Map();
  let problem = "";

  /** @type {string[]} */
  let keys = [];
  try {
    keys = Object.keys(localStorage);
  } catch { /* storage is closed */ }
  const found = Math.max(0, ...keys.map((name) => Number(/^firedrill:v(\d+):/.exec(name)?.[1] ?? 0))); // the newest version that has written here

  /** @param {any} error */
  const unkept = (error) => `${
    error.name === "QuotaExceededError" ? "The storage of this browser is full" : "This browser keeps no data for this site (private mode?)"
  }: what you do here is kept until you leave the page, so export it before.`;
  const closed = (() => {
    try {
      localStorage.setItem(key("probe"), "1");
      localStorage.removeItem(key("probe"));
      return "";
    } catch (error) {
      return unkept(error);
    }
  })();
  const future = found > VERSION
    ? `This browser holds practice data of a newer version of this site (version ${found}, this page knows ${VERSION}). It is left untouched, and nothing you do here is kept. Reload the page to get the newer version.`
    : "";
  problem = future || closed;

  const store = {
    VERSION,
    /** @returns {string} why data is not kept; empty when it is */
    problem: () => problem,

    /** @param {string} part @returns {any} a copy of a part; empty where nothing was kept */
    get(part) {
      const { empty, check } = PARTS[part];
      let text = memory.get(part) ?? null;
      if (text === null && !future) {
        try {
          text = localStorage.getItem(key(part));
        } catch { /* storage is closed */ }
      }
      if (text === null) return empty();
      try {
        const value = JSON.parse(text);
        check(value);
        return value;
      } catch (/** @type {any} */ error) {
        problem ||= `What this browser kept as ${key(part)} cannot be read (${error.message}). It is kept, and set aside when you change something here.`;
        return empty();
      }
    },

    /** @param {string} part @param {any} value @returns {boolean} whether it outlives this page */
    set(part, value) {
      PARTS[part].check(value);
      const text = JSON.stringify(value);
      if (!future) {
        try {
          const before = localStorage.getItem(key(part));
          if (before !== null && !readable(part, before)) localStorage.setItem(key(`${part}-unreadable`), before);
          localStorage.setItem(key(part), text);
          memory.delete(part);
          return true;
        } catch (error) {
          problem = unkept(error);
        }
      }
      memory.set(part, text);
      return false;
    },

    /** @returns {string} everything, as the text of an export file */
    exported() {
      const parts = Object.fromEntries(Object.keys(PARTS).map((part) => [part, store.get(part)]));
      return `${JSON.stringify({ format: FORMAT, v: VERSION, at: new Date().toISOString(), ...parts }, null, 1)}\n`;
    },

    /**
     * Join the text of an export file with what is here; all of it or, with an error, nothing.
     * @param {string} text
     * @returns {string[]} the parts that changed
     */
    imported(text) {
      let file;
      try {
        file = JSON.parse(text);
      } catch {
        throw new Error("This is no complete JSON file: it may have been cut off. Export it again.");
      }
      need(isObject(file) && file.format === FORMAT, `This is no practice file (its "format" is not "${FORMAT}").`);
      need(isWhole(file.v, 1, 1e6), "This file does not say its version.");
      need(file.v <= VERSION, `This file is of version ${file.v}, and this page knows ${VERSION}. Reload the page to get the newer version, then import again.`);
      const parts = migrate(Object.fromEntries(Object.keys(PARTS).map((part) => [part, file[part] ?? PARTS[part].empty()])), file.v);
      for (const [part, value] of Object.entries(parts)) {
        try {
          PARTS[part].check(value);
        } catch (/** @type {any} */ error) {
          throw new Error(`This file is damaged: ${error.message}. Nothing was imported.`);
        }
      }
      const changed = [];
      for (const [part, theirs] of Object.entries(parts)) {
        const mine = store.get(part);
        const joined = PARTS[part].join(mine, theirs);
        if (JSON.stringify(joined) === JSON.stringify(mine)) continue;
        store.set(part, joined);
        changed.push(part);
      }
      return changed;
    },

    /** Delete all practice data of every version in this browser. */
    deleted() {
      memory.clear();
      try {
        for (const storage of [localStorage, sessionStorage]) {
          for (const name of Object.keys(storage)) {
            if (/^firedrill:v\d+:/.test(name) && !name.endsWith(":prefs")) storage.removeItem(name);
          }
        }
      } catch { /* storage is closed: there was nothing */ }
      problem = closed;
    },
  };

  /** @param {string} part @param {string} text */
  function readable(part, text) {
    try {
      PARTS[part].check(JSON.parse(text));
      return true;
    } catch {
      return false;
    }
  }

  // What an older version of this site left is taken over once; the old keys stay as they are.
  if (!future && !closed) {
    for (let version = VERSION - 1; version >= 1; version--) {
      const names = Object.keys(PARTS).filter((part) => keys.includes(key(part, version)));
      if (names.length === 0) continue;
      try {
        const old = Object.fromEntries(names.map((part) => [part, JSON.parse(localStorage.getItem(key(part, version)) ?? "null")]));
        for (const [part, value] of Object.entries(migrate(old, version))) {
          if (localStorage.getItem(key(part)) === null) store.set(part, value);
        }
      } catch {
        problem ||= `What version ${version} of this site left in this browser cannot be read; it is left untouched.`;
      }
      break;
    }
  }

  /**
   * Say something in a status region once the reader pauses: screen readers then read it once.
   * @param {Element | null} region @param {string} text
   */
  const say = (region, text) => {
    if (!(region instanceof HTMLElement)) return;
    clearTimeout(waiting.get(region));
    waiting.set(region, setTimeout(() => { region.textContent = text; }, 150));
  };
  /** @type {Map<Element, ReturnType<typeof setTimeout>>} */
  const waiting = new Map();

  /** @param {string} id @returns {any} the data that the page carries as `<script type="application/json" id=...>` */
  const data = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");

  /** @param {string} name @param {string} text @param {string} type */
  const download = (name, text, type) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };

  /**
   * Take what the address names into a form; what is no possible value is left out.
   * @param {HTMLFormElement} form @param {string[]} names @returns {string} the names left, said; empty when all are taken
   */
  const filled = (form, names) => {
    const asked = new URLSearchParams(location.search);
    const wrong = names.filter((name) => {
      const field = /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
      const before = field.value;
      const value = asked.get(name) ?? before;
      field.value = value;
      if (field.value === value && (value === before || field.checkValidity())) return false;
      field.value = before;
      return true;
    });
    return wrong.length ? `This address gives no possible ${wrong.join(", ")}. The rest of it holds.` : "";
  };

  /** @type {(() => void)[]} */
  const listeners = [];
  const changed = () => { for (const listener of listeners) listener(); };
  addEventListener("storage", (event) => { if (event.key === null || event.key.startsWith("firedrill:")) changed(); });

  // The controls for the data, on each tool's page.
  const panel = document.querySelector("[data-fd-practice-data]");
  if (panel instanceof HTMLElement) {
    /** @param {string} selector @returns {any} */
    const find = (selector) => panel.querySelector(selector);
    const [status, file, dialog, place] = ["[data-fd-status]", "input", "dialog", "[data-fd-problem]"].map(find);
    const warn = () => {
      place.textContent = problem;
      place.hidden = !problem;
    };
    panel.hidden = false;
    listeners.push(warn);
    find("[data-fd-export]").addEventListener("click", () => {
      download("firedrill-practice.json", store.exported(), "application/json");
      say(status, "Exported to firedrill-practice.json.");
    });
    find("[data-fd-import]").addEventListener("click", () => file.click());
    file.addEventListener("change", async () => {
      const chosen = file.files[0];
      if (!chosen) return;
      try {
        const parts = store.imported(await chosen.text());
        say(status, parts.length ? `Imported: ${parts.join(", ")}.` : "Imported: nothing in the file is newer than what is here.");
        changed();
      } catch (/** @type {any} */ error) {
        say(status, error.message);
      }
      file.value = "";
    });
    find("[data-fd-delete]").addEventListener("click", () => dialog.showModal());
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "delete") return;
      dialog.returnValue = "";
      store.deleted();
      say(status, "All practice data in this browser is deleted.");
      changed();
    });
    setTimeout(warn);
  }

  /** Call a function now, and whenever the data may have changed: by another tab, an import, a deletion. @param {() => void} listener */
  const watch = (listener) => {
    listeners.push(listener);
    listener();
  };

  Object.assign(globalThis, { firedrill: { store, say, data, download, filled, watch } });
})();
