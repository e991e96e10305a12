// The editor of a page's code, bundled with CodeMirror into one module and loaded on Edit.
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { python } from "@codemirror/lang-python";
import { PostgreSQL, sql } from "@codemirror/lang-sql";
import {
  HighlightStyle, bracketMatching, indentOnInput, indentUnit, syntaxHighlighting,
} from "@codemirror/language";
import { EditorState, StateEffect, StateField } from "@codemirror/state";
import { Decoration, EditorView, drawSelection, keymap, lineNumbers } from "@codemirror/view";
import { tags as t } from "@lezer/highlight";

// The colours of the site's listings, so that the palette switch reaches the editor too.
const colour = (name) => ({ color: `var(--md-code-hl-${name}-color)` });
const colours = HighlightStyle.define([
  { tag: [t.keyword, t.operatorKeyword, t.controlKeyword, t.definitionKeyword, t.moduleKeyword], ...colour("keyword") },
  { tag: [t.string, t.special(t.string), t.docString], ...colour("string") },
  { tag: t.number, ...colour("number") },
  { tag: [t.bool, t.null, t.atom, t.self], ...colour("constant") },
  { tag: t.comment, ...colour("comment") },
  { tag: [t.function(t.definition(t.variableName)), t.definition(t.className)], ...colour("function") },
  { tag: [t.operator, t.compareOperator, t.arithmeticOperator, t.punctuation], ...colour("operator") },
  { tag: t.meta, ...colour("special") },
]);

const theme = EditorView.theme({
  "&": { backgroundColor: "var(--md-code-bg-color)", color: "var(--md-code-fg-color)", maxHeight: "55vh" },
  "&.cm-focused": { outline: "none" }, // its place is outlined
  ".cm-scroller": { fontFamily: "var(--md-code-font-family)", fontSize: ".65rem", lineHeight: "1.6", overflow: "auto" },
  ".cm-content": { caretColor: "var(--md-code-fg-color)", padding: ".6rem 0" },
  ".cm-cursor": { borderLeftColor: "var(--md-code-fg-color)" },
  ".cm-gutters": { backgroundColor: "var(--md-code-bg-color)", color: "var(--fd-quiet)", border: "0" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "color-mix(in srgb, var(--fd-accent) 24%, transparent) !important",
  },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--fd-accent-soft)", outline: "1px solid var(--fd-accent)" },
  ".fd-run__wrong": { backgroundColor: "var(--fd-fail-soft)", boxShadow: "inset 3px 0 var(--fd-fail)" },
});

const marking = StateEffect.define();
const mark = Decoration.line({ class: "fd-run__wrong" });
/** The line that failed in the last run; an edit takes the mark away. */
const wrong = StateField.define({
  create: () => Decoration.none,
  update(found, change) {
    let next = change.docChanged ? Decoration.none : found;
    for (const effect of change.effects) {
      if (!effect.is(marking)) continue;
      const inside = effect.value > 0 && effect.value <= change.state.doc.lines;
      next = inside ? Decoration.set([mark.range(change.state.doc.line(effect.value).from)]) : Decoration.none;
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/**
 * Put an editor into an element. Tab moves on as everywhere: it is not taken for indenting.
 * @param {HTMLElement} parent
 * @param {{text: string, label: string, language: string, run: () => void, changed: () => void}} options
 */
export const edit = (parent, { text, label, language, run, changed }) => {
  const start = () => (run(), true);
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(), history(), drawSelection(), bracketMatching(), indentOnInput(),
        indentUnit.of("    "), EditorState.tabSize.of(4),
        language === "sql" ? sql({ dialect: PostgreSQL }) : python(), syntaxHighlighting(colours), theme, wrong,
        EditorView.contentAttributes.of({ "aria-label": label }),
        keymap.of([{ key: "Mod-Enter", run: start }, ...defaultKeymap.filter((one) => one.key !== "Mod-Enter"), ...historyKeymap]),
        EditorView.updateListener.of((update) => { if (update.docChanged) changed(); }),
      ],
    }),
  });
  return {
    text: () => view.state.doc.toString(),
    focus: () => view.focus(),
    mark: (line) => view.dispatch({
      effects: [marking.of(line), ...(line > 0 && line <= view.state.doc.lines
        ? [EditorView.scrollIntoView(view.state.doc.line(line).from, { y: "center" })] : [])],
    }),
    end: () => view.destroy(),
  };
};
