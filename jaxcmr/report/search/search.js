// A search page: what is asked for, how the server answers, and the hits as cards.
//
// POST search  {"queries": [{"text": words} | {"file": {modality, name, data: base64}}
//               | {"id": id, "modality": name}], "to": modality or null, "k": number,
//               "where": {field: value}}
// answers      {"hits": [{id, modality, score, metadata, text or null, picture or null}], "seconds"}
// or, with another status, {"error": sentence}.
(() => {
const SECONDS = 60; // that an answer is waited for
const SIDE = 2048; // pixels to which a picture is brought that is too large to be sent
const FACTS = 6; // fields of the metadata that a card shows at once
const KEPT = 50; // searches that the browser's Back goes through

const known = JSON.parse($("known").textContent);
let file = null; // the one to search with: {modalities, modality, name, data, picture}
let last = null; // the last search: what was asked, its title, and the answer
let edited = false; // whether the form asks for something else than the last search
let where = new Map(); // field -> the value that hits must have
let running = null; // what stops the search under way
const past = new Map(); // number in the browser's history -> search
const seen = new Map(); // field -> its values in the hits so far, as texts

// ---- what is searched with

// Returns the modalities that take files of such a name.
function takersOf(name) {
  const ends = (ending) => name.toLowerCase().endsWith(ending);
  return Object.keys(known.files).filter((modality) => known.files[modality].some(ends));
}

// Makes of a file what the server takes; throws a sentence if that is not possible.
async function prepared(chosen) {
  const direct = takersOf(chosen.name);
  const modalities = direct.length || !chosen.type.startsWith("image/") ? direct : takersOf(".jpg");
  if (!modalities.length) throw new Error(`${shown(chosen.name)} cannot be searched with; choose one of ${Object.values(known.files).flat().join(", ")}`);
  const most = ((known.bytes - 60000) * 3) / 4; // in base64, with room for the words
  const drawn = known.files[modalities[0]].includes(".jpg");
  if (!drawn && chosen.size > most) throw new Error(`${shown(chosen.name)} has more than ${(most / 1e6).toFixed(1)} MB; choose a smaller file`);
  const changed = !direct.length || chosen.size > most;
  const data = changed ? await asJpeg(chosen) : await dataOf(chosen);
  return { modalities, modality: modalities[0], name: changed ? `${chosen.name}.jpg` : chosen.name, data: data.slice(data.indexOf(",") + 1), picture: drawn ? data : null };
}

function dataOf(chosen) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error(`${shown(chosen.name)} cannot be read; choose it again`));
    reader.readAsDataURL(chosen);
  });
}

// Makes a smaller JPEG of any picture that the browser knows, such as a WebP; upright, on white.
async function asJpeg(chosen) {
  const bitmap = await createImageBitmap(chosen).catch(() => {
    throw new Error(`${shown(chosen.name)} is no picture that this browser can read; choose a PNG or JPEG`);
  });
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = make("canvas", { width: Math.ceil(bitmap.width * scale), height: Math.ceil(bitmap.height * scale) });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.92);
}

async function take(chosen) {
  if (!chosen || !$("drop")) return;
  try {
    put(await prepared(chosen));
    complain("");
  } catch (error) { complain(`${error.message}.`); }
  $("file").value = "";
}

function put(chosen) {
  file = chosen;
  edited = true;
  if (!$("drop")) return;
  const drawn = chosen?.picture ? [make("img", { src: chosen.picture, alt: "" })] : [];
  $("preview").replaceChildren(...(chosen ? [...drawn, make("p", { class: "small" }, make("bdi", {}, shown(chosen.name, 60)))] : []));
  $("preview").hidden = $("remove").hidden = !chosen;
  $("hint").hidden = Boolean(chosen);
  $("which").hidden = !(chosen?.modalities.length > 1);
  $("of").replaceChildren(...(chosen?.modalities ?? []).map((modality) => make("option", { value: modality }, shown(modality, 30))));
  $("of").value = chosen?.modality;
}

function ask() {
  const words = $("text")?.value.trim() ?? "";
  const queries = [];
  if (file) queries.push({ file: { modality: file.modality, name: file.name, data: file.data } });
  if (words) queries.push({ text: words, modality: $("words").value });
  if (!queries.length) {
    complain($("text") ? "There is nothing to search with; type some words, or choose a file." : "Choose a file to search with.");
    return;
  }
  const names = [file && shown(file.name, 40), words && `“${shown(words, 60)}”`].filter(Boolean);
  search({ queries, title: `Hits for ${names.join(" and ")}`, words, file });
}

const like = (hit) => search({ queries: [{ id: hit.id, modality: hit.modality }], title: `More like ${shown(hit.id, 60)}`, hit });

// ---- the search

