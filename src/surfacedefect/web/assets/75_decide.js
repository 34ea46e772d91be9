/* The bar under the picture: the chosen defect, and what may be decided about it. */
(function () {
  "use strict";
  const { state, on, get, el, icon, fill, sizes } = window.inspect;

  function bar() {
    const target = get("decide");
    const outline = state.chosen && window.inspect.found(state.chosen);
    target.hidden = !state.outlines.length || Boolean(state.drawing);
    if (target.hidden) return;
    const focused = document.activeElement && target.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    const place = state.order.findIndex((other) => other.id === state.chosen);
    const count = el("span", { class: "number" }, (place < 0 ? "–" : place + 1) + " / " + state.order.length);
    const previous = act("previous", "Previous defect (↑)", "up", () => window.inspect.step(-1));
    const next = act("next", "Next defect (↓)", "down", () => window.inspect.step(1));
    const walk = el("div", { class: "walk" }, previous, count, next);
    fill(target, walk, outline ? about(outline) : el("p", { class: "about hint" }, "Choose a defect in the scan or in the table"), outline && choices(outline));
    if (focused) { const again = target.querySelector("[data-act=" + focused + "]"); if (again) again.focus(); }
  }

  function about(outline) {
    const one = (what) => sizes.shown(outline, what) + " " + sizes.unit(what);
    const facts = [one("length") + " long", one("width") + " wide", one("area")];
    if (outline.score !== null) facts.push("score " + outline.score.toFixed(2));
    const verdict = outline.decision ? window.inspect.verdicts[outline.decision] : "Undecided";
    const changed = outline.found_kind && outline.found_kind !== outline.kind ? " (found as " + outline.found_kind + ")" : "";
    return el("div", { class: "about" }, el("strong", {}, outline.kind), changed, el("span", { class: "verdict-text " + (outline.decision || "open") }, verdict), el("span", { class: "hint" }, facts.join(" · ")));
  }

  function choices(outline) {
    const added = outline.decision === "added";
    const kinds = el("select", { class: "field", "aria-label": "Kind", title: "Kind (1 to " + state.info.kinds.length + ")", "data-act": "kind" }, state.info.kinds.map((kind) => el("option", { value: kind, selected: kind === outline.kind }, kind)));
    kinds.addEventListener("change", () => window.inspect.decide("kind", { kind: kinds.value }));
    return el(
      "div", { class: "choices" },
      !added && act("accept", "Accept", "check", () => window.inspect.decide("accept"), { words: true, class: "button accept", "aria-pressed": String(outline.decision === "accepted"), "aria-keyshortcuts": "A" }),
      act("reject", added ? "Remove" : "Reject", added ? "trash" : "cross", () => window.inspect.decide("reject"), { words: true, class: "button reject", "aria-pressed": String(outline.decision === "rejected"), "aria-keyshortcuts": "R" }),
      kinds,
      act("redraw", "Redraw", "pen", () => window.inspect.redraw(), { words: true, "aria-keyshortcuts": "E" }),
    );
  }

  function act(name, label, sign, run, more) {
    const { words, ...rest } = more || {};
    return el("button", { type: "button", class: words ? "button" : "button icon-only", title: label, "data-act": name, onclick: run, ...(words ? {} : { "aria-label": label }), ...rest }, icon(sign), words && el("span", {}, label));
  }

  on("arranged chosen drawing closed info", bar);
})();
