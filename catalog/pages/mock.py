"""The mock interview: questions drawn from a seed, and everything to ask and grade them with."""

import html
import posixpath
import re

from catalog.draw import draw, pool, revision
from catalog.load import slug
from catalog.model import Advice, AnswerStep, Catalog, Question, Step
from catalog.pages.sheet import Sheet, count, escape, items
from catalog.pages.tool import data, own_data, scripts

QUESTIONS, MINUTES = 5, 6
"""The original's tip: five scenarios in thirty minutes."""
DRAWS = 10
GRADES = ("Missed", "Partly", "Well", "Very well")
WORDS = {
    "minute": "One minute left.",
    "over": "Time is up. Finish your sentence: nothing is cut off.",
    "shown": "The model answer is beside your notes. Tick what you said.",
    "ungraded": "not graded",
    "strong": "None of those you compared with the model answer.",
    "copied": "The report is copied.",
    "refused": "This browser gave no clipboard: the report is selected, copy it with Ctrl+C or ⌘C.",
    "none": (
        "No answered question fits: choose another part or level, or more than the weak ones."
    ),
    "lost": "There is no answered question",
    "later": f"Each question with a signal below “{GRADES[2]}” is due in Review now.",
    "changed": "The catalogue has changed since this link was made: the draw may differ.",
}
"""What the script says."""

_DOT = "\N{NO-BREAK SPACE}· "
_LINK = re.compile(r"(?P<code>(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))|\]\((?P<target>[^)\s]+)")
_HEADING = re.compile(r"^#{3,6} +(.*?)(?: *\{[^}]*\})?$", re.MULTILINE)


def mock(catalog: Catalog) -> str:
    """Give mock.md."""
    sheet = Sheet(catalog, "mock.md")
    drawn = pool(catalog)
    body = [
        (
            f'<p class="fd-lead">{QUESTIONS} questions, {MINUTES} minutes each. '
            "Answer aloud, then grade yourself.</p>"
        ),
        (
            f"Drawn from the {count(len(drawn), 'question')} answered so far, "
            f"of {len(catalog.questions)}."
        ),
        _setup(catalog),
        _interview(catalog),
        _result(catalog),
        "## The seven steps",
        "\n".join(_prompt(step) for step in catalog.template.steps),
        f"The [answer template]({sheet.to('template.md')}) explains each.",
        "## Ready draws" if drawn else "",
        (
            "Each seed gives everybody the same questions. Say your answer before you open one."
            if drawn
            else ""
        ),
        _draws(drawn),
        "## Every question" if drawn else "",
        *_questions(sheet, drawn),
        own_data(),
        data("fd-mock-data", _facts(catalog, drawn)),
        scripts(sheet, "mock"),
    ]
    return sheet.write(
        "Mock interview",
        "A mock backend interview: questions drawn from a seed, a timer, seven steps, model "
        "answers, a rubric, and a report.",
        body,
    )


# controls ----------------------------------------------------------------------------------------


def _setup(catalog: Catalog) -> str:
    """Give the options of a draw."""
    return f"""<form id="fd-mock" class="fd-tools" aria-labelledby="fd-mock-title" hidden>
<h2 id="fd-mock-title" tabindex="-1">Draw an interview</h2>
<p class="fd-fields">
<label>Questions <input type="number" name="n" min="1" max="50" \
value="{QUESTIONS}" required></label>
<label>Minutes each (0: no timer) <input type="number" name="minutes" min="0" max="60" \
value="{MINUTES}" required></label>
<label>Part {_select("part", [(one.id, one.title) for one in catalog.parts])}</label>
<label>Level {_select("level", [(one.id, one.title) for one in catalog.levels])}</label>
<label>Seed <input name="seed" maxlength="40" pattern=".{{0,40}}" spellcheck="false"></label>
</p>
<p class="fd-options">
<label hidden><input type="checkbox" name="ask"> Only the questions that this link names</label>
<label><input type="checkbox" name="weak"> Only what I cannot explain yet, by my checklist</label>
<label><input type="checkbox" name="role" value="interviewer"> I am the interviewer</label>
</p>
<p>The same seed and options draw the same questions, and the address holds them:
send it to a second person.
The interviewer sees answers, rubric and follow-ups from the start.</p>
<p class="fd-buttons">
<button class="md-button md-button--primary">Start</button>
<button type="button" class="md-button" data-fd-back hidden>Back to the interview I left</button>
</p>
<p role="status"></p>
</form>"""


