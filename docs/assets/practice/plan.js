// @ts-check
// The reader's own study plan: what to study when, by days, sessions and self-assessment.
(() => {
  "use strict";

  const { store, say, data, download, filled, watch } = /** @type {any} */ (globalThis).firedrill;
  const CONFIDENT = 3;
  const HOURS = [9, 14, 19]; // when Morning, Afternoon and Evening begin
  const WHEN = ["Morning", "Afternoon", "Evening"];

  /**
   * @typedef {{id: string, number: number, title: string, url: string | null, rank: number, after: string[]}} Scenario
   * @typedef {{kind: string, text: string, scenarios: string[]}} Session
   * @typedef {{scenarios: Scenario[], plan: Session[][], practice: string, tips: string, minutes: number}} Facts
   * @typedef {{days: number, sessions: number, minutes: number, assessed: boolean}} Options
   */

  /**
   * Plan: weak scenarios into sessions, in the order of the index. Pure.
   * What is more than fits is left out by importance (level, then weakness) and told; what is known
   * with confidence is only reviewed. Room that is left becomes practice, at the end of each day.
   * @param {Facts} facts @param {Record<string, {level: number}>} answers by scenario @param {Options} options
   * @returns {{days: Session[][], left: string[], known: string[]}}
   */
  const plan = (facts, answers, { days, sessions, minutes, assessed }) => {
    const level = (/** @type {Scenario} */ one) => (assessed ? answers[one.id]?.level ?? 0 : 0);
    const known = facts.scenarios.filter((one) => level(one) === CONFIDENT).map((one) => one.id);
    const each = Math.floor(minutes / facts.minutes);
    if (known.length === 0 && facts.scenarios.every((one) => level(one) === 0)
      && days === facts.plan.length && sessions === 3 && each >= 3) {
      return { days: facts.plan, left: [], known };
    }
    const weak = facts.scenarios.filter((one) => level(one) < CONFIDENT);
    const room = days * sessions * each;
    const weight = (/** @type {Scenario} */ one) => (CONFIDENT - level(one)) * (5 - one.rank);
    const first = [...weak].sort((a, b) => weight(b) - weight(a) || a.number - b.number);
    const taken = new Set(first.slice(0, room).map((one) => one.id));
    const order = sorted(weak.filter((one) => taken.has(one.id)));

    // Spread over as many sessions as leave one for practice each day, while there are that many.
    const total = days * sessions;
    const least = Math.ceil(order.length / each);
    const practice = Math.min(days, total - least);
    const study = Math.min(total - practice, order.length);
    const made = [];
    let at = 0;
    let done = 0;
    for (let day = 0; day < days; day++) {
      // The last days keep their practice when there is not one for each.
      const own = sessions - (day >= days - practice ? 1 : 0);
      const day_ = [];
      for (let slot = 0; slot < sessions; slot++) {
        if (slot < own && done < study) {
          const size = Math.ceil((order.length - at) / (study - done));
          day_.push({ kind: "study", text: "", scenarios: order.slice(at, at + size).map((one) => one.id) });
          at += size;
          done++;
        } else {
          const last = day === days - 1 && slot === sessions - 1;
          day_.push({ kind: last ? "review" : "practice", text: last ? facts.tips : facts.practice, scenarios: [] });
        }
      }
      made.push(day_);
    }
    return { days: made, left: weak.filter((one) => !taken.has(one.id)).map((one) => one.id), known };
  };

  /** In the order of their numbers, what comes first before what needs it. @param {Scenario[]} some */
  const sorted = (some) => {
    /** @type {Scenario[]} */
    const placed = [];
    /** @param {Scenario} one */
    const place = (one) => {
      if (placed.includes(one)) return;
      for (const id of one.after) {
        const other = some.find((two) => two.id === id);
        if (other) place(other);
      }
      placed.push(one);
    };
    for (const one of some) place(one);
    return placed;
  };

  /** @param {string} start a day, YYYY-MM-DD @param {number} later days @returns {string} */
  const dayAfter = (start, later) => new Date(Date.parse(start) + later * 86_400_000).toISOString().slice(0, 10);

  /**
   * The plan as an iCalendar file (RFC 5545): floating local times, the same UID for the same slot.
   * @param {Session[][]} days @param {Facts} facts @param {{start: string, minutes: number}} options @param {Date} now
   */
  const calendar = (days, facts, { start, minutes }, now) => {
    const stamp = `${now.toISOString().replace(/[-:]/g, "").slice(0, 15)}Z`;
    const title = (/** @type {string} */ id) => facts.scenarios.find((one) => one.id === id);
    const lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Firedrill//Study plan//EN", "CALSCALE:GREGORIAN"];
    days.forEach((sessions, day) => sessions.forEach((session, slot) => {
      const date = dayAfter(start, day).replaceAll("-", "");
      const found = session.scenarios.map(title).filter((one) => one !== undefined);
      const names = found.map((one) => `${one.number}. ${one.title}`);
      const links = found.flatMap((one) => (one.url ? [new URL(one.url, document.baseURI).href] : []));
      lines.push(
        "BEGIN:VEVENT",
        `UID:${start}-${day + 1}-${slot + 1}@firedrill`,
        `DTSTAMP:${stamp}`,
        `DTSTART:${date}T${String(HOURS[slot]).padStart(2, "0")}0000`,
        `DURATION:PT${minutes}M`,
        `SUMMARY:${escaped(`Study: ${session.text || names.join(", ")}`)}`,
        `DESCRIPTION:${escaped([...names, ...links].join("\n") || session.text)}`,
        ...links.slice(0, 1).map((link) => `URL:${link}`),
        "END:VEVENT",
      );
    }));
    lines.push("END:VCALENDAR");
    return lines.map(folded).join("\r\n") + "\r\n";
  };
  /** @param {string} text */
  const escaped = (text) => text.replace(/[\\;,]/g, "\\$&").replace(/\n/g, "\\n");
  /** At most 75 octets a line, and no character split. @param {string} line */
  const folded = (line) => {
    const size = (/** @type {string} */ text) => new TextEncoder().encode(text).length;
    let out = "";
    let length = 0;
    for (const character of line) {
      if (length + size(character) > 75) {
        out += "\r\n ";
        length = 1;
      }
      out += character;
      length += size(character);
    }
    return out;
  };

  Object.assign(/** @type {any} */ (globalThis).firedrill, { plan, calendar });

  const form = /** @type {HTMLFormElement | null} */ (document.getElementById("fd-plan"));
  if (!form) return;
  /** @type {Facts & {items: Record<string, string>}} */
  const facts = data("fd-plan-data");
  const out = /** @type {HTMLElement} */ (document.getElementById("fd-own-plan"));
  const status = form.querySelector("[role=status]");
  const field = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
  const today = () => {
    const now = new Date();
    return [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((n) => String(n).padStart(2, "0")).join("-");
  };

  /** @returns {Record<string, {level: number}>} the self-assessment, by scenario */
  const answers = () => {
    const kept = store.get("assessment");
    return Object.fromEntries(Object.entries(facts.items).flatMap(([item, id]) => (kept[item] ? [[id, kept[item]]] : [])));
  };
  const options = () => ({
    start: field("start").value,
    days: Number(field("days").value),
    sessions: Number(field("sessions").value),
    minutes: Number(field("minutes").value),
    assessed: field("assessed").checked,
  });

  /** @param {string} tag @param {string} text */
  const element = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  /** @param {string} id */
  const link = (id) => {
    const found = facts.scenarios.find((one) => one.id === id);
    const words = found ? `${found.number} · ${found.title}` : id;
    return found?.url ? Object.assign(element("a", words), { href: found.url }) : element("span", `${words} (planned)`);
  };
  /** @param {string[]} ids */
  const list = (ids) => {
    const made = document.createElement("ul");
    for (const id of ids) made.appendChild(document.createElement("li")).append(link(id));
    return made;
  };

  const show = () => {
    const chosen = options();
    const made = plan(facts, answers(), chosen);
    const parts = made.days.map((sessions, day) => {
      const section = document.createElement("section");
      section.className = "fd-day";
      const date = new Date(`${dayAfter(chosen.start, day)}T12:00`);
      section.append(element("h3", `Day ${day + 1}, ${date.toLocaleDateString("en", { weekday: "long", day: "numeric", month: "long", year: "numeric" })}`));
      const names = document.createElement("ul");
      sessions.forEach((session, slot) => {
        const row = names.appendChild(document.createElement("li"));
        row.append(element("strong", WHEN[slot]), `: ${session.text || "Study, run the drill, explain aloud"}`);
        if (session.scenarios.length) row.append(list(session.scenarios));
      });
      section.append(names);
      return section;
    });
    if (made.left.length) {
      const section = document.createElement("section");
      section.append(element("h3", "Not covered"), element("p", "These do not fit: add days, sessions or minutes. They are the ones asked least, or that you know best."), list(made.left));
      parts.push(section);
    }
    if (made.known.length) {
      const section = document.createElement("section");
      section.append(element("h3", "Only to review"), element("p", "You marked these as confident."), list(made.known));
      parts.push(section);
    }
    out.replaceChildren(...parts);
    out.hidden = false;
    document.body.classList.add("fd-has-plan");
    const covered = made.days.flat().flatMap((session) => session.scenarios).length;
    const lost = made.left.length ? `, ${made.left.length} not covered` : "";
    say(status, `Your plan: ${chosen.days} ${chosen.days === 1 ? "day" : "days"}, ${covered} scenario${covered === 1 ? "" : "s"}${lost}.`);
    for (const button of form.querySelectorAll("[data-fd-after]")) /** @type {HTMLElement} */ (button).hidden = false;
    return made;
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = options();
    store.set("plan", { ...chosen, at: new Date().toISOString() });
    const { assessed, ...shared } = chosen;
    const query = new URLSearchParams(Object.entries({ ...shared, assessed: assessed ? "1" : "0" }).map(([name, value]) => [name, String(value)]));
    history.replaceState(history.state, "", `?${query}${location.hash}`);
    show();
  });
  form.querySelector("[data-fd-ics]")?.addEventListener("click", () => {
    const chosen = options();
    download("firedrill-plan.ics", calendar(show().days, facts, chosen, new Date()), "text/calendar");
    say(status, "firedrill-plan.ics is made: open it with your calendar.");
  });
  form.querySelector("[data-fd-print]")?.addEventListener("click", () => print());

  // The address comes first, then what this browser kept; what is not a plan is said and left out.
  const asked = new URLSearchParams(location.search);
  const start = () => {
    const kept = store.get("plan");
    field("start").value = kept.start ?? today();
    for (const name of ["days", "sessions", "minutes"]) if (kept[name]) field(name).value = String(kept[name]);
    field("assessed").checked = kept.assessed ?? true;
    const wrong = filled(form, ["start", "days", "sessions", "minutes"]);
    if (asked.has("assessed")) field("assessed").checked = asked.get("assessed") === "1";
    if (asked.has("days") || kept.at) show();
    else {
      out.hidden = true;
      document.body.classList.remove("fd-has-plan");
    }
    if (wrong) say(status, wrong);
  };
  form.hidden = false;
  watch(start);
})();
