/* The keyboard. Letters act everywhere but where text is typed; a menu or a dialog that is open has the arrows. */
(function () {
  "use strict";
  const { state, on, get, emit } = window.inspect;
  const inspect = window.inspect;

  const keys = {
    ArrowDown: () => inspect.step(1), ArrowUp: () => inspect.step(-1), j: () => inspect.step(1), k: () => inspect.step(-1),
    ArrowRight: () => inspect.step(1), ArrowLeft: () => inspect.step(-1),
    n: () => { const next = inspect.undecided(); if (next) inspect.choose(next.id, { near: true }); },
    Enter: () => { const chosen = inspect.found(state.chosen); if (chosen) inspect.fly(chosen); },
    a: () => inspect.decide("accept"), r: () => inspect.decide("reject"), e: () => inspect.redraw(), d: () => inspect.add(),
    Delete: () => { const chosen = inspect.found(state.chosen); if (chosen && chosen.decision === "added") inspect.decide("remove"); },
    u: () => inspect.history("undo"), y: () => inspect.history("redo"),
    "+": () => inspect.move.in(), "=": () => inspect.move.in(), "-": () => inspect.move.out(), f: () => inspect.fit(), 0: () => inspect.move.one(),
    s: () => inspect.toggleBeside(), h: () => inspect.colours(), v: () => inspect.menus.view.set(), t: () => inspect.turnTheme(),
    "[": () => inspect.neighbour(-1), "]": () => inspect.neighbour(1), i: () => { if (!get("run").hidden) inspect.run(); },
    "/": () => get("help").showModal(), "?": () => get("help").showModal(),
  };
  const pans = { ArrowDown: [0, 90], ArrowUp: [0, -90], ArrowRight: [90, 0], ArrowLeft: [-90, 0] };

  function typed(target) {
    if (target.matches("textarea, [contenteditable]")) return true;
    return target.matches("input") && !["checkbox", "range", "file"].includes(target.type);
  }

  /* Whether the element itself does something with this key. */
  function owned(target, key) {
    if (target.matches("select")) return key.length === 1 || key.startsWith("Arrow") || key === "Enter";
    if (target.matches("input[type=range]")) return key.startsWith("Arrow");
    if (target.matches("button, a[href], input[type=checkbox], summary")) return key === "Enter" || key === " ";
    return false;
  }

  function escape() {
    if (inspect.closeMenus()) return;
    if (state.drawing) return void inspect.stopDrawing();
    if (document.activeElement && typed(document.activeElement)) return void document.activeElement.blur();
    if (state.chosen) inspect.choose(null);
  }

  function drawing(event) {
    if (event.key === "Enter" && !owned(event.target, "Enter")) { event.preventDefault(); inspect.finish(); }
    const view = { "+": inspect.move.in, "=": inspect.move.in, "-": inspect.move.out }[event.key];
    if (view) view();
  }

  function press(event) {
    if (event.defaultPrevented || event.altKey || document.querySelector("dialog[open]")) return;
    const control = event.ctrlKey || event.metaKey;
    if (event.key === "Escape") return escape();
    if (typed(event.target) || owned(event.target, event.key)) return undefined;
    if (control) {
      const z = event.key.toLowerCase() === "z";
      if (z && !state.drawing) { event.preventDefault(); inspect.history(event.shiftKey ? "redo" : "undo"); }
      return undefined;
    }
    if (state.drawing) return drawing(event);
    if (event.shiftKey && pans[event.key]) { event.preventDefault(); return inspect.move.by(...pans[event.key]); }
    if (event.key >= "1" && event.key <= "9") return kind(Number(event.key));
    const run = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!run) return undefined;
    event.preventDefault();
    return run();
  }

  function kind(place) {
    const wanted = state.info && state.info.kinds[place - 1];
    const chosen = inspect.found(state.chosen);
    if (wanted && chosen && chosen.kind !== wanted) inspect.decide("kind", { kind: wanted });
  }

  on("start", () => document.addEventListener("keydown", press));
  void emit;
})();
