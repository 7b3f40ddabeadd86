// The market as a run met it: candles, what was bought and sold, what was held, what was known.
"use strict";

const view = { symbol: query.get("symbol") || "", start: query.get("start") === null ? null : Number(query.get("start")), count: 240 };
let shown = null, chosen = null, charts = [], thoughts = null, asking = 0;

async function load() {
  const asked = { id: runId, symbol: view.symbol, count: view.count };
  if (view.start !== null) asked.start = view.start;
  if (!shown) put($("candles"), el("p", { class: "quiet", role: "status", text: "Reading the bars, fills and trades of the run. The first time that takes some seconds, longer on a busy machine." }));
  try { shown = await get("/api/market", asked); } catch (error) { later(Boolean(shown)); say($("trouble"), error); return; }
  later(true);
  put($("trouble"), shown.warning ? el("p", { class: "warn", role: "alert", text: shown.warning }) : null);
  view.start = shown.start; view.symbol = shown.symbol;
  history.replaceState(null, "", page("market", runId, { symbol: view.symbol, start: view.start }));
  thoughts = null;
  draw();
  think();
}
async function think() {  // the policy is run again for it: seconds, the first time that a test window is looked at
  const asked = ++asking, of = { id: runId, symbol: shown.symbol, start: shown.start, count: shown.utc.length };
  $("thinking").textContent = "Running the policy again, to see what it thought.";
  try {
    const found = await get("/api/thoughts", of);
    if (asked !== asking) return;
    thoughts = found;
    const names = Object.keys(found.parameters), known = names.length || found.value.some((one) => one !== null);
    $("thinking").textContent = !known ? "A script, or bars on which no policy was tested: there are no thoughts to show. Exits are drawn where some rested."
      : found.exact ? "From its export, run again: each decision and return of these test windows is the recorded one, bit for bit."
      : "From its export, run again: decisions and returns of these test windows are the recorded ones up to their last digits, as on another processor.";
    drawThoughts(); fillThoughts();
    if (charts[0]) charts[0].redraw(false);
  } catch (error) {
    if (asked !== asking) return;
    $("thinking").textContent = `What the policy thought is not shown: ${error.message}`;
    const box = $("bar").querySelector(".thoughts");
    if (box) put(box);
  }
}
const probable = (name) => !name.includes(",");
const thought = (name, value) => (value === null || value === undefined ? "–" : probable(name) ? `${(100 * value).toFixed(1)} %` : plain(value));
function drawThoughts() {
  const x = shown.utc.map((_, index) => index), label = (index) => (shown.utc[index] === undefined ? "" : when(shown.utc[index]));
  const names = Object.keys(thoughts.parameters), stepped = uPlot.paths.stepped({ align: 1 });
  const chart = (node, title, lines, format) => { if (lines.length) charts.push(lineChart(node, { title, x, labels: label, height: 150, sync: "market", lines, format })); else put(node); };
  chart($("thoughts"), "What the policy thought", names.filter((name) => !name.includes("deviation")).map((name) => ({ name: probable(name) ? `${name}, probability` : name, values: thoughts.parameters[name], paths: stepped })), (value) => String(Number(value.toPrecision(3))));
  chart($("values"), "Value", thoughts.value.some((one) => one !== null) ? [{ name: "value: rewards to come that the policy expects, discounted", values: thoughts.value }] : []);
}
function wordsAt(index) {  // for the line below the candles
  if (!thoughts) return "";
  const told = Object.keys(thoughts.parameters).filter((name) => thoughts.parameters[name][index] !== null).map((name) => `${name} ${thought(name, thoughts.parameters[name][index])}`);
  if (thoughts.value[index] !== null) told.push(`value ${plain(thoughts.value[index])}`);
  if (thoughts.stop[index] !== null) told.push(`${thoughts.trails[index] ? "trailing stop" : "stop"} ${plain(thoughts.stop[index])}`);
  if (thoughts.profit[index] !== null) told.push(`target ${plain(thoughts.profit[index])}`);
  return told.join("   ");
}
function fillThoughts() {
  const box = $("bar").querySelector(".thoughts");
  if (!box || !thoughts || chosen === null) return;
  const index = chosen - shown.start, rows = [], add = (name, value) => rows.push(el("tr", { class: "thought" }, el("td", { class: "left", text: name }), el("td", { text: value })));
  for (const [name, values] of Object.entries(thoughts.parameters)) if (values[index] !== null && values[index] !== undefined) add(probable(name) ? `${name}, probability` : name, thought(name, values[index]));
  if (thoughts.value[index] !== null && thoughts.value[index] !== undefined) add("value, rewards to come", plain(thoughts.value[index]));
  if (thoughts.stop[index] !== null && thoughts.stop[index] !== undefined) add(`${thoughts.trails[index] ? "trailing stop" : "stop"} rests at`, plain(thoughts.stop[index]));
  if (thoughts.profit[index] !== null && thoughts.profit[index] !== undefined) add("target rests at", plain(thoughts.profit[index]));
  if (thoughts.closes[index]) add("time limit, at the open of", when(thoughts.closes[index]));
  put(box, el("h3", { text: "What the policy thought at its close" }), rows.length ? el("table", { class: "dense", "aria-label": "What the policy thought" }, el("tbody", {}, rows)) : el("p", { class: "quiet", text: "Nothing is decided at this bar." }));
}
function draw() {
  if ($("symbol").options.length !== shown.symbols.length) put($("symbol"), shown.symbols.map((name) => el("option", { value: name }, name)));
  $("symbol").value = shown.symbol;
  $("subtitle").textContent = `${shown.symbol}, bars of ${duration(shown.bar_seconds)}, ${shown.num_bars.toLocaleString("en-GB")} in all; times are UTC and those at which a bar opens`;
  $("range").textContent = `${when(shown.utc[0])} to ${when(shown.utc.at(-1))}`;
  const x = shown.utc.map((_, index) => index), label = (index) => (shown.utc[index] === undefined ? "" : when(shown.utc[index]));
  const hidden = { paths: () => null, points: false, bare: true };
  charts.forEach((chart) => chart.destroy());
  const candles = lineChart($("candles"), {
    title: `Candles of ${shown.symbol}`, x, labels: label, height: 380, sync: "market", cursor: () => {}, more: wordsAt,
    lines: [{ name: "high", values: shown.high, ...hidden }, { name: "low", values: shown.low, ...hidden }, { name: "open", values: shown.open, ...hidden }, { name: "close", values: shown.close, ...hidden }],
    hooks: { draw: [paint] },
  });
  candles.over.addEventListener("click", () => { if (candles.cursor.idx !== null && candles.cursor.idx !== undefined) choose(candles.cursor.idx); });
  const exposure = lineChart($("position"), { title: "Position", x, labels: label, height: 150, sync: "market", lines: [{ name: `exposure to ${shown.symbol}, of equity`, values: shown.exposure.length ? shown.exposure : x.map(() => null), paths: uPlot.paths.stepped({ align: 1 }) }] });
  const equity = lineChart($("equity"), { title: "Equity", x, labels: label, height: 150, sync: "market", lines: [{ name: "equity of the whole portfolio, 1 at the start", values: shown.equity }] });
  charts = [candles, exposure, equity];
  put($("thoughts")); put($("values"));
}
const barAt = (second) => { let low = 0, high = shown.utc.length - 1; while (low < high) { const middle = (low + high + 1) >> 1; if (shown.utc[middle] <= second) low = middle; else high = middle - 1; } return low; };
function paint(u) {
  const pen = u.ctx, px = (index) => u.valToPos(index, "x", true), py = (price) => u.valToPos(price, "y", true);
  const [from, to] = [u.scales.x.min, u.scales.x.max], ratio = devicePixelRatio || 1;
  const body = Math.max(1, 0.62 * (px(1) - px(0)));
  pen.save();
  pen.beginPath(); pen.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height); pen.clip();
  const up = css("--pass"), down = css("--fail");
  for (let index = Math.max(0, Math.floor(from)); index <= Math.min(shown.utc.length - 1, Math.ceil(to)); index++) {
    if (shown.close[index] === null) continue;
    const x = px(index), open = py(shown.open[index]), close = py(shown.close[index]);
    pen.strokeStyle = pen.fillStyle = shown.close[index] >= shown.open[index] ? up : down;
    pen.lineWidth = ratio;
    pen.globalAlpha = 0.75;
    pen.beginPath(); pen.moveTo(x, py(shown.high[index])); pen.lineTo(x, py(shown.low[index])); pen.stroke();
    pen.fillRect(x - body / 2, Math.min(open, close), body, Math.max(ratio, Math.abs(close - open)));
  }
  pen.globalAlpha = 1;
  pen.setLineDash([4 * ratio, 4 * ratio]);
  for (const trade of shown.trades) {
    pen.strokeStyle = trade.pnl >= 0 ? up : down; pen.lineWidth = 1.5 * ratio;
    pen.beginPath(); pen.moveTo(px(barAt(trade.entry_time)), py(trade.entry_price)); pen.lineTo(px(barAt(trade.exit_time)), py(trade.exit_price)); pen.stroke();
  }
  pen.setLineDash([]);
  for (const [levels, shade] of thoughts ? [[thoughts.stop, down], [thoughts.profit, up]] : []) {
    pen.strokeStyle = shade; pen.lineWidth = 2 * ratio;
    for (let index = Math.max(1, Math.floor(from)); index <= Math.min(shown.utc.length - 1, Math.ceil(to)); index++) {
      if (levels[index - 1] === null) continue;  // what stood at the close of a bar rests in the next one
      const y = py(levels[index - 1]);
      pen.beginPath(); pen.moveTo(px(index - 0.5), y); pen.lineTo(px(index + 0.5), y); pen.stroke();
    }
  }
  const size = 6 * ratio;
  for (const fill of shown.fills) {
    const x = px(barAt(fill.utc)), y = py(fill.price), turn = fill.units > 0 ? 1 : -1;
    pen.fillStyle = css(fill.units > 0 ? "--s0" : "--s1");
    pen.beginPath(); pen.moveTo(x, y); pen.lineTo(x - size * 0.8, y + turn * size * 1.5); pen.lineTo(x + size * 0.8, y + turn * size * 1.5); pen.closePath(); pen.fill();
  }
  if (chosen !== null && chosen - shown.start >= 0 && chosen - shown.start < shown.utc.length) {
    pen.strokeStyle = css("--faint"); pen.lineWidth = ratio; const x = px(chosen - shown.start);
    pen.beginPath(); pen.moveTo(x, u.bbox.top); pen.lineTo(x, u.bbox.top + u.bbox.height); pen.stroke();
  }
  pen.restore();
}
async function choose(index) {
  chosen = shown.start + index;
  if (charts[0]) charts[0].redraw(false);
  const second = shown.utc[index];
  const here = shown.fills.filter((fill) => fill.utc === second), trades = shown.trades.filter((trade) => trade.entry_time <= second && trade.exit_time >= second);
  const fact = (name, value) => el("tr", {}, el("td", { class: "left", text: name }), el("td", { text: value }));
  const features = el("div", {}, el("p", { class: "quiet", text: "Reading the features." }));
  put($("bar"),
    el("p", { text: `${when(second)}, bar ${chosen}` }),
    el("table", { class: "dense" }, el("tbody", {}, ["open", "high", "low", "close", "volume"].map((name) => fact(name, show(shown[name][index]))), fact("equity", show(shown.equity[index])), fact("exposure", show((shown.exposure || [])[index])), fact("units wanted, decided at its close", show(shown.target[index])))),
    el("div", { class: "thoughts" }, thoughts ? null : el("p", { class: "quiet", text: "Waiting for what the policy thought." })),
    here.length ? el("h3", { text: "Filled in it" }) : null,
    here.map((fill) => el("p", { class: "quiet", text: `${fill.units > 0 ? "bought" : "sold"} ${plain(Math.abs(fill.units))} at ${plain(fill.price)} (${words(fill.reason)}, decided ${when(fill.decided)}); ${Object.entries(fill.costs).map(([name, cost]) => `${words(name)} ${plain(cost)}`).join(", ") || "no costs"}` })),
    trades.map((trade) => el("p", { class: "quiet", text: `${trade.direction} trade since ${when(trade.entry_time)}, to ${when(trade.exit_time)} (${words(trade.exit_reason)}): ${show(trade.pnl)}; by price alone at best ${show(trade.mfe)}, at worst ${show(trade.mae)}` })),
    el("h3", { text: "Features at its close, not standardised" }), features);
  fillThoughts();
  try {
    const found = await get("/api/bar", { id: runId, symbol: view.symbol, bar: chosen });
    const rows = Object.entries({ ...found.features, ...found.clock }).map(([name, value]) => ({ name, value }));
    const box = el("div", { class: "scroll tall" });
    put(features, box);
    sortHere(box, [{ name: "name", left: true, title: "feature" }, { name: "value" }], rows, { label: "Features" });
  } catch (error) { say(features, error); }
}
async function trades() {
  try {
    const found = await get("/api/trades", { id: runId, order: $("order").value });
    sortHere($("trades"), [
      { name: "ticker", left: true, title: "symbol" }, { name: "direction", left: true }, { name: "entry_time", title: "entered", cell: (row) => when(row.entry_time) },
      { name: "duration_bars", title: "bars" }, { name: "pnl", cell: (row) => el("span", { style: `color:var(${row.pnl >= 0 ? "--pass" : "--fail"})`, text: show(row.pnl) }) },
      { name: "return_pct", title: "%" }, { name: "mae", title: "at worst", help: "the lowest gain while it was held, by price alone: before costs" }, { name: "total_cost_est", title: "costs" }, { name: "exit_reason", left: true, title: "exit" },
    ], found.trades, { label: "Trades", pick: jump });
  } catch (error) { say($("trades"), error); }
}
async function jump(trade) {
  view.symbol = trade.ticker;
  view.count = Math.max(120, Math.min(1500, trade.duration_bars * 3));
  view.start = Math.max(0, trade.entry_bar - Math.round((view.count - trade.duration_bars) / 2));
  await load();
  choose(trade.entry_bar - shown.start);
  $("candles").scrollIntoView({ block: "center" });
}
function move(share) { view.start = Math.max(0, Math.min(shown.num_bars - view.count, shown.start + Math.round(share * view.count))); load(); }
function zoom(factor) { const middle = chosen ?? shown.start + view.count / 2; view.count = Math.max(30, Math.min(2000, Math.round(view.count * factor))); view.start = Math.max(0, Math.round(middle - view.count / 2)); load(); }
document.addEventListener("DOMContentLoaded", async () => {
  $("symbol").addEventListener("change", () => { view.symbol = $("symbol").value; load(); });
  $("back").addEventListener("click", () => move(-0.6)); $("on").addEventListener("click", () => move(0.6));
  $("in").addEventListener("click", () => zoom(0.5)); $("out").addEventListener("click", () => zoom(2));
  $("order").addEventListener("change", trades);
  $("goto").addEventListener("change", async () => {
    const second = Date.parse($("goto").value + "Z") / 1000;
    if (!Number.isFinite(second)) return;
    const bars = Math.round((second - shown.utc[0]) / shown.bar_seconds);  // near enough where sessions have gaps; then by what was found
    view.start = Math.max(0, shown.start + bars - Math.round(view.count / 2));
    await load();
    for (let step = 0; step < 6 && (second < shown.utc[0] || second > shown.utc.at(-1)); step++) { const before = view.start; view.start = Math.max(0, shown.start + Math.round((second - shown.utc[shown.utc.length >> 1]) / shown.bar_seconds / 2)); if (view.start === before) break; await load(); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input,select,textarea") || chosen === null || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const index = chosen - shown.start + (event.key === "ArrowRight" ? 1 : -1);
    if (index >= 0 && index < shown.utc.length) { event.preventDefault(); choose(index); } else move(event.key === "ArrowRight" ? 0.6 : -0.6);
  });
  await load();
  if (shown) trades();
});
