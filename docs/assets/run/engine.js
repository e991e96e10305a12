// @ts-check
// A program behind the page, started by the first press. Stop ends its worker and starts another.

/** How long nothing may come of what is loaded before the reader is told, in ms. */
const SILENCE_MS = 90_000;

/** @typedef {{out?: (pieces: [string, string][]) => void, stage?: (text: string, running: boolean) => void, begun?: () => void, full?: (limit: number) => void}} Listener */
/** What runs: the file of its worker, its name, how its first load is announced, where else it can
 * be had, whether a result leaves nothing to go on with, and who is told that it is up.
 * @typedef {{file: string, name: string, loading: string, elsewhere: string,
 *   spent: (result: any) => boolean, ready?: (data: any) => void}} Program */

/** @type {Set<string>} */
const told = new Set();

/** Keep this page, what it loaded, and what a program behind it loaded, for when no network answers.
 * @param {string[]} loaded addresses that the program loaded so far
 */
const keep = async (loaded) => {
  const fresh = loaded.filter((url) => !told.has(url));
  const home = /** @type {HTMLLinkElement | null} */ (document.querySelector("link[rel=canonical]"));
  // A copy elsewhere, as on loopback, keeps nothing.
  if (!fresh.length || !navigator.serviceWorker || !home?.href.startsWith(`${location.origin}/`)) return;
  for (const url of fresh) told.add(url);
  await navigator.serviceWorker.register(new URL("../../offline.js", import.meta.url));
  const { active } = await navigator.serviceWorker.ready;
  const mine = performance.getEntriesByType("resource").map(({ name }) => name);
  active?.postMessage([location.href.split("#")[0], ...mine, ...fresh]);
};

/** Give one program for the page.
 * @param {Program} program
 */
export const engine = ({ file, name, loading, elsewhere, spent, ready }) => {
  /** @type {Worker | null} */
  let worker = null;
  let up = false;
  let began = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let watch;
  let came = 0;
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
    calm();
    worker?.terminate();
    worker = null;
    finish(result);
  };
  /** @param {string} why */
  const fail = (why) => end({ error: { type: `${name} did not start`, line: 0, text: `${why.replace(/\.?$/, ".")} ${elsewhere}\n` } });

  /** A start, or a package, of which nothing comes any more is told; a slow line is none. */
  const patience = () => {
    calm();
    watch = setTimeout(() => fail(`Nothing came for ${SILENCE_MS / 1000} seconds.`), SILENCE_MS);
  };
  const calm = () => {
    clearTimeout(watch);
    watch = undefined;
  };
  /** @param {number} bytes */
  const progress = (bytes) => {
    if (!watch) return;
    patience();
    const before = came / 1e6;
    came += bytes;
    const now = Math.floor(came / 1e6);
    if (now > before && !began) current?.listener.stage?.(`${loading} ${now} MB so far.`, false);
  };

  const begin = () => {
    up = false;
    came = 0;
    if (!("WebAssembly" in self)) {
      fail("This browser has no WebAssembly.");
      return;
    }
    try {
      worker = new Worker(new URL(file, import.meta.url), { type: "module", name: name.toLowerCase() });
    } catch (error) {
      fail(error.message);
      return;
    }
    patience();
    worker.onerror = (event) => {
      event.preventDefault();
      fail(`The file ${file} could not be loaded${event.message ? ` (${event.message})` : ""}.`);
    };
    worker.onmessage = ({ data }) => {
      if ("came" in data) {
        progress(data.came);
      } else if (data.ready) {
        calm();
        up = began = true;
        ready?.(data);
        if (current) patience();
      } else if (data.fatal) {
        fail(data.fatal);
      } else if (current && data.id === current.id) {
        const { listener } = current;
        if (data.out) listener.out?.(data.out);
        else if (data.full) listener.full?.(data.full);
        else if (data.stage) listener.stage?.(data.stage, true);
        else if (data.begun) {
          calm();
          listener.stage?.("Running…", true);
          listener.begun?.();
        } else {
          calm();
          const result = { ...data.result, dropped: data.dropped };
          keep(data.loaded).catch(() => {}); // a browser may forbid it
          (spent(result) ? end : finish)(result);
        }
      }
    };
  };

  return {
    /** Run a job; only one runs at a time.
     * @param {any} job what the worker performs
     * @param {Listener} listener
     * @returns {Promise<any>}
     */
    run: (job, listener) => {
      if (current) {
        const text = "Another program of this page is running. Stop it first.\n";
        return Promise.resolve({ error: { type: "Not started", line: 0, text } });
      }
      return new Promise((resolve) => {
        current = { id: ++last, listener, resolve };
        if (!worker) begin();
        else if (up) patience();
        listener.stage?.(up ? "Starting…" : began ? `Starting ${name}…` : loading, up);
        worker?.postMessage({ ...job, id: last });
      });
    },

    /** End the running job at once, whatever it does. */
    stop: () => {
      if (!current) return;
      end({ stopped: true });
      begin(); // the next run need not wait
    },

    /** Start anew, unless a job is running; say whether that was done. */
    restart: () => {
      if (current) return false;
      if (worker) {
        end(null);
        begin();
      }
      return true;
    },
  };
};

/** Python, one for all that runs it on a page. */
export const { restart, run, stop } = engine({
  file: "worker.js",
  name: "Python",
  loading: "Loading Python, some 6 MB the first time…",
  elsewhere: "Download the file and run it on your machine.",
  // WebAssembly keeps what it took: a run that hit the limit leaves nothing for the next.
  spent: (result) => result.lost || (result.error ?? result).type === "MemoryError",
});

/** Whether tests that call asyncio.run can run in this browser. */
export const blocking = "WebAssembly" in self && "Suspending" in WebAssembly;
