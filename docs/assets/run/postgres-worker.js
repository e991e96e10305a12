// @ts-check
// PostgreSQL in a module worker: a statement that never ends does not hold the page up.
import { counted, limitMemory, loaded, needWebAssembly, shelf } from "./memory.js";
import { ready, start } from "./postgres.js";

const here = new URL(".", import.meta.url).href;

/** Give a file, or name it where it does not come.
 * @param {string} path
 */
const file = async (path) => {
  try {
    const answer = await fetch(here + path);
    if (!answer.ok || !answer.body) throw new Error(`${answer.status}`);
    return counted(answer, (came) => postMessage({ came }));
  } catch (error) {
    throw new Error(`The file ${path} could not be loaded (${error.message}).`);
  }
};

/** Open a database: the empty one that this browser kept, or a new one, which it keeps.
 * @param {any} module @param {(name: string) => Promise<ReadableStream>} files @param {string} name
 */
const open = async (module, files, name) => {
  const kept = await shelf("firedrill-postgres", name);
  const archive = await kept?.get();
  // Where anything about it fails, another is made.
  if (kept && archive) {
    try {
      const db = await start(module, files, archive.blob());
      Object.assign(self, { fromKept: true }); // for tests
      return db;
    } catch {
      // what is kept next takes its place
    }
  }
  const db = await start(module, files);
  // Before a statement of the reader's.
  if (kept) await db.dumpDataDir("none").then((empty) => { kept.put(empty).catch(() => {}); }, () => {});
  return db;
};

const begin = async () => {
  needWebAssembly();
  limitMemory();
  const { pglite, version: of } = await (await file("postgres.json")).json();
  const module = await import(`${here}${pglite}index.js`)
    .catch((error) => { throw new Error(`The file ${pglite}index.js could not be loaded (${error.message}).`); });
  const db = await open(module, async (name) => /** @type {any} */ ((await file(pglite + name)).body), `${here}data-${of}`);
  const perform = ready(db, module.protocol);
  const { results: [{ rows: [[version]] }] } = await perform({}, () => {});
  return { perform, version };
};

const started = begin();
started.then(({ version }) => postMessage({ ready: true, version }), (error) => postMessage({ fatal: error.message }));

onmessage = async ({ data }) => {
  const { perform } = await started;
  postMessage({ id: data.id, begun: true });
  let result;
  try {
    result = await perform(data, (stage) => postMessage({ id: data.id, stage }));
  } catch (error) {
    const text = `PostgreSQL ended: ${error.message}. The next run starts it again and makes the data anew.\n`;
    result = { ended: true, error: { type: "PostgreSQL ended", line: 0, text } };
  }
  postMessage({ id: data.id, result, loaded: loaded() });
};
