// Shows what /stream says, one JSON document a second. Nothing is sent.

const KEPT = 120;
const SHOWN = 30; // Seconds that a picture has room for at least.
const MARKS = { ok: "✓", warning: "!", failed: "✕", unknown: "?", off: "–" };
const WORDS = { ok: "all is well", warning: "with warnings", failed: "failing" };
const SVG = "http://www.w3.org/2000/svg";
const history = new Map();
const byId = (id) => document.getElementById(id);

const count = (value) => value.toLocaleString("en", { maximumFractionDigits: 0 });
const short = (value) =>
  value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
const milliseconds = (value) =>
  value.toLocaleString("en", { maximumSignificantDigits: 3 });
const capped = (value) => (value > 1000 ? "1,000+" : count(value));

function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; bytes >= 1000 && unit < units.length - 1; unit += 1) bytes /= 1000;
  return `${short(bytes)} ${units[unit]}`;
}

function span(seconds) {
  if (seconds < 90) return `${count(seconds)} s`;
  if (seconds < 5400) return `${count(seconds / 60)} min`;
  return `${short(seconds / 3600)} h`;
}

function hitRate({ hits, misses }) {
  return hits + misses ? (100 * hits) / (hits + misses) : null;
}

// What clients see is the whole; without their reports, what Redis counts, if there is one.
function lookups(now) {
  return now.redis && hitRate(now.clients) === null ? now.redis : now.clients;
}

// Each tile: its name, its figure, its unit, and a line beneath.
const TILES = [
  ["Messages stored", (now) => now.rates.messages, "/s", short,
    (now) => `${short(now.rates.commits)} transactions/s`],
  ["Time of a turn", (now) => now.latency.append_turn, "ms", milliseconds,
    (now) => now.latency.get_thread === null
      ? "in the server"
      : `a thread ${milliseconds(now.latency.get_thread)} ms`],
  ["Retries and replays", (now) => now.clients.retries + now.clients.replays, "", count,
    (now) => `${count(now.clients.retries)} and ${count(now.clients.replays)}, ${now.clients.scope}`],
  ["Cache hit rate", (now) => hitRate(lookups(now)), "%", short,
    (now) => hitRate(lookups(now)) === null ? `${short(now.cache.hits)} hits/s in the database, ${count(now.cache.answers)} kept`
      : `${count(lookups(now).hits)} hits, ${count(lookups(now).misses)} misses, ${lookups(now).scope}`],
  ["Connections", (now) => now.connections.used, "", count,
    (now) => `of ${count(now.connections.most)}, ${count(now.connections.active)} at work`],
  ["Orphans", (now) => now.orphans.count, "", capped,
    (now) => now.orphans.seconds === null ? "every file is used"
      : `the oldest for ${span(now.orphans.seconds)}`],
  ["Outbox", (now) => now.outbox.count, "", capped,
    (now) => now.outbox.failing ? `${count(now.outbox.failing)} failed before`
      : `${count(now.outbox.due)} due`],
  ["Event lag", (now) => now.events.lag_seconds, "s", short,
    (now) => `${capped(now.events.unpushed)} to push`],
];

function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function buildTiles() {
  for (const [name] of TILES) {
    const picture = document.createElementNS(SVG, "svg");
    picture.setAttribute("viewBox", "0 0 100 30");
    picture.setAttribute("preserveAspectRatio", "none");
    picture.setAttribute("role", "img");
    for (const kind of ["area", "line"]) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", kind);
      picture.append(path);
    }
    byId("tiles").append(make("article", { class: "tile" },
      make("h3", {}, name), make("p", { class: "value" }, "–"),
      make("p", { class: "more" }), picture));
  }
}

function draw(picture, name, values) {
  const known = values.filter((value) => value !== null);
  if (!known.length) {
    picture.setAttribute("aria-label", `${name}: not known`);
    return;
  }
  const most = Math.max(...known, 1e-9);
  const step = 100 / (Math.max(values.length, SHOWN) - 1);
  const points = values
    .map((value, index) => [100 - (values.length - 1 - index) * step, value])
    .filter(([, value]) => value !== null)
    .map(([x, value]) => `${x.toFixed(2)} ${(28 - 25 * (value / most)).toFixed(2)}`);
  const [area, line] = picture.children;
  line.setAttribute("d", `M${points.join("L")}`);
  const begin = points[0].split(" ")[0];
  area.setAttribute("d", `M${begin} 30L${points.join("L")}L100 30Z`);
  picture.setAttribute("aria-label",
    `${name}, the last ${values.length} seconds: at most ${short(most)}`);
}

