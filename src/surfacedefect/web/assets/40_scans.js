/* The list of scans, and the heartbeat that keeps it true: states, progress, the server, other people's saves. */
(function () {
  "use strict";
  const { state, on, emit, get, el, icon, fill, say, ask, toast, live } = window.inspect;
  const rows = new Map();
  const words = { new: "New", running: "Running", inspected: "Inspected", reviewed: "Reviewed", failed: "Failed" };
  let timer = null;
  let beating = false;
  let again = false;

  async function beat() {
    if (beating) { again = true; return; }
    beating = true;
    window.clearTimeout(timer);
    const asked = state.name;
    try {
      const found = await ask("/api/state", { scan: asked }, {});
      if (!state.connected) { state.connected = true; emit("connected"); }
      take(found, asked);
    } catch (error) {
      if (error.status === 0) {
        if (state.connected) { state.connected = false; emit("connected"); }
      } else if (error.status === 401) window.location.reload();
      else if (state.stateError !== error.message) toast(error.message, "bad");
      state.stateError = error.message;
    }
    beating = false;
    const busy = state.scans.some((scan) => scan.state === "running");
    timer = window.setTimeout(beat, again ? 0 : !state.connected || (state.server && !state.server.ready) ? 1200 : busy ? 700 : document.hidden ? 15000 : 4000);
    again = false;
  }

  function take(found, asked) {
    const before = new Map(state.scans.map((scan) => [scan.name, scan.state]));
    state.stateError = null;
    state.scans = found.scans;
    state.progress = found.progress;
    const server = JSON.stringify(state.server);
    state.server = found.server;
    if (JSON.stringify(found.server) !== server) emit("server");
    emit("scans");
    found.scans.forEach((scan) => {
      const was = before.get(scan.name);
      if (was === "running" && scan.state !== "running") emit("finished", scan);
      else if (was && was !== scan.state && scan.name === state.name) emit("turned", scan);
    });
    if (state.name && asked === state.name) {
      emit("progress", found.progress[state.name] || null);
      if (found.review) emit("seen", found.review);
    }
  }

  function list() {
    const sought = get("scan-filter").value.trim().toLowerCase();
    const wanted = get("scan-state") ? get("scan-state").value : "";
    const shown = state.scans.filter((scan) => (!wanted || scan.state === wanted) && label(scan).toLowerCase().includes(sought));
    const names = new Set(state.scans.map((scan) => scan.name));
    [...rows.keys()].filter((name) => !names.has(name)).forEach((name) => { rows.get(name).item.remove(); rows.delete(name); });
    const target = get("scan-list");
    shown.forEach((scan, index) => {
      const row = rows.get(scan.name) || made(scan);
      update(row, scan);
      if (target.children[index] !== row.item) target.insertBefore(row.item, target.children[index] || null);
    });
    while (target.children.length > shown.length) target.lastChild.remove();
    say(get("scan-count"), shown.length === state.scans.length ? String(state.scans.length) : shown.length + " of " + state.scans.length);
    let note = get("scan-none");
    if (!note) target.after(note = el("p", { class: "hint none", id: "scan-none" }));
    note.hidden = shown.length > 0;
    say(note, state.scans.length ? "No scan has this name and state." : "There is no scan in this folder yet. Add some, or drop files anywhere on the page.");
  }

  function label(scan) {
    return scan.shown || scan.name;
  }

  function made(scan) {
    const image = el("img", { alt: "", width: "64", height: "48", loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => { image.hidden = true; });
    const row = {
      image, name: el("span", { class: "scan-name" }), badge: el("span", { class: "badge" }), note: el("span", { class: "scan-note" }),
      bar: el("span", { class: "scan-bar" }),
    };
    row.button = el(
      "button",
      { type: "button", class: "scan", onclick: () => emit("open", row.key) },
      el("span", { class: "thumb" }, image, icon("image")), el("span", { class: "scan-words" }, row.name, el("span", { class: "scan-line" }, row.badge, row.note)), row.bar,
    );
    row.item = el("li", {}, row.button);
    rows.set(scan.name, row);
    return row;
  }

  function update(row, scan) {
    row.key = scan.name;
    const look = JSON.stringify([scan, state.progress[scan.name], scan.name === state.name]);
    if (row.look === look) return;
    row.look = look;
    say(row.name, label(scan));
    row.button.title = scan.name + (scan.width ? "\n" + scan.width + " × " + scan.height + " px" : "") + (scan.error ? "\n" + scan.error : "");
    say(row.badge, words[scan.state] || scan.state);
    row.badge.className = "badge " + scan.state;
    say(row.note, note(scan));
    if (scan.name === state.name) row.button.setAttribute("aria-current", "true");
    else row.button.removeAttribute("aria-current");
    const progress = state.progress[scan.name];
    row.bar.style.width = progress && progress.of ? (100 * progress.done) / progress.of + "%" : "0";
    const source = "/thumbnail?" + new URLSearchParams({ scan: scan.name, v: scan.modified });
    if (scan.state === "failed" && !scan.width) row.image.hidden = true;
    else if (row.source !== source) {
      row.source = source;
      row.image.hidden = false;
      row.image.src = source;
    }
  }

  function note(scan) {
    const progress = state.progress[scan.name];
    if (scan.state === "running") return progress && progress.of ? progress.done + " of " + progress.of : "waiting";
    if (scan.defects !== null && scan.defects !== undefined) return scan.defects === 1 ? "1 defect" : scan.defects ? scan.defects + " defects" : "no defect";
    return scan.width ? ((scan.width * scan.height) / 1e6).toFixed(1) + " MP" : "";
  }

  function neighbour(by) {
    const shown = [...get("scan-list").children].map((item) => [...rows.values()].find((row) => row.item === item).key);
    if (!shown.length) return;
    const now = shown.indexOf(state.name);
    emit("open", shown[now < 0 ? 0 : Math.min(Math.max(now + by, 0), shown.length - 1)]);
  }

  /* One banner for the page's own process, one for the server that inspects. */
  function banners() {
    const found = [];
    if (!state.connected) {
      found.push(banner("bad", "The page has lost its own process.", "Trying again every second. Decisions you make now wait here and are saved when it is back."));
    } else if (state.server && !state.server.ready) {
      found.push(banner("warn", "The inspection server does not answer.", (state.server.message || "") + " Looking, deciding and exporting go on; new inspections wait."));
    }
    fill(get("banners"), found);
    const pill = get("server");
    pill.className = "pill " + (!state.connected ? "bad" : !state.server ? "" : state.server.ready ? "good" : "warn");
    say(get("server-text"), !state.connected ? "No connection" : !state.server ? "Connecting" : state.server.ready ? "Server ready" : "Server not ready");
    pill.title = state.server ? state.server.address : "";
  }

  function banner(kind, title, text) {
    return el("div", { class: "banner " + kind, role: "alert" }, icon("alert"), el("p", {}, el("strong", {}, title + " "), text));
  }

  let told = null;
  on("server connected", () => {
    banners();
    const well = state.connected && state.server && state.server.ready;
    if (told === false && well) { live("The server is back."); toast("The server is back.", "good"); }
    if (state.server || !state.connected) told = Boolean(well);
  });
  on("scans opened closed", list);
  on("start", () => {
    const choice = el("select", { id: "scan-state", class: "field" }, el("option", { value: "" }, "All states"), Object.entries(words).map(([value, text]) => el("option", { value }, text)));
    choice.addEventListener("change", list);
    get("scan-state-slot").append(choice);
    const find = el("input", { type: "search", id: "scan-filter", class: "field", placeholder: "Find a scan", autocomplete: "off", spellcheck: "false" });
    find.addEventListener("input", list);
    get("scan-filter-slot").append(find);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) beat(); });
    beat();
  });
  Object.assign(window.inspect, { beat, label, neighbour });
})();
