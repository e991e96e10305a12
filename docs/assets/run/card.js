// @ts-check
// What surrounds code of a page: its buttons, its status, its editor, and the place of its output.

/** @param {string} label @param {() => void} press */
export const button = (label, press) => {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "fd-run__button";
  made.textContent = label;
  made.addEventListener("click", press);
  return made;
};

export const status = () => {
  const made = document.createElement("p");
  made.className = "fd-run__state";
  made.setAttribute("role", "status");
  return made;
};

/** How long a file of text may take, in ms. */
const LOAD_MS = 30_000;
/** What is being loaded; Stop ends it.
 * @type {Set<AbortController>} */
const loads = new Set();
const STOPPED = new Error("Stopped.");

/** Give the text at an address, or say why there is none.
 * @param {string} address
 */
export const load = async (address) => {
  const control = new AbortController();
  const late = new Error(`${address.split("/").pop()} did not come within ${LOAD_MS / 1000} seconds`);
  const watch = setTimeout(() => control.abort(late), LOAD_MS);
  loads.add(control);
  try {
    const answer = await fetch(new URL(address, document.baseURI), { signal: control.signal });
    if (!answer.ok) throw new Error(`${answer.status} ${address}`);
    return await answer.text();
  } finally {
    clearTimeout(watch);
    loads.delete(control);
  }
};

/** @param {number} count @param {string} what */
export const counted = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

/** @typedef {{name: string, label: string, language: string, main: string, source: () => Promise<string>,
 *   press: () => void, stop: () => void, anew?: () => void}} Wants */

/** Fill the place of one piece of code. Whoever calls puts the buttons into the bar.
 * @param {HTMLElement} host
 * @param {Wants} wants its name, the label of its buttons, its text as it is served, what Run and Stop do, and Reset besides
 * @param {HTMLButtonElement[]} others buttons that wait while something runs
 */
export const card = (host, wants, others) => {
  /** @type {string | undefined} */
  let original;
  /** @type {any} */
  let editor = null;
  let running = false;

  const source = async () => (original ??= await wants.source());
  const text = async () => editor?.text() ?? source();
  /** @param {string} words */
  const tell = (words) => { state.textContent = words; };

  // Elements ------------------------------------------------------------------------------------

  const bar = document.createElement("div");
  bar.className = "fd-run__bar";
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", wants.label);
  const state = status();
  const field = document.createElement("div");
  field.className = "fd-run__editor";
  const out = document.createElement(wants.language === "sql" ? "div" : "pre");
  out.className = "fd-run__out";
  out.tabIndex = 0;
  out.setAttribute("role", "region");
  out.setAttribute("aria-label", `Output of ${wants.name}`);
  field.hidden = out.hidden = true;

  const main = button(wants.main, wants.press);
  main.classList.add("fd-run__button--main");
  const halt = button("Stop", () => {
    for (const control of loads) control.abort(STOPPED);
    wants.stop();
  });
  const change = button("Edit", () => guarded(edit));
  const copy = button("Copy", () => guarded(async () => {
    await navigator.clipboard.writeText(await text());
    tell(`Copied${editor ? " as edited" : ""}.`);
  }));
  const reset = button("Reset", () => {
    close();
    tell(`${wants.name} is as it was.`);
    wants.anew?.();
    change.focus();
  });
  halt.hidden = reset.hidden = true;
  copy.hidden = !navigator.clipboard;
  host.replaceChildren(bar, state, field, out);

  // Editing -------------------------------------------------------------------------------------

  const edit = async () => {
    if (!editor) {
      tell("Loading the editor…");
      const [{ edit: open }, file] = await Promise.all([import("./editor.js"), source()]);
      if (editor) return;
      field.hidden = false;
      editor = open(field, {
        text: file,
        label: `${wants.name}, an editor. Control and Enter runs it; Tab leaves it.`,
        language: wants.language,
        run: wants.press,
        changed: () => { reset.hidden = false; },
      });
      change.hidden = true;
      reset.hidden = false;
      tell(matchMedia("(any-hover: hover)").matches ? "Ctrl+Enter runs it, Tab leaves the editor." : "");
    }
    editor.focus();
  };
  const close = () => {
    editor?.end();
    editor = null;
    field.hidden = out.hidden = reset.hidden = true;
    change.hidden = false;
  };

  // Running -------------------------------------------------------------------------------------

  /** @type {HTMLElement} */
  let pressed = main;
  /** @param {boolean} on */
  const busy = (on) => {
    const at = /** @type {HTMLElement | null} */ (document.activeElement);
    const focused = at && bar.contains(at);
    if (on) pressed = focused ? at : main;
    running = on;
    main.hidden = on;
    halt.hidden = !on;
    for (const other of [...others, reset]) other.disabled = on;
    if (focused) (on ? halt : pressed).focus({ preventScroll: true });
    out.setAttribute("aria-busy", `${on}`);
  };
  /** @param {() => Promise<void>} action */
  const guarded = (action) => action().catch((error) => {
    tell(error === STOPPED ? STOPPED.message : `That did not work: ${error.message}.`);
  });

  return {
    bar, main, halt, change, copy, reset, out, tell, guarded,
    /** Do one thing with the text as the reader has it; meanwhile there is Stop.
     * @param {(file: string) => Promise<void>} action
     */
    work: (action) => guarded(async () => {
      if (running) return;
      busy(true);
      out.replaceChildren();
      out.classList.remove("fd-run__out--failed", "fd-run__out--passed");
      out.hidden = false;
      editor?.mark(0);
      try {
        await action(await text());
      } finally {
        busy(false);
      }
    }),
    /** Say how it ended, and where in the text.
     * @param {string} words @param {number} line @param {{failed: boolean, passed: boolean}} verdict
     */
    conclude: (words, line, { failed, passed }) => {
      editor?.mark(line);
      out.classList.toggle("fd-run__out--failed", failed);
      out.classList.toggle("fd-run__out--passed", passed);
      out.hidden = !out.textContent;
      if (!out.hidden) out.scrollIntoView({ block: "nearest" });
      tell(words);
    },
  };
};
