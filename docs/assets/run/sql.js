// @ts-check
// The buttons beside a page's SQL: run a step, see its plan, edit it; one database for all of them.
import { button, card, counted, load, status } from "./card.js";
import { engine } from "./engine.js";

/** @typedef {{setup: string, explain: string, steps: Record<string, string>}} Sql */

/** Told when the database is there, and when it is not.
 * @type {((version: string) => void)[]} */
const listeners = [];
const postgres = engine({
  file: "postgres-worker.js",
  name: "PostgreSQL",
  loading: "Loading PostgreSQL…",
  elsewhere: "Run the statements with psql on your machine.",
  spent: (result) => result.ended,
  ready: ({ version }) => { for (const listen of listeners) listen(version); },
});
/** @type {Promise<Sql> | undefined} */
let loaded;
/** @param {string} address @returns {Promise<Sql>} */
const sqlOf = (address) => (loaded ??= load(address).then(JSON.parse)
  .catch((error) => { loaded = undefined; throw error; }));

/** @param {string} name @param {string} [text] @param {string} [said] */
const element = (name, text, said) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (said) made.dataset.said = said;
  return made;
};

/** Show the rows of one statement as a table, a plan as it is written, or its command tag alone.
 * @param {{tag: string, fields: string[], rows: (string | null)[][], count: number}} result
 */
const shown = ({ tag, fields, rows, count }) => {
  const left = count - rows.length;
  if (fields.length === 1 && fields[0] === "QUERY PLAN") {
    return element("pre", [...rows.map(([line]) => line), ...(left ? [`… ${counted(left, "more line")}`] : [])].join("\n"));
  }
  if (!fields.length) return element("pre", tag, "note");
  const table = document.createElement("table");
  const more = count > rows.length ? `, the first ${rows.length} shown` : "";
  table.createCaption().textContent = `${counted(count, "row")}${more}`;
  const head = table.createTHead().insertRow();
  for (const name of fields) head.append(Object.assign(element("th", name), { scope: "col" }));
  const body = table.createTBody();
  for (const values of rows) {
    body.insertRow().append(...values.map((value) => value === null ? element("td", "NULL", "note") : element("td", value)));
  }
  return table;
};

/** Say how it ended.
 * @param {any} result
 */
const ending = ({ stopped, error, results, state, more }) => {
  if (stopped) return "Stopped. The next run begins with the data as it was.";
  if (error) {
    const hint = error.type.endsWith("42P01") ? " \"Reset the data\" brings back what was dropped." : "";
    return `${error.type}${error.line ? ` on line ${error.line}` : ""}.${hint}`;
  }
  const tags = results.map(({ fields, tag }) => fields[0] === "QUERY PLAN" ? "the plan" : tag).join(", ");
  const open = state === "T" ? " A transaction is open." : "";
  return `Finished: ${tags || "nothing to do"}${more ? ` and ${counted(more, "result")} more, not shown` : ""}.${open}`;
};

/** Put the buttons of one step into their place, or those of the whole.
 * @param {HTMLElement} host carries where the SQL is, and which step it is
 */
export const mount = (host) => (host.dataset.step ? mountStep : mountWhole)(host);

/** @param {HTMLElement} host */
const mountWhole = (host) => {
  const state = status();
  const { size, unpacked } = host.dataset;
  state.textContent = `Nothing is loaded yet. The first press loads PostgreSQL into this page: ${size}, ${unpacked} unpacked.`;
  const reset = button("Reset the data", () => {
    const done = postgres.restart();
    state.textContent = done ? "The next run begins with the data as it was." : "A statement is running. Stop it first.";
  });
  reset.hidden = true;
  listeners.push((version) => {
    reset.hidden = false;
    state.textContent = `${version.split(",")[0]}.`; // what follows is about its compiler
  });
  const bar = element("div");
  bar.className = "fd-run__bar";
  bar.append(reset);
  host.replaceChildren(bar, state);
};

/** @param {HTMLElement} host */
const mountStep = (host) => {
  const { fdSql: address = "", step = "", explained } = host.dataset;
  const name = `${step}.sql`;
  const plan = button("Explain", () => act(true));
  plan.hidden = !explained;
  const press = () => act(false);
  const { bar, main, halt, change, copy, reset, out, tell, work, conclude } = card(host, {
    name, label: `Run ${name}`, language: "sql", main: "Run", press, stop: postgres.stop,
    source: async () => (await sqlOf(address)).steps[step],
  }, [plan]);
  bar.append(main, halt, plan, change, copy, reset);

  /** @param {boolean} explain */
  const act = (explain) => work(async (sql) => {
    const { setup, explain: how } = await sqlOf(address);
    const result = await postgres.run({ setup, sql, explain: explain ? how : "" }, { stage: tell });
    const { results = [], notices = [], error } = result;
    if (explain && !error) out.append(element("pre", how.trim(), "note"));
    if (notices.length) out.append(element("pre", notices.join("\n"), "note"));
    out.append(...results.map(shown));
    if (error) out.append(element("pre", error.text.trimEnd(), "wrong"));
    conclude(ending(result), error?.line ?? 0, { failed: !!error, passed: false });
  });
};
