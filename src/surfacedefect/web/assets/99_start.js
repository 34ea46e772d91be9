/* Dash calls this once the page is laid out. */
(function () {
  "use strict";
  const { config, emit, get } = window.inspect;
  let begun = false;

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.inspect = Object.assign(window.dash_clientside.inspect || {}, {
    started() {
      if (!begun) {
        begun = true;
        Object.assign(config, JSON.parse(get("page").dataset.config));
        emit("start");
      }
      return true;
    },
  });
})();
