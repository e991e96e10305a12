// @ts-check
// Python itself, the same in the worker of a page and in node, where it is tested.
import { limitFiles, MEMORY } from "./memory.js";

/** Whether Python can wait for a promise in the middle of a call (WebAssembly stack switching). */
export const blocking = () => "Suspending" in WebAssembly;

/** How Pyodide is to be started with what this site serves, and with nothing from elsewhere.
 * @param {any} kit what `kit.json` holds
 * @param {string} base where it lies, with a slash at the end
 */
export const options = (kit, base) => ({
  indexURL: base + kit.pyodide,
  lockFileContents: JSON.stringify(kit.lock),
  packageBaseUrl: `${base}wheels/`,
  env: { COLUMNS: "80", HOME: "/reader", NO_COLOR: "1" },
});

/** Make a started Pyodide ready for jobs.
 * @param {any} py
 * @param {string} glue text of glue.py
 * @param {(stream: "out" | "err", bytes: Uint8Array) => void} write takes what is printed
 * @param {() => void} begun is called when a job's packages are there and it begins
 * @returns {(job: any) => Promise<any>} runs one job after the other
 */
export const ready = (py, glue, write, begun = () => {}) => {
  for (const [stream, set] of /** @type {["out" | "err", any][]} */ ([["out", py.setStdout], ["err", py.setStderr]])) {
    set.call(py, { write: (bytes) => (write(stream, bytes), bytes.length) });
  }
  py.setStdin({ error: true });
  // WebKit ends a worker only where its program calls script, as Python does to look into this.
  py.setInterruptBuffer([0]);
  limitFiles(py.FS);
  py.FS.mkdirTree("/glue");
  py.FS.writeFile("/glue/glue.py", glue);
  py.runPython("import sys; sys.path.append('/glue'); sys.stdout.reconfigure(line_buffering=True)");
  const module = py.pyimport("glue");
  const plain = (value) => {
    const copy = value?.toJs?.({ dict_converter: Object.fromEntries });
    value?.destroy?.();
    return copy ?? value ?? null;
  };
  // Only a call that may be suspended lets tests use asyncio.run.
  const call = (name, ...args) => blocking() ? module[name].callPromising(...args) : module[name](...args);

  // What a program leaves to happen later ends with it.
  const later = new Set();
  const { setTimeout: plainly } = globalThis;
  Object.assign(globalThis, { setTimeout: (...args) => {
    const timer = plainly(.../** @type {[any]} */ (args));
    later.add(timer);
    return timer;
  } });
  const leave = () => {
    for (const timer of later) clearTimeout(timer);
    later.clear();
  };

  const perform = async (job) => {
    if (job.packages?.length) {
      const errors = [];
      await py.loadPackage(job.packages, { messageCallback() {}, errorCallback: (text) => errors.push(text) });
      if (errors.length) throw new Error(errors.join(" "));
    }
    const files = py.toPy(job.files);
    module.place(files);
    files.destroy();
    begun();
    if (job.kind === "test") return plain(await call("test", job.path, MEMORY));
    if (job.kind === "simulate") return plain(await call("simulate", job.path, job.values, MEMORY));
    if (job.kind === "check") return plain(await call("check", job.path, job.checker, MEMORY));
    return { error: plain(await call(blocking() ? "run" : "run_awaiting", job.path, MEMORY)) };
  };
  return (job) => perform(job).finally(leave);
};
