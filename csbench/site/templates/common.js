// What all pages share: the state in the URL's hash, colours of the theme, and drawing.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.body.dataset.root;
  const redraws = [];

  /** The state after # as an object. */
  function state() {
    return Object.fromEntries(new URLSearchParams(location.hash.replace(/^#/, "")));
  }

  /** Change the state; null removes a key. The page's history does not grow. */
  function setState(changes) {
    const all = { ...state(), ...changes };
    const pairs = Object.entries(all).filter(([, value]) => value); // what is empty is an anchor, or nothing
    history.replaceState(null, "", "#" + new URLSearchParams(pairs));
  }

  /** Show a select's value from the state, keep it there, and call back after each change. */
  function bindSelect(id, key, changed) {
    const select = document.getElementById(id);
    if (!select) return null;
    const initial = select.value;
    select.addEventListener("change", () => {
      setState({ [key]: select.value === initial ? null : select.value });
      changed();
    });
    return function restore() {
      const wanted = state()[key];
      select.value = wanted !== undefined && [...select.options].some((o) => o.value === wanted) ? wanted : initial;
    };
  }

  function colour(style) {
    const s = window.csbenchStyles[style % window.csbenchStyles.length];
    return dark.matches ? s.dark : s.light;
  }

  function variable(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function theme() {
    const [ink, muted, rule] = ["--ink", "--muted", "--rule"].map(variable);
    const font = getComputedStyle(document.body).fontFamily;
    return {
      background: "transparent",
      font,
      axis: { labelColor: ink, titleColor: ink, gridColor: rule, domainColor: muted, tickColor: muted, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", gridOpacity: 0.7, labelOverlap: "greedy", labelSeparation: 8 },
      view: { stroke: null },
      text: { color: ink, fontSize: 12 },
    };
  }

  /** Draw a Vega-Lite specification; `make` is called again where the theme changes. */
  function plot(element, make, name, actions = true) {
    async function draw() {
      const options = { actions: actions && { export: true, source: false, compiled: false, editor: false }, renderer: "svg", config: theme(), downloadFileName: name, tooltip: { theme: "custom" } };
      const result = await vegaEmbed(element, make(), options);
      element.dataset.drawn = String(Number(element.dataset.drawn || 0) + 1);
      return result;
    }
    redraws.push(draw);
    return draw;
  }
  dark.addEventListener("change", () => redraws.forEach((draw) => draw()));

  /** An element with attributes and children; text is never read as HTML. */
  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "line", "path", "circle"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children.filter((c) => c !== null));
    return element;
  }

  /** A short line in the colour and with the dashes of a method. */
  function swatch(style) {
    const s = window.csbenchStyles[style % window.csbenchStyles.length];
    const line = make("line", { x1: 1, y1: 6, x2: 33, y2: 6, "stroke-width": 2, "stroke-dasharray": s.dash.join(" ") });
    const dot = make("path", { d: s.shape, transform: "translate(17 6) scale(3.6)" });
    const picture = make("svg", { class: "swatch", viewBox: "0 0 34 12", "aria-hidden": "true" }, line, dot);
    const paint = () => { line.setAttribute("stroke", colour(style)); dot.setAttribute("fill", colour(style)); };
    paint();
    dark.addEventListener("change", paint);
    return picture;
  }

  /** The same for a published curve: dotted and grey, with an open marker. */
  function greySwatch(shape) {
    const line = make("line", { x1: 1, y1: 6, x2: 33, y2: 6, "stroke-width": 1.3, "stroke-dasharray": "1.5 3" });
    const dot = make("path", { d: shape, transform: "translate(17 6) scale(3.6)", fill: "var(--paper)", "stroke-width": 0.35 });
    return make("svg", { class: "swatch", viewBox: "0 0 34 12", stroke: "var(--muted)", "aria-hidden": "true" }, line, dot);
  }

  /** Three significant digits, as a human writes them. */
  function digits(value, count = 3) {
    if (value === null || value === undefined) return "-";
    const text = Number(value).toPrecision(count);
    return text.includes("e") ? String(Number(text)) : text;
  }

  window.csbench = { state, setState, bindSelect, colour, variable, plot, make, swatch, greySwatch, digits, root, height: () => (innerWidth < 640 ? 320 : 440) };
})();
