// @ts-check
// The buttons beside a page's code: run it, edit it, run its tests, or check an exercise.
import { blocking, run, stop } from "./engine.js";

/** @param {string} label @param {() => void} press */
const button = (label, press) => {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "fd-run__button";
  made.textContent = label;
  made.addEventListener("click", press);
  return made;
};

/** @param {string} address */
const load = async (address) => {
  const answer = await fetch(new URL(address, document.baseURI));
  if (!answer.ok) throw new Error(`${answer.status} ${address}`);
  return answer;
};

/** @param {number} count @param {string} what */
const counted = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

/** Put the buttons of one file into their place on the page.
 * @param {HTMLElement} host carries where the file, its tests or its exercise are
 */
export const mount = (host) => {
  const { fdRun: name = "", code, path = "", tests, blocks, exercise } = host.dataset;
  /** @type {Promise<any> | undefined} */
  let bundle;
  /** @type {string | undefined} */
  let original;
  /** @type {any} */
  let editor = null;
  let running = false;
  let lines = 0;

  const bundled = () => (bundle ??= load(tests ?? exercise ?? "").then((answer) => answer.json())
    .catch((error) => { bundle = undefined; throw error; }));
  const source = async () => (original ??= exercise ? (await bundled()).files[(await bundled()).path] : await (await load(code ?? "")).text());
  const text = async () => editor?.text() ?? source();

  // Elements ------------------------------------------------------------------------------------

  const bar = document.createElement("div");
  bar.className = "fd-run__bar";
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", exercise ? "Break it" : `Run ${name}`);
  const state = document.createElement("p");
  state.className = "fd-run__state";
  state.setAttribute("role", "status");
  const field = document.createElement("div");
  field.className = "fd-run__editor";
  const out = document.createElement("pre");
  out.className = "fd-run__out";
  out.tabIndex = 0;
  out.setAttribute("role", "region");
  out.setAttribute("aria-label", `Output of ${name}`);
  field.hidden = out.hidden = true;

  const main = exercise ? button("Check", () => act("check")) : button("Run", () => act("run"));
  main.classList.add("fd-run__button--main");
  const halt = button("Stop", stop);
  const change = button("Edit", () => guarded(edit));
  const proof = button("Run its tests", () => act("test"));
  const copy = button("Copy", () => guarded(async () => {
    await navigator.clipboard.writeText(await text());
    state.textContent = `Copied${editor ? " as edited" : ""}.`;
  }));
  const reset = button("Reset", () => {
    close();
    state.textContent = "The file is as it was.";
    change.focus();
  });
  halt.hidden = reset.hidden = true;
  proof.hidden = !tests || (blocks !== undefined && !blocking);
  copy.hidden = !navigator.clipboard;
  bar.append(main, halt, change, proof, copy, reset);
  host.replaceChildren(bar, state, field, out);

  // Editing -------------------------------------------------------------------------------------

  const edit = async () => {
    if (!editor) {
      state.textContent = "Loading the editor…";
      const [{ edit: open }, file] = await Promise.all([import("./editor.js"), source()]);
      if (editor) return;
      field.hidden = false;
      editor = open(field, {
        text: file,
        label: `${name}, an editor. Control and Enter runs it; Tab leaves it.`,
        run: () => act(exercise ? "check" : "run"),
        changed: () => { reset.hidden = false; },
      });
      change.hidden = true;
      reset.hidden = false;
      state.textContent = "Ctrl+Enter runs what you edit.";
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

  /** @type {[string, string][]} */
  let waiting = [];
  let frame = 0;
  /** @param {[string, string][]} pieces */
  const show = (pieces) => {
    waiting.push(...pieces);
    frame ||= requestAnimationFrame(paint);
  };
  // Once a frame: to lay out a long text for each of its lines takes minutes.
  const paint = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    const follows = out.scrollTop + out.clientHeight >= out.scrollHeight - 8;
    for (const [kind, piece] of waiting) {
      lines += piece.split("\n").length - 1;
      const kept = /** @type {HTMLElement | null} */ (out.lastElementChild);
      const part = kept?.dataset.said === kind ? kept : document.createElement("span");
      part.dataset.said = kind;
      part.append(piece);
      if (part !== kept) out.append(part);
    }
    waiting = [];
    if (follows) out.scrollTop = out.scrollHeight;
  };
  /** @param {boolean} on */
  const busy = (on) => {
    const focused = bar.contains(document.activeElement);
    running = on;
    main.hidden = on;
    halt.hidden = !on;
    proof.disabled = reset.disabled = on;
    if (focused) (on ? halt : main).focus({ preventScroll: true });
    out.setAttribute("aria-busy", `${on}`);
  };
  /** @param {"run" | "test" | "check"} kind */
  const act = (kind) => guarded(async () => {
    if (running) return;
    busy(true);
    out.replaceChildren();
    out.classList.remove("fd-run__out--failed", "fd-run__out--passed");
    out.hidden = false;
    lines = 0;
    editor?.mark(0);
    try {
      const [file, more] = await Promise.all([text(), kind === "run" ? null : bundled()]);
      const target = exercise ? more.path : path;
      const job = more
        ? { ...more, kind, path: exercise ? target : more.path, files: { ...more.files, [target]: file } }
        : { kind, path, files: { [path]: file } };
      tell(kind, await run(job, {
        out: show,
        stage: (stage) => { state.textContent = stage; },
        full: (limit) => { state.textContent = `The first ${counted(limit, "character")} are shown. It is still running.`; },
      }));
    } finally {
      busy(false);
    }
  });
  /** @param {string} kind @param {any} result */
  const tell = (kind, result) => {
    paint();
    const printed = lines;
    const error = result.error ?? (result.type ? result : null);
    if (result.dropped) show([["note", `\n… ${counted(result.dropped, "more character")} not shown.\n`]]);
    if (error) {
      show([["wrong", error.text]]);
      editor?.mark(error.line);
    } else if (result.text) {
      show([[result.solved ? "right" : "wrong", result.text]]);
    }
    paint();
    const failed = error || result.failed || result.solved === false;
    out.classList.toggle("fd-run__out--failed", !!failed);
    out.classList.toggle("fd-run__out--passed", result.failed === false || result.solved === true);
    out.hidden = !out.textContent;
    if (result.stopped) state.textContent = "Stopped.";
    else if (error) state.textContent = error.line ? `${error.type} on line ${error.line}.` : `${error.type}.`;
    else if (kind === "test") state.textContent = result.failed ? "Its tests fail." : "Its tests pass.";
    else if (kind === "check") state.textContent = result.solved ? "Solved." : "Not yet.";
    else state.textContent = `Finished: ${result.dropped ? "more than " : ""}${counted(printed, "line")} of output.`;
  };
  /** @param {() => Promise<void>} action */
  const guarded = (action) => action().catch((error) => { state.textContent = `That did not work: ${error.message}`; });
};
