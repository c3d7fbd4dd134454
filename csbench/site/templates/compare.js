// Two methods on one suite; the numbers of a suite are loaded when it is chosen. The state is in the query.
(() => {
  const { plot, make, digits, root, variable, height } = window.csbench;
  const element = (id) => document.getElementById(id);
  const query = () => new URLSearchParams(location.search);
  let suite = null;

  function load(name) {
    if (window.csbenchCompare?.[name]) return Promise.resolve(window.csbenchCompare[name]);
    return new Promise((resolve, reject) => {
      const script = make("script", { src: `${root}data/compare-${encodeURIComponent(name)}.js` });
      script.onload = () => resolve(window.csbenchCompare[name]);
      script.onerror = () => reject(new Error(`no numbers of ${name}`));
      document.head.append(script);
    });
  }

  /** Estimates of the ratio, one for each level: {level, value, low, high}, without levels that are not complete. */
  function ratios() {
    const flat = suite.ratios[element("a").value][element("b").value];
    if (!flat) return [];
    return suite.levels.map((level, i) => ({ level, value: flat[3 * i], low: flat[3 * i + 1], high: flat[3 * i + 2] })).filter((r) => r.value !== null);
  }

  const name = (id) => suite.methods[element(id).value];
  const smaller = (r) => (r.high < 1 ? name("a") : r.low > 1 ? name("b") : "cannot be told apart");

  function sentence() {
    const found = ratios().find((r) => r.level === Number(element("at").value));
    if (element("a").value === element("b").value) return "Choose two different methods.";
    if (!found) return "One of the two has no complete results here.";
    const where = `${suite.axis} = ${found.level}`;
    const apart = found.high < 1 || found.low > 1 ? "" : " The two cannot be told apart there.";
    return `${name("a")}'s error is ${digits(found.value)} [${digits(found.low)}, ${digits(found.high)}] times ${name("b")}'s at ${where}.${apart}`;
  }

  function spec() {
    const values = ratios();
    const [first, last] = [suite.levels[0], suite.levels[suite.levels.length - 1]];
    const x = { field: "level", type: "quantitative", title: suite.axisTitle, scale: { type: "log", domain: [first * 0.9, last * 1.1], nice: false }, axis: { values: suite.levels, format: "~g", grid: false } };
    const y = { field: "value", type: "quantitative", title: "ratio of the errors", scale: { type: "log", nice: false, padding: 12 }, axis: { format: "~g", tickCount: 7 } };
    const ink = variable("--link");
    return {
      width: "container",
      height: Math.min(height(), 340),
      autosize: { type: "fit", contains: "padding" },
      layer: [
        { data: { values: [{ value: 1 }] }, mark: { type: "rule", color: variable("--ink"), strokeWidth: 1 }, encoding: { y } },
        { data: { values }, mark: { type: "line", color: ink, strokeWidth: 1, opacity: 0.5 }, encoding: { x, y } },
        { data: { values }, mark: { type: "rule", color: ink, strokeWidth: 2 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" } } },
        { data: { values }, mark: { type: "point", filled: true, color: ink, size: 60, opacity: 1, tooltip: true }, encoding: { x, y, tooltip: ["value", "low", "high"].map((field) => ({ field, format: ".4g" })).concat({ field: "level", title: suite.axis }) } },
      ],
    };
  }

  const drawPlot = plot(element("plot"), () => (suite ? spec() : {}), "ratio");

  function show() {
    element("sentence").textContent = sentence();
    element("level-heading").textContent = element("at-name").textContent = suite.axis;
    const cells = (r) => [make("td", { class: "n" }, String(r.level)), make("td", { class: "n" }, digits(r.value)), make("td", { class: "n" }, `[${digits(r.low)}, ${digits(r.high)}]`), make("td", { class: "rank" }, smaller(r))];
    element("ratios").tBodies[0].replaceChildren(...ratios().map((r) => make("tr", {}, ...cells(r))));
    drawPlot();
  }

  function remember() {
    const now = new URLSearchParams({ suite: suite.name, a: name("a"), b: name("b"), at: element("at").value });
    history.replaceState(null, "", `?${now}`);
  }

  function fill(select, options, value) {
    select.replaceChildren(...options.map(([key, text]) => make("option", { value: key }, text)));
    select.value = value;
  }

  async function open(wanted) {
    const names = [...element("suite").options].map((o) => o.value);
    const chosen = names.includes(wanted.get("suite")) ? wanted.get("suite") : names[0];
    element("suite").value = chosen;
    suite = await load(chosen);
    const position = (method, otherwise) => (suite.methods.includes(method) ? suite.methods.indexOf(method) : otherwise);
    const lasso = position(suite.reference, Math.min(1, suite.methods.length - 1));
    const a = position(wanted.get("a"), 0);
    const methods = suite.methods.map((method, i) => [i, method]);
    fill(element("a"), methods, a);
    fill(element("b"), methods, position(wanted.get("b"), lasso === a ? Number(a === 0) : lasso));
    const levels = suite.levels.map((level) => [level, level]);
    const middle = suite.levels[Math.floor((suite.levels.length - 1) / 2)];
    fill(element("at"), levels, suite.levels.includes(Number(wanted.get("at"))) && wanted.has("at") ? Number(wanted.get("at")) : middle);
    show();
  }

  element("suite").addEventListener("change", async () => {
    const now = query();
    now.set("suite", element("suite").value);
    now.delete("at");
    await open(now);
    remember();
  });
  for (const id of ["a", "b", "at"]) element(id).addEventListener("change", () => { remember(); show(); });
  element("swap").addEventListener("click", () => {
    [element("a").value, element("b").value] = [element("b").value, element("a").value];
    remember();
    show();
  });
  open(query());
})();
