// The chart of a job: how fast it went, and why. Colours are those of the page, so that it follows light and dark.
"use strict";

(() => {
  const place = document.getElementById("chart");
  if (!place) return;
  const why = document.getElementById("chart-why");
  const empty = document.getElementById("chart-empty");
  const ABOUT = { chunk_size: "Orders a call", concurrency: "Calls at once", pace: "Pace" };
  const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const sayTime = (at) => clock.format(new Date(at * 1000));
  let plots = [];
  let columns = null;

  // While a job waits there is nothing to see: of a pause a narrow gap is drawn, and what was measured has the room.
  const PAUSE_S = 150;
  let pauses = []; // from which place on, and how much of the time before it is not drawn
  const sayPlace = (place_) => sayTime(place_ + (pauses.findLast(([from]) => place_ >= from)?.[1] ?? 0));
  const shorten = (found) => {
    const { at, changes, ...series } = found;
    const idle = at.map((one, index) => (index && one - at[index - 1] > PAUSE_S ? one - at[index - 1] : 0));
    const worked = (at.at(-1) ?? 0) - (at[0] ?? 0) - idle.reduce((sum, one) => sum + one, 0);
    const gap = Math.max(2, worked * 0.04);
    const drawn = { at: [], changes, span: [at[0], at.at(-1)] };
    for (const name of Object.keys(series)) drawn[name] = [];
    const add = (one, index) => {
      drawn.at.push(one);
      for (const [name, values] of Object.entries(series)) drawn[name].push(index === null ? null : values[index]);
    };
    let cut = 0;
    pauses = [];
    for (const [index, one] of at.entries()) {
      if (idle[index]) {
        add(at[index - 1] - cut + gap / 2, null);
        cut += idle[index] - gap;
        pauses.push([one - cut, cut]);
      }
      add(one - cut, index);
    }
    return drawn;
  };

  // A custom property may hold light-dark(): only an element that uses it tells the colour.
  const probe = document.createElement("span");
  probe.hidden = true;
  place.after(probe);
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };

  const axis = (options) => ({
    stroke: colour("quiet"),
    grid: { stroke: colour("line"), width: 1 },
    ticks: { stroke: colour("line"), width: 1 },
    font: "12px system-ui, sans-serif",
    ...options,
  });
  const line = (label, name, options = {}) => ({
    label, stroke: colour(name), width: 2, points: { show: false }, value: (_, value) => (value ?? "–"), ...options,
  });
  const from0 = (_, low, high) => [0, Math.max(1, high * 1.1)];
  const options = (series, height, ...right) => ({
    width: Math.max(260, place.clientWidth), height, series: [{ label: "Time", value: (_, at) => (at === null ? "–" : sayPlace(at)) }, ...series],
    axes: [axis({ incrs: STEPS, space: 84, values: (_, places) => places.map(sayPlace) }), axis({ size: 56 }), ...right],
    scales: { y: { range: from0 }, orders: { range: from0 } },
    cursor: { sync: { key: "job" }, drag: { x: true, y: false } },
    hooks: { setCursor: [(plot) => place.classList.toggle("is-read", plot.cursor.idx !== null)] },
    legend: { live: true },
  });

  // A pace is often some calls a minute: beside dozens of calls at once it would be a line on the ground.
  const isPaced = () => columns.pace.some((one) => one !== null);
  const aMinute = (values) => values.map((one) => (one === null ? null : Math.round(one * 600) / 10));
  const pace = () => [columns.at, aMinute(columns.pace), aMinute(columns.calls)];

  const draw = () => {
    for (const plot of plots) plot.destroy();
    plots = [];
    place.replaceChildren();
    if (!columns || columns.at.length < 2) return; // one moment is no line
    const height = place.clientWidth < 500 ? 150 : 180;
    const bars = uPlot.paths.bars({ size: [0.6, 8] });
    plots.push(new uPlot(
      options([
        line("orders/s", "accepted", { fill: colour("accepted-soft") }),
        line("calls refused", "refused", { paths: bars, fill: colour("refused"), width: 0 }),
      ], height),
      [columns.at, columns.orders, columns.refused], place,
    ));
    plots.push(new uPlot(
      options([
        line("calls allowed at once", "sending", { dash: [6, 4] }),
        line("calls under way", "sending"),
        line("orders a call, on the right", "invalid-text", { scale: "orders" }),
      ], height, axis({ side: 1, scale: "orders", size: 46, grid: { show: false } })),
      [columns.at, columns.concurrency, columns.in_flight, columns.chunk_size], place,
    ));
    if (!isPaced()) return;
    plots.push(new uPlot(
      options([
        line("calls a minute allowed", "unconfirmed", { dash: [6, 4] }),
        line("calls a minute made", "unconfirmed-text"),
      ], height),
      pace(), place,
    ));
  };
  const feed = () => {
    if (plots.length !== (isPaced() ? 3 : 2)) return draw();
    plots[0].setData([columns.at, columns.orders, columns.refused]);
    plots[1].setData([columns.at, columns.concurrency, columns.in_flight, columns.chunk_size]);
    if (isPaced()) plots[2].setData(pace());
  };
  const tell = () => {
    why.replaceChildren(...columns.changes.slice().reverse().map((change) => {
      const item = document.createElement("li");
      const parts = [sayTime(change.at), ABOUT[change.about] || change.about, change.why];
      for (const [index, text] of parts.entries()) {
        const part = document.createElement(index < 2 ? "span" : "div");
        part.textContent = text;
        item.append(part);
      }
      return item;
    }));
    why.hidden = !columns.changes.length;
    const [first, last] = columns.span;
    const most = Math.max(0, ...columns.orders).toLocaleString(undefined, { maximumFractionDigits: 1 });
    place.setAttribute("aria-label", columns.at.length > 1
      ? `Orders a second, calls at once and orders a call, from ${sayTime(first)} to ${sayTime(last)}; at most ${most} orders a second`
      : "Nothing was measured");
  };

  const load = async () => {
    const answer = await fetch(place.dataset.chart, { headers: { accept: "application/json", "x-unattended": "1" } }).catch(() => null);
    if (!answer || !answer.ok) return;
    columns = shorten(await answer.json());
    empty.hidden = columns.at.length > 1;
    feed();
    tell();
  };
  document.body.addEventListener(`slowly:${place.dataset.topic}`, load);
  document.addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let width = place.clientWidth;
  new ResizeObserver(() => {
    if (place.clientWidth !== width) {
      width = place.clientWidth;
      for (const plot of plots) plot.setSize({ width: Math.max(260, width), height: plot.height });
    }
  }).observe(place);
  load();
})();
