// @ts-check
// The buttons beside a page's Python: run it, edit it, run its tests, or check an exercise.
import { button, card, counted, load } from "./card.js";
import { blocking, restart, run, stop } from "./engine.js";

/** Put the buttons of one file into their place on the page.
 * @param {HTMLElement} host carries where the file, its tests or its exercise are
 */
export const mount = (host) => {
  const { fdRun: name = "", code, path = "", packages, tests, blocks, exercise } = host.dataset;
  /** @type {Promise<any> | undefined} */
  let bundle;
  let lines = 0;

  const bundled = () => (bundle ??= load(tests ?? exercise ?? "").then(JSON.parse)
    .catch((error) => { bundle = undefined; throw error; }));
  const proof = button("Run its tests", () => act("test"));
  proof.hidden = !tests || (blocks !== undefined && !blocking);
  const press = () => act(exercise ? "check" : "run");
  const { bar, main, halt, change, copy, reset, out, tell, work, conclude } = card(host, {
    name,
    label: exercise ? "Break it" : `Run ${name}`,
    language: "python",
    main: exercise ? "Check" : "Run",
    source: async () => exercise ? (await bundled()).files[(await bundled()).path] : load(code ?? ""),
    press,
    stop,
    anew: restart,
  }, [proof]);
  bar.append(main, halt, change, proof, copy, reset);
  if (document.querySelector("[data-fd-run]") === host) tell("Runs in your browser. The first press loads Python: 6 MB.");

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
  /** @param {"run" | "test" | "check"} kind */
  const act = (kind) => work(async (file) => {
    lines = 0;
    const more = kind === "run" ? null : await bundled();
    const target = exercise ? more.path : path;
    const job = more
      ? { ...more, kind, path: exercise ? target : more.path, files: { ...more.files, [target]: file } }
      : { kind, path, packages: packages?.split(" "), files: { [path]: file } };
    close(kind, job.path.split("/").pop(), await run(job, {
      out: show,
      stage: tell,
      full: (limit) => tell(`The first ${counted(limit, "character")} are shown. It is still running.`),
    }));
  });
  /** @param {string} kind @param {string} file what ran @param {any} result */
  const close = (kind, file, result) => {
    paint();
    const printed = lines + (/[^\n]$/.test(out.textContent ?? "") ? 1 : 0);
    const error = result.error ?? (result.type ? result : null);
    if (result.dropped) show([["note", `\n… ${counted(result.dropped, "more character")} not shown.\n`]]);
    if (error) show([["wrong", error.text]]);
    else if (result.text) show([[result.solved ? "right" : "wrong", result.text]]);
    paint();
    const wrong = /** @type {HTMLElement | null} */ (kind === "test" && out.querySelector('[data-said="err"], [data-said="wrong"]'));
    if (wrong) out.scrollTop = wrong.offsetTop - out.offsetTop;
    let words = `Finished: ${result.dropped ? "more than " : ""}${counted(printed, "line")} of output.`;
    if (result.stopped) words = "Stopped.";
    else if (error) words = error.line ? `${error.type} on line ${error.line}.` : `${error.type}.`;
    else if (kind === "test") {
      const { failed, failures, passed } = result;
      if (!failed) words = `Its tests pass: ${passed} of ${file}.`;
      else words = failures ? `Its tests fail: ${failures} of ${failures + passed}.` : "Its tests could not be read.";
    }
    else if (kind === "check") words = result.solved ? "Solved." : "Not yet.";
    conclude(words, error?.line ?? 0, {
      failed: !!(error || result.failed || result.solved === false),
      passed: result.failed === false || result.solved === true,
    });
  };
};
