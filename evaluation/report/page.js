// What a report does in a browser; without it everything is still there to be read.
"use strict";
(() => {
  const NS = "http://www.w3.org/2000/svg";
  const at = (event, svg) => { const box = svg.getBoundingClientRect(); return ((event.clientX - box.left) * svg.viewBox.baseVal.width) / box.width; };
  const day = (second, whole) => new Date(second * 1000).toISOString().slice(0, whole ? 16 : 10).replace("T", " ");

  for (const svg of document.querySelectorAll("svg.chart[data-times]")) {
    const left = Number(svg.dataset.left), right = Number(svg.dataset.right), height = Number(svg.dataset.height), top = Number(svg.dataset.top);
    let last = 0;
    const times = svg.dataset.times.split(" ").map((step) => (last += Number(step)));
    const plot = svg.querySelector("g.plot"), dates = svg.querySelector("g.dates");
    const lines = [...plot.querySelectorAll("polyline[data-v]")].map((line) => ({
      line, name: line.dataset.name, values: line.dataset.v.split(" "), xs: line.getAttribute("points").split(" ").map((point) => Number(point.split(",")[0])),
    }));
    const readout = document.createElement("div");
    readout.className = "readout";
    svg.after(readout);
    const rule = svg.appendChild(document.createElementNS(NS, "line"));
    rule.setAttribute("class", "cursor");
    rule.setAttribute("y1", top); rule.setAttribute("y2", top + height);
    const band = svg.appendChild(document.createElementNS(NS, "rect"));
    band.setAttribute("class", "band"); band.setAttribute("y", top); band.setAttribute("height", height); band.setAttribute("width", 0);
    let scale = 1, shift = 0, from = null, ends = [];
    const back = (x) => (x - shift) / scale;
    const column = (x) => Math.max(0, Math.min(times.length - 1, Math.round(((back(x) - left) / (right - left)) * (times.length - 1))));
    const fine = Number(svg.dataset.exact) === 1;
    const zoom = (a, b) => {
      scale = (right - left) / (b - a); shift = left - a * scale;
      plot.setAttribute("transform", `translate(${shift} 0) scale(${scale} 1)`);
      dates.setAttribute("visibility", scale === 1 ? "visible" : "hidden");
      ends.forEach((node) => node.remove());
      ends = scale === 1 ? [] : [[left, "start"], [(left + right) / 2, "middle"], [right, "end"]].map(([x, anchor]) => {
        const text = svg.appendChild(document.createElementNS(NS, "text"));
        text.setAttribute("class", "tick"); text.setAttribute("x", x); text.setAttribute("y", top + height + 18); text.setAttribute("text-anchor", anchor);
        text.textContent = day(times[column(x)], true);
        return text;
      });
    };
    const tell = (x) => {
      const place = column(x), inside = back(x);
      rule.setAttribute("x1", x); rule.setAttribute("x2", x); rule.style.visibility = "visible";
      const until = times[Math.min(place + 1, times.length - 1)];
      const when = fine ? day(times[place], true) : day(times[place]) === day(until) ? day(until) : `${day(times[place])} to ${day(until)}`;
      const parts = lines.filter((one) => !one.line.classList.contains("off")).map((one) => {
        let low = 0, high = one.xs.length - 1;
        while (low < high) { const middle = (low + high) >> 1; if (one.xs[middle] < inside) low = middle + 1; else high = middle; }
        if (low > 0 && inside - one.xs[low - 1] < one.xs[low] - inside) low--;
        return `${one.name} ${one.values[low]}`;
      });
      readout.textContent = `${when} UTC: ${parts.reverse().join(", ")}`;
    };
    svg.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse") { from = Math.max(left, Math.min(right, at(event, svg))); event.preventDefault(); } });
    svg.addEventListener("pointermove", (event) => {
      const x = Math.max(left, Math.min(right, at(event, svg)));
      tell(x);
      if (from !== null) { band.setAttribute("x", Math.min(from, x)); band.setAttribute("width", Math.abs(x - from)); }
    });
    addEventListener("pointerup", (event) => {
      if (from === null) return;
      const x = Math.max(left, Math.min(right, at(event, svg))), begun = from;
      from = null; band.setAttribute("width", 0);
      if (Math.abs(x - begun) > 8) zoom(back(Math.min(begun, x)), back(Math.max(begun, x)));
    });
    svg.addEventListener("dblclick", () => zoom(left, right));
    svg.addEventListener("pointerleave", () => { rule.style.visibility = "hidden"; if (from === null) readout.textContent = ""; });
  }

  for (const key of document.querySelectorAll(".legend > span")) {
    const style = [...(key.querySelector("i.key") || key).classList].find((name) => /^s\d+$/.test(name));
    const card = key.closest(".card");
    const drawn = style && card ? [...card.querySelectorAll(`svg .line.${style}, svg .area.${style}`)] : [];
    if (!drawn.length) continue;
    key.setAttribute("role", "button"); key.tabIndex = 0; key.setAttribute("aria-pressed", "true");
    const turn = () => { const off = key.getAttribute("aria-pressed") === "true"; key.setAttribute("aria-pressed", String(!off)); drawn.forEach((node) => node.classList.toggle("off", off)); };
    key.addEventListener("click", turn);
    key.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); turn(); } });
  }

  const number = (text) => { const found = text.replace(/\u2212/g, "-").replace(/,/g, "").match(/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?/i); return found ? Number(found[0]) : null; };
  for (const table of document.querySelectorAll(".scroll table")) {
    const [head, ...rows] = table.rows, heads = head ? [...head.cells] : [];
    if (rows.length < 2 || !heads.length || heads.some((cell) => cell.tagName !== "TH")) continue;
    heads.forEach((cell, place) => {
      cell.tabIndex = 0; cell.classList.add("sortable");
      const sort = () => {
        const down = cell.getAttribute("aria-sort") !== "descending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => { const text = row.cells[place] ? row.cells[place].textContent.trim() : ""; return text === "" || text === "\u2013" ? null : number(text) ?? text; };
        rows.map((row) => [row, value(row)]).sort(([, a], [, b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
          const order = a < b ? -1 : a > b ? 1 : 0;
          return down ? -order : order;
        }).forEach(([row]) => row.parentNode.appendChild(row));
      };
      cell.addEventListener("click", sort);
      cell.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); } });
    });
  }
})();
