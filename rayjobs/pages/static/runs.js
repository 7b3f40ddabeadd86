// The list of runs: asked of the server with filter, order and columns, again when something changes.
"use strict";

const state = { sort: query.get("sort") || "", filter: query.get("filter") || "", columns: (query.get("columns") || "").split(",").filter(Boolean), chosen: new Set(), limit: 200 };
const USUAL = ["sharpe", "total_return", "max_drawdown", "dsr", "num_trades", "annual_turnover"];

function remember() {
  const parameters = new URLSearchParams();
  for (const name of ["sort", "filter"]) if (state[name]) parameters.set(name, state[name]);
  if (state.columns.length) parameters.set("columns", state.columns.join(","));
  history.replaceState(null, "", "/runs" + (String(parameters) ? "?" + parameters : ""));
}
async function load(told) {
  remember();
  try {
    const found = await get("/api/runs", { filter: state.filter, sort: state.sort, columns: state.columns.join(","), limit: state.limit, ...(told ? { told: 1 } : {}) });
    put($("trouble"));
    draw(found);
  } catch (error) { say($("trouble"), error); }
}
function target(row) { return page(row.kind === "sweep" ? "study" : "run", row.run); }
function progress(row) {  // how it stands, and below how far it is: bar, trials, time left
  if (row.progress === undefined || row.status === "done") return pill(row.status);
  const share = Math.round(100 * row.progress);
  const told = [`${share} %`, row.num_trials === undefined ? null : `${show(row.trials_ended, "trials_ended")} of ${show(row.num_trials, "num_trials")} trials`, row.seconds_left !== undefined && row.status === "running" ? `${duration(row.seconds_left)} left` : null];
  return [pill(row.status), el("div", { class: "howfar" },
    el("span", { class: "meter", role: "img", "aria-label": `${share} %` }, el("i", { style: `width:${share}%` })),
    told.filter(Boolean).map((text) => el("span", { text }))), newest(row)];
}
const NEWEST_NUMBERS = { approx_kl: "KL", clip_fraction: "clipped", explained_variance: "expl. var.", entropy: "entropy", validation_sharpe: "val. Sharpe a bar" };
function newest(row) {  // of the newest update of what trains
  const known = Object.entries(NEWEST_NUMBERS).filter(([name]) => row[name] !== undefined);
  return !known.length ? null : el("div", { class: "howfar" }, known.map(([name, title]) => el("span", { title: MEASURES[name].join(": "), text: `${title} ${show(row[name], name)}` })));
}
function started(row) { return row.started ? [el("span", { text: row.started.slice(0, 10) }), " ", el("span", { text: row.started.slice(11, 16) })] : "–"; }
function columns() {
  return [
    { name: "chosen", title: "", cell: (row) => el("input", { type: "checkbox", "aria-label": `choose ${row.run}`, checked: state.chosen.has(row.run), onchange: (event) => { event.target.checked ? state.chosen.add(row.run) : state.chosen.delete(row.run); offer(); } }) },
    { name: "run", left: true, style: "name", cell: (row) => [el("a", { href: target(row) }, slashed(row.run)), ...row.tags.map((tag) => el("span", { class: "tag", text: tag })), row.note ? el("div", { class: "quiet", text: row.note.slice(0, 120) }) : null].filter(Boolean) },
    { name: "kind", left: true }, { name: "status", left: true, style: "left status", cell: progress },
    { name: "verdict", left: true, cell: (row) => (row.verdict ? pill(row.verdict) : row.kind === "sweep" && row.status === "done" ? el("span", { title: "Its holdout stayed sealed: its page says why" }, pill("sealed")) : "–") },
    { name: "started", left: true, style: "left when", cell: started },
    ...USUAL.map((name) => ({ name })),
    ...state.columns.map((name) => ({ name, title: name })),
  ].map((column) => ({ help: MEASURES[column.name] ? MEASURES[column.name].filter(Boolean).join(": ") : null, ...column }));
}
function draw(found) {
  const states = Object.entries(found.states).map(([name, count]) => `${count} ${name}`).join(", ");
  $("count").textContent = found.total ? `${found.total.toLocaleString("en-GB")} ${found.total === 1 ? "run" : "runs"}: ${states}` + (state.filter ? `; ${found.found.toLocaleString("en-GB")} meet the filter` : "") : "No run yet: python -m rayjobs.train +experiment=crypto_portfolio";
  const sorted = state.sort ? { name: state.sort.replace(/^-/, ""), down: state.sort.startsWith("-") } : null;
  if (!found.rows.length) put($("table"), nothing(found.total ? "No run meets the filter." : "A run is listed here as soon as it begins; the first on a machine compiles for a minute or two before."));
  else put($("table"), table(columns(), found.rows, {
    sorted, label: "Runs", sort: (name, down) => { if (name === "chosen") return; state.sort = (down ? "-" : "") + name; load(); },
  }));
  put($("columns"), state.columns.map((name) => el("span", { class: "tag" }, name, " ", el("button", { type: "button", "aria-label": `remove ${name}`, onclick: () => { state.columns = state.columns.filter((one) => one !== name); load(); } }, "×"))));
  put($("more"), found.found > found.rows.length ? el("button", { type: "button", onclick: () => { state.limit += 500; load(); } }, `${(found.found - found.rows.length).toLocaleString("en-GB")} more`) : null);
  offer();
}
function offer() {
  $("compare").disabled = state.chosen.size < 2;
  $("compare").textContent = state.chosen.size ? `Compare ${state.chosen.size} chosen` : "Compare chosen";
}
document.addEventListener("DOMContentLoaded", () => {
  $("filter").value = state.filter;
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    state.filter = $("filter").value.trim();
    const column = $("column").value.trim();
    if (column && !state.columns.includes(column)) state.columns.push(column);
    $("column").value = "";
    state.limit = 200;
    load();
  });
  $("compare").addEventListener("click", () => { location.href = "/compare?" + new URLSearchParams({ ids: [...state.chosen].join(",") }); });
  load();
  get("/api/keys").then((keys) => put($("keys"), [...keys.words, ...keys.numbers, ...keys.settings].map((value) => el("option", { value })))).catch(() => {});
  listen(debounced(() => load(true), 300));
});
