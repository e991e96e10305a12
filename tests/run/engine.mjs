// Python as a page has it, in node: JSON lines in, JSON lines out. With --plain, without stack switching.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [glue, kitFolder, ...flags] = process.argv.slice(2);
if (flags.includes("--plain")) {
  delete WebAssembly.Suspending;
  delete WebAssembly.promising;
}
const { limitMemory } = await import("../../docs/assets/run/memory.js");
const { blocking, options, ready } = await import("../../docs/assets/run/python.js");
limitMemory();
const kit = JSON.parse(readFileSync(`${kitFolder}/kit.json`, "utf8"));
const { loadPyodide } = await import(`${kitFolder}/${kit.pyodide}pyodide.mjs`);
const py = await loadPyodide(options(kit, `${kitFolder}/`));

let printed = { out: "", err: "" };
const decoder = new TextDecoder();
const perform = ready(py, readFileSync(glue, "utf8"), (stream, bytes) => { printed[stream] += decoder.decode(bytes); });
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
say({ blocking: blocking(), python: py.runPython("import sys; sys.version.split()[0]") });
for await (const line of createInterface({ input: process.stdin })) {
  printed = { out: "", err: "" };
  let result;
  try {
    result = await perform(JSON.parse(line));
  } catch (error) {
    result = { error: { type: "Error", line: 0, text: `${error.message}` } };
  }
  say({ ...result, ...printed });
}
