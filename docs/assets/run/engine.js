// @ts-check
// One Python for the page, started by the first press. Stop ends its worker and starts another.

/** How long Python may take to start before the reader is told, in ms: a minute and a half at 0.5 Mbit/s. */
const START_MS = 90_000;
const ELSEWHERE = "Download the file and run it on your machine.";

/** @typedef {{out?: (pieces: [string, string][]) => void, stage?: (text: string) => void, full?: (limit: number) => void}} Listener */
/** @type {Worker | null} */
let worker = null;
let up = false;
let began = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let watch;
let last = 0;
/** @type {{id: number, listener: Listener, resolve: (result: any) => void} | null} */
let current = null;

/** @param {any} result */
const finish = (result) => {
  const job = current;
  current = null;
  job?.resolve(result);
};

/** @param {any} result what the running job, if any, is told */
const end = (result) => {
  clearTimeout(watch);
  worker?.terminate();
  worker = null;
  finish(result);
};
/** @param {string} why */
const fail = (why) => end({ error: { type: "Python did not start", line: 0, text: `${why} ${ELSEWHERE}\n` } });

const begin = () => {
  up = false;
  if (!("WebAssembly" in self)) {
    fail("This browser has no WebAssembly.");
    return;
  }
  watch = setTimeout(() => fail(`Python did not start within ${START_MS / 1000} seconds.`), START_MS);
  worker = new Worker(new URL("worker.js", import.meta.url), { type: "module", name: "python" });
  worker.onerror = (event) => {
    event.preventDefault();
    fail(`The file worker.js could not be loaded${event.message ? ` (${event.message})` : ""}.`);
  };
  worker.onmessage = ({ data }) => {
    if (data.ready) {
      clearTimeout(watch);
      up = began = true;
      current?.listener.stage?.("Running…");
    } else if (data.fatal) {
      fail(data.fatal);
    } else if (data.id === current?.id) {
      if (data.out) current?.listener.out?.(data.out);
      else if (data.full) current?.listener.full?.(data.full);
      else {
        const { result, dropped } = data;
        // WebAssembly keeps what it took: a run that hit the limit leaves nothing for the next.
        if (result.error?.type === "MemoryError" || result.type === "MemoryError") end({ ...result, dropped });
        else finish({ ...result, dropped });
      }
    }
  };
};

/** Run a job; only one runs at a time.
 * @param {any} job see `ready` in python.js
 * @param {Listener} listener
 * @returns {Promise<any>}
 */
export const run = (job, listener) => {
  if (current) {
    const text = "Another program of this page is running. Stop it first.\n";
    return Promise.resolve({ error: { type: "Not started", line: 0, text } });
  }
  return new Promise((resolve) => {
    current = { id: ++last, listener, resolve };
    if (!worker) begin();
    listener.stage?.(up ? "Running…" : began ? "Starting Python…" : "Loading Python, some 6 MB the first time…");
    worker?.postMessage({ ...job, id: last });
  });
};

/** End the running job at once, whatever it does. */
export const stop = () => {
  if (!current) return;
  end({ stopped: true });
  begin(); // the next run need not wait
};

/** Whether tests that call asyncio.run can run in this browser. */
export const blocking = "WebAssembly" in self && "Suspending" in WebAssembly;
