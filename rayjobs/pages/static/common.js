// What every page has in common: asking the server, building elements (text is always text, never markup), tables, charts.
"use strict";

const COLOURS = ["--s0", "--s1", "--s2", "--s3", "--s4", "--s6", "--s8", "--s9", "--s10", "--s5"];
const query = new URLSearchParams(location.search);
const runId = query.get("id") || "";

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}
function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
const $ = (id) => document.getElementById(id);
const put = (node, ...children) => node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
const colour = (index) => getComputedStyle(document.documentElement).getPropertyValue(COLOURS[index % COLOURS.length]).trim();
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const page = (name, id, more) => `/${name}?` + new URLSearchParams({ id, ...(more || {}) });

// Asking

let waiting = 0;
function busy(change) {  // told after a moment, so that what is quick does not flicker
  waiting += change;
  setTimeout(() => { if ($("busy")) $("busy").textContent = waiting ? "reading…" : ""; }, waiting ? 250 : 0);
}
async function get(path, parameters) {
  const text = parameters ? "?" + new URLSearchParams(parameters) : "";
  busy(1);
  const answer = await fetch(path + text, { headers: { Accept: "application/json" } }).finally(() => busy(-1));
  const content = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) throw new Error(content.error || `the server answered ${answer.status}`);
  return content;
}
const token = {
  read: () => sessionStorage.getItem("rayfold_token") || "",
  write: (text) => (text ? sessionStorage.setItem("rayfold_token", text) : sessionStorage.removeItem("rayfold_token")),
};
async function post(path, body) {
  if (!token.read()) askToken();
  if (!token.read()) throw new Error("this takes the token that was printed at the start");
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Rayfold-Token": token.read() },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  let content = {};
  try { content = JSON.parse(text); } catch { content = { error: text }; }
  if (answer.status === 403) { token.write(""); showLock(); }
  if (!answer.ok) throw new Error(content.error || text);
  return content;
}
function askToken() {
  const given = prompt("The token that python -m rayjobs.dashboard printed at its start:");
  if (given) token.write(given.trim());
  showLock();
}
function showLock() {
  const lock = $("lock");
  if (lock) lock.textContent = token.read() ? "may change things" : "read only";
}
function say(node, error) {
  put(node, el("p", { class: "error", role: "alert", text: error.message || String(error) }));
}
function listen(changed) {
  const source = new EventSource("/events");
  source.onmessage = (event) => changed(JSON.parse(event.data));
  source.onopen = () => $("live") && ($("live").textContent = "live");
  source.onerror = () => $("live") && ($("live").textContent = "not connected");
  return source;
}
function debounced(work, wait) {
  let timer = 0;
  return (...given) => { clearTimeout(timer); timer = setTimeout(() => work(...given), wait); };
}

// What stands on a page only where there is something to show in it.
const later = (on) => document.querySelectorAll(".later").forEach((node) => { node.hidden = !on; });
const nothing = (text) => el("p", { class: "quiet", text });

// Words

const PERCENT = new Set(["total_return", "annual_return", "max_drawdown", "volatility", "chained_return", "chained_drawdown", "win_rate", "mean_gross_exposure", "time_in_market", "oracle_fraction", "progress", "return_pct_share"]);
const PROBABILITY = new Set(["dsr", "psr"]);
const WHOLE = new Set(["num_trades", "num_bars", "num_folds", "env_steps", "own_env_steps", "trial", "rank", "annual_turnover", "total_cost", "folds_begun", "rung", "repeat_of"]);
function show(value, name) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return Array.isArray(value) ? value.join(", ") : String(value);
  const text = PERCENT.has(name) ? `${(100 * value).toLocaleString("en-GB", { minimumFractionDigits: 1, maximumFractionDigits: 1 })} %`
    : name === "seconds_left" || name === "seconds" ? duration(value)
    : PROBABILITY.has(name) ? (value > 0 && value < 0.0005 ? "< 0.001" : value.toFixed(3))
    : WHOLE.has(name) ? Math.round(value).toLocaleString("en-GB")
    : plain(value);
  return text.replace(/^-/, "−");
}
function plain(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(3);
  return size >= 1000 ? value.toLocaleString("en-GB", { maximumFractionDigits: 0 }) : String(Number(value.toPrecision(4)));
}
function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}
function slashed(name) {  // a long name is broken at its slashes; a part is kept whole unless it is long itself
  const parts = name.split("/");
  return parts.flatMap((part, index) => { const text = index < parts.length - 1 ? `${part}/` : part; return [part.length <= 28 ? el("span", { class: "whole", text }) : text, el("wbr")]; });
}
const words = (name) => name.replace(/^param_/, "").replaceAll("_", " ");
const when = (second, whole) => new Date(second * 1000).toISOString().slice(0, whole ? 19 : 16).replace("T", " ");
function pill(text) {
  const style = { approved: "pass", complete: "pass", done: "pass", pass: "pass", refused: "fail", lowered: "warn", failed: "fail", fail: "fail", killed: "killed", running: "running" }[text] || "none";
  return el("span", { class: `pill ${style}`, text });
}

