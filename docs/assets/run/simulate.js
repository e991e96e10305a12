// @ts-check
// The sliders of a simulation: each move runs its Python again and shows what that draws.
import { button, load, status } from "./card.js";
import { run, stop } from "./engine.js";

/** So long a slider must rest before Python runs, in ms. */
const REST_MS = 120;
/** What takes longer is stopped, in ms: a slow phone's first run takes some seconds. */
const LONGEST_MS = 10_000;

/** Put sliders above the picture and let them draw it.
 * @param {HTMLElement} place says where the simulation is; holds what is shown of this
 */
export const open = async (place) => {
  const box = /** @type {HTMLElement} */ (place.closest(".fd-sim"));
  /** @param {string} name @returns {any} */
  const part = (name) => box.querySelector(name);
  const address = place.dataset.fdSim ?? "";
  const { sliders, ...job } = JSON.parse(await load(address));

  const state = status();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let rest;
  let busy = false;
  let again = false;
  let slow = false;

  const fields = sliders.map((slider, at) => {
    const input = document.createElement("input");
    Object.assign(input, { type: "range", id: `fd-sim-${at}`, min: slider.low, max: slider.high, step: slider.step });
    const label = document.createElement("label");
    const output = document.createElement("output");
    label.htmlFor = input.id;
    output.setAttribute("for", input.id);
    output.setAttribute("aria-live", "off"); // the slider itself says where it stands
    label.textContent = slider.label;
    const tell = () => {
      output.textContent = `${input.valueAsNumber.toLocaleString("en")} ${slider.unit}`.trim();
      input.setAttribute("aria-valuetext", output.textContent);
    };
    const reset = () => {
      input.value = slider.start;
      tell();
    };
    input.addEventListener("input", () => {
      tell();
      soon();
    });
    reset();
    const row = document.createElement("div");
    row.className = "fd-sim__slider";
    row.append(label, output, input);
    return { row, input, reset, name: slider.name };
  });

  const soon = () => {
    clearTimeout(rest);
    rest = setTimeout(draw, REST_MS);
  };
  const draw = async () => {
    again = busy;
    if (busy) return;
    busy = true;
    box.setAttribute("aria-busy", "true");
    const values = JSON.stringify(Object.fromEntries(fields.map(({ name, input }) => [name, input.valueAsNumber])));
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let watch;
    const result = await run({ ...job, kind: "simulate", values }, {
      stage: (text, running) => { if (!running) state.textContent = text; },
      begun: () => { watch = setTimeout(() => { slow = true; stop(); }, LONGEST_MS); },
    });
    clearTimeout(watch);
    if (result.svg) {
      part(".fd-scroll").innerHTML = result.svg;
      part("details > div").innerHTML = result.table;
      part("figcaption").textContent = result.caption;
      part(".fd-sim__values").textContent = `${result.values}.`;
      state.textContent = "";
    } else {
      const error = result.error ?? result;
      const said = slow ? `That took more than ${LONGEST_MS / 1000} s and was stopped.` : error.stopped ? "Stopped." : error.text.trim().split("\n").pop();
      state.textContent = `${said} The picture is the one before.`;
    }
    busy = slow = false;
    box.removeAttribute("aria-busy");
    if (again) draw();
  };

  const start = button("Start values", () => {
    for (const { reset } of fields) reset();
    soon();
  });
  part("figcaption").setAttribute("aria-live", "polite");
  place.replaceChildren(...fields.map(({ row }) => row), start, state);
  fields[0].input.focus({ preventScroll: true });
  await draw();
};
