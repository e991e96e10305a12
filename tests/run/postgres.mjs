// PostgreSQL as a page has it, in node: JSON lines in, JSON lines out.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { limitMemory } from "../../docs/assets/run/memory.js";
import { ready, start } from "../../docs/assets/run/postgres.js";

const [kit] = process.argv.slice(2);
limitMemory();
const { pglite } = JSON.parse(readFileSync(`${kit}/postgres.json`, "utf8"));
const module = await import(`${kit}/${pglite}index.js`);
const db = await start(module, async (name) => new Blob([readFileSync(`${kit}/${pglite}${name}`)]).stream());
const perform = ready(db, module.protocol);
await perform({}, () => {}); // as the worker of a page does
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const stages = [];
  try {
    say({ ...await perform(JSON.parse(line), (stage) => stages.push(stage)), stages });
  } catch (error) {
    say({ ended: `${error.message}` });
  }
}
process.exit();
