// One run: how it stands, its curves while it trains, its verdict, its settings; what may be done to it.
"use strict";

let facts = null, defaults = null;
const charts = new Map();

async function load() {
  try { facts = await get("/api/run", { id: runId }); put($("trouble")); } catch (error) { say($("trouble"), error); return; }
  $("subtitle").textContent = `${facts.kind} · ${facts.status}` + (facts.started ? ` · started ${facts.started}` : "") + (facts.ended && facts.status !== "running" ? ` · ended ${facts.ended}` : "") + beforehand();
  if (facts.error) say($("trouble"), new Error(facts.error));
  $("resume").hidden = !facts.resumed_by;
  put($("resume"), facts.resumed_by ? ["What was done so far is kept. Go on with it: ", el("code", { text: facts.resumed_by })] : null);
  head(); tiles(); control(); gate(); settings();
}
function beforehand() {  // nothing is reported until the first iteration of a fold
  const quiet = facts.status === "running" && facts.kind === "run" && facts.progress === undefined;
  return quiet ? " · before the first fold it reads the bars and looks for leaks, for a minute or two" : "";
}
function head() {
  const box = $("verdict");
  box.hidden = !facts.headline;
  if (!facts.headline) return;
  const [word, ...rest] = facts.headline.split(": ");
  box.className = `card verdict ${facts.verdict === "approved" ? "pass" : "fail"}`;
  put(box, el("div", { class: "word", text: word }), el("div", { class: "why", text: rest.join(": ").replace(/^./, (letter) => letter.toUpperCase()) }));
}
function tiles() {
  const names = facts.status === "done" ? ["sharpe", "total_return", "max_drawdown", "dsr", "num_trades", "annual_turnover"]
    : ["progress", "seconds_left", "folds_begun", "trials_ended", "num_trials", "approx_kl", "clip_fraction", "explained_variance", "entropy", "learning_rate", "validation_sharpe"];
  const known = names.filter((name) => facts[name] !== undefined && (name !== "seconds_left" || facts.status === "running"));
  put($("tiles"), known.map((name) => { const [title, beside] = meaning(name); return tile(title, show(facts[name], name), beside); }));
}
function control() {
  const running = facts.status === "running";
  $("stop").disabled = $("nudge").disabled = $("lr").disabled = $("fold").disabled = !running;
  if (document.activeElement !== $("tags")) $("tags").value = facts.tags.join(", ");
  if (document.activeElement !== $("note")) $("note").value = facts.note;
  const link = (text, href) => el("a", { href, text });
  put($("links"), [
    ...facts.files.map((name) => link(name, "/file?" + new URLSearchParams({ id: runId, name }))),
    facts.kind === "sweep" ? link("study page", page("study", runId)) : null,
    facts.files.includes("backtest/trades.csv") ? link("market, bar by bar", page("market", runId)) : null,
  ]);
}
function gate() {
  $("gate").hidden = !facts.criteria.length;
  const word = (row) => (row.enforced ? { true: "pass", false: "fail" }[row.pass] || "missing" : "info");
  sortHere($("criteria"), [
    { name: "label", left: true, title: "criterion" }, { name: "value" },
    { name: "threshold", title: "required", cell: (row) => (row.threshold === null ? "–" : `${row.comparison} ${show(row.threshold)}`.replace(">=", "≥").replace("<=", "≤")) },
    { name: "pass", title: "result", cell: (row) => pill(word(row)), value: word }, { name: "reason", left: true, style: "words", title: "why" },
  ], facts.criteria, { label: "Criteria of the gate" });
}
async function settings() {
  if (!defaults && facts.kind !== "trading") { try { defaults = await get("/api/defaults", { id: runId }); } catch { defaults = {}; } }
  const wanted = $("find").value.trim().toLowerCase(), only = $("changed").checked;
  const same = (key) => JSON.stringify(facts.settings[key]) === JSON.stringify((defaults || {})[key]);
  const rows = Object.keys(facts.settings).filter((key) => key.toLowerCase().includes(wanted) && !(only && defaults && same(key)))
    .map((key) => ({ key, value: facts.settings[key], default: (defaults || {})[key] }));
  sortHere($("settings"), [{ name: "key", left: true }, { name: "value", left: true, style: "words" }, { name: "default", left: true, style: "words", title: "today's default" }], rows, { label: "Settings" });
}
async function curves() {
  let found;
  try { found = await get("/api/curves", { id: runId }); } catch { return; }
  for (const [name, title] of Object.entries(found.titles)) {
    if (!found.curves[name]) continue;
    const { x, lines } = joined(found.curves[name]);
    const shape = `${lines.map((line) => line.name).join()} ${x.length === 1}`;  // a lone point has an axis of its own
    let known = charts.get(name);
    if (!known || known.shape !== shape) {
      const node = known ? known.node : el("div");
      if (!known) $("charts").append(el("div", { class: "card" }, el("h2", { text: title }), node));
      known = { node, shape, chart: lineChart(node, { title, x, lines, height: 195, across: "env steps" }) };
      charts.set(name, known);
    } else known.chart.setData([x, ...lines.map((line) => line.values)]);
  }
}
async function act(path, body) {
  $("acted").textContent = "…";
  try { $("acted").textContent = (await post(path, { id: runId, ...body })).done; load(); } catch (error) { $("acted").textContent = error.message; }
}
document.addEventListener("DOMContentLoaded", () => {
  $("stop").addEventListener("click", () => confirm("Interrupt this job? It can be resumed.") && act("/api/stop", {}));
  $("nudge").addEventListener("click", () => act("/api/nudge", { lr: $("lr").value.trim(), fold: $("fold").value.trim() === "" ? null : Number($("fold").value) }));
  $("keep").addEventListener("click", () => act("/api/note", { tags: $("tags").value.split(",").map((tag) => tag.trim()).filter(Boolean), note: $("note").value }));
  $("changed").addEventListener("change", settings);
  $("find").addEventListener("input", debounced(settings, 150));
  load(); curves();
  const again = debounced(() => { load(); curves(); }, 200);
  listen((changed) => changed.includes(runId) && again());
});
