// A study: everything about its trials, with one selection (brushed ranges) and one set of chosen trials for all views.
"use strict";

let study = null, deflation = null, rows = [], columns = [];
const brushes = new Map(), chosen = new Set();
let better = new Set(), sorted = { name: "rank", down: false }, limit = 100;

const inside = (row) => [...brushes.values()].every(({ axis, low, high }) => { const place = axis.place(row); return place !== null && place >= low && place <= high; });
const score = (row) => row.score;

async function load() {
  try { study = await get("/api/study", { id: runId }); put($("trouble")); } catch (error) { later(Boolean(study)); say($("trouble"), error); return; }
  later(true);
  columns = study.columns;
  rows = study.trials.map((values) => Object.fromEntries(columns.map((name, index) => [name, values[index]])));
  if (deflation) addDeflation();
  const complete = rows.filter((row) => row.state === "complete" && score(row) !== null).sort((a, b) => (study.maximize ? b.score - a.score : a.score - b.score));
  better = new Set(complete.slice(0, Math.max(1, Math.round(complete.length / 5))).map((row) => row.trial));
  draw();
}
function draw() {
  const states = {};
  for (const row of rows) states[row.state] = (states[row.state] || 0) + 1;
  $("subtitle").textContent = `${study.status} · ${Object.entries(states).map(([name, count]) => `${count} ${name}`).join(", ") || "no trial yet"} of ${study.num_trials} · ${study.sampler}, pruning ${study.scheduler}` + toGo() + (study.headline ? ` · ${study.headline}` : "");
  tiles(); parallel(); follow(); selects();
  sortHere($("rungs"), [{ name: "share", title: "trained", cell: (row) => `${Math.round(100 * row.share)} %` }, { name: "scored" }, { name: "ended", title: "ended here" }, { name: "best" }, { name: "median" }], study.rungs, { label: "Rungs" });
  heat(); front();
}
function toGo() {  // from what the trials that ended took, those that run half done
  const ended = rows.filter((row) => row.state !== "running" && row.seconds > 0), running = rows.filter((row) => row.state === "running").length;
  if (study.status !== "running" || !ended.length || !running) return "";
  const mean = ended.reduce((sum, row) => sum + row.seconds, 0) / ended.length;
  return ` · trials for about ${duration(mean * (study.num_trials - rows.length + running / 2) / running)} more`;
}
function tiles() {
  const best = rows.find((row) => row.trial === study.best);
  const facts = [
    ["Best score", best ? show(best.score) : "–", best ? `trial ${best.trial}: ${objective(study.objective[0])} of its validation folds, ${show(best.mean)} on average, ${study.maximize ? "less" : "plus"} ${study.spread_penalty} × spread` : ""],
    ["Spread over folds", best ? show(best.spread) : "–", best ? "their standard deviation, over seeds too" : ""],
    ["Deflated Sharpe", best && best.dsr !== null ? show(best.dsr, "dsr") : "–", deflation ? (best ? "a probability, all trials counted" : "") : "being computed"],
    ["Env steps", `${(study.env_steps / 1e6).toFixed(2)} M`, rows.some((row) => row.state === "running") ? "of trials that have ended" : ""],
  ];
  put($("tiles"), facts.map(([name, value, beside]) => tile(name, value, beside)));
}
// What follows the selection

