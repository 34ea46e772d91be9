/* Decisions: shown at once, saved one after the other, kept while the server is away, and never over somebody else's. */
(function () {
  "use strict";
  const { state, on, emit, get, el, icon, fill, say, ask, toast, live } = window.inspect;
  const after = { accept: "accepted", reject: "rejected", kind: "changed", redraw: "redrawn", clear: null };
  const said = { accept: "Accepted", reject: "Rejected", kind: "Kind changed", redraw: "Redrawn", clear: "Undecided again", add: "Added", remove: "Removed", undo: "Undone", redo: "Done again", note: "Note" };
  const queue = [];
  let sending = false;
  let halted = null;

  /* One change: {action, ...}. The version is filled in when its turn comes. */
  function save(change) {
    if (!state.review) return;
    const last = queue[queue.length - 1];
    // Only the last place of the slider counts, and the last words of a note.
    const newer = last && last.action === change.action && last.scan === state.name;
    if (newer && ["threshold", "note"].includes(change.action) && queue.length > 1) queue.pop();
    queue.push({ scan: state.name, ...change });
    tell();
    send();
  }

  async function send() {
    if (sending || halted || !queue.length) return;
    sending = true;
    const change = queue[0];
    const isDecision = !["undo", "redo", "threshold", "reviewed", "note"].includes(change.action);
    try {
      const before = change.scan === state.name ? state.review : await review(change.scan);
      const path = "/api/review/" + (isDecision ? "decide" : change.action);
      const found = await ask(path, { ...change, version: before.version }, { post: true });
      queue.shift();
      if (change.scan === state.name) await settle(change, found.review);
    } catch (error) {
      refuse(change, error);
    }
    sending = false;
    tell();
    if (queue.length && !halted && state.connected) send();
  }

  async function review(scan) {
    return (await ask("/api/scan", { scan })).review;
  }

  /* What the server holds now; outlines are asked for again when no further change waits. */
  async function settle(change, found) {
    const before = new Set(state.outlines.map((outline) => outline.id));
    const decided = state.review;
    state.review = found;
    emit("review");
    if (queue.some((other) => other.scan === state.name)) return;
    if (change.action === "undo" || change.action === "redo") {
      state.threshold = found.threshold;
      emit("threshold");
    }
    if (!["reviewed", "threshold", "note"].includes(change.action)) await window.inspect.refresh();
    if (change.action === "add") {
      const added = state.outlines.find((outline) => !before.has(outline.id));
      if (added) window.inspect.choose(added.id, { still: true });
    } else if (change.action === "undo" || change.action === "redo") reveal(decided, found);
  }

  /* After an undo the outline that it was about is the chosen one. */
  function reveal(before, now) {
    const key = (verdict) => JSON.stringify(verdict);
    const old = new Set(before.decisions.map(key));
    const fresh = new Set(now.decisions.map(key));
    const changed = [...before.decisions.filter((one) => !fresh.has(key(one))), ...now.decisions.filter((one) => !old.has(key(one)))];
    const shown = changed.map((one) => one.outline).find((id) => window.inspect.found(id));
    if (shown) window.inspect.choose(shown, { near: true });
  }

  function refuse(change, error) {
    if (error.status === 0) {
      // It stays in the queue; the heartbeat says when to go on.
      window.inspect.beat();
      state.connected = false;
      return emit("connected");
    }
    if (error.status === 409 && error.answer.review) {
      halted = { change, review: error.answer.review, why: error.message };
      if (change.scan !== state.name) return drop();
      return conflict();
    }
    queue.shift();
    toast("Not saved: " + error.message, "bad");
    if (change.scan === state.name) reload();
  }

  async function reload() {
    if (!state.info) return;
    try {
      state.review = await review(state.name);
    } catch (error) {
      return;
    }
    state.threshold = state.review.threshold;
    emit("review");
    emit("threshold");
    await window.inspect.refresh();
  }

  function conflict() {
    const theirs = halted.review;
    const when = theirs.when ? " at " + new Date(theirs.when).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : "";
    const mine = queue.length === 1 ? "Your last change (" + (said[queue[0].action] || queue[0].action).toLowerCase() + ") is not saved yet." : "Your last " + queue.length + " changes are not saved yet.";
    say(get("conflict-text"), (theirs.who || "Somebody") + " saved" + when + ": " + theirs.decisions.length + " decisions. " + mine + " Keeping yours adds them to theirs; nothing of theirs is lost but what you both decided.");
    get("conflict").showModal();
  }

  async function keepMine() {
    get("conflict").close();
    state.review = halted.review;
    halted = null;
    send();
  }

  function drop() {
    get("conflict").close();
    const dropped = halted.change.scan;
    for (let index = queue.length - 1; index >= 0; index--) if (queue[index].scan === dropped) queue.splice(index, 1);
    halted = null;
    tell();
    if (dropped === state.name) reload();
    else toast("Somebody else saved " + dropped + "; the change you had made there just before was dropped.", "bad");
  }

  /* The heartbeat says which version there is. */
  function seen(theirs) {
    if (!state.review || sending || queue.length || halted || theirs.version <= state.review.version || state.drawing) return;
    toast((theirs.who || "Somebody") + " has saved decisions on this scan. You see them now.", "");
    reload();
  }

  function decide(action, more) {
    const outline = state.chosen && window.inspect.found(state.chosen);
    if (!outline) return live("Choose a defect first.");
    if (outline.decision === "added" && action === "reject") action = "remove";
    if (outline.decision === after[action] && action !== "kind" && action !== "redraw") action = "clear";
    const next = state.autoNext && (action === "accept" || action === "reject" || action === "remove") ? window.inspect.undecided() : null;
    optimistic(outline, action, more || {});
    save({ action, outline: outline.id, threshold: state.threshold, ...more });
    live((said[action] || action) + ": " + outline.kind + (next ? ". Next: " + next.kind : ""));
    if (next) window.inspect.choose(next.id, { near: true });
  }

  function optimistic(outline, action, more) {
    if (action === "remove") state.outlines = state.outlines.filter((other) => other.id !== outline.id);
    else {
      const changed = { ...outline, ...(action in after ? { decision: after[action] } : {}), ...(more.kind ? { kind: more.kind } : {}) };
      if (action === "clear") changed.kind = outline.found_kind || outline.kind;
      if (more.polygon) Object.assign(changed, { polygon: more.polygon, holes: [] });
      state.outlines = state.outlines.map((other) => (other.id === outline.id ? changed : other));
    }
    emit("outlines");
    emit("chosen", { outline: window.inspect.found(state.chosen), quiet: true });
  }

  function history(action) {
    if (!state.review) return;
    const waiting = queue.some((change) => change.scan === state.name);
    if (!waiting && !state.review[action === "undo" ? "can_undo" : "can_redo"]) return live("Nothing to " + action + ".");
    save({ action });
    live(said[action]);
  }

  function reviewed() {
    if (!state.review || !state.info || !state.info.has_map) return;
    const now = !state.review.reviewed;
    state.review = { ...state.review, reviewed: now };
    emit("review");
    save({ action: "reviewed", reviewed: now });
    live(now ? "Marked as reviewed" : "No longer marked as reviewed");
    window.setTimeout(window.inspect.beat, 300);
  }

  /* Whether a change of this sort to the open scan is not saved yet. */
  function waits(action) {
    return queue.some((change) => change.action === action && change.scan === state.name);
  }

  function tell() {
    const target = get("saved");
    target.className = "saved " + (queue.length ? "waiting" : "");
    say(target, queue.length ? (state.connected ? "Saving" : queue.length + " waiting to be saved") : state.review && state.review.version ? "All saved" : "");
  }

  function buttons() {
    const found = state.review;
    get("undo").disabled = !found || !found.can_undo;
    get("redo").disabled = !found || !found.can_redo;
    const usable = Boolean(found && state.info && state.info.has_map);
    get("reviewed").disabled = !usable;
    get("reviewed").setAttribute("aria-pressed", String(Boolean(found && found.reviewed)));
    say(get("reviewed").lastChild, found && found.reviewed ? "Reviewed" : "Mark as reviewed");
    get("export").disabled = !usable;
    tell();
  }

  on("save", save);
  on("seen", seen);
  on("review closed info", buttons);
  on("connected", () => { tell(); if (state.connected) send(); });
  on("start", () => {
    get("undo").addEventListener("click", () => history("undo"));
    get("redo").addEventListener("click", () => history("redo"));
    get("reviewed").addEventListener("click", reviewed);
    get("conflict-mine").addEventListener("click", keepMine);
    get("conflict-theirs").addEventListener("click", drop);
    // Esc must not leave the question open: nothing could be saved any more.
    get("conflict").addEventListener("cancel", (event) => event.preventDefault());
    window.addEventListener("beforeunload", (event) => { if (queue.length) event.preventDefault(); });
  });
  Object.assign(window.inspect, { decide, history, reviewed, waits });
})();