def _select(name: str, options: list[tuple[str, str]]) -> str:
    rows = "".join(f'<option value="{key}">{html.escape(words)}</option>' for key, words in options)
    return f'<select name="{name}"><option value="">All</option>{rows}</select>'


def _interview(catalog: Catalog) -> str:
    """Give the place where one question is asked, answered and graded."""
    steps = "\n".join(_step(step) for step in catalog.template.steps)
    signals = "\n".join(_signal(one) for one in catalog.tips.signals)
    return f"""<form id="fd-interview" autocomplete="off" aria-labelledby="fd-asked" hidden>
<p class="fd-quiet"></p>
<h2 id="fd-asked" tabindex="-1"></h2>
<p class="fd-buttons" data-fd-clock>
<span role="timer" aria-live="off"></span>
<button type="button" class="md-button" data-fd-pause></button>
<button type="button" class="md-button" data-fd-untimed>Timer off</button>
</p>
<p role="status"></p>
<p class="fd-problem" hidden>This browser keeps no notes: \
copy the report before you leave this page.</p>
<details><summary>Ask about scale and constraints</summary>
<div data-fd-slot="facts"></div></details>
{steps}
<p class="fd-buttons">
<button type="button" class="md-button md-button--primary" data-fd-reveal>Show the model answer\
</button>
</p>
<div data-fd-model>
<h3>Red flags</h3>
<div data-fd-slot="flags"></div>
<h3>Follow-ups</h3>
<div data-fd-slot="next"></div>
<h3>Grade the answer</h3>
{signals}
</div>
<p class="fd-buttons">
<button type="button" class="md-button md-button--primary" data-fd-next data-fd-model>\
Next question</button>
<button type="button" class="md-button" data-fd-finish>Finish here</button>
</p>
</form>"""


def _step(step: Step) -> str:
    name = html.escape(step.name.capitalize())
    return f"""<section class="fd-step" data-fd-step="{step.id}">
<h3>{step.number}. {name}</h3>
<p class="fd-quiet">{_words(step)}</p>
<div class="fd-pair">
<p class="fd-fields"><label>Notes <textarea name="note-{step.id}" rows="2" \
aria-label="Notes, {step.number}. {name}"></textarea></label></p>
<div data-fd-model>
<div data-fd-slot="{step.id}"></div>
<label class="fd-check"><input type="checkbox" name="tick-{step.id}"> \
<span>Said: <span data-fd-slot="must-{step.id}"></span></span></label>
</div>
</div>
</section>"""


def _words(step: Step) -> str:
    return html.escape(f"“{step.say}” {_DOT.join(step.lines)}")


def _signal(signal: Advice) -> str:
    name = slug(signal.label)
    grades = "\n".join(
        f'<label><input type="radio" name="grade-{name}" value="{grade}"> {words}</label>'
        for grade, words in enumerate(GRADES)
    )
    return f"""<fieldset class="fd-choice">
<legend>{html.escape(signal.label)}</legend>
<p class="fd-options">
{grades}
</p>
</fieldset>"""


def _result(catalog: Catalog) -> str:
    """Give the place of the end: scores, weak steps, the report."""
    rows = "\n".join(
        f'<tr><th scope="row">{html.escape(one.label)}</th>'
        f'<td data-fd-score="{slug(one.label)}"></td><td></td></tr>'
        for one in catalog.tips.signals
    )
    return f"""<section id="fd-result" aria-labelledby="fd-result-title" hidden>
<h2 id="fd-result-title" tabindex="-1">How it went</h2>
<table><thead><tr><th scope="col">Signal, 0 to {len(GRADES) - 1}</th>
<th scope="col">This time</th><th scope="col">All so far</th></tr></thead>
<tbody>
{rows}
</tbody></table>
<h3>Weak steps</h3>
<ul></ul>
<h3 id="fd-report">Report</h3>
<p class="fd-fields"><textarea rows="12" readonly aria-labelledby="fd-report"></textarea></p>
<p class="fd-buttons">
<button type="button" class="md-button md-button--primary" data-fd-copy>Copy the report</button>
<button type="button" class="md-button" data-fd-later>Review the weak answers</button>
<button type="button" class="md-button" data-fd-again>New interview</button>
</p>
<p role="status"></p>
</section>"""


