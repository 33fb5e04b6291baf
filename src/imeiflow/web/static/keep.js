// What a person has typed, chosen, ticked or opened is theirs: no part of a page that is drawn anew takes it away.
// Only the answer to a form settles the fields of that form; all others stay as they are, and the focus where it is.
"use strict";

(() => {
  const body = document.body;
  const FIELDS = "input, select, textarea";
  let settled = null; // the form whose answer is being drawn

  const isChanged = (field) => {
    if (field instanceof HTMLSelectElement) {
      const options = [...field.options];
      const drawn = options.findLast((one) => one.defaultSelected) || options.find((one) => !one.disabled);
      return field.selectedOptions[0] !== drawn;
    }
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    return field.type !== "hidden" && field.value !== field.defaultValue;
  };
  const isTheirs = (field) =>
    (settled === null || field.form !== settled) && (field === document.activeElement || isChanged(field));

  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) => {
    if (name === "open") return !element.matches("details, dialog");
    if (name === "value" || name === "checked") return !(element.matches("input, textarea") && isTheirs(element));
    if (name === "selected") return !(element.closest("select") && isTheirs(element.closest("select")));
    return true;
  };
  Idiomorph.defaults.callbacks.beforeNodeMorphed = (before, after) => {
    // A text area's words stand inside it, where no attribute guards them.
    if (before instanceof HTMLTextAreaElement && after instanceof HTMLTextAreaElement && isTheirs(before)) return false;
    // What was fetched by itself into a place of its own stays there.
    if (before.id && before.id === after.id && before.hasAttribute("data-keep")) return false;
    // A time stands there in the viewer's own zone already.
    return !(before instanceof HTMLTimeElement && after instanceof HTMLTimeElement && before.dateTime === after.dateTime);
  };

  // Where what had the focus is gone, the focus goes to what took its place, not to the start of the page.
  let focused = null;
  body.addEventListener("htmx:beforeSwap", (event) => {
    const { requestConfig, target, xhr } = event.detail;
    settled = xhr && xhr.status < 400 && requestConfig ? requestConfig.elt.closest("form") : null;
    focused = target && target.contains(document.activeElement) ? document.activeElement : null;
  });
  body.addEventListener("htmx:afterSwap", (event) => {
    settled = null;
    const target = event.detail.target;
    if (focused === null || focused.isConnected || document.activeElement !== body || !target.isConnected) return;
    const twin = focused.id ? document.getElementById(focused.id)
      : focused.matches(FIELDS) && focused.name ? target.querySelector(`[name="${CSS.escape(focused.name)}"]`) : null;
    const place = twin || target;
    if (!twin && !place.hasAttribute("tabindex")) place.setAttribute("tabindex", "-1");
    place.focus({ preventScroll: true });
  });
})();
