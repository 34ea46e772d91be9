/* What every other script uses: the state, elements made without any HTML from text, and requests. */
window.inspect = (function () {
  "use strict";

  const listeners = {};
  const state = {
    scans: [], progress: {}, server: null, connected: true,
    name: null, entry: null, info: null, review: null, measured: null,
    outlines: [], order: [], chosen: null, threshold: null,
    filter: "all", sort: { by: "score", down: true },
    palette: "default", opacity: 0.65, colours: true, beside: false, autoNext: true,
    drawing: null, pending: 0,
  };
  const config = {};

  function on(names, listener) {
    names.split(" ").forEach((name) => (listeners[name] = listeners[name] || []).push(listener));
  }

  function emit(name, value) {
    (listeners[name] || []).forEach((listener) => listener(value));
  }

  function get(id) {
    return document.getElementById(id);
  }

  /* Texts become text nodes, never HTML: names of scans come from strangers. */
  function el(tag, attributes, ...children) {
    const made = document.createElement(tag);
    Object.entries(attributes || {}).forEach(([name, value]) => {
      if (value === null || value === undefined || value === false) return;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name === "class") made.className = value;
      else made.setAttribute(name, value === true ? "" : value);
    });
    children.flat().forEach((child) => {
      if (child !== null && child !== undefined && child !== false) made.append(child);
    });
    return made;
  }

  function icon(name) {
    return el("i", { class: "icon " + name, "aria-hidden": "true" });
  }

  function fill(target, ...children) {
    target.replaceChildren(...children.flat().filter((child) => child));
  }

  /* An element's content, without touching the document when nothing changed. */
  function say(target, text) {
    if (target && target.textContent !== text) target.textContent = text;
  }

  function live(text) {
    say(get("live"), "");
    window.setTimeout(() => say(get("live"), text), 30);
  }

  function toast(text, kind, action) {
    const close = el("button", { type: "button", class: "button icon-only", "aria-label": "Close this note" }, icon("close"));
    const act = action && el("button", { type: "button", class: "button" }, action.label);
    const made = el("div", { class: "toast " + (kind || "") }, el("p", {}, text), act, close);
    const drop = () => made.remove();
    close.addEventListener("click", drop);
    if (act) act.addEventListener("click", () => { drop(); action.run(); });
    const same = [...get("toasts").children].find((old) => old.firstChild.textContent === text);
    if (same) same.remove();
    get("toasts").append(made);
    while (get("toasts").children.length > 3) get("toasts").firstChild.remove();
    if (kind === "bad") {
      say(get("alerts"), "");
      window.setTimeout(() => say(get("alerts"), text), 30);
    } else live(text);
    window.setTimeout(drop, kind === "bad" ? 20000 : 7000);
  }

  class Refused extends Error {
    constructor(text, status, answer) {
      super(text);
      this.status = status;
      this.answer = answer;
    }
  }

  /* A request to our own process. Status 0: nobody answered. */
  async function ask(path, given, options) {
    const query = given && !(options && options.post) ? "?" + new URLSearchParams(dropped(given)) : "";
    // Refusals come as 200 with their status inside: browsers log every other answer as an error, though the page shows it.
    const request = { cache: "no-store", credentials: "same-origin", signal: options && options.signal, headers: { "X-Page": "1" } };
    if (options && options.post) {
      request.method = "POST";
      request.headers["Content-Type"] = "application/json";
      request.body = JSON.stringify(given);
    }
    let answer;
    try {
      answer = await fetch(path + query, request);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused("The page has lost its server.", 0, {});
    }
    const found = await answer.json().catch(() => ({}));
    const status = found.status || answer.status;
    if (status >= 400) throw new Refused(found.error || "The server answered " + status + ".", status, found);
    return found;
  }

  function dropped(given) {
    return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null && value !== undefined));
  }

  function keep(name, value) {
    try { window.localStorage.setItem("surfacedefect." + name, value); } catch (error) { /* private window */ }
  }

  function kept(name) {
    try { return window.localStorage.getItem("surfacedefect." + name); } catch (error) { return null; }
  }

  function mm() {
    return state.info && state.info.mm_per_px;
  }

  const sizes = {
    number(value, digits) {
      return value === null || value === undefined ? "–" : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    },
    of(outline, what) {
      const scaled = mm() ? outline[what + (what === "area" ? "_mm2" : "_mm")] : outline[what + "_px"];
      return scaled === null || scaled === undefined ? null : scaled;
    },
    shown(outline, what) {
      return sizes.number(sizes.of(outline, what), mm() && !(what === "area" && sizes.of(outline, what) >= 100) ? 1 : 0);
    },
    unit(what) {
      return mm() ? (what === "area" ? "mm²" : "mm") : (what === "area" ? "px²" : "px");
    },
  };

  return { state, config, on, emit, get, el, icon, fill, say, live, toast, ask, Refused, keep, kept, sizes };
})();
