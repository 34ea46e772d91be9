/* How it looks: theme, colours, opacity, side by side, the tabs of small screens, menus and help. */
(function () {
  "use strict";
  const { state, config, on, emit, get, el, fill, keep, kept, live } = window.inspect;
  const page = () => get("page");

  function theme(wanted) {
    document.documentElement.dataset.theme = wanted || "";
    document.documentElement.style.colorScheme = wanted || "light dark";
    keep("theme", wanted || "");
  }

  function isDark() {
    const wanted = document.documentElement.dataset.theme;
    return wanted ? wanted === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function turnTheme() {
    theme(isDark() ? "light" : "dark");
    live(isDark() ? "Dark" : "Light");
  }

  function tab(name) {
    page().dataset.view = name;
    document.querySelectorAll("[data-tab]").forEach((button) => button.setAttribute("aria-current", button.dataset.tab === name ? "page" : "false"));
  }

  function menu(button, list) {
    return (wanted) => {
      const open = typeof wanted === "boolean" ? wanted : list.hidden;
      if (list.hidden === !open) return;
      list.hidden = !open;
      button.setAttribute("aria-expanded", String(open));
      if (open) { const first = list.querySelector("input, select, button"); if (first) first.focus(); }
      else if (list.contains(document.activeElement)) button.focus();
    };
  }

  const menus = {};
  function closeMenus() {
    const open = Object.values(menus).filter((entry) => !entry.list.hidden);
    open.forEach((entry) => entry.set(false));
    return open.length > 0;
  }

  function legend() {
    const now = window.inspect.palette();
    const swatch = (colour, text, kind) => {
      const made = el("i", { class: "swatch " + (kind || "") });
      made.style.background = colour;
      return el("span", {}, made, text);
    };
    const kinds = (state.info && state.info.kinds) || [];
    fill(get("legend"), swatch(now.damage, "over the threshold"), swatch(now.clean, "inspected, clean"), swatch(now.unseen, "not inspected", "hatched"),
      kinds.map((kind) => swatch(now.kinds[kind] || now.other_kind, kind, "line")), swatch(now.decisions.accepted, "accepted", "line"), swatch(now.decisions.rejected, "rejected", "line dashed"), swatch(now.decisions.added, "drawn by hand", "line"));
  }

  function beside(wanted) {
    state.beside = wanted;
    get("beside").setAttribute("aria-pressed", String(wanted));
    keep("beside", wanted ? "1" : "");
    emit("beside");
  }

  function colours() {
    state.colours = !state.colours;
    get("show-colours").checked = state.colours;
    emit("view");
    live(state.colours ? "Colours shown" : "Colours hidden");
  }

  function choices() {
    const range = el("input", { type: "range", id: "opacity", min: "0", max: "1", step: "0.05", value: state.opacity });
    range.addEventListener("input", () => { state.opacity = Number(range.value); keep("opacity", range.value); emit("view"); });
    get("opacity-slot").append(range);
    const names = { default: "Yellow and blue", safe: "For any colour vision" };
    const list = el("select", { id: "palette", class: "field" }, Object.keys(config.palettes).map((name) => el("option", { value: name, selected: name === state.palette }, names[name] || name)));
    list.addEventListener("change", () => { state.palette = list.value; keep("palette", list.value); emit("palette"); });
    get("palette-slot").append(list);
    const box = (id, text, checked, change) => {
      const input = el("input", { type: "checkbox", id, checked });
      input.addEventListener("change", change);
      return el("label", { for: id }, input, text);
    };
    get("switches").append(
      box("show-colours", "Show colours and outlines", true, colours),
      box("auto-next", "After a decision go to the next undecided", state.autoNext, (event) => { state.autoNext = event.target.checked; keep("autoNext", state.autoNext ? "1" : "0"); }),
    );
  }

  function restore() {
    theme(kept("theme") || "");
    const opacity = Number(kept("opacity"));
    if (kept("opacity") !== null && opacity >= 0 && opacity <= 1) state.opacity = opacity;
    if (config.palettes[kept("palette")]) state.palette = kept("palette");
    if (kept("autoNext") === "0") state.autoNext = false;
  }

  function runButton() {
    const button = get("run");
    const entry = state.entry;
    button.hidden = !state.info || !entry || entry.state === "running";
    const text = state.info && state.info.has_map ? "Inspect again" : "Inspect";
    button.lastChild.textContent = button.title = text;
    button.setAttribute("aria-label", text);
    button.classList.toggle("main", Boolean(state.info && !state.info.has_map));
  }

  on("start", () => {
    restore();
    choices();
    legend();
    [["view", "view-menu"], ["export", "export-menu"]].forEach(([button, list]) => {
      menus[button] = { list: get(list), set: menu(get(button), get(list)) };
      get(button).addEventListener("click", () => menus[button].set());
    });
    document.addEventListener("pointerdown", (event) => {
      if (!event.target.closest(".menu-of")) Object.values(menus).forEach((entry) => entry.set(false));
    });
    get("theme").addEventListener("click", turnTheme);
    get("open-help").addEventListener("click", () => get("help").showModal());
    get("close-help").addEventListener("click", () => get("help").close());
    get("beside").addEventListener("click", () => beside(!state.beside));
    get("run").addEventListener("click", window.inspect.run);
    [["zoom-in", "in"], ["zoom-out", "out"], ["zoom-one", "one"]].forEach(([id, what]) => get(id).addEventListener("click", window.inspect.move[what]));
    get("zoom-fit").addEventListener("click", window.inspect.fit);
    document.querySelectorAll("[data-tab]").forEach((button) => button.addEventListener("click", () => tab(button.dataset.tab)));
    tab("scans");
    if (kept("beside")) beside(true);
  });
  on("view-tab", tab);
  on("palette info", legend);
  on("info closed", runButton);
  Object.assign(window.inspect, { turnTheme, tab, menus, closeMenus, toggleBeside: () => beside(!state.beside), colours });
})();