// Tables: columns are {name, title, cell(row) -> text or node, value(row), left}; sort(name, down) is told of a click.

function table(columns, rows, options) {
  const { sorted, sort, pick, chosen, label, row: decorate } = options || {};
  const head = el("tr", {}, columns.map((column) => {
    const by = sorted && sorted.name === column.name ? (sorted.down ? "descending" : "ascending") : null;
    const act = () => sort(column.name, !(by === "descending"));
    return el("th", {
      scope: "col", class: (column.left ? "left " : "") + (sort ? "sortable" : ""), "aria-sort": by, tabindex: sort ? 0 : null, title: column.help,
      onclick: sort && act, onkeydown: sort && ((event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(); } }),
    }, column.title === undefined ? words(column.name) : column.title);
  }));
  const body = rows.map((row) => {
    const line = el("tr", { class: [pick ? "pick" : "", chosen && chosen(row) ? "chosen" : ""].join(" ").trim() || null }, columns.map((column) => {
      const inside = column.cell ? column.cell(row) : show(row[column.name], column.name);
      return el("td", { class: column.style || (column.left ? "left" : null) }, inside);
    }));
    if (pick) line.addEventListener("click", (event) => { if (!event.target.closest("a,input,button")) pick(row); });
    if (decorate) decorate(line, row);
    return line;
  });
  return el("table", { class: "dense", "aria-label": label }, el("thead", {}, head), el("tbody", {}, body));
}
function sortRows(rows, value, down) {
  const known = [], unknown = [];
  for (const row of rows) (value(row) === null || value(row) === undefined || value(row) === "" ? unknown : known).push(row);
  known.sort((a, b) => { const x = value(a), y = value(b); return x < y ? -1 : x > y ? 1 : 0; });
  if (down) known.reverse();
  return known.concat(unknown);
}
function sortHere(node, columns, rows, options) {  // a table that sorts itself
  let sorted = (options && options.sorted) || null;
  const draw = () => {
    const column = sorted && columns.find((one) => one.name === sorted.name);
    const value = column && (column.value || ((row) => row[column.name]));
    put(node, table(columns, column ? sortRows(rows, value, sorted.down) : rows, { ...options, sorted, sort: (name, down) => { sorted = { name, down }; draw(); } }));
  };
  draw();
}

// Charts: crosshair and values below it, drag to zoom, double click for all of it, a button per line.

