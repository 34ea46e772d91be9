/* Drawing and redrawing one outline, with the tools of Leaflet.draw that Dash Leaflet's EditControl brings. */
(function () {
  "use strict";
  const { state, on, emit, get, el, icon, fill, live, toast } = window.inspect;
  const MOST_CORNERS = 36;
  const style = { color: "#ffffff", weight: 2, fillColor: "#ffffff", fillOpacity: 0.12, dashArray: null };
  let layer = null;
  let tool = null;

  function ready() {
    if (!window.inspect.maps.main || !state.info || !state.info.has_map || state.drawing) return false;
    if (!window.L.Draw || !window.L.Edit) { live("The drawing tools are still loading."); return false; }
    return true;
  }

  function redraw() {
    const outline = state.chosen && window.inspect.found(state.chosen);
    if (!outline) return live("Choose a defect first.");
    if (!ready()) return;
    start({ id: outline.id, what: "redraw" }, "Drag the corners; a corner in the middle of a side makes a new one.");
    window.inspect.fly(outline, 3);
    layer = window.L.polygon(fewer(outline.polygon).map(([x, y]) => window.inspect.toMap(x, y)), style).addTo(window.inspect.maps.main);
    layer.editing.enable();
    layer.on("edit", tell);
    tell();
  }

  function add() {
    if (!ready()) return;
    start({ id: null, what: "add" }, "Click round the damage, corner by corner; click the first corner to close it.");
    const map = window.inspect.maps.main;
    tool = new window.L.Draw.Polygon(map, { shapeOptions: style, allowIntersection: false, showArea: false, guidelineDistance: 12, icon: handle(), touchIcon: handle() });
    tool.enable();
    map.once(window.L.Draw.Event.CREATED, created);
    map.on(window.L.Draw.Event.DRAWVERTEX, tell);
    tell();
  }

  function handle() {
    return new window.L.DivIcon({ iconSize: new window.L.Point(14, 14), className: "leaflet-div-icon leaflet-editing-icon" });
  }

  function created(event) {
    if (!state.drawing) return;
    layer = event.layer;
    layer.setStyle(style);
    layer.addTo(window.inspect.maps.main);
    layer.editing.enable();
    layer.on("edit", tell);
    tool = null;
    tell();
  }

  function start(drawing, hint) {
    state.drawing = drawing;
    emit("drawing");
    document.body.classList.add("drawing-now");
    const target = get("drawing");
    target.hidden = false;
    const kinds = drawing.what === "add" ? el("select", { class: "field", id: "drawn-kind", "aria-label": "Kind of the damage" }, state.info.kinds.map((kind) => el("option", { value: kind }, kind))) : null;
    const save = el("button", { type: "button", class: "button main", id: "drawing-save", onclick: finish }, icon("check"), el("span", {}, "Save outline"));
    const cancel = el("button", { type: "button", class: "button", id: "drawing-cancel", onclick: stop }, "Cancel");
    fill(target, el("p", {}, el("strong", {}, drawing.what === "add" ? "Missed damage" : "Redraw"), " ", hint), el("div", { class: "choices" }, kinds, save, cancel));
    live(hint + " Enter saves, Escape cancels.");
    window.inspect.maps.main.getContainer().focus({ preventScroll: true });
  }

  function ring() {
    if (layer) return layer.getLatLngs()[0].map(window.inspect.toPixel);
    return tool ? (tool._markers || []).map((marker) => window.inspect.toPixel(marker.getLatLng())) : [];
  }

  function tell() {
    if (get("drawing-save")) get("drawing-save").disabled = ring().length < 3;
  }

  function finish() {
    if (!state.drawing) return;
    const points = inside(ring());
    if (points.length < 3) return live("An outline needs three corners.");
    if (crosses(points)) return toast("The outline crosses itself. Move the corners until no sides cross.", "bad");
    if (area(points) < 1) return toast("The outline lies outside the scan or has no area.", "bad");
    const drawing = state.drawing;
    const kind = get("drawn-kind") && get("drawn-kind").value;
    const polygon = [...points, points[0]];
    stop();
    if (drawing.what === "add") {
      emit("save", { action: "add", kind, polygon, threshold: state.threshold });
      return live("Added: " + kind);
    }
    window.inspect.decide("redraw", { polygon });
  }

  function stop() {
    if (!state.drawing) return;
    const map = window.inspect.maps.main;
    if (tool) tool.disable();
    if (layer) { layer.editing.disable(); layer.remove(); }
    if (map && window.L.Draw) { map.off(window.L.Draw.Event.CREATED, created); map.off(window.L.Draw.Event.DRAWVERTEX, tell); }
    tool = layer = null;
    state.drawing = null;
    document.body.classList.remove("drawing-now");
    get("drawing").hidden = true;
    emit("drawing");
  }

  /* So few corners that they can be dragged: Leaflet's own simplification, ever coarser. */
  function fewer(points) {
    const open = points.slice(0, -1).map(([x, y]) => window.L.point(x, y));
    let found = open;
    for (let tolerance = 0.5; found.length > MOST_CORNERS && tolerance < 64; tolerance *= 1.5) found = window.L.LineUtil.simplify(open, tolerance);
    return (found.length < 3 ? open : found).map((point) => [point.x, point.y]);
  }

  function inside(points) {
    const { width, height } = state.info;
    return points.map(([x, y]) => [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)].map((part) => Math.round(part * 100) / 100));
  }

  function area(points) {
    return Math.abs(points.reduce((sum, [x, y], index) => {
      const [nextX, nextY] = points[(index + 1) % points.length];
      return sum + x * nextY - nextX * y;
    }, 0)) / 2;
  }

  function crosses(points) {
    const sides = points.map((point, index) => [point, points[(index + 1) % points.length]].map(([x, y]) => window.L.point(x, y)));
    return sides.some((one, index) => sides.slice(index + 1).some((other, gap) => {
      const touching = gap === 0 || (index === 0 && gap === sides.length - 2);
      return !touching && window.L.LineUtil.segmentsIntersect(one[0], one[1], other[0], other[1]);
    }));
  }

  on("leaving", stop);
  on("start", () => get("add").addEventListener("click", add));
  on("info closed drawing", () => { get("add").disabled = !(state.info && state.info.has_map) || Boolean(state.drawing); });
  Object.assign(window.inspect, { redraw, add, finish, stopDrawing: stop });
})();
