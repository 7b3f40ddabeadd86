// The lake: what there is of each series, what is missing of it, what was wrong with the deliveries.
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  let found;
  try { found = await get("/api/lake"); } catch (error) { $("subtitle").textContent = ""; say($("trouble"), error); return; }
  $("subtitle").textContent = found.rows.length ? `${found.lake}: ${found.rows.length} series, ${found.bars.toLocaleString("en-GB")} bars, ${(found.bytes / 1e6).toFixed(1)} MB` : `${found.lake} holds nothing yet: python -m rayjobs.ingest source=... brings bars into it.`;
  put($("trouble"), found.troubles.map((text) => el("p", { class: "warn", text })), found.left_out ? el("p", { class: "warn", text: `${found.left_out} further series are not shown; python -m rayjobs.ingest inventory has all.` }) : null);
  later(found.rows.length > 0);
  if (found.rows.length) sortHere($("series"), Object.keys(found.rows[0]).map((name, index) => ({ name, left: index < 2 })), found.rows, { label: "Series" });
  put($("gaps"), found.gaps.length ? found.gaps.map((one) => el("p", {}, el("b", { text: one.symbol }), ` ${one.bar} of ${one.source} (${one.calendar}): `,
    one.open_windows.length ? `never fetched: ${one.open_windows.slice(0, 10).map(([from, to]) => `${from} to ${to}`).join(", ")}${one.open_windows.length > 10 ? ` and ${one.open_windows.length - 10} more` : ""}. ` : "",
    one.empty_sessions ? `${one.empty_sessions} sessions without any bar: ${one.empty_dates.join(", ")}${one.empty_sessions > one.empty_dates.length ? " and more" : ""}.` : "")) : el("p", { class: "quiet", text: "No window that was never fetched and no session without any bar." }));
  if (found.defects.length) sortHere($("defects"), [{ name: "0", title: "kind", left: true }, { name: "1", title: "bars", cell: (row) => row[1].toLocaleString("en-GB") }, { name: "2", title: "what became of them", left: true, style: "words" }], found.defects, { label: "Defects" });
  else put($("defects"), nothing("Nothing."));
});
