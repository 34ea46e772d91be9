/* The table of defects, the threshold's card, and the facts under the picture. */
(function () {
  "use strict";
  const { state, on, emit, get, el, icon, fill, say, sizes } = window.inspect;
  const columns = [["decision", ""], ["kind", "Kind"], ["score", "Score"], ["length", "Length"], ["width", "Width"], ["area", "Area"]];
  const verdicts = { accepted: "Accepted", rejected: "Rejected", changed: "Kind changed", redrawn: "Redrawn", added: "Added by hand" };
  let rows = new Map();

  function table() {
    const target = get("defects");
    if (!state.outlines.length || !state.order.length) {
      rows = new Map();
      return fill(target, el("p", { class: "hint none" }, nothing()));
    }
    const head = el("tr", {}, columns.map(([by, name]) => header(by, name)));
    rows = new Map(state.order.map((outline) => [outline.id, row(outline)]));
    const scrolled = target.scrollTop;
    const focused = target.contains(document.activeElement) && document.activeElement.matches("tr");
    fill(target, el("table", { "aria-label": "Defects", "aria-rowcount": state.order.length }, el("thead", {}, head), el("tbody", {}, [...rows.values()])));
    target.scrollTop = scrolled;
    mark();
    if (focused && rows.get(state.chosen)) rows.get(state.chosen).focus({ preventScroll: true });
  }

  function nothing() {
    if (!state.name) return "Choose a scan to see its defects.";
    if (state.measuring) return "The outlines are being measured.";
    if (state.outlines.length) return "None of the " + state.outlines.length + " defects is in this list.";
    if (state.info && state.info.has_map) return "Nothing was found at this threshold.";
    if (state.entry && state.entry.state === "running") return "The scan is being inspected.";
    if (state.info && state.entry && state.entry.state === "failed") return "The inspection failed: " + (state.entry.error || "the reason is not known") + ".";
    return state.info ? "This scan has not been inspected yet." : "";
  }

  function header(by, name) {
    const sorted = state.sort.by === by;
    const unit = ["length", "width", "area"].includes(by) ? el("small", {}, sizes.unit(by)) : null;
    const inside = name ? [el("span", { class: "by" }, name), unit] : [el("span", { class: "unseen" }, "Decision"), icon("check")];
    const press = () => { state.sort = { by, down: sorted ? !state.sort.down : by !== "kind" }; emit("sort"); get("sort-" + by).focus(); };
    const sort = sorted ? (state.sort.down ? "descending" : "ascending") : "none";
    return el("th", { scope: "col", "aria-sort": sort, class: by }, el("button", { type: "button", id: "sort-" + by, onclick: press, title: "Sort by " + (name || "decision").toLowerCase() }, ...inside));
  }

  function row(outline) {
    const verdict = verdicts[outline.decision] || "Undecided";
    const sign = el("span", { class: "verdict " + (outline.decision || "open"), role: "img", "aria-label": verdict, title: verdict });
    const dot = el("i", { class: "swatch", "aria-hidden": "true" });
    dot.style.background = window.inspect.colour({ ...outline, decision: null });
    const made = el(
      "tr",
      { class: outline.decision || "open", tabindex: "-1", "data-id": outline.id },
      el("td", {}, sign), el("td", { class: "kind" }, dot, outline.kind),
      el("td", { class: "number" }, outline.score === null ? "–" : outline.score.toFixed(2)),
      ...["length", "width", "area"].map((what) => el("td", { class: "number" }, sizes.shown(outline, what))),
    );
    made.addEventListener("click", () => { window.inspect.choose(outline.id); if (window.matchMedia("(max-width: 480px)").matches) emit("view-tab", "picture"); });
    made.addEventListener("focus", () => { if (state.chosen !== outline.id) window.inspect.choose(outline.id, { near: true }); });
    return made;
  }

  function mark() {
    rows.forEach((found, id) => {
      const chosen = id === state.chosen;
      if (chosen === (found.getAttribute("aria-selected") === "true")) return;
      found.setAttribute("aria-selected", chosen);
      found.tabIndex = chosen ? 0 : -1;
    });
    const chosen = rows.get(state.chosen);
    if (chosen) chosen.scrollIntoView({ block: "nearest" });
    else if (rows.size) rows.values().next().value.tabIndex = 0;
  }

  function counts() {
    const target = get("defect-filters");
    const shown = state.outlines.length > 0;
    target.hidden = !shown;
    fill(target, Object.entries(window.inspect.filters).map(([key, [name, test]]) => {
      const press = () => { state.filter = key; emit("filter"); target.querySelector("[aria-pressed=true]").focus(); };
      return el("button", { type: "button", class: "chip", "aria-pressed": String(state.filter === key), onclick: press }, name, el("span", {}, String(state.outlines.filter(test).length)));
    }));
    const open = state.outlines.filter((outline) => !outline.decision).length;
    say(get("defect-count"), shown ? (open ? open + " to decide" : "all decided") : "");
  }

  function card() {
    const range = get("threshold");
    const usable = Boolean(state.info && state.info.has_map);
    get("threshold-card").classList.toggle("off", !usable);
    range.disabled = get("threshold-default").disabled = !usable;
    const own = state.info ? Object.values(state.info.thresholds) : [];
    if (document.activeElement !== range || state.threshold === null) range.value = state.threshold === null ? own[0] || 0.5 : state.threshold;
    const texts = state.info ? Object.entries(state.info.thresholds).map(([kind, value]) => kind + " " + value.toFixed(2)) : [];
    const same = own.every((value) => value === own[0]);
    const text = !usable ? "" : state.threshold !== null ? state.threshold.toFixed(2) : same && own.length ? own[0].toFixed(2) : texts.join(", ");
    say(get("threshold-text"), text);
    range.setAttribute("aria-valuetext", state.threshold === null ? "the model's own, " + text : text);
    get("threshold-default").setAttribute("aria-pressed", String(usable && state.threshold === null));
  }

  function measured() {
    const found = Object.entries(state.measured || {}).filter(([, row]) => row);
    const usable = state.info && state.info.has_map;
    if (!usable) return fill(get("measured"));
    if (!found.length) return fill(get("measured"), el("p", { class: "hint" }, "The model's card has no precision and recall for this threshold."));
    const body = found.map(([kind, row]) => el("tr", { title: words(row) }, el("th", { scope: "row" }, kind), bar(row, "pixel_precision"), bar(row, "pixel_recall")));
    const data = [...new Set(found.map(([, row]) => row.data).filter(Boolean))].join("; ");
    const heads = [["Precision", "Of what is marked, the share that is damage"], ["Recall", "Of the damage there is, the share that is marked"]];
    const head = el("tr", {}, el("th", {}), heads.map(([name, title]) => el("th", { scope: "col", title }, name)));
    const table = el("table", { "aria-label": "Measured at this threshold" }, el("thead", {}, head), el("tbody", {}, body));
    fill(get("measured"), table, data && el("p", { class: "hint", title: data }, "Measured pixel by pixel on " + data));
  }

  function bar(row, name) {
    const interval = row.intervals && row.intervals[name];
    const title = interval ? "95 % interval: " + interval.map((end) => Math.round(100 * end)).join(" to ") + " %" : null;
    return el("td", { title }, meter(row[name]), el("span", {}, row[name] === null || row[name] === undefined ? "–" : Math.round(100 * row[name]) + " %"));
  }

  function words(row) {
    const found = [];
    if (typeof row.regions_found === "number") found.push(Math.round(100 * row.regions_found) + " % of the damages found");
    if (typeof row.false_alarms_per_scan === "number") found.push(sizes.number(row.false_alarms_per_scan, 1) + " false alarms a scan");
    return found.join(", ");
  }

  function meter(value) {
    const made = el("span", { class: "meter", "aria-hidden": "true" }, el("span"));
    made.firstChild.style.width = 100 * (value || 0) + "%";
    return made;
  }

  /* The place under the pointer changes with every movement: nothing but two texts does. */
  const where = el("span", { class: "number" });
  const zoom = el("span", { class: "number" });
  function facts() {
    const info = state.info;
    if (!info) return fill(get("facts"));
    const parts = [info.width + " × " + info.height + " px", info.mm_per_px ? info.mm_per_px + " mm a px" : "scale unknown"];
    if (info.coverage !== null && info.coverage !== undefined) parts.push(info.coverage < 1 ? (100 * info.coverage).toFixed(1) + " % inspected" : "all inspected");
    if (info.model) parts.push(info.model);
    fill(get("facts"), parts.map((part) => el("span", {}, part)), el("span", { class: "gap" }), where, zoom);
  }

  on("arranged", () => { table(); counts(); });
  on("palette", table);
  on("chosen", mark);
  on("closed info threshold opened", card);
  on("closed info measured", measured);
  on("measuring", () => { if (!state.outlines.length) table(); });
  on("closed info", () => { facts(); if (!state.outlines.length) { table(); counts(); } });
  on("zoomed", (screen) => say(zoom, Math.round(100 * screen) + " %"));
  on("hovered", (found) => {
    const inside = found && state.info && found[0] >= 0 && found[1] >= 0 && found[0] < state.info.width && found[1] < state.info.height;
    say(where, inside ? found.map((part) => Math.floor(part)).join(", ") : "");
  });
  on("start", () => {
    const range = el("input", { type: "range", id: "threshold", min: "0.01", max: "0.99", step: "0.01", value: "0.5" });
    range.addEventListener("input", () => window.inspect.threshold(Number(range.value), false));
    range.addEventListener("change", () => window.inspect.threshold(Number(range.value), true));
    get("threshold-slot").append(range);
    get("threshold-default").addEventListener("click", () => window.inspect.threshold(null, true));
    card(); table(); counts();
  });
  Object.assign(window.inspect, { verdicts });
})();
