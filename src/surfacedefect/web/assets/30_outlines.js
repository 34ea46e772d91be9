/* Outlines as one layer each of lines and of their dark casing; the table; which one is chosen. */
(function () {
  "use strict";
  const inspect = window.inspect;
  const { state, config, on, emit, get } = inspect;

  function palette() {
    return config.palettes[state.palette] || config.palettes.default;
  }

  function colour(outline) {
    const now = palette();
    if (now.decisions[outline.decision]) return now.decisions[outline.decision];
    return now.kinds[outline.kind] || now.other_kind;
  }

  /* Called by Dash Leaflet for every feature, again whenever `hideout` changes. */
  inspect.outline = function (feature, context) {
    const hideout = (context && context.hideout) || {};
    const chosen = feature.properties.id === hideout.chosen;
    const rejected = feature.properties.decision === "rejected";
    return {
      color: feature.properties.colour,
      weight: chosen ? 3.5 : rejected ? 1.25 : 2,
      opacity: hideout.hidden === feature.properties.id ? 0 : rejected && !chosen ? 0.75 : 1,
      dashArray: rejected ? "4 4" : null,
      fill: true,
      fillColor: feature.properties.colour,
      fillOpacity: chosen && !hideout.hidden ? 0.12 : 0,
    };
  };

  inspect.casing = function (feature, context) {
    const hideout = (context && context.hideout) || {};
    const chosen = feature.properties.id === hideout.chosen;
    const gone = hideout.hidden === feature.properties.id || (feature.properties.decision === "rejected" && !chosen);
    return { color: chosen ? "#ffffff" : "#101418", weight: chosen ? 7 : 4, opacity: gone ? 0 : chosen ? 0.9 : 0.55, fill: false };
  };

  function feature(outline) {
    const factor = inspect.factor();
    const ring = (points) => points.map(([x, y]) => [x * factor, -y * factor]);
    return {
      type: "Feature",
      properties: { id: outline.id, decision: outline.decision, colour: colour(outline) },
      geometry: { type: "Polygon", coordinates: [ring(outline.polygon), ...outline.holes.map(ring)] },
    };
  }

  function draw() {
    if (!inspect.maps.main || !state.info) return;
    const shown = state.outlines.filter((outline) => outline.polygon.length && passes(outline));
    const data = { type: "FeatureCollection", features: shown.map(feature) };
    ["casing", "outlines"].forEach((id) => window.dash_clientside.set_props(id, { data, hideout: hideout() }));
  }

  function hideout() {
    return { chosen: state.chosen, hidden: state.drawing && state.drawing.id };
  }

  function mark() {
    if (!inspect.maps.main) return;
    ["casing", "outlines"].forEach((id) => window.dash_clientside.set_props(id, { hideout: hideout() }));
  }

  const filters = {
    all: ["All", () => true],
    open: ["To decide", (outline) => !outline.decision],
    kept: ["Accepted", (outline) => outline.decision && outline.decision !== "rejected"],
    rejected: ["Rejected", (outline) => outline.decision === "rejected"],
  };

  function passes(outline) {
    return filters[state.filter][1](outline) || outline.id === state.chosen;
  }

  function value(outline, by) {
    if (by === "kind") return outline.kind;
    if (by === "decision") return outline.decision || "";
    if (by === "score") return outline.score;
    return inspect.sizes.of(outline, by);
  }

  function compare(one, other) {
    const [a, b] = [value(one, state.sort.by), value(other, state.sort.by)];
    const empty = (a === null || a === undefined) - (b === null || b === undefined);
    if (empty) return empty;
    const order = typeof a === "string" ? a.localeCompare(b) : a - b;
    return (state.sort.down ? -order : order) || (one.id < other.id ? -1 : 1);
  }

  function arrange() {
    state.order = state.outlines.filter(passes).sort(compare);
  }

  function found(id) {
    return state.outlines.find((outline) => outline.id === id) || null;
  }

  function choose(id, options) {
    if (state.drawing && state.drawing.id !== id) return;
    const outline = found(id);
    state.chosen = outline ? id : null;
    emit("chosen", { outline, quiet: options && options.quiet });
    if (outline && !(options && options.still)) (options && options.near ? inspect.show : inspect.fly)(outline);
  }

  /* By one up or down the table, from nothing to its ends. */
  function step(by) {
    if (!state.order.length) return;
    const now = state.order.findIndex((outline) => outline.id === state.chosen);
    const next = now < 0 ? (by > 0 ? 0 : state.order.length - 1) : Math.min(Math.max(now + by, 0), state.order.length - 1);
    choose(state.order[next].id, { near: true });
  }

  /* The next one that nobody has decided on, after the chosen one, then from the top; null when all are. */
  function undecided() {
    const now = state.order.findIndex((outline) => outline.id === state.chosen);
    const turned = [...state.order.slice(now + 1), ...state.order.slice(0, now + 1)];
    return turned.find((outline) => !outline.decision && outline.id !== state.chosen) || null;
  }

  on("outlines sort filter", () => { arrange(); emit("arranged"); });
  on("arranged map-ready palette", draw);
  on("chosen drawing", mark);

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.inspect = Object.assign(window.dash_clientside.inspect || {}, {
    pointed(click) {
      // Dash Leaflet gives the feature that was clicked.
      const id = click && click.properties && click.properties.id;
      if (id) choose(id, { still: true });
    },
  });

  Object.assign(inspect, { filters, colour, palette, choose, step, found, undecided });
})();
