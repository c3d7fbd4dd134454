// A suite's page: curves, table, cost, pictures.
(() => {
  const { state, setState, bindSelect, colour, variable, plot, make, swatch, greySwatch, digits, root, height } = window.csbench;
  const suite = window.csbenchSuite;
  const byName = new Map(suite.methods.map((method) => [method.name, method]));
  const restores = [];
  const element = (id) => document.getElementById(id);

  // ---- which methods are drawn

  /** The first of the ranking of each family; methods are in the order of the ranking. */
  function bestOfEach() {
    return suite.families.map((family) => suite.methods.find((m) => m.family === family && m.curves.mse.some(Boolean))).filter(Boolean).map((m) => m.name);
  }

  /** What is drawn at first: the best of each family, and the next in the ranking where there are few families. */
  function standard() {
    const names = bestOfEach();
    const rest = suite.methods.map((m) => m.name).filter((name) => !names.includes(name));
    return [...names, ...rest.slice(0, Math.max(0, 6 - names.length))];
  }

  function chosen() {
    const wanted = state().methods;
    if (wanted === undefined) return standard();
    return wanted.split(",").filter((name) => byName.has(name));
  }

  function choose(names) {
    const first = standard();
    const same = names.length === first.length && names.every((name) => first.includes(name));
    setState({ methods: same ? null : names.length ? names.join(",") : "-" });
    showChoice();
    drawCurves();
  }

  function makeCheckboxes() {
    for (const family of suite.families) {
      const boxes = make("div", { class: "boxes" });
      for (const method of suite.methods.filter((m) => m.family === family)) {
        const box = make("input", { type: "checkbox", value: method.name });
        box.addEventListener("change", () => choose([...element("checkboxes").querySelectorAll("input:checked")].map((b) => b.value)));
        boxes.append(make("label", {}, box, swatch(method.style), make("span", {}, method.name)));
      }
      element("checkboxes").append(make("fieldset", {}, make("legend", {}, family), boxes));
    }
    for (const button of document.querySelectorAll("[data-choose]")) {
      button.addEventListener("click", () => {
        const kind = button.dataset.choose;
        choose(kind === "all" ? suite.methods.map((m) => m.name) : kind === "none" ? [] : bestOfEach());
      });
    }
  }

  function showChoice() {
    const names = new Set(chosen());
    for (const box of element("checkboxes").querySelectorAll("input")) box.checked = names.has(box.value);
    const shown = suite.methods.filter((m) => names.has(m.name)).map((m) => make("span", {}, swatch(m.style), m.name));
    const grey = publishedCurves().map((p, i) => make("span", { class: "published" }, greySwatch(shapeOf(i)), `${p.label}, published`));
    element("legend").replaceChildren(...shown, ...grey);
  }

  const publishedCurves = () => suite.published.filter((p) => p.metric === element("metric").value);
  const shapeOf = (i) => window.csbenchStyles[i % window.csbenchStyles.length].shape;

  // ---- curves

  function curvesSpec() {
    const metric = element("metric").value;
    const log = element("scale").value === "log";
    const names = new Set(chosen());
    const shown = suite.methods.filter((m) => names.has(m.name));
    const drawable = (value) => value !== null && (!log || value > 0);
    const points = shown.flatMap((m) =>
      m.curves[metric].flatMap((e, i) =>
        e && drawable(e[0]) ? [{ method: m.name, level: suite.levels[i], value: e[0], low: drawable(e[1]) ? e[1] : e[0], high: e[2], images: m.images[i], interval: `[${digits(e[1])}, ${digits(e[2])}]` }] : []));
    const floors = metric === "mse" ? shown.filter((m) => m.floor !== null).map((m) => ({ method: m.name, value: m.floor })) : [];
    const published = publishedCurves().flatMap((p, i) => p.points.map(([level, value]) => ({ label: `${p.label}, published`, level, value, shape: i })));
    element("floor-note").hidden = !floors.length;
    const style = (m) => window.csbenchStyles[m.style % window.csbenchStyles.length];
    const coded = shown.length ? {
      color: { field: "method", type: "nominal", legend: null, scale: { domain: shown.map((m) => m.name), range: shown.map((m) => colour(m.style)) } },
    } : {};
    const byMethod = (key) => ({ field: "method", type: "nominal", legend: null, scale: { domain: shown.map((m) => m.name), range: shown.map((m) => style(m)[key]) } });
    const [first, last] = [suite.levels[0], suite.levels[suite.levels.length - 1]];
    const x = { field: "level", type: "quantitative", title: suite.axisTitle, scale: { type: "log", domain: [first * 0.93, last * 1.07], nice: false }, axis: { values: suite.levels, format: "~g", grid: false } };
    const y = { field: "value", type: "quantitative", title: suite.metrics[metric].label, scale: log ? { type: "log", nice: false } : { type: "linear", zero: false, nice: true }, axis: { format: log || metric.startsWith("m") ? "~g" : "~f", tickCount: 8 } };
    const grey = variable("--muted");
    return {
      width: "container",
      height: height(),
      autosize: { type: "fit", contains: "padding" },
      resolve: { scale: { color: "independent", strokeDash: "independent", shape: "independent" } },
      layer: [
        { data: { values: points }, mark: { type: "area", opacity: 0.15, clip: true }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, ...coded } },
        { data: { values: floors }, mark: { type: "rule", strokeDash: [5, 5], strokeWidth: 0.8 }, encoding: { y, ...coded } },
        { data: { values: published }, mark: { type: "line", color: grey, strokeDash: [1.5, 3], strokeWidth: 1.3, clip: true }, encoding: { x, y, detail: { field: "label" } } },
        {
          data: { values: published },
          mark: { type: "point", fill: variable("--paper"), stroke: grey, strokeWidth: 1, size: 34, opacity: 1, clip: true },
          encoding: {
            x, y,
            shape: { field: "shape", type: "nominal", legend: null, scale: { domain: suite.published.map((_, i) => i), range: suite.published.map((_, i) => shapeOf(i)) } },
            tooltip: [{ field: "label", title: "curve" }, { field: "level", title: suite.axis }, { field: "value", format: ".4g" }],
          },
        },
        { data: { values: points }, mark: { type: "line", strokeWidth: 2, clip: true }, encoding: { x, y, ...coded, ...(shown.length ? { strokeDash: byMethod("dash") } : {}) } },
        { data: { values: points }, mark: { type: "point", filled: true, size: 42, opacity: 1 }, encoding: { x, y, ...coded, ...(shown.length ? { shape: byMethod("shape") } : {}) } },
        {
          data: { values: points },
          mark: { type: "point", filled: true, size: 300, opacity: 0, tooltip: true },
          encoding: { x, y, tooltip: [{ field: "method" }, { field: "level", title: suite.axis }, { field: "value", title: metric, format: ".4g" }, { field: "interval", title: "95% interval" }, { field: "images", title: "images" }] },
        },
      ].filter((layer) => layer.data.values.length),
    };
  }

  const drawCurves = plot(element("plot"), curvesSpec, `${suite.name}-curves`);

  /** The axis that suits a metric, unless the reader chose one. */
  function showScale() {
    const wanted = state().y;
    element("scale").value = wanted ?? (suite.metrics[element("metric").value].log ? "log" : "linear");
  }

  function bindCurves() {
    for (const option of element("metric").options) option.disabled = !suite.methods.some((m) => m.curves[option.value].some(Boolean));
    restores.push(bindSelect("metric", "metric", () => { setState({ y: null }); showScale(); showChoice(); drawCurves(); }));
    element("scale").addEventListener("change", () => { setState({ y: element("scale").value }); drawCurves(); });
  }

  // ---- table

  const table = element("table");
  const rows = [...table.tBodies[0].rows];
  const headings = [...table.tHead.rows[0].cells];

  function sortTable() {
    const [key, direction] = (state().sort ?? "rank:ascending").split(":");
    const column = Math.max(0, headings.findIndex((th) => th.dataset.key === key));
    const sign = direction === "descending" ? -1 : 1;
    const value = (row) => row.cells[column].dataset.sort;
    const ordered = [...rows].sort((a, b) => {
      const [p, q] = [value(a), value(b)];
      if (p === "" || q === "") return (p === "") - (q === ""); // what is missing is last in both directions
      const numbers = !isNaN(p) && !isNaN(q);
      return sign * (numbers ? p - q : p.localeCompare(q));
    });
    table.tBodies[0].append(...ordered);
    headings.forEach((th, i) => (i === column ? th.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending") : th.removeAttribute("aria-sort")));
  }

  function bindSort() {
    for (const th of headings) {
      th.querySelector("button").addEventListener("click", () => {
        const direction = th.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        setState({ sort: th.dataset.key === "rank" && direction === "ascending" ? null : `${th.dataset.key}:${direction}` });
        sortTable();
      });
    }
  }

  function filterTable() {
    const wanted = { family: element("filter-family").value, oracle: element("filter-oracle").value, learned: element("filter-learned").value };
    for (const row of rows) row.hidden = Object.entries(wanted).some(([key, value]) => value !== "" && row.dataset[key] !== value);
    const count = rows.filter((row) => !row.hidden).length;
    element("count").textContent = count === rows.length ? `${count} methods` : `${count} of ${rows.length} methods`;
  }

  /** The column of savings at the m that is chosen. */
  function showSavings() {
    const select = element("saving-at");
    if (!select) return;
    const column = headings.findIndex((th) => th.dataset.key === "saving");
    headings[column].querySelector("button").textContent = `saving at ${select.selectedOptions[0].text}`;
    for (const row of rows) {
      const [text, interval, sort] = byName.get(row.dataset.method).savings[select.value];
      row.cells[column].dataset.sort = sort ?? "";
      row.cells[column].replaceChildren(text, ...(interval ? [" ", make("small", {}, interval)] : []));
    }
    sortTable();
  }

  // ---- cost

  const COSTS = {
    seconds: { title: "CPU seconds per image", short: "CPU s / image", format: ".3g" },
    applications: { title: "applications of A and its adjoint per image", short: "A / image", format: ".4g" },
  };

  function costSpec() {
    const at = Number(element("cost-at").value);
    const by = element("cost-by")?.value ?? "seconds";
    const points = suite.methods
      .filter((m) => m.curves.mse[at] && m.curves.mse[at][0] > 0 && m[by][at] > 0)
      .map((m) => ({ method: m.name, family: m.family, style: m.style, cost: m[by][at], error: m.curves.mse[at][0], interval: `[${digits(m.curves.mse[at][1])}, ${digits(m.curves.mse[at][2])}]` }))
      .sort((a, b) => a.cost - b.cost || a.error - b.error);
    let least = Infinity;
    for (const point of points) {
      point.front = point.error < least;
      least = Math.min(least, point.error);
    }
    const front = points.filter((p) => p.front);
    const coded = { field: "method", type: "nominal", legend: null, scale: { domain: points.map((p) => p.method), range: points.map((p) => colour(p.style)) } };
    const style = (p) => window.csbenchStyles[p.style % window.csbenchStyles.length];
    const x = { field: "cost", type: "quantitative", title: COSTS[by].title, scale: { type: "log", nice: false, padding: 30 }, axis: { format: "~g", grid: true, tickCount: 8 } };
    const y = { field: "error", type: "quantitative", title: suite.metrics.mse.label, scale: { type: "log", nice: false, padding: 24 }, axis: { format: "~g", tickCount: 8 } };
    // below the front there are no points, so that is where the names go, and that of the last ends at its point
    const last = front.slice(-1);
    const flat = front.length > 1 && last[0].error > 0.8 * front[front.length - 2].error;
    const names = (here, mark) => ({ data: { values: here }, mark: { type: "text", ...mark }, encoding: { x, y, text: { field: "method" } } });
    return {
      width: "container",
      height: height(),
      autosize: { type: "fit", contains: "padding" },
      data: { values: points },
      layer: [
        { data: { values: front }, mark: { type: "line", interpolate: "step-after", color: variable("--muted"), strokeWidth: 1.2 }, encoding: { x, y } },
        {
          mark: { type: "point", filled: true, size: 80, opacity: 1, tooltip: true },
          encoding: {
            x, y, color: coded,
            opacity: { condition: { test: "datum.front", value: 1 }, value: 0.55 },
            shape: { field: "method", type: "nominal", legend: null, scale: { domain: points.map((p) => p.method), range: points.map((p) => style(p).shape) } },
            tooltip: [{ field: "method" }, { field: "family" }, { field: "cost", title: COSTS[by].short, format: COSTS[by].format }, { field: "error", title: "mse", format: ".4g" }, { field: "interval", title: "95% interval" }],
          },
        },
        names(front.slice(0, -1), { align: "left", dx: 5, dy: 14 }),
        names(last, { align: "right", dx: -7, dy: flat ? -8 : 12 }),
      ],
    };
  }

  const drawCost = plot(element("cost-plot"), costSpec, `${suite.name}-cost`);

  // ---- pictures

  const SIDE = 112;

  /** One picture out of a sheet with a row for each level and a column for each image. */
  function crop(sheet, size, rows, columns, row, column, alternative) {
    const scale = SIDE / size[0];
    const [w, h] = [SIDE, Math.round(size[1] * scale)];
    const image = make("img", { src: `${root}gallery/${encodeURIComponent(suite.name)}/${sheet}.png`, alt: alternative, loading: "lazy", style: `width:${w * columns}px;height:${h * rows}px;left:${-w * column}px;top:${-h * row}px` });
    return make("span", { class: "crop", style: `height:${h}px` }, image);
  }

  function showGallery() {
    const gallery = suite.gallery;
    if (!gallery) return;
    const [image, level] = [Number(element("gallery-image").value), Number(element("gallery-at").value)];
    const [columns, rows] = [gallery.images.length, gallery.levels.length];
    const at = `${suite.axis} = ${gallery.levels[level]}`;
    const number = `image ${gallery.images[image]}`;
    const figure = (picture, ...words) => make("figure", {}, picture, make("figcaption", {}, ...words));
    const figures = [figure(crop("_truth", gallery.size, 1, columns, 0, image, `${number}, truth`), "truth")];
    if (gallery.measured) figures.push(figure(crop("_measurements", gallery.measured, rows, columns, level, image, `${number}, measurements at ${at}`), "measurements"));
    const methods = gallery.methods.filter((m) => m.errors[level][image] !== null);
    if (element("gallery-order").value === "error") methods.sort((a, b) => a.errors[level][image] - b.errors[level][image]);
    for (const method of methods) {
      const error = digits(1000 * method.errors[level][image]);
      const picture = crop(method.page, gallery.size, rows, columns, level, image, `${number} as recovered by ${method.name} at ${at}, error ${error} / 1000`);
      figures.push(figure(picture, make("a", { href: `${root}method/${method.page}.html` }, method.name), make("span", {}, error)));
    }
    element("gallery-images").replaceChildren(...figures);
  }

  // ---- all together

  function restore() {
    restores.forEach((one) => one && one());
    showScale();
    showChoice();
    filterTable();
    showSavings();
    sortTable();
    drawCurves();
    drawCost();
    showGallery();
  }

  if (innerWidth < 640) element("choice").open = false;
  makeCheckboxes();
  bindCurves();
  bindSort();
  for (const key of ["family", "oracle", "learned"]) restores.push(bindSelect(`filter-${key}`, key, filterTable));
  restores.push(bindSelect("saving-at", "saving", showSavings));
  restores.push(bindSelect("cost-at", "cost", drawCost), bindSelect("cost-by", "cost-by", drawCost));
  for (const key of ["image", "at", "order"]) restores.push(bindSelect(`gallery-${key}`, `gallery-${key}`, showGallery));
  addEventListener("hashchange", () => { if (!/^#[^=]+$/.test(location.hash)) restore(); }); // an anchor is no state
  restore();
})();
