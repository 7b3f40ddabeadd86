// Live trading: what each loop says of itself after a bar, and the kill switch in two steps.
"use strict";

async function load() {
  let found;
  try { found = await get("/api/live"); put($("trouble")); } catch (error) { say($("trouble"), error); return; }
  $("subtitle").textContent = found.runs.length ? `${found.runs.length} trading runs` : "Nothing trades: python -m rayjobs.trade starts a loop.";
  if (document.querySelector("input.confirm:focus")) return;  // nobody types while it is drawn anew
  put($("runs"), found.runs.map(one));
}
function one(run) {
  const now = run.snapshot || {}, old = run.age_s !== null && run.status === "running" && run.age_s > 300;
  const money = (value) => (value === null || value === undefined ? "–" : show(value));
  const mood = (value) => (value > 0 ? "good" : value < 0 ? "bad" : "");
  const list = (title, rows) => rows.length ? el("div", { class: "card" }, el("h3", { text: title }), (() => { const box = el("div", { class: "scroll" }); sortHere(box, Object.keys(rows[0]).map((name, index) => ({ name, left: index === 0 })), rows, { label: title }); return box; })()) : null;
  const pairs = (values, name, number) => Object.entries(values || {}).map(([key, value]) => ({ [name]: key, [number]: value }));
  const halted = now.halted || run.asked;
  return el("section", { class: "card" },
    el("h2", {}, el("a", { href: page("run", run.run), text: run.run }), " ", pill(run.status), now.mode ? el("span", { class: "tag", text: now.mode }) : null),
    halted ? el("p", { class: "warn", role: "alert", text: now.halted || `asked to stop: ${run.asked}` }) : null,
    run.snapshot ? null : el("p", { class: "quiet", text: "The loop has told nothing of itself yet." }),
    old ? el("p", { class: "warn", role: "alert", text: `The loop has told nothing for ${duration(run.age_s)}.` }) : null,
    run.snapshot ? el("div", { class: "tiles" }, tile("Equity", money(now.equity)), tile("PnL today", money(now.pnl_day), "", mood(now.pnl_day)), tile("PnL in all", money(now.pnl_total), "", mood(now.pnl_total)),
      tile("Last bar", (now.bar_utc || "–").slice(0, 16).replace("T", " ")), tile("Data age", now.data_age_s === null || now.data_age_s === undefined ? "–" : `${now.data_age_s.toFixed(1)} s`),
      ...Object.entries(now.latency_ms || {}).map(([name, value]) => tile(`Decision, ${name}`, `${plain(value)} ms`))) : null,
    run.snapshot ? el("div", { class: "charts" }, list("Positions", pairs(now.positions, "symbol", "units")), list("Open orders", now.orders || []), list("Limits used", pairs(now.limits, "limit", "share")), list("Drift", pairs(now.drift, "input", "drift")), list("Last decisions", now.decisions || [])) : null,
    ["running", "killed"].includes(run.status) && !halted ? kill(run) : null);
}
function kill(run) {
  const said = el("span", { class: "quiet", role: "status" }), word = el("input", { class: "confirm", size: 8, "aria-label": "Type STOP to confirm", placeholder: "STOP" });
  const second = el("span", { hidden: true }, "Type STOP: ", word, " ", el("button", { type: "button", class: "bad", onclick: async () => { try { said.textContent = (await post("/api/kill", { id: run.run, confirm: word.value.trim() })).done; load(); } catch (error) { said.textContent = error.message; } } }, "Stop trading now"));
  return el("div", { class: "bar", style: "margin-top:12px" }, el("button", { type: "button", class: "bad", onclick: () => { second.hidden = false; word.focus(); } }, "Kill switch"), second, said);
}
document.addEventListener("DOMContentLoaded", () => { load(); listen(debounced(load, 200)); setInterval(load, 5000); });