function lineChart(node, given) {
  const { title, x, lines, time, height = 220, format = plain, hooks, labels, across } = given;
  const legend = el("div", { class: "legendrow" });
  const readout = el("div", { class: "readout", "aria-live": "off" });
  const plot = el("div", { class: "plot", role: "img", "aria-label": `${title}: ${lines.map((line) => line.name).join(", ")}` });
  put(node, plot, readout, legend);
  const axis = { stroke: css("--soft"), grid: { stroke: css("--rule"), width: 1 }, ticks: { stroke: css("--rule"), width: 1 }, font: "12px system-ui" };  // whole pixels: uPlot reads no others
  const at = labels || ((value) => (time ? when(value) : Math.round(value).toLocaleString("en-GB")));
  const lone = x.length === 1 ? x[0] : null;  // a lone point is marked on the axis by itself: any other number there would be made up
  const named = across ? { label: across, size: 30, labelSize: 17, labelFont: "12px system-ui", labelGap: -2 } : {};
  const chart = new uPlot({
    width: Math.max(240, node.clientWidth || 600), height,
    tzDate: (second) => uPlot.tzDate(new Date(1000 * second), "UTC"), legend: { show: false }, cursor: { drag: { x: true, y: false }, points: { size: 6 }, sync: given.sync ? { key: given.sync } : undefined },
    scales: { x: { time: Boolean(time) && !labels, range: lone === null ? undefined : [lone - 1, lone + 1] }, y: { range: upright } },
    axes: [
      { ...axis, size: 30, ...named, splits: lone === null ? undefined : () => [lone], values: lone !== null ? (_, ticks) => ticks.map(at) : labels ? (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? labels(tick, true) : "")) : time ? (_, ticks, __, ___, step) => ticks.map((tick) => (step >= 86400 ? when(tick).slice(0, 10) : when(tick).slice(5))) : (_, ticks) => ticks.map(compact), space: labels ? 110 : time ? 90 : 60 },
      { ...axis, size: 70, values: (_, ticks) => axisText(ticks) },
    ],
    series: [{}, ...lines.map((line, index) => ({
      label: line.name, stroke: line.colour || colour(index), width: line.width || (index ? 1.3 : 2), dash: line.dash, spanGaps: line.gaps !== false, points: { show: line.points === undefined ? line.values.filter((value) => value !== null).length < 25 : line.points, size: 5 }, paths: line.paths, fill: line.fill,
    }))],
    hooks: {
      ...(hooks || {}),
      setCursor: [(u) => {
        const index = u.cursor.idx;
        if (given.cursor) given.cursor(index);
        if (index === null || index === undefined) { readout.textContent = ""; return; }
        const parts = lines.map((line, place) => [line, u.data[place + 1][index]]).filter(([line, value]) => value !== null && value !== undefined && !line.silent);
        readout.textContent = `${at(u.data[0][index])}${across ? ` ${across}` : ""}   ` + parts.map(([line, value]) => `${line.name} ${format(value)}`).join("   ") + (given.more ? `   ${given.more(index)}` : "");
      }],
    },
  }, [x, ...lines.map((line) => line.values)], plot);
  put(legend, lines.map((line, index) => line.silent || line.bare ? null : el("button", {
    type: "button", "aria-pressed": "true",
    onclick: (event) => { const on = !chart.series[index + 1].show; chart.setSeries(index + 1, { show: on }); event.currentTarget.setAttribute("aria-pressed", String(on)); },
  }, el("i", { style: `background:${line.colour || colour(index)}` }), line.name)));
  new ResizeObserver(debounced(() => node.clientWidth && chart.setSize({ width: node.clientWidth, height }), 60)).observe(node);
  return chart;
}
function upright(u, low, high) {  // a line that stays at one value lies in the middle
  if (low === null || low === undefined) return [null, null];
  const pad = low === high ? Math.abs(low) / 10 || 1 : 0;
  return pad ? [low - pad, high + pad] : uPlot.rangeNum(low, high, 0.1, true);
}
function axisText(ticks) {  // as many decimals as tell neighbours apart
  const step = Math.abs(ticks[1] - ticks[0]) || 1, largest = Math.max(...ticks.map(Math.abs));
  if (step < 1e-5 || largest >= 1e7) return ticks.map((tick) => (tick === 0 ? "0" : tick.toExponential(2)));
  const digits = Math.max(0, Math.min(8, Math.ceil(-Math.log10(step) - 1e-9)));
  const exact = Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) < 1e-6 ? digits : digits + 1;
  return ticks.map((tick) => tick.toLocaleString("en-GB", { minimumFractionDigits: exact, maximumFractionDigits: exact }));
}
function compact(value) {
  const size = Math.abs(value);
  return size >= 1e6 ? `${value / 1e6} M` : size >= 1e4 ? `${value / 1e3} k` : String(value);
}
// Lines with points of their own, joined on one axis: {name: [xs, ys]}.
function joined(curves) {
  const names = Object.keys(curves);
  if (!names.length) return { x: [], lines: [] };
  const data = uPlot.join(names.map((name) => [curves[name][0], curves[name][1]]));
  return { x: data[0], lines: names.map((name, index) => ({ name, values: data[index + 1] })) };
}

// A table that goes on beyond an edge of its box says so by a shadow there.
function edges() {
  for (const box of document.querySelectorAll(".scroll")) {
    box.classList.toggle("onwards", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
    box.classList.toggle("behind", box.scrollLeft > 1);
  }
}

document.addEventListener("DOMContentLoaded", () => {
  const soon = debounced(edges, 60);
  new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("scroll", soon, true);
  window.addEventListener("resize", soon);
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (fragment.get("token")) {
    token.write(fragment.get("token"));
    history.replaceState(null, "", location.pathname + location.search);
  }
  showLock();
  $("lock").addEventListener("click", () => (token.read() ? (token.write(""), showLock()) : askToken()));
});