function follow() { tableOfTrials(); slices(); contour(); mark(); }
function mark() {
  const kept = rows.filter(inside);
  $("brushed").textContent = brushes.size ? `${kept.length} of ${rows.length} trials kept` : "";
  for (const node of document.querySelectorAll("[data-trial]")) {
    const row = byTrial.get(Number(node.dataset.trial));
    node.classList.toggle("out", !row || !inside(row));
    node.classList.toggle("best", better.has(Number(node.dataset.trial)));
    node.classList.toggle("chosen", chosen.has(Number(node.dataset.trial)));
  }
}
let byTrial = new Map();
function tableOfTrials() {
  const shown = ["rank", "trial", "state", "score", "spread", "dsr", "chained_return", "chained_drawdown", "annual_turnover", "env_steps"];
  const parameters = columns.filter((name) => name.startsWith("param_"));
  const cells = {  // env steps are counted when a trial ends, and what has no score has no rank
    state: (row) => pill(row.state),
    rank: (row) => (score(row) === null ? "–" : show(row.rank)),
    env_steps: (row) => (row.state === "running" ? "–" : show(row.env_steps)),
  };
  const value = (name) => (row) => row[name];
  const list = sortRows(rows.filter(inside), value(sorted.name), sorted.down);
  put($("trials"), table([
    { name: "pick", title: "", cell: (row) => el("input", { type: "checkbox", checked: chosen.has(row.trial), "aria-label": `equity of trial ${row.trial}`, onchange: (event) => { event.target.checked ? chosen.add(row.trial) : chosen.delete(row.trial); mark(); equity(); } }) },
    ...shown.map((name) => ({ name, cell: cells[name], left: name === "state" })),
    ...parameters.map((name) => ({ name })),
  ], list.slice(0, limit), { label: "Trials", sorted, sort: (name, down) => { sorted = { name, down }; tableOfTrials(); }, pick: (row) => open(row.trial), chosen: (row) => chosen.has(row.trial) }));
  if (!list.length) put($("trials"), nothing(rows.length ? "No trial lies within what is kept on the axes." : "No trial has begun yet."));
  put($("more"), list.length > limit ? el("button", { type: "button", onclick: () => { limit += 400; tableOfTrials(); } }, `${list.length - limit} more`) : null);
}
// Axes: place(row) from 0 to 1, null where the trial has no value.

function axisOf(parameter) {
  const name = `param_${parameter.label}`;
  if (parameter.choices) {
    const step = 1 / Math.max(1, parameter.choices.length - 1);
    const python = (value) => (value === true ? "True" : value === false ? "False" : String(value));
    return { name: parameter.label, place: (row) => { if (row[name] === null || row[name] === undefined) return null; const at = parameter.choices.indexOf(python(row[name])); return at < 0 ? null : at * step; }, ticks: parameter.choices.map((choice, index) => [index * step, choice]), jitter: true };
  }
  const scale = parameter.log ? Math.log : (value) => value, low = scale(parameter.low), high = scale(parameter.high);
  const middle = parameter.log ? Math.sqrt(parameter.low * parameter.high) : (parameter.low + parameter.high) / 2;
  return { name: parameter.label, place: (row) => (row[name] === null || row[name] === undefined ? null : (scale(row[name]) - low) / (high - low || 1)), ticks: [[0, plain(parameter.low)], [0.5, plain(middle)], [1, plain(parameter.high)]] };
}
function numberAxis(name, value) {
  const known = rows.map(value).filter((one) => one !== null && one !== undefined);
  const low = Math.min(...known), high = Math.max(...known), span = high - low || 1;
  return { name, place: (row) => (value(row) === null || value(row) === undefined ? null : (value(row) - low) / span), ticks: known.length ? [0, 0.5, 1].map((place) => [place, plain(low + place * span)]) : [] };
}
const scored = () => rows.filter((row) => score(row) !== null);
const trialTitle = (row) => `trial ${row.trial}, ${row.state}: ${show(row.score)}`;

