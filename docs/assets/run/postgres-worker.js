// @ts-check
// PostgreSQL in a module worker: a statement that never ends does not hold the page up.
import { counted, limitMemory, loaded, needWebAssembly, unpack } from "./memory.js";
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
  // A browser keeps it on https and localhost only; where anything about it fails, another is made.
  const store = await self.caches?.open("firedrill-postgres").catch(() => undefined);
  const kept = await store?.match(name).catch(() => undefined);
  if (store && kept?.body) {
    try {
      const db = await start(module, files, unpack(kept.body, "application/x-tar").blob());
      Object.assign(self, { fromKept: true }); // for tests
      return db;
    } catch {
      await store.delete(name);
    }
  }
  const db = await start(module, files);
  if (store) {
    const archive = await db.dumpDataDir("none"); // before a statement of the reader's
    keep(archive, store, name).catch(() => {});
  }
  return db;
};

/** Keep an empty database for the next start; the older ones go.
 * @param {Blob} archive @param {Cache} store @param {string} name
 */
const keep = async (archive, store, name) => {
  const packed = await new Response(archive.stream().pipeThrough(new CompressionStream("gzip"))).blob();
  for (const old of await store.keys()) await store.delete(old);
  await store.put(name, new Response(packed));
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
