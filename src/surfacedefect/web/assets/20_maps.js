/* Both maps of a scan: they move together; the colours are swapped without a flicker; scale and zoom. */
(function () {
  "use strict";
  const { state, on, emit, get, say } = window.inspect;
  const maps = { main: null, bare: null };
  const layers = { shown: null, coming: null };
  let colours = "";
  let following = false;

  /* Dash Leaflet makes the maps; this is how we come by them. Leaflet is there before the page's own scripts. */
  window.L.Polyline._flat = window.L.LineUtil.isFlat; // Leaflet.draw uses the old name, which warns at every call
  /* Leaflet draws and moves once more in the next frame, also when its map is gone by then. */
  function guard(kind, name, there) {
    const own = kind.prototype[name];
    kind.include({ [name](...given) { return there(this) ? own.apply(this, given) : undefined; } });
  }
  guard(window.L.Canvas, "_redraw", (canvas) => canvas._ctx && canvas._map);
  ["_onPanTransitionStep", "_onPanTransitionEnd", "_onZoomTransitionEnd"].forEach((name) => guard(window.L.Map, name, (map) => map._mapPane));
  /* Whatever asks a map that is gone where it was: a key, a wheel's delay, a shape that is drawn. */
  const placed = window.L.Map.prototype._getMapPanePos;
  window.L.Map.include({ _getMapPanePos() { return this._mapPane ? placed.call(this) : window.L.point(0, 0); } });
  window.L.Map.addInitHook(function () {
    const role = this.getContainer().id === "map-bare" ? "bare" : "main";
    maps[role] = this;
    this.whenReady(() => window.setTimeout(() => alive(this) && maps[role] === this && settled(role), 0));
  });

  function alive(map) {
    return Boolean(map && map._loaded && map._mapPane);
  }

  /* A zoom that is still going on would end on a map that is gone. */
  function halt() {
    Object.values(maps).filter(alive).forEach((map) => { map.stop(); map._animatingZoom = false; });
  }

  function settled(role) {
    const map = maps[role];
    map.getContainer().setAttribute("aria-label", role === "bare" ? "The scan without colours" : "The scan with what was found");
    if (!state.info) return;
    map.on("move zoom", () => follow(map));
    map.on("zoomend moveend", () => emit("moved", role));
    if (role === "main") {
      ["damage", "coverage"].forEach((name, index) => {
        const pane = map.getPane(name) || map.createPane(name);
        pane.style.zIndex = 300 + index;
        pane.style.pointerEvents = "none";
      });
      layers.shown = layers.coming = null;
      colours = "";
      map.on("mousemove", (event) => emit("hovered", toPixel(event.latlng)));
      map.on("mouseout", () => emit("hovered", null));
      watch();
      fit();
      emit("map-ready");
    }
  }

  /* Who saw the whole scan sees it still when the space for it changes. */
  let fitted = null;
  let watcher = null;
  function watch() {
    if (watcher) watcher.disconnect();
    watcher = new ResizeObserver(() => {
      if (fitted && alive(maps.main) && state.info && maps.main.getZoom() === fitted.zoom && maps.main.getCenter().equals(fitted.center)) return fit();
      Object.values(maps).filter(alive).forEach((map) => map.invalidateSize({ pan: false }));
    });
    watcher.observe(get("panes"));
  }

  function follow(map) {
    const other = map === maps.main ? maps.bare : maps.main;
    if (!state.beside || following || !alive(map) || !alive(other)) return;
    following = true;
    other.setView(map.getCenter(), map.getZoom(), { animate: false });
    following = false;
  }

  function factor() {
    return Math.pow(2, -state.info.max_zoom);
  }

  function toMap(x, y) {
    return window.L.latLng(-y * factor(), x * factor());
  }

  function toPixel(latlng) {
    return [latlng.lng / factor(), -latlng.lat / factor()];
  }

  function bounds() {
    return window.L.latLngBounds(toMap(0, state.info.height), toMap(state.info.width, 0));
  }

  function fit() {
    if (!alive(maps.main) || !state.info) return;
    maps.main.invalidateSize({ pan: false });
    const zoom = maps.main.getBoundsZoom(bounds(), false, window.L.point(16, 16));
    Object.values(maps).forEach((map) => {
      if (!map) return;
      map.setMinZoom(Math.min(zoom - 1, state.info.max_zoom));
      map.setMaxBounds(bounds().pad(0.5));
    });
    maps.main.setView(bounds().getCenter(), zoom, { animate: false });
    fitted = { zoom: maps.main.getZoom(), center: maps.main.getCenter() };
  }

  /* Far enough away that its surroundings are seen, never closer than one to one. */
  function fly(outline, closest) {
    if (!alive(maps.main) || !outline.polygon.length) return;
    const box = window.L.latLngBounds(outline.polygon.map(([x, y]) => toMap(x, y))).pad(0.9);
    const zoom = Math.min(maps.main.getBoundsZoom(box), state.info.max_zoom + (closest || 1));
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    maps.main.setView(box.getCenter(), zoom, { animate: !calm });
  }

  function show(outline) {
    if (!alive(maps.main) || !outline.polygon.length) return;
    const box = window.L.latLngBounds(outline.polygon.map(([x, y]) => toMap(x, y)));
    if (!maps.main.getBounds().contains(box)) fly(outline);
  }

  function coloursUrl(layer) {
    const given = { scan: state.name, palette: state.palette, v: state.mapVersion };
    if (state.threshold !== null) given.threshold = state.threshold;
    return "/tile/" + layer + "/{z}/{x}/{y}?" + new URLSearchParams(given);
  }

  /* New colours are loaded under the old ones, which go when they are there. */
  function paint() {
    if (!alive(maps.main) || !state.info) return;
    if (!state.info.has_map) return unpaint();
    const url = coloursUrl("damage");
    if (url === colours) return void (layers.coming || window.setTimeout(() => emit("painted"), 0));
    colours = url;
    const options = {
      pane: "damage", noWrap: true, className: "colours", bounds: bounds(), minNativeZoom: 0, maxNativeZoom: state.info.max_zoom,
      minZoom: -2, maxZoom: state.info.max_zoom + 4, tileSize: state.info.tile_px, keepBuffer: 2, updateWhenZooming: false,
    };
    const coming = window.L.tileLayer(url, options);
    if (layers.coming) layers.coming.remove();
    layers.coming = coming;
    coming.once("load", () => {
      if (layers.coming !== coming) return;
      if (layers.shown) layers.shown.remove();
      layers.shown = coming;
      layers.coming = null;
      window.setTimeout(() => emit("painted"), 0);
    });
    coming.addTo(maps.main);
    if (state.info.coverage >= 1) return veil(); // nothing is hatched
    if (!layers.unseen || layers.unseenUrl !== coverageUrl()) {
      if (layers.unseen) layers.unseen.remove();
      layers.unseenUrl = coverageUrl();
      layers.unseen = window.L.tileLayer(layers.unseenUrl, { ...options, pane: "coverage" }).addTo(maps.main);
    } else if (!maps.main.hasLayer(layers.unseen)) layers.unseen.addTo(maps.main);
    veil();
  }

  function coverageUrl() {
    return "/tile/coverage/{z}/{x}/{y}?" + new URLSearchParams({ scan: state.name, palette: state.palette, v: state.mapVersion });
  }

  function unpaint() {
    ["shown", "coming", "unseen"].forEach((name) => {
      if (layers[name]) layers[name].remove();
      layers[name] = null;
    });
    colours = "";
  }

  function veil() {
    if (!alive(maps.main)) return;
    const opacity = state.colours ? state.opacity : 0;
    ["damage", "coverage"].forEach((name) => {
      if (maps.main.getPane(name)) maps.main.getPane(name).style.opacity = opacity;
    });
    ["casing", "overlayPane"].forEach((name) => {
      if (maps.main.getPane(name)) maps.main.getPane(name).style.visibility = state.colours || state.drawing ? "" : "hidden";
    });
  }

  function beside() {
    get("panes").classList.toggle("two", state.beside);
    window.requestAnimationFrame(() => {
      Object.values(maps).filter(alive).forEach((map) => map.invalidateSize({ pan: false }));
      if (alive(maps.main)) follow(maps.main);
    });
  }

  /* The longest of 1, 2, 5, 10 ... that fits into 120 screen px. */
  function scale() {
    if (!alive(maps.main) || !state.info) return;
    const zoom = maps.main.getZoom();
    const screen = Math.pow(2, zoom - state.info.max_zoom);
    get("panes").classList.toggle("between", Math.abs(zoom - Math.round(zoom)) > 0.001);
    const unit = state.info.mm_per_px || 1;
    const most = (120 / screen) * unit;
    const power = Math.pow(10, Math.floor(Math.log10(most)));
    const length = [5, 2, 1].map((step) => step * power).find((step) => step <= most);
    get("scale").hidden = false;
    get("scale-line").style.width = (length / unit) * screen + "px";
    say(get("scale-text"), state.info.mm_per_px ? (length >= 1000 ? length / 1000 + " m" : length >= 10 ? length / 10 + " cm" : Number(length.toPrecision(3)) + " mm") : Number(length.toPrecision(3)) + " px");
    emit("zoomed", screen);
  }

  const move = {
    in: () => alive(maps.main) && maps.main.zoomIn(1),
    out: () => alive(maps.main) && maps.main.zoomOut(1),
    one: () => alive(maps.main) && maps.main.setZoom(state.info.max_zoom),
    by: (x, y) => alive(maps.main) && maps.main.panBy([x, y], { duration: 0.12 }),
  };

  on("measuring", (now) => get("panes").classList.toggle("measuring", now));
  on("leaving", halt);
  on("closed", () => { unpaint(); layers.unseenUrl = ""; maps.main = maps.bare = null; get("scale").hidden = true; });
  on("moved map-ready", scale);
  on("map-ready info threshold palette", paint);
  on("view palette drawing map-ready", veil);
  on("beside map-ready", beside);

  Object.assign(window.inspect, { maps, toMap, toPixel, factor, fit, fly, show, move });
})();
