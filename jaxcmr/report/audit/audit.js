// The cards of an audit: what is shown, what is decided, and the file of decisions.
// A row is its place in the columns; texts of the data reach the page as text nodes alone.
(() => {
const PAGE = 24;
const DROP = -1; // a decision is the number of a class, or this
const DROPPED = "drop"; // how corrections.csv writes it
const SHARE = 10000; // a probability is a whole number of these parts

const data = JSON.parse($("columns").textContent);
const items = JSON.parse($("items").textContent);
const placeOf = new Map(data.id.map((id, place) => [id, place]));
const KEY = `jaxcmr audit ${data.fingerprint}`;

let decisions = new Map(); // id -> decision, in the order of the clicks
let undone = []; // what `undo` puts back: lists of [id, decision before or undefined]
let list = []; // the places that pass the filters, in order
let current = 0; // in the list

// ---- words

const name = (label, most) => (label >= 0 ? shown(data.classes[label], most) : "no label");

function percent(parts) {
  if (parts < 0) return "";
  if (parts > 0 && parts < 50) return "under 1\u00a0%";
  if (parts < SHARE && parts >= SHARE - 50) return "over 99\u00a0%";
  return `${Math.round((100 * parts) / SHARE)}\u00a0%`;
}

function say(text) { $("message").textContent = text; }

// ---- decisions, kept in the browser

function load() {
  decisions = new Map();
  try {
    decisions = new Map(JSON.parse(localStorage.getItem(KEY) || "[]"));
  } catch { $("unsaved").hidden = false; }
}

function save() {
  try {
    localStorage.setItem(KEY, JSON.stringify([...decisions]));
    $("unsaved").hidden = true;
  } catch { $("unsaved").hidden = false; }
}

// Takes [id, decision] pairs, all of which one `undo` takes back.
function take(pairs) {
  undone.push(pairs.map(([id]) => [id, decisions.get(id)]));
  for (const [id, decision] of pairs) decisions.set(id, decision);
  save();
  count();
}

function decide(decision) {
  if (!list.length) return;
  const place = list[current];
  if (decision >= 0 && data.classes[decision] === DROPPED) {
    say("A class called drop cannot be chosen: corrections.csv has this word for rows to leave out.");
    return;
  }
  take([[data.id[place], decision]]);
  redraw(place);
  say(`${shown(data.id[place])}: ${told(place)}.`);
  go(Math.min(current + 1, list.length - 1));
}

const suggest = () => list.length && decide(data.suggested[list[current]]);

function keep() {
  if (!list.length) return;
  if (data.given[list[current]] >= 0) decide(data.given[list[current]]);
  else say("This row has no label to keep; take the suggestion, or choose a class.");
}

function undo() {
  const pairs = undone.pop();
  if (!pairs) return say("There is nothing to undo.");
  for (const [id, before] of pairs) {
    if (before === undefined) decisions.delete(id);
    else decisions.set(id, before);
  }
  save();
  count();
  const at = list.indexOf(placeOf.get(pairs[0][0]));
  if (at >= 0) current = at;
  draw();
  if (at >= 0) reach();
  say(pairs.length === 1 ? `Took back the decision on ${shown(pairs[0][0])}.` : `Took back ${plural(pairs.length, "decision")}.`);
}

// What was decided of a row, in words; "" if nothing was.
function told(place) {
  const decision = decisions.get(data.id[place]);
  if (decision === undefined) return "";
  if (decision === DROP) return "dropped";
  return decision === data.given[place] ? `${name(decision, 30)} kept` : `now ${name(decision, 30)}`;
}

function count() {
  const left = list.filter((place) => !decisions.has(data.id[place])).length;
  const next = !left && decisions.size ? ": Export them" : "";
  $("progress").textContent = `${decisions.size.toLocaleString("en")} decided, ${left.toLocaleString("en")} of this list left${next}`;
  $("export").disabled = !decisions.size;
  $("undo").disabled = !undone.length;
}

// ---- filters and order

const byText = (of) => (a, b) => (of(a) < of(b) ? -1 : of(a) > of(b) ? 1 : a - b);
const highest = (column) => (a, b) => column[b] - column[a] || a - b;
const ORDERS = {
  suspect: (a, b) => a - b,
  sure: highest(data.probability_suggested),
  agreement: highest(data.agreement),
  none: highest(data.none_of_these),
  given: byText((place) => name(data.given[place])),
  id: byText((place) => data.id[place]),
};

const KINDS = {
  wrong: (place) => data.given[place] >= 0 && data.given[place] !== data.suggested[place],
  right: (place) => data.given[place] === data.suggested[place],
  unlabelled: (place) => data.given[place] < 0,
  all: () => true,
};

// Returns the test that a row passes which the controls ask for.
function wanted() {
  const kind = KINDS[$("kind").value];
  const [given, suggested] = ["given", "suggested"].map((id) => $(id).value);
  const bound = (id, otherwise) => ($(id).value === "" ? otherwise : ($(id).valueAsNumber * SHARE) / 100);
  const [low, high] = [bound("from", -1), bound("to", SHARE)];
  const [part, open] = [$("search").value.toLowerCase(), $("undecided").checked];
  return (place) => kind(place)
    && (given === "" || data.given[place] === Number(given))
    && (suggested === "" || data.suggested[place] === Number(suggested))
    && data.probability_given[place] >= low && data.probability_given[place] <= high
    && (part === "" || data.id[place].toLowerCase().includes(part))
    && !(open && decisions.has(data.id[place]));
}

function apply() {
  list = [...data.id.keys()].filter(wanted());
  if ($("order").value !== "suspect") list.sort(ORDERS[$("order").value]);
  current = 0;
  count();
  draw();
}

function showPair(given, suggested) {
  $("filters").reset();
  $("given").value = given;
  $("suggested").value = suggested;
  apply();
  $("tool").scrollIntoView();
}

// ---- cards

function draw() {
  const first = current - (current % PAGE);
  const places = list.slice(first, first + PAGE);
  $("cards").replaceChildren(...places.map((place, index) => card(place, first + index)));
  $("empty").hidden = list.length > 0;
  $("page").textContent = list.length ? `${plural(list.length, "row")}, page ${first / PAGE + 1} of ${Math.ceil(list.length / PAGE)}` : "";
  $("previous").disabled = first === 0;
  $("next").disabled = first + PAGE >= list.length;
}

const element = (place) => $("cards").querySelector(`[data-place="${place}"]`);

const redraw = (place) => element(place).replaceWith(card(place, current));

// Makes a row of the list the current one, on whichever page it is.
function go(index) {
  if (index < 0 || index >= list.length) return;
  const before = list[current];
  const turned = Math.floor(index / PAGE) !== Math.floor(current / PAGE);
  current = index;
  if (turned) draw();
  else element(before)?.removeAttribute("aria-current");
  reach();
}

function reach() {
  const card = element(list[current]);
  card.setAttribute("aria-current", "true");
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}

function turn(pages) {
  const first = current - (current % PAGE) + pages * PAGE;
  if (first >= 0 && first < list.length) go(first);
}

function card(place, at) {
  const decided = told(place);
  const select = () => { if (list[current] !== place) pick(at); };
  const made = make("article", {
    class: decided ? "card decided" : "card", tabindex: -1, "data-place": place,
    "aria-label": `${shown(data.id[place])}, given ${name(data.given[place])}, suggested ${name(data.suggested[place])}`,
    "aria-current": at === current ? "true" : null, pointerdown: select, focusin: select,
  });
  made.append(
    parts(place), head(place, decided),
    belief("given", data.given[place], data.probability_given[place]),
    belief("suggested", data.suggested[place], data.probability_suggested[place]),
    ...truth(place), make("p", { class: "small" }, shown(data.reasons[data.why[place]], 400)),
    ...nearest(place), actions(place, at),
  );
  return made;
}

// Marks a card as the current one without moving the page.
function pick(index) {
  element(list[current])?.removeAttribute("aria-current");
  current = index;
  element(list[current]).setAttribute("aria-current", "true");
}

function parts(place) {
  const known = items[place];
  if (!known) return absent("picture not in this file");
  const notes = known.map(({ note }) => note || "missing");
  if (known.every(({ kind }) => kind === "missing")) return absent([...new Set(notes)].join("; "));
  return make("div", { class: "parts" }, ...known.map(part));
}

function part({ modality, kind, data: content, note }) {
  const label = make("figcaption", {}, shown(modality, 30));
  if (kind === "picture") return make("figure", { class: "part" }, make("img", { src: content, alt: note ? shown(note) : shown(modality), loading: "lazy" }), label);
  if (kind === "text") return make("figure", { class: "part" }, make("div", { class: "words", dir: "auto" }, shown(content, 700)), label);
  return make("figure", { class: "part" }, absent(note || "missing"), label);
}

function head(place, decided) {
  const badges = [];
  if (data.validation[place]) badges.push("validation");
  if (!data.out_of_fold[place]) badges.push("in-sample");
  if (decided) badges.unshift(decided);
  return make("p", { class: "head" },
    make("bdi", { class: "mono", title: shown(data.id[place], 400) }, shown(data.id[place], 60)),
    make("span", {}, ...badges.map((text) => make("span", { class: "badge" }, text))));
}

function belief(what, label, parts) {
  const fill = make("i");
  fill.style.width = `${Math.max(parts, 0) / (SHARE / 100)}%`;
  return make("div", { class: `belief ${what}` },
    make("span", { class: "what" }, what), make("bdi", {}, name(label)), make("b", {}, percent(parts)),
    make("span", { class: "bar", "aria-hidden": "true" }, fill));
}

function truth(place) {
  if (!data.true || data.true[place] < -1) return []; // -2: unknown
  const text = data.true[place] < 0 ? "none of the classes" : name(data.true[place]);
  return [make("p", { class: "small soft" }, "true label: ", make("bdi", {}, text))];
}

function nearest(place) {
  const near = data.neighbors[place];
  if (!near.length) return [];
  const pictures = near.map((code) => (items[code] || []).find((part) => part.kind === "picture"));
  const entry = (code, index) => {
    const label = code >= 0 ? data.given[code] : -2 - code;
    const [same, found] = [label === data.suggested[place], pictures[index]];
    const drawn = found ? make("img", { src: found.data, alt: "", loading: "lazy" }) : make("i");
    return make("li", { class: same && "same", title: code >= 0 && shown(data.id[code]) }, drawn, make("span", {}, name(label, 30)));
  };
  const kind = pictures.some(Boolean) ? "nearest" : "nearest words";
  return [make("p", { class: "small soft" }, "nearest items, and their labels"), make("ul", { class: kind }, ...near.map(entry))];
}

function actions(place, at) {
  const button = (key, text, act, pressed, extra = {}) => make("button",
    { type: "button", "aria-pressed": String(pressed), click: () => { pick(at); act(); }, ...extra },
    make("span", {}, text, " ", make("kbd", {}, key)));
  const [decision, given, suggested] = [decisions.get(data.id[place]), data.given[place], data.suggested[place]];
  const other = decision !== undefined && ![given, suggested, DROP].includes(decision);
  const buttons = [button("g", given >= 0 ? `Keep ${name(given, 30)}` : "No label to keep", keep, decision === given, { disabled: given < 0 })];
  if (given !== suggested) buttons.unshift(button("s", `Take ${name(suggested, 30)}`, suggest, decision === suggested));
  buttons.push(button("c", other ? name(decision, 30) : "Other class", choose, other), button("d", "Drop the row", () => decide(DROP), decision === DROP));
  return make("div", { class: "actions" }, ...buttons);
}

// ---- the list of classes

let found = []; // the classes that are offered
let marked = 0; // in it

function choose() {
  if (!list.length) return;
  $("wish").value = "";
  offer();
  $("classes").showModal();
  $("wish").focus();
}

// Offers the classes whose names begin with what is typed, then those that hold it.
function offer() {
  const typed = $("wish").value.toLowerCase();
  const names = data.classes.map((text) => text.toLowerCase());
  const holds = [...names.keys()].filter((label) => names[label].includes(typed));
  const begins = (label) => names[label].startsWith(typed);
  found = [...holds.filter(begins), ...holds.filter((label) => !begins(label))].slice(0, 100);
  $("options").replaceChildren(...found.map((label, index) => make("li",
    { role: "option", id: `option${index}`, click: () => settle(label) }, make("bdi", {}, name(label)))));
  $("none").hidden = found.length > 0;
  mark(0);
}

function mark(index) {
  marked = Math.max(0, Math.min(index, found.length - 1));
  [...$("options").children].forEach((option, at) => option.setAttribute("aria-selected", String(at === marked)));
  if (found.length) $("wish").setAttribute("aria-activedescendant", `option${marked}`);
  else $("wish").removeAttribute("aria-activedescendant");
  $("options").children[marked]?.scrollIntoView({ block: "nearest" });
}

function settle(label) {
  $("classes").close();
  if (label !== undefined) decide(label);
}

function typed(event) {
  const act = { ArrowDown: () => mark(marked + 1), ArrowUp: () => mark(marked - 1), Enter: () => settle(found[marked]) }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

// ---- corrections.csv

const STARTS = "=+-@\t\r'"; // a cell that begins with these would be a formula in a spreadsheet
const safe = (text) => (text && STARTS.includes(text[0]) ? `'${text}` : text);
const unsafe = (cell) => (cell.length > 1 && cell[0] === "'" && STARTS.includes(cell[1]) ? cell.slice(1) : cell);
const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

function corrections() {
  const order = (id) => placeOf.get(id) ?? data.id.length;
  const ids = [...decisions.keys()].sort((a, b) => order(a) - order(b));
  const label = (id) => (decisions.get(id) === DROP ? DROPPED : data.classes[decisions.get(id)]);
  const given = (id) => data.classes[data.given[placeOf.get(id)]] ?? "";
  const lines = [["id", "label", "given"], ...ids.map((id) => [id, label(id), given(id)].map(safe))];
  return lines.map((line) => line.map(quoted).join(",") + "\r\n").join("");
}

function download() {
  const address = URL.createObjectURL(new Blob([corrections()], { type: "text/csv" }));
  const link = make("a", { href: address, download: "corrections.csv" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
  say(`Exported ${plural(decisions.size, "decision")} as corrections.csv.`);
}

// Splits a file into lines of cells; a quoted cell may hold commas, quotes and line breaks.
function parse(text) {
  const lines = [[""]];
  let inside = false;
  for (let at = 0; at < text.length; at++) {
    const [letter, line] = [text[at], lines.at(-1)];
    if (inside && letter === '"' && text[at + 1] === '"') line[line.length - 1] += text[at++];
    else if (letter === '"' && (inside || line.at(-1) === "")) inside = !inside;
    else if (!inside && letter === ",") line.push("");
    else if (!inside && (letter === "\n" || letter === "\r")) {
      if (letter === "\r" && text[at + 1] === "\n") at++;
      lines.push([""]);
    } else line[line.length - 1] += letter;
  }
  return lines.filter((line) => line.length > 1 || line[0] !== "");
}

// Returns the decisions of a file by id; throws a sentence that says what is wrong with it.
function readCorrections(text) {
  const [header = [], ...lines] = parse(text);
  const [id, label] = ["id", "label"].map((column) => header.indexOf(column));
  if (id < 0 || label < 0) throw new Error("it needs the columns id and label in its first line");
  const known = new Map(data.classes.map((text, number) => [text, number])).set(DROPPED, DROP);
  const answers = new Map();
  for (const cells of lines) {
    const [of, text] = [cells[id], cells[label]].map((cell) => unsafe(cell ?? ""));
    if (text === "") continue; // no answer
    if (!known.has(text)) throw new Error(`${shown(text)} is no class of this audit`);
    if (answers.has(of) && answers.get(of) !== known.get(text)) throw new Error(`the row ${shown(of)} has two answers`);
    answers.set(of, known.get(text));
  }
  return answers;
}

async function upload() {
  const [file] = $("file").files;
  if (!file) return;
  try {
    const answers = [...readCorrections(await file.text())];
    const partial = data.total > data.id.length; // then the row may be one that is not in the page
    const pairs = answers.filter(([id]) => partial || placeOf.has(id));
    if (pairs.length) take(pairs);
    apply();
    const others = answers.length - pairs.length;
    say(`Took ${plural(pairs.length, "decision")} of ${shown(file.name)}.` + (others ? ` Left out, not in this audit: ${plural(others, "id")}.` : ""));
  } catch (error) {
    say(`${shown(file.name)} was not taken: ${error.message}.`);
  }
  $("file").value = "";
}

// ---- keys and the start

const KEYS = {
  j: () => go(current + 1), ArrowDown: () => go(current + 1), ArrowRight: () => go(current + 1),
  k: () => go(current - 1), ArrowUp: () => go(current - 1), ArrowLeft: () => go(current - 1),
  s: suggest, Enter: suggest, g: keep, " ": keep, c: choose, d: () => list.length && decide(DROP), u: undo,
  n: () => turn(1), p: () => turn(-1), "/": () => $("search").focus(), "?": () => $("help").showModal(),
};

function pressed(event) {
  const at = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || at.closest("dialog, input, select")) return;
  if (["Enter", " "].includes(event.key) && at.closest("button, a, summary")) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function fillSelects() {
  for (const id of ["given", "suggested"]) {
    const counts = new Array(data.classes.length).fill(0);
    data[id].forEach((label, place) => { if (KINDS.wrong(place)) counts[label]++; });
    $(id).append(...counts.map((number, label) => make("option", { value: label }, `${name(label, 40)} (${number})`)));
  }
}

function start() {
  load();
  fillSelects();
  for (const cell of document.querySelectorAll("[data-pair]")) {
    const [given, suggested] = cell.dataset.pair.split(",");
    cell.append(make("button", { type: "button", class: "link", click: () => showPair(given, suggested) }, "show"));
  }
  const clicks = { undo, export: download, import: () => $("file").click(), previous: () => turn(-1), next: () => turn(1), keys: () => $("help").showModal(), clear: () => { $("filters").reset(); apply(); } };
  for (const [id, act] of Object.entries(clicks)) $(id).addEventListener("click", act);
  $("file").addEventListener("change", upload);
  $("filters").addEventListener("input", apply);
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("wish").addEventListener("input", offer);
  $("wish").addEventListener("keydown", typed);
  document.addEventListener("keydown", pressed);
  window.addEventListener("storage", (event) => { if (event.key === KEY) { load(); count(); draw(); } });
  $("static").hidden = true;
  $("tool").hidden = false;
  $("more").open = window.innerWidth > 640;
  apply();
}

start();
})();