async function search(wish) {
  running?.abort();
  const mine = running = new AbortController();
  const settings = { to: $("to").value, k: Number($("k").value), where: new Map(where) };
  const timer = setTimeout(() => mine.abort(), SECONDS * 1000);
  const begun = { ...wish, ...settings };
  last = begun;
  edited = false;
  complain("");
  wait(true);
  try {
    const answer = await answerTo(begun, mine.signal);
    if (running !== mine) return;
    show({ ...begun, ...answer });
    remember();
  } catch (error) {
    if (running !== mine) return; // another search has taken its place
    clear();
    complain(error.message, !error.refused);
  } finally {
    clearTimeout(timer);
    if (running === mine) wait(false);
  }
}

// Returns hits and seconds; throws a sentence.
async function answerTo({ queries, to, k, where: wanted }, signal) {
  const body = { queries, to: to || null, k, where: Object.fromEntries(wanted) };
  const headers = { "content-type": "application/json" };
  let response, answer;
  try {
    response = await fetch("search", { method: "POST", headers, body: JSON.stringify(body), signal });
    answer = await response.json().catch((error) => { if (signal.aborted) throw error; });
  } catch {
    throw new Error(signal.aborted ? `There is no answer after ${SECONDS} seconds. Try again later.`
      : "The server does not answer. If it was stopped, start it again; then try again.");
  }
  if (!response.ok || !Array.isArray(answer?.hits)) {
    // The same request is refused again, unless there were too many.
    const refused = 400 <= response.status && response.status < 500 && response.status !== 429;
    throw Object.assign(new Error(sentence(answer?.error, response.status)), { refused });
  }
  return { hits: answer.hits, seconds: answer.seconds };
}

