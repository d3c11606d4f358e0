// The runs on a Sounding Board data service: a map and a chart of the one that is chosen, and word of each that arrives.
// `sounding.js` beside this file came from the server (here it is a link to where it is written).

import { connect, AccessError, NotFoundError } from "./sounding.js";

const form = document.querySelector("#connect"), note = document.querySelector("#note"), runs = document.querySelector("#runs");
const main = document.querySelector("main");
const MODES = { car: "#7a8b99", ride: "#b0a18f", pt: "#3b7dd8", bike: "#2a9d6f", walk: "#e0a030" };

/** What is shown: the server, its runs, the chosen one, and which of them came while the page was open. */
let server, chosen, known = [], stop = new AbortController();
const arrived = new Set();

const say = (text, kind = "") => {
  note.textContent = text;
  note.className = kind;
};
const trouble = (error) => {
  if (error.name === "AbortError") return;
  const advice = error instanceof AccessError ? " Is the key right?" : "";
  say(`${error.message}${advice}`, "wrong");
};

// ---- Connecting ----

function begin({ server: address, key }) {
  stop.abort();
  stop = new AbortController();
  arrived.clear();
  [chosen, known] = [undefined, []];
  server = connect(address, { key, waking: (text) => say(text, text && "waits") });
  // The first word is `fresh`: then all there is is asked for, and from there on nothing is missed.
  server.changes(hear, { fold: "folder", signal: stop.signal }).catch(trouble);
}

/** Something has changed, or all may have. */
function hear(change) {
  if (change.kind === "fresh") return look().catch(trouble);
  const run = change.path.split("/")[0];
  if (change.kind === "added" && !known.includes(run)) arrived.add(run);
  // Whoever looks at the newest goes on with the newest.
  if (run === chosen || chosen === known[0]) chosen = undefined;
  look().catch(trouble);
}

/** Lists the runs, newest first, and shows the chosen one. */
async function look() {
  const folders = (await server.list()).filter((it) => it.type === "directory" && it.name !== "public");
  folders.sort((one, other) => other.mtime.localeCompare(one.mtime));
  known = folders.map((it) => it.name);
  const wanted = known.includes(chosen) ? chosen : known[0];
  runs.replaceChildren(...folders.map((it) => {
    const button = document.createElement("button"), name = document.createElement("strong"), date = document.createElement("small");
    name.textContent = it.name;
    date.textContent = new Date(it.mtime).toLocaleString();
    button.className = arrived.has(it.name) ? "new" : "";
    button.append(name, date);
    button.addEventListener("click", () => show(it.name).catch(trouble));
    return button;
  }));
  if (!wanted) return say("There is no run here yet. It will appear by itself.");
  if (wanted !== chosen) await show(wanted);
  else mark();
}

function mark() {
  for (const [at, button] of [...runs.children].entries()) button.toggleAttribute("aria-current", known[at] === chosen);
}

async function show(run) {
  chosen = run;
  arrived.delete(run);
  mark();
  try {
    const [network, modes] = await Promise.all([server.json(`${run}/output_network.geojson`), server.csv(`${run}/modestats.csv`)]);
    if (run !== chosen) return;
    main.hidden = false;
    document.querySelector("#map h2").textContent = run;
    drawMap(network.features);
    drawModes(modes);
    say("");
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    main.hidden = true;
    say(`${run} has no network or no mode statistics.`);
  }
}

// ---- The map ----

/** Streets by their number, so that those of the next run grow out of those of this one. */
const streets = new Map();

