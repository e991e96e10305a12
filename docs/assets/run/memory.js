// @ts-check
// What keeps a tab alive: WebAssembly's memory never shrinks, and a phone has little.

/** How much memory a program gets, in MiB. */
export const MEMORY = 512;
const PAGE = 65536;

/** Refuse to grow beyond the limit: the program then hears that there is no memory, and the tab lives. */
export const limitMemory = () => {
  const { grow } = WebAssembly.Memory.prototype;
  WebAssembly.Memory.prototype.grow = function (pages) {
    if (this.buffer.byteLength + pages * PAGE > MEMORY * 2 ** 20) throw new RangeError("limit");
    return grow.call(this, pages);
  };
};

/** Refuse at once, in words, where WebAssembly may not run. */
export const needWebAssembly = () => {
  try {
    new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
  } catch {
    throw new Error("This browser, or a rule of this site, does not let pages run WebAssembly.");
  }
};

/** The addresses of what this worker loaded. */
export const loaded = () => performance.getEntriesByType("resource").map(({ name }) => name);
