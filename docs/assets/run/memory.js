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

/** How much a program may keep in files, which lie outside of that memory, in MiB. */
export const FILES = 256;
const NO_SPACE = 51; // what Emscripten calls ENOSPC

/** Refuse to write more into files, which the program hears as a full disk.
 * @param {any} FS the files of Pyodide or of PGlite
 * @returns {() => boolean} says whether it refused
 */
export const limitFiles = (FS) => {
  const { type } = FS.lookupPath("/").node.mount;
  let taken = 0;
  let refused = false;
  let inside = false;
  const held = (node) => node.contents?.byteLength ?? 0;
  const all = (node) => FS.isDir(node.mode) ? Object.values(node.contents ?? {}).reduce((sum, one) => sum + all(one), 0) : held(node);
  /** @param {any} node @param {number} wanted its bytes @param {() => any} go */
  const guarded = (node, wanted, go) => {
    if (inside) return go();
    const had = held(node);
    const more = Math.max(0, wanted - had);
    // Files that are gone count until there seems to be no space: then all are counted.
    if (taken + more > FILES * 2 ** 20) taken = all(FS.root);
    if (taken + more > FILES * 2 ** 20) {
      refused = true;
      throw new FS.ErrnoError(NO_SPACE);
    }
    inside = true;
    try {
      return go();
    } finally {
      inside = false;
      taken += held(node) - had;
    }
  };
  for (const name of ["expandFileStorage", "resizeFileStorage"]) {
    const plain = type[name];
    type[name] = (node, wanted) => guarded(node, wanted, () => plain.call(type, node, wanted));
  }
  const { stream } = type.ops_table.file;
  const { write } = stream;
  stream.write = (at, bytes, offset, length, position, own) =>
    guarded(at.node, position + length, () => write(at, bytes, offset, length, position, own));
  return () => refused;
};

/** Refuse at once, in words, where WebAssembly may not run. */
export const needWebAssembly = () => {
  try {
    new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
  } catch {
    throw new Error("This browser, or a rule of this site, does not let pages run WebAssembly.");
  }
};

/** Pass an answer on, and tell how many bytes each part of it has as it comes.
 * @param {Response} answer @param {(bytes: number) => void} tell
 */
export const counted = (answer, tell) => {
  const count = new TransformStream({
    transform: (part, passed) => {
      tell(part.byteLength);
      passed.enqueue(part);
    },
  });
  return answer.body ? new Response(answer.body.pipeThrough(count), { headers: answer.headers }) : answer;
};

/** Unpack what is served compressed, as some hosts send such files as they are.
 * @param {ReadableStream} packed @param {string} type what is in it
 */
export const unpack = (packed, type) =>
  new Response(packed.pipeThrough(new DecompressionStream("gzip")), { headers: { "content-type": type } });

/** Where this browser keeps what makes a start short: on https and localhost only, else nowhere.
 * @param {string} store its name @param {string} name under which address; the others go
 */
export const shelf = async (store, name) => {
  const cache = await self.caches?.open(store).catch(() => undefined);
  return cache && {
    /** @returns {Promise<Response | undefined>} unpacked */
    get: async () => {
      const kept = await cache.match(name).catch(() => undefined);
      return kept?.body ? unpack(kept.body, "") : undefined;
    },
    /** @param {Blob} thing */
    put: async (thing) => {
      const packed = await new Response(thing.stream().pipeThrough(new CompressionStream("gzip"))).blob();
      for (const old of await cache.keys()) await cache.delete(old);
      await cache.put(name, new Response(packed));
    },
  };
};

/** The addresses of what this worker loaded. */
export const loaded = () => performance.getEntriesByType("resource").map(({ name }) => name);
