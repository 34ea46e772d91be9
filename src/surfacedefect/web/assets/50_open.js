/* Opening a scan, inspecting it, and what was found at a threshold. */
(function () {
  "use strict";
  const { state, on, emit, get, el, icon, fill, say, ask, toast, live, Refused } = window.inspect;
  const page = Math.random().toString(36).slice(2);
  let turns = 0;
  let opening = 0;
  let asked = null;
  let waiting = null;

  async function open(name, options) {
    if (!name || (name === state.name && !(options && options.again))) return emit("view-tab", "picture");
    const turn = ++opening;
    const same = name === state.name;
    if (!same) {
      emit("leaving");
      Object.assign(state, { name, entry: null, info: null, review: null, outlines: [], order: [], chosen: null, threshold: null, drawing: null, measured: null, filter: "all" });
      window.dash_clientside.set_props("panes", { children: [] });
      window.dash_clientside.set_props("opened", { data: null });
      emit("closed");
      emit("outlines");
      emit("view-tab", "picture");
    }
    const entry = state.scans.find((scan) => scan.name === name);
    say(get("scan-title"), entry ? window.inspect.label(entry) : name);
    get("scan-title").title = name;
    over("busy", "Opening the scan");
    try {
      const found = await prepared(name, turn);
      if (!found) return;
      const changed = !state.info || !same || found.entry.modified !== (state.entry || {}).modified;
      Object.assign(state, { entry: found.entry, info: found.info, review: found.review, threshold: found.review.threshold, mapVersion: Date.now() });
      say(get("scan-title"), window.inspect.label(found.entry));
      window.history.replaceState(null, "", "#" + encodeURIComponent(name));
      if (changed) {
        const { width, height, max_zoom, tile_px } = found.info;
        window.dash_clientside.set_props("opened", { data: { name, version: found.entry.modified, width, height, max_zoom, tile_px } });
      }
      if (found.review.warning) toast(found.review.warning, "bad");
      over(null);
      emit("opened");
      emit("info");
      emit("review");
      await refresh();
      if (turn === opening && !same) live(state.outlines.length ? window.inspect.label(found.entry) + ": " + state.outlines.length + " defects" : window.inspect.label(found.entry) + " opened");
    } catch (error) {
      if (turn !== opening) return;
      const failed = state.scans.find((scan) => scan.name === name);
      state.entry = failed || null;
      emit("opened");
      over("bad", (failed && failed.error) || error.message, () => open(name, { again: true }));
    }
  }

  /* A large picture is cut into tiles first, which takes seconds; null when another scan was opened meanwhile. */
  async function prepared(name, turn) {
    for (;;) {
      const found = await ask("/api/scan", { scan: name });
      if (turn !== opening) return null;
      if (found.ready) return found;
      over("busy", "Preparing " + ((found.info.width * found.info.height) / 1e6).toFixed(0) + " megapixels for viewing");
      await new Promise((done) => window.setTimeout(done, 500));
      if (turn !== opening) return null;
    }
  }

  /* What lies over the picture: nothing, a wait, an error, or that it was not inspected. */
  function over(kind, text, retry) {
    const target = get("over");
    target.className = "over " + (kind || "");
    if (!kind) return fill(target);
    if (kind === "busy") return fill(target, el("div", { class: "note quiet" }, el("span", { class: "spinner" }), text));
    if (kind === "empty") return fill(target, el("div", { class: "note" }, icon("image"), el("p", {}, text)));
    const again = retry && el("button", { type: "button", class: "button", onclick: retry }, "Try again");
    const words = el("div", {}, el("strong", {}, "This scan cannot be shown"), el("p", {}, text));
    fill(target, el("div", { class: "note bad", role: "alert" }, icon("alert"), words, again));
  }

  async function refresh() {
    if (!state.info) return;
    if (asked) asked.abort();
    const mine = (asked = new AbortController());
    const name = state.name;
    measuring(true);
    try {
      const found = await ask("/api/found", { scan: name, threshold: state.threshold, page, turn: ++turns }, { signal: mine.signal });
      if (name !== state.name || mine !== asked) return;
      state.outlines = found.outlines;
      state.measured = found.measured;
      if (state.chosen && !window.inspect.found(state.chosen)) state.chosen = null;
      measuring(false);
      emit("outlines");
      emit("measured");
      emit("chosen", { outline: state.chosen && window.inspect.found(state.chosen), quiet: true });
    } catch (error) {
      if (error.name === "AbortError" || name !== state.name) return;
      measuring(false);
      if (error instanceof Refused && error.status !== 0) toast(error.message, "bad");
    }
  }

  /* Many outlines take seconds to be measured anew; those of before are faint meanwhile. */
  function measuring(now) {
    state.measuring = now;
    emit("measuring", now);
  }

  /* While the slider moves the colours follow it, and the outlines follow the colours. When it is let go the choice is saved. */
  function threshold(value, saved) {
    state.threshold = value;
    emit("threshold");
    follow(2500);
    if (saved) emit("save", { action: "threshold", threshold: value });
  }

  function follow(delay) {
    window.clearTimeout(waiting);
    measuring(true);
    waiting = window.setTimeout(() => { waiting = null; refresh(); }, delay);
  }

  async function run() {
    if (!state.name || (state.entry && state.entry.state === "running")) return;
    const name = state.name;
    get("run").disabled = true;
    try {
      const found = await ask("/api/run", { scan: name }, { post: true });
      replace(found.entry);
      live("Inspecting " + window.inspect.label(found.entry));
    } catch (error) {
      toast(error.message, "bad");
    }
    get("run").disabled = false;
    window.inspect.beat();
  }

  async function cancel() {
    try {
      replace((await ask("/api/cancel", { scan: state.name }, { post: true })).entry);
      live("The inspection was cancelled.");
    } catch (error) {
      toast(error.message, "bad");
    }
    window.inspect.beat();
  }

  function replace(entry) {
    state.scans = state.scans.map((scan) => (scan.name === entry.name ? entry : scan));
    if (entry.name === state.name) { state.entry = entry; emit("info"); }
    emit("scans");
  }

  let shown = "";
  function progress(found) {
    const entry = state.scans.find((scan) => scan.name === state.name);
    if (entry && state.entry && entry.state !== state.entry.state) { state.entry = entry; emit("info"); }
    const target = get("progress") || get("viewer").appendChild(el("div", { id: "progress", class: "progress", hidden: true }));
    target.hidden = !entry || entry.state !== "running";
    if (target.hidden) { shown = ""; return; }
    if (!target.firstChild) {
      const bar = el("div", { class: "track", role: "progressbar", "aria-label": "Windows inspected", "aria-valuemin": "0" }, el("span"));
      fill(target, el("div", { class: "pair" }, el("strong", {}, "Inspecting"), el("span", { id: "progress-text" })), bar, el("button", { type: "button", class: "button", id: "cancel", onclick: cancel }, "Cancel"));
    }
    const text = found && found.of ? found.done + " of " + found.of + " windows" + left(found.seconds_left) : (found && found.message) || "Waiting for the server";
    say(get("progress-text"), text);
    const track = target.querySelector(".track");
    track.firstChild.style.width = found && found.of ? (100 * found.done) / found.of + "%" : "0";
    if (found && found.of) { track.setAttribute("aria-valuemax", found.of); track.setAttribute("aria-valuenow", found.done); }
    const quarter = found && found.of ? String(Math.floor((4 * found.done) / found.of)) : "wait";
    if (quarter !== shown) { shown = quarter; live("Inspecting: " + text); }
  }

  function left(seconds) {
    if (seconds === null || seconds === undefined) return "";
    return seconds < 90 ? ", about " + Math.max(1, Math.round(seconds)) + " s left" : ", about " + Math.round(seconds / 60) + " min left";
  }

  function finished(scan) {
    const name = window.inspect.label(scan);
    if (scan.state === "failed") toast(name + ": " + (scan.error || "the inspection failed"), "bad");
    else if (scan.state !== "new") {
      const count = scan.defects === null ? "" : ": " + (scan.defects === 1 ? "1 defect" : scan.defects + " defects");
      toast(name + " is inspected" + count, "good", scan.name === state.name ? null : { label: "Open", run: () => open(scan.name) });
    }
    if (scan.name === state.name) open(scan.name, { again: true });
  }

  on("painted", () => { if (waiting) follow(60); });
  on("leaving", () => { window.clearTimeout(waiting); waiting = null; });
  on("open", (name) => open(name));
  on("finished", finished);
  on("progress", progress);
  on("scans", () => {
    if (!state.name && !state.opened) over("empty", state.scans.length ? "Choose a scan from the list." : "Add a scan to begin.");
    if (!state.opened && state.scans.length) {
      state.opened = true;
      const wanted = decodeURIComponent(window.location.hash.slice(1)) || window.inspect.config.openScan;
      const first = state.scans.find((scan) => scan.name === wanted);
      if (first) open(first.name);
    }
  });
  Object.assign(window.inspect, { open, refresh, threshold, run, cancel });
})();
