// Choosing rows of a list: single ones, this page, or all that match; how many, said in words.
"use strict";

(() => {
  const body = document.body;
  const find = (form, name) => form.querySelector(`[data-${name}]`);
  const boxes = (form) => [...form.querySelectorAll("[data-choose]")];

  // What a person ticks is said aloud; that more match while a job runs is not.
  const tell = (isTheirs) => {
    for (const form of document.querySelectorAll("[data-choosing]")) {
      const [all, page, said, go] = ["choose-all", "choose-page", "chosen-said", "choose-go"].map((one) => find(form, one));
      if (!said) continue;
      const ticked = boxes(form).filter((one) => one.checked).length;
      const isAll = Boolean(all && all.checked);
      const count = boxes(form).length;
      page.checked = ticked === count && count > 0;
      page.indeterminate = ticked > 0 && ticked < count;
      const text = isAll ? `All ${Number(all.dataset.count).toLocaleString()} chosen`
        : ticked ? `${ticked.toLocaleString()} on this page chosen` : "None chosen";
      if (said.textContent !== text) {
        said.setAttribute("aria-live", isTheirs ? "polite" : "off");
        said.textContent = text;
      }
      if (go.disabled !== (!ticked && !isAll)) go.disabled = !ticked && !isAll;
    }
  };
  const clear = () => {
    for (const form of document.querySelectorAll("[data-choosing]")) {
      for (const one of [...boxes(form), find(form, "choose-all")]) if (one) one.checked = false;
    }
  };
  body.addEventListener("change", (event) => {
    const form = event.target.closest("[data-choosing]");
    if (!form) return;
    const all = find(form, "choose-all");
    if (event.target.matches("[data-choose-page]")) for (const one of boxes(form)) one.checked = event.target.checked;
    if (event.target.matches("[data-choose-all]")) for (const one of boxes(form)) one.checked = event.target.checked;
    else if (all && !event.target.checked) all.checked = false; // all but one is not all
    tell(true);
  });
  // Another page or filter, or something done: what was chosen before is chosen no more. A live refresh changes nothing.
  body.addEventListener("htmx:beforeSwap", (event) => {
    const { requestConfig, target, xhr } = event.detail;
    const asked = requestConfig && requestConfig.elt;
    const isOther = asked && target.id === "orders" && asked.id !== "orders-live";
    if (isOther || (asked && asked.matches(".deed") && xhr.status < 400)) clear();
  });
  body.addEventListener("htmx:afterSwap", () => tell(false));
  tell(false);
})();