function parallel() {
  byTrial = new Map(rows.map((row) => [row.trial, row]));
  if (scored().length < 2) { put($("parallel"), el("p", { class: "quiet", text: "At least two trials that were scored are needed." })); return; }
  const axes = [...study.space.map(axisOf), numberAxis("score", score)];
  const width = Math.max($("parallel").clientWidth || 700, axes.length * 90), height = 330, top = 34, bottom = 12, room = height - top - bottom;
  const xs = axes.map((_, index) => 50 + (index * (width - 130)) / Math.max(1, axes.length - 1));
  const y = (place) => top + (1 - place) * room;
  const order = scored().sort((a, b) => better.has(a.trial) - better.has(b.trial));
  const lines = order.flatMap((row) => {
    const stretches = [[]];
    axes.forEach((axis, index) => { const place = axis.place(row); if (place === null) stretches.push([]); else stretches.at(-1).push(`${xs[index].toFixed(1)},${y(place).toFixed(1)}`); });
    return stretches.filter((one) => one.length > 1).map((one) => svg("polyline", { points: one.join(" "), "data-trial": row.trial }));
  });
  const picture = svg("svg", { class: "par", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Parallel coordinates of all trials" }, lines);
  axes.forEach((axis, index) => {
    const x = xs[index], band = svg("rect", { class: "brush", x: x - 9, width: 18, y: 0, height: 0 });
    picture.append(svg("line", { class: "axis", x1: x, x2: x, y1: top, y2: top + room }), svg("text", { class: "name", x, y: 16, "text-anchor": "middle" }, words(axis.name)),
      ...axis.ticks.map(([place, text]) => svg("text", { x: x + 7, y: y(place) + 4 }, text)), band);
    const at = (event) => { const box = picture.getBoundingClientRect(); return Math.min(1, Math.max(0, 1 - ((event.clientY - box.top) * (height / box.height) - top) / room)); };
    let from = null;
    const paint = () => { const brush = brushes.get(axis.name); band.setAttribute("y", brush ? y(brush.high) : 0); band.setAttribute("height", brush ? Math.max(2, (brush.high - brush.low) * room) : 0); };
    const hit = svg("rect", { class: "hit", x: x - 14, width: 28, y: top - 8, height: room + 16, "data-axis": axis.name });
    hit.addEventListener("pointerdown", (event) => { from = at(event); hit.setPointerCapture(event.pointerId); });
    hit.addEventListener("pointermove", (event) => { if (from === null) return; const to = at(event); brushes.set(axis.name, { axis, low: Math.min(from, to) - 1e-9, high: Math.max(from, to) + 1e-9 }); paint(); mark(); });
    hit.addEventListener("pointerup", (event) => { const to = at(event); if (from !== null && Math.abs(to - from) < 0.01) brushes.delete(axis.name); from = null; paint(); follow(); });
    picture.append(hit);
    if (brushes.has(axis.name)) { brushes.get(axis.name).axis = axis; paint(); }
  });
  put($("parallel"), picture);
}
function dots(node, across, up, list, shade) {
  const width = 460, height = 250, left = 60, bottom = 34, top = 28, right = 14;
  const x = (place) => left + place * (width - left - right), y = (place) => top + (1 - place) * (height - top - bottom);
  const points = list.filter((row) => across.place(row) !== null && up.place(row) !== null);
  put(node, svg("svg", { class: "dots chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${up.name} by ${across.name}` },
    up.ticks.map(([place, text]) => [svg("line", { class: "grid", x1: left, x2: width - right, y1: y(place), y2: y(place) }), svg("text", { x: left - 6, y: y(place) + 4, "text-anchor": "end" }, text)]).flat(),
    across.ticks.map(([place, text]) => svg("text", { x: x(place), y: height - 18, "text-anchor": place < 0.05 ? "start" : place > 0.95 ? "end" : "middle" }, text)),
    svg("text", { x: (left + width) / 2, y: height - 3, "text-anchor": "middle" }, words(across.name)), svg("text", { x: 4, y: 11 }, words(up.name)),
    points.map((row) => { const dot = svg("circle", { cx: x(across.place(row)).toFixed(1), cy: y(up.place(row)).toFixed(1), r: 3.6, "data-trial": row.trial, onclick: () => open(row.trial) }, svg("title", {}, trialTitle(row))); if (shade) dot.style.fill = shade(row); return dot; })));
}
function slices() {
  if (!scored().length) { put($("slices"), nothing("No trial has been scored yet.")); return; }
  const up = numberAxis("score", score);
  $("slices").replaceChildren(...study.space.map((parameter) => { const node = el("div"); dots(node, axisOf(parameter), up, scored()); return node; }));
}
function selects() {
  const names = study.space.map((parameter) => parameter.label);
  for (const [id, fallback] of [["ax", 0], ["ay", 1]]) {
    const select = $(id);
    if (select.options.length === names.length) continue;
    put(select, names.map((name, index) => el("option", { value: name, selected: index === Math.min(fallback, names.length - 1) }, words(name))));
    select.onchange = () => { contour(); mark(); };
  }
  contour(); mark();
}
function contour() {
  const axes = Object.fromEntries(study.space.map((parameter) => [parameter.label, axisOf(parameter)]));
  const [a, b] = [axes[$("ax").value], axes[$("ay").value]];
  if (!a || !b) return;
  const list = scored().sort((p, q) => p.score - q.score);
  if (!list.length) { put($("contour"), nothing("No trial has been scored yet.")); return; }
  const rank = new Map(list.map((row, index) => [row.trial, index / Math.max(1, list.length - 1)]));
  const strength = (row) => { const place = study.maximize ? rank.get(row.trial) : 1 - rank.get(row.trial); return `color-mix(in srgb, var(--s0) ${Math.round(10 + 90 * place)}%, var(--card))`; };
  dots($("contour"), a, b, study.maximize ? list : [...list].reverse(), strength);
}
function front() {
  const { axes, points } = study.front;
  $("fronttitle").textContent = `${axes.map(words).join(" against ").replace(/^./, (letter) => letter.toUpperCase())}, means over folds`;
  const list = points.map(([trial, first, second, on]) => ({ trial, first, second, on, state: "complete", score: (byTrial.get(trial) || {}).score }));
  if (list.length < 2) { put($("front"), el("p", { class: "quiet", text: "At least two complete trials are needed." })); return; }
  const reach = (name) => { const values = list.map((row) => row[name]), low = Math.min(...values), span = Math.max(...values) - low || 1; return { place: (row) => (row[name] - low) / span, ticks: [0, 0.5, 1].map((place) => [place, plain(low + place * span)]) }; };
  const across = { name: axes[0], ...reach("first") }, up = { name: axes[1], ...reach("second") };
  dots($("front"), across, up, list);
  const picture = $("front").firstChild, on = list.filter((row) => row.on).sort((a, b) => a.first - b.first);
  const line = on.map((row) => { const dot = [...picture.querySelectorAll("circle")].find((one) => Number(one.dataset.trial) === row.trial); return `${dot.getAttribute("cx")},${dot.getAttribute("cy")}`; }).join(" ");
  picture.insertBefore(svg("polyline", { class: "line s0", points: line }), picture.querySelector("circle"));
}
function heat() {
  const { metric, columns: names, rows: table_ } = study.folds;
  $("heatnote").textContent = `${objective(metric).replace(/^./, (letter) => letter.toUpperCase())} of the best trials on each validation fold: a good one is good everywhere.`;
  const all = table_.flatMap((row) => row.values).filter((value) => value !== null), reach = Math.max(1e-12, ...all.map(Math.abs));
  if (!table_.length) { put($("heat"), nothing("No trial has been scored yet.")); return; }
  sortHere($("heat"), [{ name: "trial" }, ...names.map((name, index) => ({ name, value: (row) => row.values[index], cell: (row) => {
    const value = row.values[index];
    if (value === null || value === undefined) return "–";
    const good = value > 0 === study.maximize;
    return el("span", { style: `display:block;padding:2px 6px;border-radius:5px;text-align:center;background:color-mix(in srgb, var(${good ? "--pass" : "--fail"}) ${Math.round((45 * Math.abs(value)) / reach)}%, transparent)`, text: plain(value) });
  } }))], table_, { label: "Fold by fold", pick: (row) => open(row.trial) });
}
async function equity() {
  $("equitycard").hidden = !chosen.size;
  if (!chosen.size) return;
  try {
    const found = await get("/api/equity", { id: runId, trials: [...chosen].slice(0, 10).join(",") });
    const names = Object.keys(found.curves);
    if (!names.length) { put($("equity"), el("p", { class: "quiet", text: "These trials have left no returns yet." })); return; }
    lineChart($("equity"), { title: "Equity", x: found.bar, labels: (bar) => labelAt(found, bar), lines: names.map((name) => ({ name: `trial ${name}`, values: found.curves[name] })), height: 280 });
  } catch (error) { say($("equity"), error); }
}
function labelAt(found, bar) {
  let low = 0, high = found.bar.length - 1;
  while (low < high) { const middle = (low + high + 1) >> 1; if (found.bar[middle] <= bar) low = middle; else high = middle - 1; }
  return when(found.utc[low]).slice(0, 10);
}
function addDeflation() {
  for (const row of rows) { const known = deflation.trials[row.trial]; if (known) deflation.names.forEach((name, index) => { row[name] = known[index]; }); }
}
async function believe() {
  try {
    deflation = await get("/api/deflation", { id: runId });
  } catch { return; }
  addDeflation(); tiles(); tableOfTrials(); mark();
  const found = deflation.belief;
  $("beliefcard").hidden = !found;
  if (!found) return;
  const unit = `${found.annual ? "annual" : "per bar"}, of all folds chained`;
  const own = rows.filter((row) => row.state !== "running").length, others = study.status === "running" ? "; looks of other jobs are counted when it ends" : "";
  const among = found.counted > own && !others ? `${found.counted} looks at these bars, ${own} of them trials of this study` : `${found.counted} trials${others}`;
  $("belief").textContent = `Alone, trial ${found.trial} with a Sharpe ratio of ${plain(found.sharpe)} (${unit}: ${found.bars.toLocaleString("en-GB")} validation bars) looks like skill with a probability of ${(100 * found.naive).toFixed(1)} %. It is the best of ${among}, worth ${plain(found.effective)} independent ones: of as many without any skill the best shows ${plain(found.luck)}. So the probability is ${(100 * found.deflated).toFixed(1)} %.` + (found.overfitting === null ? "" : ` The best trial of one half of the bars is below the median in the other with a probability of ${(100 * found.overfitting).toFixed(0)} %.`);
  put($("beliefchart"), [["as if it were the only one", found.naive], ["deflated for all of them", found.deflated]].map(([name, value]) => el("div", { class: "bar" }, el("span", { style: "width:190px", text: name }), el("span", { class: "meter", style: "width:min(420px,50vw);height:14px", role: "img", "aria-label": `${name}: ${(100 * value).toFixed(1)} %` }, el("i", { style: `width:${100 * value}%` })), `${(100 * value).toFixed(1)} %`)));
}
async function importance() {
  try {
    const found = await get("/api/importance", { id: runId });
    const shares = Object.entries(found.shares);
    $("method").textContent = shares.length ? `${found.method}${found.complete < 20 ? `. Of ${found.complete} complete trials: so few show little` : ""}` : "At least four complete trials are needed.";
    put($("importance"), shares.map(([name, share]) => el("div", { class: "bar" }, el("span", { style: "width:120px", text: words(name) }), el("span", { class: "meter", style: "flex:1 1 90px;max-width:220px;height:14px", role: "img", "aria-label": `${name} ${Math.round(100 * share)} %` }, el("i", { style: `width:${100 * share}%` })), `${Math.round(100 * share)} %`)));
  } catch (error) { $("method").textContent = error.message; }
}
async function open(number) {
  const body = $("trialbody");
  put(body, el("p", { class: "quiet", text: "Reading." }));
  $("trial").showModal();
  let found;
  try { found = await get("/api/trial", { id: runId, trial: number }); } catch (error) { say(body, error); return; }
  const diff = el("div", { class: "scroll" }), folds = el("div", { class: "scroll" }), plots = el("div", { class: "charts" });
  put(body, el("h2", { text: `Trial ${number}: ${show(found.row.score)}, ${found.row.state}` }), found.row.error ? el("p", { class: "error", text: found.row.error }) : null,
    el("p", { class: "quiet", text: "What it was tried with, beside the study's own value and today's default." }), diff,
    el("pre", { text: found.command }), folds, plots);
  sortHere(diff, [{ name: "key", left: true }, { name: "tried", title: "trial" }, { name: "study" }, { name: "default" }], found.diff, { label: "Settings of the trial" });
  if (found.folds.length) sortHere(folds, Object.keys(found.folds[0]).map((name) => ({ name })), found.folds, { label: "Folds of the trial" });
  for (const [name, title] of Object.entries(found.curves.titles)) {
    if (!found.curves.curves[name]) continue;
    const node = el("div");
    plots.append(el("div", {}, el("h3", { text: title }), node));
    lineChart(node, { title, ...joined(found.curves.curves[name]), height: 165, across: "env steps" });
  }
}
document.addEventListener("DOMContentLoaded", async () => {
  await load();
  if (study) { importance(); believe(); }
  const again = debounced(load, 300), slow = debounced(() => { importance(); believe(); }, 15000);
  listen((changed) => { if (changed.includes(runId)) { again(); slow(); } });
});