function sentence(error, status) {
  if (typeof error !== "string" || !error) return `The server made a mistake (status ${status}). Try again later.`;
  const text = shown(error, 400);
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? "" : "."}`;
}

const repeat = () => last && search(last);

// ---- Back and Forward

function remember() {
  const number = (history.state?.at ?? 0) + 1;
  past.set(number, last);
  past.delete(number - KEPT);
  history.pushState({ at: number }, "");
}

function goTo(event) {
  running?.abort();
  running = null;
  wait(false);
  complain("");
  const found = past.get(event.state?.at);
  if (!found) {
    last = null;
    clear();
    $("start").hidden = false;
    return;
  }
  put(found.file ?? null);
  if ($("text")) $("text").value = found.words ?? "";
  $("to").value = found.to;
  $("k").value = found.k;
  where = new Map(found.where);
  showWhere();
  show(found);
  edited = false;
}

// ---- what is seen

function complain(text, again = false) {
  $("sentence").textContent = text;
  $("again").hidden = !again;
  $("error").hidden = !text;
}

function wait(on) {
  $("wait").hidden = !on;
  $("found").setAttribute("aria-busy", String(on));
  if (on) $("status").textContent = "Searching …";
  else if ($("status").textContent === "Searching …") $("status").textContent = "";
}

function clear() {
  $("hits").replaceChildren();
  for (const id of ["heading", "like", "none", "start"]) $(id).hidden = true;
  $("status").textContent = "";
}

function show(found) {
  last = found;
  const { hits, seconds, title, hit } = found;
  const inside = $("found").contains(document.activeElement);
  $("start").hidden = true;
  $("heading").hidden = false;
  $("heading").textContent = title;
  $("like").hidden = !hit;
  $("like").replaceChildren(...(hit ? [picture(hit)] : []));
  $("status").textContent = `${plural(hits.length, "hit")} in ${seconds < 0.001 ? "under 0.001" : seconds.toFixed(3)} s`;
  $("none").hidden = hits.length > 0;
  $("none").textContent = found.where.size ? "No item is like this. Remove a filter, or look for anything." : "No item is like this.";
  hits.forEach(learn);
  $("hits").replaceChildren(...hits.map(card));
  suggest();
  if (inside) $("heading").focus({ preventScroll: true }); // the button that was pressed is gone
  if (inside || $("heading").getBoundingClientRect().top > window.innerHeight * 0.7) $("found").scrollIntoView();
}

function card(hit) {
  const name = `${shown(hit.id, 60)}, ${shown(hit.modality, 30)}`;
  const facts = Object.entries(hit.metadata ?? {}).filter(([, value]) => value !== null).map(fact);
  const [first, more] = [facts.slice(0, FACTS), facts.slice(FACTS)];
  return make("li", { class: "card" },
    make("button", { type: "button", class: "pick", "aria-label": `More like ${name}`, title: "More like this", click: () => like(hit) }, picture(hit)),
    make("p", { class: "head" }, make("b", { class: "score", title: "cosine, at most 1" }, hit.score.toFixed(3)), make("span", { class: "badge" }, shown(hit.modality, 30))),
    make("p", {}, make("bdi", { class: "mono", title: shown(hit.id, 400) }, shown(hit.id, 60))),
    ...(first.length ? [make("dl", { class: "facts" }, ...first)] : []),
    ...(more.length ? [make("details", { class: "facts" }, make("summary", {}, `${more.length} more`), make("dl", { class: "facts" }, ...more))] : []));
}

function picture(hit) {
  const place = make("span", { class: "part" });
  if (hit.picture) {
    const lost = () => place.replaceChildren(absent("cannot be shown"));
    place.append(make("img", { src: hit.picture, alt: "", loading: "lazy", draggable: "false", error: lost }));
  } else if (hit.text) place.append(make("span", { class: "words", dir: "auto" }, shown(hit.text, 300)));
  else place.append(absent(hit.note || "no picture"));
  return place;
}

function fact([field, value]) {
  const word = make("bdi", {}, shown(written(value), 80));
  const only = make("button", { type: "button", class: "link", title: `Only items with this ${shown(field, 40)}`, click: () => addWhere(field, value) }, word);
  return make("div", {}, make("dt", {}, make("bdi", {}, shown(field, 30))), make("dd", {}, field in known.fields ? only : word));
}

function written(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);
}

// ---- filters

function addWhere(field, value) {
  where.set(field, value);
  showWhere();
  repeat();
}

function showWhere() {
  const chip = ([field, value]) => make("li", {}, make("button",
    { type: "button", class: "chip", "aria-label": `Remove the filter ${shown(field, 40)}: ${shown(written(value), 60)}`, click: () => removeWhere(field) },
    make("bdi", {}, `${shown(field, 40)}: ${shown(written(value), 60)}`), " ✕"));
  $("where").replaceChildren(...[...where].map(chip));
  $("where").hidden = !where.size;
}

function removeWhere(field) {
  where.delete(field);
  showWhere();
  repeat();
  ($("where").querySelector("button") ?? $("to")).focus();
}

function addTyped() {
  const [field, text] = [$("field").value, $("value").value.trim()];
  const value = { text, int: Number(text), float: Number(text), bool: { yes: true, true: true, no: false, false: false }[text.toLowerCase()] }[known.fields[field]];
  if (!text || value === undefined || Number.isNaN(value)) {
    const kind = { text: "a value", int: "a number", float: "a number", bool: "yes or no" }[known.fields[field]];
    complain(`Type ${kind} for ${shown(field, 40)}.`);
    return;
  }
  $("value").value = "";
  complain("");
  addWhere(field, value);
}

function learn({ metadata }) {
  for (const [field, value] of Object.entries(metadata ?? {})) {
    if (value === null) continue;
    if (!seen.has(field)) seen.set(field, new Set());
    if (seen.get(field).size < 500) seen.get(field).add(written(value));
  }
}

// Offers the values of a field that were seen; one that holds names of classes may hold them all.
function suggest() {
  if (!$("field")) return;
  const values = seen.get($("field").value) ?? new Set();
  const classes = known.classes.some((name) => values.has(name)) ? known.classes : [];
  $("values").replaceChildren(...[...new Set([...values, ...classes])].sort().map((value) => make("option", { value })));
}

// ---- the start

function listen() {
  const on = (id, kind, act) => $(id)?.addEventListener(kind, act);
  on("ask", "submit", (event) => { event.preventDefault(); ask(); });
  on("choose", "click", () => $("file").click());
  on("remove", "click", () => { put(null); $("choose").focus(); });
  on("file", "change", () => take($("file").files[0]));
  on("text", "keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask();
  });
  on("of", "change", () => put({ ...file, modality: $("of").value }));
  on("text", "input", () => { edited = true; });
  for (const id of ["to", "k"]) on(id, "change", () => edited || repeat());
  on("field", "change", suggest);
  on("only", "click", addTyped);
  on("value", "keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); addTyped(); } });
  on("again", "click", repeat);
  for (const button of document.querySelectorAll("[data-try]")) {
    button.addEventListener("click", () => { put(null); $("text").value = button.dataset.try; ask(); });
  }
}

function listenEverywhere() {
  const files = (event) => event.dataTransfer?.types.includes("Files");
  const mark = (on) => $("drop")?.classList.toggle("over", on);
  document.addEventListener("dragover", (event) => { if (files(event)) { event.preventDefault(); mark(true); } });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
  document.addEventListener("drop", (event) => { if (files(event)) { event.preventDefault(); mark(false); take(event.dataTransfer.files[0]); } });
  document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) { event.preventDefault(); take(event.clipboardData.files[0]); } });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea") || !$("text")) return;
    event.preventDefault();
    $("text").focus();
  });
  window.addEventListener("popstate", goTo);
}

history.replaceState(null, "");
listen();
listenEverywhere();
$("ask").hidden = false;
})();
