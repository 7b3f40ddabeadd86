// Runs side by side: the first is what the others are held against.
"use strict";

let ids = (query.get("ids") || "").split(",").filter(Boolean);

async function load() {
  history.replaceState(null, "", "/compare" + (ids.length ? "?" + new URLSearchParams({ ids: ids.join(",") }) : ""));
  $("subtitle").textContent = ids.length < 2 ? "Choose at least two: tick them in the list of runs, or add them here." : `${ids.length} runs`;
  if (ids.length < 2) { later(false); return; }
  let found;
  try { found = await get("/api/compare", { ids: ids.join(",") }); } catch (error) { later(false); say($("trouble"), error); return; }
  later(true);
  put($("trouble"), found.warnings.map((text) => el("p", { class: "warn", text })));
  const remove = (row) => el("button", { type: "button", "aria-label": `remove ${row.run}`, onclick: () => { ids = ids.filter((one) => one !== row.run); load(); } }, "×");
  sortHere($("numbers"), [{ name: "remove", title: "", cell: remove }, ...found.columns.map((name) => ({
    name, left: name === "run" || name === "verdict", style: name === "run" ? "name" : null,
    cell: name === "verdict" ? (row) => pill(row.verdict) : name === "run" ? (row) => el("a", { href: page("run", row.run) }, slashed(row.run)) : undefined,
  }))], found.rows, { label: "Numbers of the runs" });
  const span = (row, name, scale) => row.why ? "–" : `${plain(row[name] * scale)} [${plain(row[name + "_low"] * scale)}, ${plain(row[name + "_high"] * scale)}]`;
  const word = (row) => (row.why ? row.why : row.sharpe_low > 0 ? "ahead" : row.sharpe_high < 0 ? "behind" : "no difference shown");
  sortHere($("pairs"), [
    { name: "other", left: true, title: "against", style: "name", cell: (row) => slashed(row.other) }, { name: "sharpe", title: "Sharpe ratio, annual", cell: (row) => span(row, "sharpe", 1) },
    { name: "mean", title: "mean return a year, %", cell: (row) => span(row, "mean", 100) }, { name: "num_bars", title: "bars in both" }, { name: "word", title: "so", left: true, style: "words", cell: word, value: word },
  ], found.pairs, { label: "Paired differences" });
  $("equitynote").textContent = found.equity.num_bars ? `From 1.00 at the first of the ${found.equity.num_bars.toLocaleString("en-GB")} bars that all of them were scored on.` : "The runs share no bars, so that their curves have no common axis.";
  const names = Object.keys(found.equity.curves);
  put($("equity"));
  if (names.length) lineChart($("equity"), { title: "Equity", x: found.equity.utc, time: true, lines: names.map((name) => ({ name, values: found.equity.curves[name] })), height: 320 });
  if (found.settings.length) sortHere($("settings"), Object.keys(found.settings[0]).map((name) => ({ name, title: name, left: true, style: "words" })), found.settings, { label: "Settings that differ" });
  else put($("settings"), nothing("None."));
}
document.addEventListener("DOMContentLoaded", async () => {
  $("add").addEventListener("submit", (event) => { event.preventDefault(); const name = $("name").value.trim(); if (name && !ids.includes(name)) ids.push(name); $("name").value = ""; load(); });
  load();
  try { const runs = await get("/api/runs", { limit: 500, filter: "status = done" }); put($("names"), runs.rows.map((row) => el("option", { value: row.run }))); } catch { /* a list to choose from is all that is missing */ }
});
