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
    if (name === "tabindex") return element !== document.activeElement; // without it, it would lose the focus
    if (name === "disabled") return !element.matches("[data-choose-go]"); // it follows what is ticked
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

  // What a person asked for is never drawn over by a refresh that was under way, or began before the answer came.
  const isLive = (element) => /from:body|every /.test(element.getAttribute("hx-trigger") || "");
  // What was drawn a moment ago is bound to its new address a moment later: until then, it would fetch what was shown before.
  const AGAIN_MS = 100;
  const isOutdated = (element, config) => config.verb === "get" && config.path !== element.getAttribute("hx-get");
  const announce = (element) => {
    const told = /(\S+) from:body/.exec(element.getAttribute("hx-trigger") || "");
    if (told && element.isConnected) htmx.trigger(body, told[1]);
  };
  const turns = new WeakMap(); // of requests
  const asked = new WeakMap(); // by what they draw: the last thing that a person asked for
  let turn = 0;
  body.addEventListener("htmx:beforeRequest", (event) => {
    const { elt, target, xhr } = event.detail;
    const last = asked.get(target);
    if (isLive(elt) && last && last.isPending) {
      last.missed = elt;
      return event.preventDefault();
    }
    if (isLive(elt) && isOutdated(elt, event.detail.requestConfig)) {
      setTimeout(announce, AGAIN_MS, elt);
      return event.preventDefault();
    }
    turns.set(xhr, (turn += 1));
    if (!isLive(elt)) asked.set(target, { turn, xhr, isPending: true, missed: null });
  });
  body.addEventListener("htmx:beforeSwap", (event) => {
    const { requestConfig, target, xhr } = event.detail;
    const last = asked.get(target);
    if (!last || !requestConfig) return;
    if (!isLive(requestConfig.elt) || turns.get(xhr) > last.turn) return;
    event.detail.shouldSwap = false;
    // What changed while it was under way waits for its end, and is forgotten when the element is bound anew.
    if (last.isPending) last.missed = requestConfig.elt;
    else setTimeout(announce, AGAIN_MS, requestConfig.elt);
  });
  body.addEventListener("htmx:afterRequest", (event) => {
    const last = asked.get(event.detail.target);
    if (!last || last.xhr !== event.detail.xhr) return;
    last.isPending = false;
    // Its answer may be older than the change that a refresh would have shown meanwhile.
    if (last.missed) setTimeout(announce, AGAIN_MS, last.missed);
  });

  // Where what had the focus is gone, the focus goes to what took its place, or to what is left around it, not to the
  // start of the page. A button that is disabled while its answer is awaited loses it by that alone.
  const held = new WeakMap(); // by request: what had the focus, and the names of the parts that it was in, the innermost first
  const hold = (event) => {
    const { target, xhr } = event.detail;
    const focused = document.activeElement;
    if (!xhr || !target || focused === body || focused === target || !target.contains(focused)) return;
    const around = [];
    for (let one = focused.parentElement; one !== target; one = one.parentElement) if (one.id) around.push(one.id);
    held.set(xhr, { focused, around, target });
  };
  const giveBack = (event) => {
    settled = null;
    const known = held.get(event.detail.xhr);
    if (!known || ![body, known.focused].includes(document.activeElement)) return;
    const { focused, around, target } = known;
    if (focused.isConnected) return focused.focus({ preventScroll: true });
    if (!target.isConnected) return;
    const twin = focused.id ? document.getElementById(focused.id)
      : focused.matches(FIELDS) && focused.name ? target.querySelector(`[name="${CSS.escape(focused.name)}"]`) : null;
    const place = twin || around.map((one) => document.getElementById(one)).find((one) => target.contains(one)) || target;
    if (!twin && !place.hasAttribute("tabindex")) place.setAttribute("tabindex", "-1");
    place.focus({ preventScroll: true });
  };
  body.addEventListener("htmx:beforeRequest", hold);
  body.addEventListener("htmx:beforeSwap", (event) => {
    const { requestConfig, xhr } = event.detail;
    settled = xhr && xhr.status < 400 && requestConfig ? requestConfig.elt.closest("form") : null;
    hold(event);
  });
  body.addEventListener("htmx:afterSwap", giveBack);
  body.addEventListener("htmx:afterRequest", giveBack);
})();
