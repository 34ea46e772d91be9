/* The note on a scan: saved when typing pauses, and when the field, the scan or the page is left. */
(function () {
  "use strict";
  const { state, on, emit, get, el } = window.inspect;
  const pause = 1000;
  let timer = null; // set while something is typed that was not handed over yet

  function typing() {
    window.clearTimeout(timer);
    timer = window.setTimeout(keep, pause);
  }

  function keep() {
    if (timer === null) return;
    window.clearTimeout(timer);
    timer = null;
    const note = get("note").value;
    if (state.review && note !== state.review.note) emit("save", { action: "note", note });
  }

  function show() {
    const field = get("note");
    field.disabled = !state.review;
    // What is typed, or on its way, is newer than what the server said last.
    if (timer === null && !window.inspect.waits("note")) field.value = state.review ? state.review.note : "";
  }

  on("leaving", keep);
  on("closed", () => { timer = null; show(); get("note").value = ""; });
  on("review", show);
  on("start", () => {
    const field = el("textarea", { id: "note", class: "field", rows: "1", maxlength: "4000", disabled: true, placeholder: "For the report" });
    field.addEventListener("input", typing);
    field.addEventListener("change", keep);
    get("note-slot").append(field);
    window.addEventListener("pagehide", keep);
    window.addEventListener("beforeunload", keep, true); // before it is asked whether all is saved
  });
})();
