// @ts-check
// Python in a module worker: a program that loops for ever does not hold the page up.
import { counted, limitMemory, loaded, needWebAssembly, shelf, unpack } from "./memory.js";
import { blocking, options, ready } from "./python.js";

const here = new URL(".", import.meta.url).href;
/** How many characters of one run are shown. */
const LIMIT = 100_000;
/** Until so many, each piece is shown at once; then every 40 ms. */
const AT_ONCE = 5_000;
// What a first start imports, so that a later one, from the snapshot, need not.
const WARM = "import ast, asyncio, bisect, collections.abc, contextlib, dataclasses, functools, heapq, importlib, inspect, itertools, "
  + "json, linecache, pathlib, random, shutil, time, traceback, types, typing";

/** @type {{id: number, shown: number, dropped: number, kept: [string, string][], last: number}} */
let now = { id: 0, shown: 0, dropped: 0, kept: [], last: 0 };
const decoders = { out: new TextDecoder(), err: new TextDecoder() };
const flush = () => {
  if (now.kept.length) postMessage({ id: now.id, out: now.kept });
  now.kept = [];
  now.last = performance.now();
};
/** @param {"out" | "err"} stream @param {Uint8Array} bytes */
const write = (stream, bytes) => {
  // More than 30 marks on one letter are no text, and a browser takes seconds to lay them out.
  const text = decoders[stream].decode(bytes, { stream: true }).replace(/(\p{M}{30})\p{M}+/gu, "$1");
  const room = LIMIT - now.shown;
  now.shown += text.length;
  if (text.length > room) {
    now.dropped += text.length - Math.max(0, room);
    if (room >= 0) postMessage({ id: now.id, full: LIMIT });
  }
  if (room > 0 && text) now.kept.push([stream, text.slice(0, room)]);
  if (now.shown < AT_ONCE || performance.now() - now.last > 40) flush();
};

const begun = () => {
  running = true;
  lost = () => {}; // what the program itself loads is its own affair
  postMessage({ id: now.id, begun: true });
};

/** Told of what Pyodide would wait for in vain.
 * @type {(reason: Error) => void} */
let lost = () => {};
let running = false;

/** A file that does not come, or comes damaged, is named; the page hears of what comes, until a program runs. */
const watchFiles = () => {
  for (const how of ["instantiate", "instantiateStreaming"]) {
    const plain = WebAssembly[how];
    WebAssembly[how] = (...args) => plain(...args).catch((error) => {
      lost(new Error(`A file of Python is damaged (${error.message}). Load the page again.`));
      throw error;
    });
  }
  const plain = self.fetch;
  self.fetch = async (...args) => {
    if (running) return plain(...args);
    const { href, pathname } = new URL(/** @type {string} */ (args[0]?.url ?? args[0]), here);
    const packed = pathname.endsWith(".asm.wasm");
    const name = pathname.split("/").pop() + (packed ? ".gz" : "");
    try {
      const answer = await (packed ? plain(`${href}.gz`) : plain(...args));
      if (!answer.ok || !answer.body) throw new Error(`${answer.status}`);
      const coming = counted(answer, (came) => postMessage({ came }));
      return packed ? unpack(/** @type {any} */ (coming.body), "application/wasm") : coming;
    } catch (error) {
      lost(new Error(`The file ${name} could not be loaded (${error.message}).`));
      throw error;
    }
  };
};

/** Start Python: from the memory of an earlier start where this browser kept one, else anew. */
const start = async () => {
  needWebAssembly();
  limitMemory();
  const [kit, glue] = await Promise.all([
    fetch(`${here}kit.json`).then((answer) => answer.json()), fetch(`${here}glue.py`).then((answer) => answer.text()),
  ]);
  const { loadPyodide } = await import(`${here}${kit.pyodide}pyodide.mjs`);
  const given = options(kit, here);
  const kept = await shelf("firedrill-python", `${here}snapshot-${kit.key}-${blocking()}-${WARM}`);
  const memory = await kept?.get();
  // Where anything about it fails, Python starts anew.
  if (kept && memory) {
    try {
      const py = await loadPyodide({ ...given, _loadSnapshot: new Uint8Array(await memory.arrayBuffer()) });
      py.runPython("import random; random.seed()"); // the snapshot's generator had its seed already
      Object.assign(self, { fromSnapshot: true }); // for tests
      return ready(py, glue, write, begun);
    } catch {
      // what is kept next takes its place
    }
  }
  const py = await loadPyodide({ ...given, _makeSnapshot: !!kept });
  try {
    if (kept) py.runPython(WARM);
    kept?.put(new Blob([py.makeMemorySnapshot()])).catch(() => {});
  } catch {
    // the next start is as slow as this one
  }
  return ready(py, glue, write, begun);
};

watchFiles();
const started = new Promise((resolve, reject) => {
  lost = reject;
  start().then(resolve, reject);
});
started.then(() => postMessage({ ready: true, blocking: blocking() }), (error) => postMessage({ fatal: error.message }));

onmessage = async ({ data }) => {
  const perform = await started;
  running = false;
  now = { id: data.id, shown: 0, dropped: 0, kept: [], last: 0 };
  let result;
  try {
    result = await Promise.race([perform(data), new Promise((_, reject) => { lost = reject; })]);
  } catch (error) {
    const type = running ? "Python ended" : "Not run";
    result = { lost: true, error: { type, line: 0, text: `${error.message}\nThe next run starts Python anew.\n` } };
  }
  flush();
  postMessage({ id: data.id, result, dropped: now.dropped, loaded: loaded() });
};