function showTiles(now) {
  [...byId("tiles").children].forEach((tile, index) => {
    const [name, figure, unit, written, more] = TILES[index];
    const [, value, beneath, picture] = tile.children;
    const known = figure(now);
    const values = history.get(name) ?? [];
    values.push(known);
    if (values.length > KEPT) values.shift();
    history.set(name, values);
    value.replaceChildren(known === null ? "–" : written(known), " ",
      make("small", {}, known === null ? "" : unit));
    beneath.textContent = more(now);
    draw(picture, name, values);
  });
}

function showHealth(health) {
  const status = byId("status");
  const word = WORDS[health.status];
  status.dataset.status = health.status;
  // Said again only when it is another one: a screen reader reads it out.
  if (status.textContent !== word) status.textContent = word;
  byId("components").replaceChildren(
    ...Object.entries(health.components).map(([name, found]) =>
      make("li", { "data-status": found.status, "data-component": name },
        make("span", { class: "mark", role: "img", "aria-label": found.status },
          MARKS[found.status]),
        make("span", { class: "name" }, name),
        make("span", { class: "said" }, found.message),
        make("span", { class: "took" },
          found.seconds < 0.0005 ? "" : `${milliseconds(1000 * found.seconds)} ms`))));
}

function bar(share) {
  const inner = make("i");
  inner.style.width = `${Math.round(100 * share)}%`;
  const percent = `${Math.round(100 * share)} %`;
  return make("span", { class: "bar", role: "img", "aria-label": percent }, inner);
}

function fill(table, rows) {
  byId(table).tBodies[0].replaceChildren(...rows.map(([first, ...others]) =>
    make("tr", {}, make("th", { scope: "row", title: first }, first),
      ...others.map((cell) => make("td", {}, cell)))));
}

function showEvents(events) {
  byId("quiet").hidden = events.length > 0;
  byId("recent").replaceChildren(...events.map((event) =>
    make("li", {},
      make("time", { datetime: event.created_at },
        new Date(event.created_at).toLocaleTimeString("en-GB")),
      make("span", { class: "kind" }, event.kind.replaceAll("_", " ")),
      make("span", { class: "what" }, [event.subject,
        ...Object.entries(event.payload).filter(([, value]) => value)
          .map(([key, value]) => value === true ? key
            : `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`),
      ].filter(Boolean).join(" · ")))));
}

function show(now) {
  showHealth(now.health);
  byId("about").textContent = now.about;
  byId("updated").textContent =
    `Updated ${new Date(1000 * now.at).toLocaleTimeString("en-GB")}.`;
  byId("tiles").classList.toggle("stale", !now.rates);
  const missing = now.missing ? `There are no figures: ${now.missing}.` : "";
  byId("missing").hidden = !missing;
  if (byId("missing").textContent !== missing) byId("missing").textContent = missing;
  if (!now.rates) return;
  showTiles(now);
  byId("untracked").hidden = now.slowest.length > 0;
  byId("slowest").hidden = now.slowest.length === 0;
  fill("slowest", now.slowest.map((each) => [each.name,
    each.calls === null ? "" : short(each.calls), milliseconds(each.ms),
    bar(each.share)]));
  fill("sizes", now.tables.map((each) => [each.name, count(each.rows),
    size(each.bytes), short(each.inserted)]));
  showEvents(now.recent);
}

// The system's theme unless another is chosen here.
const THEMES = ["system", "light", "dark"];

function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
  byId("theme").dataset.theme = theme;
  try {
    localStorage.setItem("turnkeep-theme", theme);
  } catch { /* A browser may keep nothing. */ }
}

function chosenTheme() {
  try {
    const theme = localStorage.getItem("turnkeep-theme");
    return THEMES.includes(theme) ? theme : "system";
  } catch {
    return "system";
  }
}

byId("theme").addEventListener("click", () => {
  const next = THEMES.indexOf(byId("theme").dataset.theme) + 1;
  setTheme(THEMES[next % THEMES.length]);
});
byId("pause").addEventListener("click", (event) => {
  const paused = event.target.getAttribute("aria-pressed") !== "true";
  event.target.setAttribute("aria-pressed", paused);
  event.target.textContent = paused ? "Go on" : "Pause";
});

let silence = null;

function tellSilence() {
  const status = byId("status");
  status.dataset.status = "failed";
  status.textContent = "no answer from turnkeep serve";
}

function follow() {
  const stream = new EventSource("stream");
  stream.addEventListener("message", (event) => {
    clearTimeout(silence);
    silence = null;
    if (byId("pause").getAttribute("aria-pressed") !== "true") show(JSON.parse(event.data));
  });
  stream.addEventListener("error", () => {
    silence ??= setTimeout(tellSilence, 3000);
    // A stream that ends is asked for again by the browser; one that is refused is not.
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  });
}

setTheme(chosenTheme());
buildTiles();
follow();
