// @ts-check
// PostgreSQL itself, the same in the worker of a page and in node, where it is tested.

import { FILES, limitFiles, unpack } from "./memory.js";

/** How many rows of one result are shown, how many characters of one value, how many notices, results, and characters of a message. */
const ROWS = 100;
const VALUE = 400;
const NOTICES = 20;
const RESULTS = 50;
const MESSAGE = 4000;
/** What an error may name besides its message, as psql calls it. */
const MORE = { detail: "DETAIL", hint: "HINT", internalQuery: "QUERY", where: "CONTEXT" };

/** What one statement gave: its command tag, and rows of text or null where it has any.
 * @typedef {{tag: string, fields: string[], rows: (string | null)[][], count: number}} Result */

/** Start it with what this site serves, and with nothing from elsewhere.
 * @param {any} pglite PGlite's module
 * @param {(name: string) => Promise<ReadableStream>} file gives one of its files, compressed
 * @param {Promise<Blob>} [kept] the archive of an empty database: to make one takes most of a start
 * @returns {Promise<any>} the database
 */
export const start = async ({ PGlite }, file, kept) => {
  /** @param {string} name @param {string} type */
  const unpacked = async (name, type) => unpack(await file(`${name}.gz`), type);
  const module = (name) => WebAssembly.compileStreaming(unpacked(name, "application/wasm"));
  const [pgliteWasmModule, initdbWasmModule, fsBundle, loadDataDir] = await Promise.all([
    module("pglite.wasm"), kept ? undefined : module("initdb.wasm"),
    unpacked("pglite.data", "").then((answer) => answer.blob()), kept,
  ]);
  // Its cache is as small as a phone wants it; the tables of the page fit.
  const startParams = [...PGlite.defaultStartParams, "-c", "shared_buffers=32MB"];
  return PGlite.create({ pgliteWasmModule, initdbWasmModule, fsBundle, loadDataDir, startParams });
};

/** @param {string} text @param {number} most */
const cut = (text, most) => text.length > most ? `${text.slice(0, most)}…` : text;

/** Say what PostgreSQL said, with the place in the text marked as psql does.
 * @param {any} error @param {string} text what was sent @param {number} skip how many characters of it came before the reader's
 */
const told = (error, text, skip) => {
  let said = `${error.severity}:  ${cut(error.message, MESSAGE)}\n`;
  let line = 0;
  if (error.position) {
    const before = [...text].slice(skip, Math.max(skip, error.position - 1)).join("").split("\n");
    line = before.length;
    const head = `LINE ${line}: `;
    const column = [...head + before[line - 1]].length;
    said += `${head}${text.slice(skip).split("\n")[line - 1]}\n${" ".repeat(column)}^\n`;
  }
  if (text.includes("\0")) said += "DETAIL:  The text holds a NUL character.\n";
  for (const name in MORE) if (error[name]) said += `${MORE[name]}:  ${cut(error[name], MESSAGE)}\n`;
  return { type: `${error.severity} ${error.code}`, line, text: said };
};

/** Make a started database ready for jobs.
 * @param {any} db
 * @param {any} protocol PGlite's module of messages
 * @returns {(job: any, stage: (text: string) => void) => Promise<any>} runs one job after the other
 */
export const ready = (db, { Parser, serialize }) => {
  const full = limitFiles(db.Module.FS);
  // Whoever copies from the page has nothing to send: COPY FROM STDIN ends with these words.
  const nothing = serialize.copyFail("a page has no input to read");

  /** @param {string} text @param {number} [skip] */
  const send = async (text, skip = 0) => {
    /** @type {Result[]} */
    const results = [];
    /** @type {string[]} */
    const notices = [];
    /** @type {Result | null} */
    let open = null;
    let error = null;
    let state = "";
    const begin = (fields) => { open = { tag: "", fields, rows: [], count: 0 }; results.push(open); };
    const row = (values) => {
      if (open && open.count++ < ROWS) {
        open.rows.push(values.map((value) => value && cut(value, VALUE)));
      }
    };
    const take = (message) => {
      if (message.name === "rowDescription") begin(message.fields.map((field) => field.name));
      else if (message.name === "dataRow") row(message.fields);
      else if (message.name === "copyOutResponse") begin(["COPY"]);
      else if (message.name === "copyData") row([new TextDecoder().decode(message.chunk).trimEnd()]);
      else if (message.name === "commandComplete") {
        if (!open) begin([]);
        /** @type {any} */ (open).tag = message.text;
        open = null;
      } else if (message.name === "notice" && notices.length < NOTICES) notices.push(`${message.severity}:  ${cut(message.message, MESSAGE)}`);
      else if (message.name === "error") error ??= told(message, text, skip);
      else if (message.name === "readyForQuery") state = message.status;
    };
    const parser = new Parser();
    const query = serialize.query(text);
    const message = new Uint8Array(query.length + nothing.length);
    message.set(query);
    message.set(nothing, query.length);
    // A copy: what comes is a view of memory that is written again.
    await db.execProtocolRawStream(message, { onRawData: (bytes) => parser.parse(bytes.slice(), take) });
    if (!state) throw new Error(full() ? `its files would have outgrown ${FILES} MiB` : "it gave no answer");
    const given = results.filter(({ tag }) => tag); // what failed gave nothing
    return { results: given.slice(0, RESULTS), more: Math.max(0, given.length - RESULTS), notices, error, state };
  };

  let made = "";
  return async ({ setup, explain, sql }, stage) => {
    // To convert to another encoding ends PGlite; where it cannot, PostgreSQL says so and lives.
    if (sql === undefined) return send("SELECT version(); DELETE FROM pg_conversion");
    if (made !== setup) {
      stage("Making the data…");
      const result = await send(setup);
      if (result.error) return result;
      made = setup;
      stage("Running…");
    }
    return send(explain + sql, [...explain].length);
  };
};
