// @ts-check
// Small additions to a page that is complete without them. Classic script, deferred, no dependency.
(() => {
  "use strict";

  const PREFS = "firedrill:v1:prefs";

  /** @returns {{shortcuts?: boolean}} what the reader chose; nothing where storage is closed */
  const prefs = () => {
    try {
      return JSON.parse(localStorage.getItem(PREFS) ?? "{}") ?? {};
    } catch {
      return {};
    }
  };

  // WCAG 2.1.4: the theme opens search on a bare letter. Letters typed outside a field do nothing
  // unless the reader turned shortcuts on (see /about/accessibility/).
  let shortcuts = prefs().shortcuts === true;
  addEventListener("keydown", (event) => {
    if (shortcuts || event.key.length !== 1 || event.key === " " || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = /** @type {HTMLElement} */ (event.target);
    if (target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"))) return;
    // A focused tool has keys of its own.
    if (target.closest?.("[data-fd-keys]")?.getAttribute("data-fd-keys")?.includes(event.key)) return;
    event.stopImmediatePropagation();
  }, true);

  const option = document.querySelector("[data-fd-shortcuts]");
  const box = option?.querySelector("input");
  if (option instanceof HTMLElement && box) {
    box.checked = shortcuts;
    option.hidden = false;
    box.addEventListener("change", () => {
      shortcuts = box.checked;
      try {
        localStorage.setItem(PREFS, JSON.stringify({ ...prefs(), shortcuts }));
      } catch { /* storage is closed: the choice holds for this page */ }
    });
  }

  // Copy gives the listing byte for byte: the theme's button cuts the last newline off.
  /** @type {string | null} */
  let listing = null;
  addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-clipboard-target]") : null;
    const target = button && document.querySelector(button.getAttribute("data-clipboard-target") ?? "");
    listing = target?.textContent ?? null;
    queueMicrotask(() => setTimeout(() => { listing = null; }));
  }, true);
  document.addEventListener("copy", (event) => {
    if (listing === null || !event.clipboardData) return;
    event.clipboardData.setData("text/plain", listing);
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);

  // The lines that a naive listing marks as wrong.
  for (const comment of document.querySelectorAll(".fd-naive .c1")) {
    if (comment.textContent?.startsWith("# BUG")) comment.classList.add("fd-bug");
  }

  // A table wider than the page scrolls in its own box: reachable by keyboard, and named.
  const boxes = new ResizeObserver((entries) => {
    for (const { target } of entries) name(target);
  });
  /** @param {Element} wrap */
  const name = (wrap) => {
    if (wrap.scrollWidth <= wrap.clientWidth + 1) {
      for (const attribute of ["tabindex", "role", "aria-label"]) wrap.removeAttribute(attribute);
      return;
    }
    let before = wrap.previousElementSibling;
    while (before && !/^H[1-6]$/.test(before.tagName)) before = before.previousElementSibling;
    const heading = before?.firstChild?.textContent?.trim();
    wrap.setAttribute("tabindex", "0");
    wrap.setAttribute("role", "region");
    wrap.setAttribute("aria-label", heading ? `Table: ${heading}` : "Table");
  };
  /** @param {ParentNode} root */
  const watch = (root) => {
    for (const wrap of root.querySelectorAll(".md-typeset__scrollwrap")) boxes.observe(wrap);
  };
  const article = document.querySelector("article");
  if (article) {
    new MutationObserver(() => watch(article)).observe(article, { childList: true, subtree: true });
    watch(article);
  }

  // The address of a question opens the answer folded away below it.
  const unfold = () => document.querySelector(":target + details")?.setAttribute("open", "");
  addEventListener("hashchange", unfold);
  addEventListener("load", unfold);

  // Print shows every fold-out, also where the style sheet's ::details-content is unknown.
  /** @type {HTMLDetailsElement[]} */
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details")].filter((fold) => !fold.open);
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
    opened = [];
  });
})();
