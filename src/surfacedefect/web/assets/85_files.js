/* Files in and out: uploads that are sent as they are, and exports. */
(function () {
  "use strict";
  const { state, config, on, emit, get, el, icon, fill, say, toast, live } = window.inspect;
  const waiting = [];
  let busy = false;

  function take(files) {
    [...files].forEach((file) => {
      if (file.size > config.maxUploadBytes) return toast(file.name + " has " + mega(file.size) + "; at most " + mega(config.maxUploadBytes) + " are taken.", "bad");
      if (!file.size) return toast(file.name + " is empty.", "bad");
      return waiting.push(file);
    });
    send();
  }

  function mega(bytes) {
    return (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0) + " MB";
  }

  /* One after the other. XMLHttpRequest, because fetch does not tell how much has been sent. */
  function send() {
    const file = !busy && waiting.shift();
    if (!file) return;
    busy = true;
    const request = new XMLHttpRequest();
    const bar = el("span");
    const text = el("span", { class: "hint" }, mega(file.size));
    const stop = el("button", { type: "button", class: "button icon-only", "aria-label": "Stop sending " + file.name, onclick: () => request.abort() }, icon("close"));
    const track = { class: "track", role: "progressbar", "aria-label": "Sending " + file.name, "aria-valuemin": "0", "aria-valuemax": "100" };
    const item = el("div", { class: "sending" }, el("div", { class: "pair" }, el("span", { class: "scan-name" }, file.name), text, stop), el("div", track, bar));
    get("uploads").append(item);
    request.upload.addEventListener("progress", (event) => {
      const share = Math.round((100 * event.loaded) / (event.total || file.size));
      bar.style.width = share + "%";
      bar.parentNode.setAttribute("aria-valuenow", share);
      say(text, share < 100 ? share + " %" : "being checked");
    });
    request.addEventListener("loadend", () => { item.remove(); busy = false; done(file, request); send(); });
    request.open("POST", "/api/upload?" + new URLSearchParams({ name: file.name }));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("X-Page", "1");
    request.send(file);
    live("Sending " + file.name);
  }

  function done(file, request) {
    let answer = {};
    try { answer = JSON.parse(request.responseText || "{}"); } catch (error) { /* no JSON: the status says enough */ }
    const status = answer.status || request.status;
    if (status === 200) {
      window.inspect.beat();
      const open = { label: "Open", run: () => emit("open", answer.entry.name) };
      toast(file.name + " is in the folder" + (answer.entry.name === file.name ? "." : " as " + answer.entry.name + "."), "good", open);
      if (!state.name) emit("open", answer.entry.name);
    } else if (status) toast(file.name + ": " + (answer.error || "the server answered " + status), "bad");
    else if (!request.aborted) toast(file.name + " was not sent: stopped, or the connection was lost.", "bad");
  }

  async function save(what) {
    const name = state.name;
    close();
    get("export").disabled = true;
    say(get("export").lastChild, "Making it");
    live("Making the file.");
    try {
      const answer = await fetch("/export/" + what + "?" + new URLSearchParams({ scan: name }), { cache: "no-store", headers: { "X-Page": "1" } });
      if (!answer.headers.get("Content-Disposition")) throw new Error((await answer.json().catch(() => ({}))).error || "the server answered " + answer.status);
      const blob = await answer.blob();
      const named = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("Content-Disposition") || "");
      const link = el("a", { href: URL.createObjectURL(blob), download: named ? decodeURIComponent(named[1]) : name + "." + what });
      document.body.append(link);
      link.click();
      link.remove();
      window.setTimeout(() => URL.revokeObjectURL(link.href), 60000);
      toast(link.download + " is downloaded.", "good");
    } catch (error) {
      toast("The export failed: " + (error instanceof TypeError ? "the page has lost its server" : error.message), "bad");
    }
    get("export").disabled = false;
    say(get("export").lastChild, "Export");
  }

  function close() {
    get("export-menu").hidden = true;
    get("export").setAttribute("aria-expanded", "false");
  }

  function hasFiles(event) {
    return event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  }

  on("start", () => {
    const input = el("input", { type: "file", id: "upload-input", multiple: true, accept: "image/*,.tif,.tiff", tabindex: "-1", "aria-label": "Scans to add" });
    input.addEventListener("change", () => { take(input.files); input.value = ""; });
    get("upload-slot").append(input);
    get("upload").before(el("div", { id: "uploads" }));
    get("upload").addEventListener("click", () => input.click());
    let depth = 0;
    document.addEventListener("dragenter", (event) => { if (hasFiles(event)) { depth += 1; document.body.classList.add("dropping"); } });
    document.addEventListener("dragleave", (event) => { if (hasFiles(event) && --depth <= 0) document.body.classList.remove("dropping"); });
    document.addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
    document.addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth = 0;
      document.body.classList.remove("dropping");
      take(event.dataTransfer.files);
    });
    document.querySelectorAll("[data-export]").forEach((button) => button.addEventListener("click", () => save(button.dataset.export)));
  });
})();