# what is there without scripts -------------------------------------------------------------------


def _prompt(step: Step) -> str:
    lines = _DOT.join(escape(line) for line in step.lines)
    return f"{step.number}. **{escape(step.name.capitalize())}**: “{escape(step.say)}” {lines}"


def _draws(drawn: list[Question]) -> str:
    names = {one.id: one.question for one in drawn}
    rows = []
    for seed in range(1, DRAWS + 1 if drawn else 1):
        ids = draw(list(names), QUESTIONS, str(seed))
        rows.append(f"- Seed {seed}: " + " · ".join(f"[{escape(names[x])}](#{x})" for x in ids))
    return "\n".join(rows)


def _questions(sheet: Sheet, drawn: list[Question]) -> list[str]:
    if not drawn:
        return []
    opening = '<div data-search-exclude markdown="1">'
    return [opening, *(_question(sheet, one) for one in drawn), "</div>"]


def _question(sheet: Sheet, question: Question) -> str:
    """Give a fold-out with the model answer, step by step; the script shows parts of it."""
    page = f"questions/{question.id}.md"
    musts = {line.step: line.must_mention for line in question.rubric}
    parts = {one.step: one for one in question.answer}
    blocks = [
        f'<details id="{question.id}" markdown="1">',
        f"<summary>{html.escape(question.question)}</summary>",
    ]
    for step in sheet.catalog.template.steps:
        blocks.append(f"**{step.number}. {escape(step.name.capitalize())}**")
        if part := parts.get(step.id):
            blocks += [_part(sheet, page, part)]
        if must := musts.get(step.id):
            said = f'<span data-fd-part="must-{step.id}">{escape(must)}</span>'
            blocks.append(f"*An answer mentions:* {said}")
    flags = items(escape(flag) for flag in question.red_flags)
    asked = items(f"[{escape(one.q)}]({sheet.to(page)}#{one.id})" for one in question.follow_ups)
    study = (
        f"[The whole answer, with its code]({sheet.to(page)}). "
        f"Study: {sheet.scenarios(question.scenarios)}."
    )
    blocks += ["**Red flags**", _box("flags", [flags])]
    blocks += ["**Follow-ups**", _box("next", [asked, study]), "</details>"]
    return "\n\n".join(blocks)


def _part(sheet: Sheet, page: str, part: AnswerStep) -> str:
    link = f"[The code of this step]({sheet.to(f'{page}#{part.place}')})" if part.code else ""
    said = [_moved(sheet, page, part.text), link] if part.text else [link]
    facts = _box("facts", [_moved(sheet, page, part.facts)]) if part.facts else ""
    return _box(part.step, [*said, facts])


def _box(name: str, blocks: list[str]) -> str:
    opening = f'<div data-fd-part="{name}" markdown="1">'
    return "\n\n".join([opening, *(block for block in blocks if block), "</div>"])


def _moved(sheet: Sheet, page: str, text: str) -> str:
    """Give text of another page as it reads here: links lead on, headings become bold lines."""

    def link(match: re.Match[str]) -> str:
        target = match["target"]
        if match["code"] or re.match(r"[a-z][a-z0-9+.-]*:|/", target):
            return match[0]
        if target.startswith("#"):
            return f"]({sheet.to(f'{page}{target}')}"
        return f"]({sheet.to(posixpath.normpath(posixpath.join(posixpath.dirname(page), target)))}"

    return _LINK.sub(link, _HEADING.sub(r"**\1**", text))


def _facts(catalog: Catalog, drawn: list[Question]) -> dict[str, object]:
    """Give what draws are filtered by; its revision tells whether a draw is still the same."""
    ranks = {level.id: level.rank for level in catalog.levels}
    items_of = {item.scenario: item.id for item in catalog.checklist.items}
    rows = []
    for one in drawn:
        found = [catalog.scenario(name) for name in one.scenarios]
        rows.append(
            {
                "id": one.id,
                "parts": sorted({scenario.part for scenario in found}),
                "level": min(found, key=lambda scenario: ranks[scenario.level]).level,
                "items": [items_of[name] for name in one.scenarios if name in items_of],
            }
        )
    return {"v": revision(rows), "questions": rows, "words": WORDS}
