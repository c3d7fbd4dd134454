// A method's page: its curve on every suite, drawn when it comes into view.
(() => {
  const { plot, colour, variable, digits } = window.csbench;
  const curves = JSON.parse(document.getElementById("curves").textContent);

  function spec(curve) {
    const own = curve.own.flatMap((e, i) => (e && e[0] > 0 ? [{ level: curve.levels[i], value: e[0], low: Math.max(e[1], e[0] / 1e6), high: e[2], interval: `[${digits(e[1])}, ${digits(e[2])}]` }] : []));
    const beside = curve.beside.flatMap((b) => b.values.flatMap((value, i) => (value > 0 ? [{ name: b.name, level: curve.levels[i], value }] : [])));
    const x = { field: "level", type: "quantitative", title: curve.axisTitle, scale: { type: "log", domain: [curve.levels[0] * 0.93, curve.levels[curve.levels.length - 1] * 1.07], nice: false }, axis: { values: curve.levels, format: "~g", grid: false } };
    const y = { field: "value", type: "quantitative", title: null, scale: { type: "log", nice: false }, axis: { format: "~g", tickCount: 5 } };
    const tip = [{ field: "level", title: "at" }, { field: "value", title: "mse", format: ".4g" }];
    return {
      width: "container",
      height: 210,
      autosize: { type: "fit", contains: "padding" },
      layer: [
        { data: { values: own }, mark: { type: "area", color: colour(curve.style), opacity: 0.18 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" } } },
        { data: { values: beside }, mark: { type: "line", color: variable("--muted"), strokeWidth: 1, opacity: 0.8, tooltip: true }, encoding: { x, y, strokeDash: { field: "name", type: "nominal", legend: null, scale: { domain: curve.beside.map((b) => b.name), range: curve.beside.map((b) => (b.lasso ? [4, 3] : [1, 0])) } }, tooltip: [{ field: "name" }] } },
        { data: { values: own }, mark: { type: "line", color: colour(curve.style), strokeWidth: 2 }, encoding: { x, y } },
        { data: { values: own }, mark: { type: "point", color: colour(curve.style), filled: true, size: 40, opacity: 1, tooltip: true }, encoding: { x, y, tooltip: [...tip, { field: "interval", title: "95% interval" }] } },
      ],
    };
  }

  const draws = new Map();
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((e) => e.isIntersecting)) {
      watcher.unobserve(entry.target);
      draws.get(entry.target)();
    }
  }, { rootMargin: "300px" });
  for (const element of document.querySelectorAll("[data-curve]")) {
    const curve = curves[element.dataset.curve];
    if (!curve.own.some(Boolean)) {
      element.textContent = "No complete level.";
      continue;
    }
    draws.set(element, plot(element, () => spec(curve), curve.suite, false));
    watcher.observe(element);
  }
  addEventListener("beforeprint", () => draws.forEach((draw) => draw()));
})();