function drawMap(features) {
  const svg = document.querySelector("#map svg");
  const points = features.flatMap((it) => it.geometry.coordinates);
  const [west, east] = extent(points.map(([lon]) => lon)), [south, north] = extent(points.map(([, lat]) => lat));
  const narrow = Math.cos(((south + north) / 2) * (Math.PI / 180));
  const scale = 700 / ((east - west) * narrow);
  svg.setAttribute("viewBox", `-12 -12 724 ${(north - south) * scale + 24}`);
  const most = Math.max(1, ...features.map((it) => it.properties.volume));
  const seen = new Set();
  for (const { properties, geometry } of features) {
    const load = properties.volume / most;
    // Each direction lies on its own side of the street.
    const line = beside(geometry.coordinates.map(([lon, lat]) => [(lon - west) * narrow * scale, (north - lat) * scale]), 0.6 + load * 4.5);
    const path = streets.get(properties.link_id) ?? svg.appendChild(made("path"));
    streets.set(properties.link_id, path);
    seen.add(properties.link_id);
    path.setAttribute("d", `M${line.map((it) => it.map((n) => n.toFixed(1)).join()).join("L")}`);
    path.style.setProperty("--load", load.toFixed(3));
    const title = path.querySelector("title") ?? path.appendChild(made("title"));
    title.textContent = `${properties.link_id}: ${properties.volume} cars a day`;
  }
  for (const [id, path] of streets) {
    if (seen.has(id)) continue;
    path.remove();
    streets.delete(id);
  }
  const legend = document.querySelector("#legend");
  legend.replaceChildren("0", document.createElement("i"), most.toLocaleString());
}

/** A line so far to the right of another. */
function beside(line, distance) {
  return line.map(([x, y], at) => {
    const [ax, ay] = line[Math.max(at - 1, 0)], [bx, by] = line[Math.min(at + 1, line.length - 1)];
    const length = Math.hypot(bx - ax, by - ay) || 1;
    return [x - ((by - ay) / length) * distance, y + ((bx - ax) / length) * distance];
  });
}

// ---- The chart ----

function drawModes(rows) {
  const svg = document.querySelector("#modes svg");
  const [width, height, right, below] = [420, 360, 76, 24];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const [first, last] = extent(rows.map((it) => Number(it.iteration)));
  const x = (iteration) => ((iteration - first) / (last - first || 1)) * (width - right);
  const y = (share) => (1 - share) * (height - below);
  const top = rows.map(() => 0);
  const parts = Object.keys(MODES).filter((mode) => mode in rows[0]).map((mode) => {
    const under = [...top];
    rows.forEach((row, at) => { top[at] += Number(row[mode]); });
    const edge = (heights) => rows.map((row, at) => `${x(row.iteration).toFixed(1)},${y(heights[at]).toFixed(1)}`);
    const area = made("path", { d: `M${edge(top).join("L")}L${edge(under).reverse().join("L")}Z`, fill: MODES[mode] });
    const share = Number(rows.at(-1)[mode]);
    const name = made("text", { class: "name", x: width - right + 8, y: y((top.at(-1) + under.at(-1)) / 2) + 4 });
    name.textContent = `${mode} ${Math.round(share * 100)} %`;
    return [area, name];
  });
  const ends = [[first, "start"], [last, "end"]].map(([iteration, anchor]) => {
    const text = made("text", { x: x(iteration), y: height - 6, "text-anchor": anchor });
    text.textContent = iteration;
    return text;
  });
  svg.replaceChildren(...parts.flat(), ...ends);
}

function extent(numbers) {
  return numbers.reduce(([least, most], it) => [Math.min(least, it), Math.max(most, it)], [Infinity, -Infinity]);
}

function made(name, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// ---- Which server ----

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const wish = Object.fromEntries(new FormData(form));
  sessionStorage.setItem("wish", JSON.stringify(wish));
  begin(wish);
});
// From the address behind `#`, which no server is sent; else what was typed before.
const told = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const wish = told.server ? told : JSON.parse(sessionStorage.getItem("wish") ?? "null") ?? { server: "http://127.0.0.1:4999", key: "" };
for (const name of ["server", "key"]) form.elements[name].value = wish[name] ?? "";
if (told.server || sessionStorage.getItem("wish")) begin(wish);
